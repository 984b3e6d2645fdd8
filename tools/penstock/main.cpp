// penstock: checks configurations, builds bundles, runs them on an emulated board.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/manifest/boot_options.hpp"
#include "tools/penstock/board_tree.hpp"
#include "tools/penstock/bundle.hpp"
#include "tools/penstock/check.hpp"
#include "tools/penstock/files.hpp"
#include "tools/penstock/qemu.hpp"
#include "tools/penstock/report.hpp"
#include "tools/penstock/run.hpp"
#include "tools/penstock/values.hpp"

namespace fs = std::filesystem;
namespace {

using namespace penstock::tool;
using nlohmann::json;

enum Exit : int { kOk = 0, kRunFailed = 1, kBadInput = 2, kTimedOut = 3, kInterrupted = 130 };

struct Options {
  std::string file;
  std::string board;
  std::vector<std::string> trees;
  std::string hypervisor;
  std::string output;
  std::string folder;
  std::string input;
  std::string qemu;
  std::vector<std::string> backends;
  std::vector<std::string> qemu_arguments;
  std::vector<std::string> boot_options;
  unsigned timeout = 0;
  unsigned cpus = 0;
  bool json = false;
  bool bundle = false;
  bool icount = false;
  bool no_colour = false;
  bool quiet = false;
  bool dry_run = false;
};

json to_json(const BundleSizes& sizes) {
  return {{"image", sizes.image},
          {"manifest", sizes.manifest},
          {"payloads", sizes.payloads},
          {"total", sizes.total}};
}

int complain(const std::string& message) {
  fmt::print(stderr, "penstock: {}\n", message);
  return kBadInput;
}

std::optional<Plan> check_or_say(const Options& options, Diagnostics& diagnostics) {
  CheckOptions check_options;
  check_options.board = options.board;
  check_options.board_folders = board_folders();
  auto plan = check(options.file, check_options, diagnostics);
  if (!options.json) fmt::print(stderr, "{}", to_text(diagnostics));
  return plan;
}

int check_bundle(const Options& options) {
  const auto file = read_file(options.file);
  if (!file) return complain(options.file + ": cannot be read");
  const auto opened = open_bundle(*file);
  if (options.json) {
    json result = {{"ok", opened.value.has_value()}, {"bundle", options.file}};
    if (opened.value) result["sizes"] = to_json(opened.value->sizes);
    if (!opened.value) result["errors"] = json::array({{{"message", opened.error}}});
    fmt::print("{}\n", to_text(result));
  } else if (opened.value) {
    fmt::print("{}: sound: {} domains for board {}, {} bytes\n", options.file,
               opened.value->manifest.domains.size(), opened.value->manifest.board,
               opened.value->sizes.total);
  }
  if (opened.value) return kOk;
  return options.json ? kBadInput : complain(options.file + ": " + opened.error);
}

int do_explain(const std::vector<std::string>& paths, bool as_json) {
  json all = json::array();
  int code = kOk;
  for (const std::string& path : paths) {
    const auto file = read_file(path);
    if (!file) (void)complain(path + ": cannot be read");
    const BoardReport report = file ? explain_board(*file) : unreadable_board();
    if (!report.readable) code = kBadInput;
    if (as_json) {
      all.push_back(to_json(report));
      all.back()["file"] = path;
    } else if (file) {
      fmt::print("{}{}", paths.size() > 1 ? path + ": " : "", to_text(report));
    }
  }
  if (as_json) fmt::print("{}\n", to_text(paths.size() > 1 ? all : all.front()));
  return code;
}

bool is_tree(const std::string& path) {
  const auto file = path.empty() ? std::nullopt : read_file(path);
  return file && looks_like_tree(*file);
}

int do_check(const Options& options) {
  if (is_tree(options.board) || options.board.ends_with(".dtb")) {
    if (options.file.empty()) return do_explain({options.board}, options.json);
    return complain("a board's device tree is checked alone: leave the configuration out");
  }
  if (options.file.empty()) return complain("check wants a configuration, or --board FILE.dtb");
  if (options.bundle || looks_like_bundle(options.file)) return check_bundle(options);
  Diagnostics diagnostics;
  const auto plan = check_or_say(options, diagnostics);
  if (options.json) {
    json result = plan ? ownership_json(*plan) : json::object();
    result["ok"] = plan.has_value();
    result["errors"] = to_json(diagnostics, Diagnostic::Severity::kError);
    result["warnings"] = to_json(diagnostics, Diagnostic::Severity::kWarning);
    fmt::print("{}\n", to_text(result));
  } else if (plan) {
    fmt::print("{}", ownership_text(*plan));
  }
  return plan ? kOk : kBadInput;
}

/// build/target/penstock.bin below the working directory or the source tree, unless the caller
/// names one.
fs::path find_hypervisor(const Options& options) {
  if (!options.hypervisor.empty()) return options.hypervisor;
  const fs::path usual = "build/target/penstock.bin";
  return fs::exists(usual) ? usual : fs::path(PENSTOCK_SOURCE_DIR) / usual;
}

Outcome<BundleSizes> write_bundle(const Options& options, const Plan& plan, const fs::path& to) {
  const fs::path path = find_hypervisor(options);
  const auto hypervisor = read_file(path);
  if (!hypervisor) {
    return {{},
            fmt::format("{}: the hypervisor's image is not there; build it with `./dev build` or "
                        "name it with --hypervisor",
                        path.string())};
  }
  const auto built = build_bundle(plan, *hypervisor);
  if (!built.value) return {{}, built.error};
  const Bytes& file = built.value->file;
  const std::string problem =
      write_file(to, {reinterpret_cast<const char*>(file.data()), file.size()});
  if (!problem.empty()) return {{}, problem};
  return {built.value->sizes, {}};
}

int do_build(const Options& options) {
  Diagnostics diagnostics;
  const auto plan = check_or_say(options, diagnostics);
  Outcome<BundleSizes> sizes;
  if (plan) sizes = write_bundle(options, *plan, options.output);
  if (options.json) {
    json result = {{"ok", sizes.value.has_value()},
                   {"bundle", options.output},
                   {"errors", to_json(diagnostics, Diagnostic::Severity::kError)}};
    if (!sizes.error.empty()) result["errors"].push_back({{"message", sizes.error}});
    if (sizes.value) result["sizes"] = to_json(*sizes.value);
    fmt::print("{}\n", to_text(result));
    return sizes.value ? kOk : kBadInput;
  }
  if (!plan) return kBadInput;
  if (!sizes.value) return complain(sizes.error);
  fmt::print("{}: {} bytes: hypervisor {}, configuration {}, payloads {}\n", options.output,
             sizes.value->total, sizes.value->image, sizes.value->manifest, sizes.value->payloads);
  return kOk;
}

json domain_facts(const Plan& plan) {
  json domains = json::array();
  for (const PlannedDomain& domain : plan.domains) {
    json devices = json::array();
    for (const PlannedDevice& d : domain.devices) {
      devices.push_back({{"bdf", format_bdf(d.host)},
                         {"guest", format_bdf(d.guest)},
                         {"name", d.name},
                         {"driver", d.driver},
                         {"exposed", d.security.exposed}});
    }
    domains.push_back({{"name", domain.name},
                       {"kernel", domain.kernel.string()},
                       {"cpus", domain.cpus},
                       {"memory", domain.memory},
                       {"devices", devices}});
  }
  return domains;
}

json domain_facts(const penstock::manifest::Manifest& manifest) {
  json domains = json::array();
  for (const auto& domain : manifest.domains) {
    json devices = json::array();
    for (const auto& d : domain.devices) {
      devices.push_back({{"bdf", format_bdf(d.host)}, {"guest", format_bdf(d.guest)}});
    }
    json cpus = json::array();
    for (const auto cpu : domain.cpus) cpus.push_back(cpu.value());
    domains.push_back({{"name", domain.name_view()},
                       {"kernel", ""},
                       {"cpus", cpus},
                       {"memory", domain.memory_bytes},
                       {"devices", devices}});
  }
  return domains;
}

struct Prepared {
  BoardDescription board;
  QemuOptions qemu;
  RunRequest request;
};

/// From a configuration: checked, built, with its [run] table.
std::optional<Prepared> prepare_config(Options& options, const fs::path& out) {
  Diagnostics diagnostics;
  const auto plan = check_or_say(options, diagnostics);
  if (!plan) return {};
  Prepared p;
  p.qemu.bundle = out / "bundle.img";
  const auto sizes = write_bundle(options, *plan, p.qemu.bundle);
  if (!sizes.value) {
    complain(sizes.error);
    return {};
  }
  Diagnostics again;  // the file has just been read without a complaint
  const auto config = read_config(options.file, again);
  p.board = plan->board;
  p.qemu.folder = config->folder;
  p.qemu.arguments = config->run.arguments;
  for (const auto& [name, value] : config->run.backends) p.qemu.backends[name] = value.value;
  if (options.timeout == 0) options.timeout = config->run.timeout;
  p.request.domain_facts = domain_facts(*plan);
  p.request.penstock_facts = {{"image", sizes.value->image}, {"bundle", to_json(*sizes.value)}};
  return p;
}

std::optional<Prepared> prepare_bundle(const Options& options) {
  const auto file = read_file(options.file);
  const auto opened = file ? open_bundle(*file) : Outcome<OpenedBundle>{{}, "cannot be read"};
  if (!opened.value) {
    complain(options.file + ": " + opened.error);
    return {};
  }
  const auto& manifest = opened.value->manifest;
  const std::string name = options.board.empty() ? std::string(manifest.board) : options.board;
  const auto path = find_board(name, {}, board_folders());
  if (!path) {
    complain(fmt::format("there is no board \"{}\": name one with --board", name));
    return {};
  }
  Diagnostics diagnostics;
  auto board = read_board(*path, diagnostics);
  fmt::print(stderr, "{}", to_text(diagnostics));
  if (!board || diagnostics.has_errors()) return {};
  Prepared p;
  p.board = std::move(*board);
  p.qemu.bundle = options.file;
  p.request.domain_facts = domain_facts(manifest);
  const BundleSizes& sizes = opened.value->sizes;
  p.request.penstock_facts = {{"image", sizes.image}, {"bundle", to_json(sizes)}};
  return p;
}

bool take_backends(const Options& options, QemuOptions& qemu) {
  for (const std::string& backend : options.backends) {
    const std::size_t equals = backend.find('=');
    if (equals == std::string::npos) {
      complain("--backend wants NAME=ARGUMENTS, such as nvme0=\"-drive ...\"");
      return false;
    }
    qemu.backends[backend.substr(0, equals)] = backend.substr(equals + 1);
  }
  return true;
}

/// The hypervisor would only warn of a word that it does not know; here is somebody to tell.
bool take_boot_options(const Options& options, QemuOptions& qemu) {
  for (const std::string& word : options.boot_options) {
    const bool one_word = !word.empty() && word.find(' ') == std::string::npos;
    if (!one_word || !penstock::manifest::boot_options(word).unknown.empty()) {
      complain(fmt::format(
          "--boot-option: \"{}\" is no boot option; there are viommu=on|off and spectre-bhb=on|off",
          word));
      return false;
    }
  }
  qemu.boot_options = options.boot_options;
  return true;
}

bool take_input(const Options& options, RunRequest& request) {
  if (options.input.empty()) return true;
  for (std::size_t i = 0; i < request.domains.size(); ++i) {
    if (request.domains[i] == options.input) request.input = i;
  }
  if (request.input) return true;
  complain(fmt::format("--input: there is no domain \"{}\"", options.input));
  return false;
}

/// The last audit in a few words, empty without one.
std::string audit_words(const json& report) {
  const json& audits = report["audits"];
  if (audits.empty()) return {};
  const json& last = audits.back();
  const auto number = [&last](const char* key) { return last.value(key, json("?")).dump(); };
  return fmt::format("; audit {}: {} streams, {} mappings, {} LPIs",
                     last.value("ok", json()) == true ? "ok" : "FAILED", number("streams"),
                     number("mappings"), number("lpis"));
}

int finish_run(const Options& options, const RunResult& result, const fs::path& out) {
  if (options.json) {
    fmt::print("{}\n", to_text(result.report));
  } else {
    fmt::print("{}: {} ({:.1f} s){}; {}\n", result.end == RunEnd::kOrderly ? "ok" : "FAILED",
               result.why, result.report["seconds"].get<double>(), audit_words(result.report),
               (out / "report.json").string());
  }
  switch (result.end) {
    case RunEnd::kOrderly: return kOk;
    case RunEnd::kFailed: return kRunFailed;
    case RunEnd::kTimeout: return kTimedOut;
    case RunEnd::kInterrupted: return kInterrupted;
  }
  return kRunFailed;
}

int do_run(Options options) {
  const fs::path out = options.folder.empty()
                           ? fs::path("build/run") / fs::path(options.file).stem()
                           : fs::path(options.folder);
  std::error_code error;
  fs::create_directories(out, error);
  if (error) return complain(fmt::format("{}: {}", out.string(), error.message()));
  const bool is_bundle = looks_like_bundle(options.file);
  auto prepared = is_bundle ? prepare_bundle(options) : prepare_config(options, out);
  if (!prepared) return kBadInput;
  auto& [board, qemu, request] = *prepared;
  if (board.qemu_machine.empty()) return complain(board.name + " cannot be emulated");
  if (options.cpus != 0) board.cpus = options.cpus;
  qemu.program = options.qemu;
  qemu.out = out;
  qemu.raw_arguments = options.qemu_arguments;
  qemu.count_instructions = options.icount;
  for (const json& d : request.domain_facts) request.domains.push_back(d["name"]);
  if (!take_backends(options, qemu) || !take_boot_options(options, qemu) ||
      !take_input(options, request)) {
    return kBadInput;
  }
  request.board = board.name;
  request.command = qemu_command(board, qemu);
  request.out = out;
  request.timeout = options.timeout;
  request.colour = !options.no_colour && isatty(STDOUT_FILENO) != 0;
  request.quiet = options.quiet || options.json;
  if (options.dry_run) {
    fmt::print("{}\n", json(request.command).dump());
    return kOk;
  }
  return finish_run(options, run_board(request), out);
}

void add_run_options(CLI::App& run, Options& options) {
  run.add_option("FILE", options.file, "A configuration (TOML) or a bundle")
      ->required()
      ->check(CLI::ExistingFile);
  run.add_option("--out", options.folder,
                 "Folder for console.log, a log per domain and report.json [build/run/NAME]");
  run.add_option("--board", options.board, "Board name or description, instead of the file's own");
  run.add_option("--hypervisor", options.hypervisor, "The hypervisor's image");
  run.add_option("--timeout", options.timeout, "End the run after so many seconds (0: never)");
  run.add_option("--input", options.input,
                 "Pass standard input to this domain's console; Ctrl-] leaves");
  run.add_option("--backend", options.backends,
                 "Back end of a board's device, NAME=ARGUMENTS; may be repeated")
      ->allow_extra_args(false);
  run.add_option("--qemu-arg", options.qemu_arguments,
                 "One more argument for QEMU, taken as it is; may be repeated")
      ->allow_extra_args(false);
  run.add_option("--boot-option", options.boot_options,
                 "A word for the hypervisor at boot, such as viommu=off; may be repeated")
      ->allow_extra_args(false);
  run.add_option("--qemu", options.qemu, "The emulator")
      ->envname("PENSTOCK_QEMU")
      ->default_val("qemu-system-aarch64");
  run.add_option("--smp", options.cpus, "Number of the board's CPUs");
  run.add_flag("--icount", options.icount,
               "Virtual time counts instructions: slower, but the same every time");
  run.add_flag("--no-color", options.no_colour, "No colours on a terminal");
  run.add_flag("--quiet", options.quiet, "Do not show the console");
  run.add_flag("--json", options.json, "Print the report instead of the console");
  run.add_flag("--dry-run", options.dry_run, "Build, print QEMU's command line as JSON, and stop");
}

int dispatch(int argc, char** argv) {
  CLI::App app{"Penstock: PCI passthrough for partitions with real devices"};
  app.set_version_flag("--version", "penstock " PENSTOCK_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done; 1 the run failed; 2 wrong input; 3 timeout; 130 interrupted.\n"
      "Keys of a configuration: `penstock keys`, docs/configuration.md.");
  Options options;

  CLI::App* check = app.add_subcommand("check",
                                       "Say what a configuration gives to whom, and what is "
                                       "wrong with it");
  check->add_option("FILE", options.file, "A configuration (TOML) or a bundle");
  check->add_option("--board", options.board,
                    "Check for this board instead; a device tree (FILE.dtb), without a "
                    "configuration: say what would run on that board");
  check->add_flag("--bundle", options.bundle, "FILE is a bundle: check every byte of it");
  check->add_flag("--json", options.json, "Print JSON");

  CLI::App* board = app.add_subcommand("board", "Look at boards");
  board->require_subcommand(1);
  CLI::App* explain = board->add_subcommand(
      "explain", "Say what would run on a board and what not, with the reasons");
  explain->add_option("FILE", options.trees, "Device trees of boards (FILE.dtb)")->required();
  explain->add_flag("--json", options.json, "Print JSON");

  CLI::App* build = app.add_subcommand("build",
                                       "Make one bootable image of hypervisor, configuration "
                                       "and payloads");
  build->add_option("CONFIG", options.file, "A configuration (TOML)")->required();
  build->add_option("-o,--output", options.output, "The bundle to write")->required();
  build->add_option("--hypervisor", options.hypervisor,
                    "The hypervisor's image [build/target/penstock.bin]");
  build->add_option("--board", options.board, "Build for this board instead");
  build->add_flag("--json", options.json, "Print JSON");

  CLI::App* run = app.add_subcommand("run", "Run a configuration or a bundle on an emulated board");
  add_run_options(*run, options);

  CLI::App* keys = app.add_subcommand(
      "keys", "Print every boot option, and every key of a configuration and of a board");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kBadInput;
  }
  if (keys->parsed()) {
    fmt::print("## Boot options\n\n{}\n## Configuration\n\n{}\n## Board description\n\n{}",
               render_boot_options(), render_keys(config_keys()), render_keys(board_keys()));
    return kOk;
  }
  if (explain->parsed()) return do_explain(options.trees, options.json);
  if (check->parsed()) return do_check(options);
  if (build->parsed()) return do_build(options);
  return do_run(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int status = dispatch(argc, argv);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
    return complain(fmt::format("standard output: {}", std::strerror(errno)));
  } catch (const std::exception& error) {
    return complain(error.what());
  }
}
