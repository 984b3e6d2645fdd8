// penstockctl: the control domain's program. Command line in, exit status out.
#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <iostream>

#include "tools/penstock/schema.hpp"
#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/completions.hpp"
#include "tools/penstockctl/render.hpp"
#include "tools/penstockctl/sysfs_channel.hpp"

namespace {

using namespace penstock::ctl;
using penstock::control::Opcode;

struct Options {
  bool json = false;
  std::string function;
  double timeout = 60;
  std::string domain;
  std::string device;
  std::string reset_method;
  std::string shell;
  bool names = false;
  bool no_wait = false;
  bool force = false;
  bool ask_only = false;
  bool follow = false;
  bool once = false;
  CreateOptions create;
  AttachOptions attach;
  ConsoleOptions console;
  TopOptions top;
};

/// Standard input, key by key.
class TerminalKeyboard final : public Keyboard {
 public:
  TerminalKeyboard() {
    if (isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    cfmakeraw(&raw);
    raw_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  ~TerminalKeyboard() override {
    if (raw_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  TerminalKeyboard(const TerminalKeyboard&) = delete;
  TerminalKeyboard& operator=(const TerminalKeyboard&) = delete;

  std::optional<std::string> read(Channel::Time time) override {
    using std::chrono::milliseconds;
    pollfd wait{STDIN_FILENO, POLLIN, 0};
    const auto limit = static_cast<int>(std::chrono::ceil<milliseconds>(time).count());
    if (poll(&wait, 1, limit) <= 0) return "";
    std::array<char, 1024> keys{};
    const ssize_t n = ::read(STDIN_FILENO, keys.data(), keys.size());
    if (n > 0) return std::string(keys.data(), static_cast<std::size_t>(n));
    return n < 0 && errno == EINTR ? std::optional<std::string>("") : std::nullopt;
  }

 private:
  termios before_{};
  bool raw_ = false;
};

void run_console(const Session& session, Options& options) {
  options.console.domain = options.domain;
  options.console.dump = options.console.dump || session.json;  // a stream is no JSON
  if (options.console.dump || !options.console.until.empty()) {
    struct Nobody final : Keyboard {
      std::optional<std::string> read(Channel::Time) override { return {}; }
    } nobody;
    console(session, options.console, nobody);
    return;
  }
  if (isatty(STDIN_FILENO) != 0) session.err << "Ctrl-] leaves\n";
  TerminalKeyboard keyboard;
  console(session, options.console, keyboard);
}

Exit run(const std::string& command, Options& options, const Session& session) {
  const auto opcode = [&command](std::initializer_list<std::pair<const char*, Opcode>> table) {
    for (const auto& [name, value] : table) {
      if (command == name) return std::optional(value);
    }
    return std::optional<Opcode>();
  };
  const bool wait = !options.no_wait;
  if (const auto what = opcode({{"start", Opcode::kStart},
                                {"pause", Opcode::kPause},
                                {"unpause", Opcode::kUnpause},
                                {"shutdown", Opcode::kShutdown}})) {
    change_domain(session, *what, options.domain, wait);
  } else if (command == "hide") {
    hide(session, options.device);
  } else if (command == "unhide") {
    change_device(session, Opcode::kUnhide, options.device);
  } else if (command == "reset") {
    reset(session, options.device, options.reset_method);
  } else if (command == "list") {
    list(session, options.names);
  } else if (command == "devices") {
    devices(session, options.names);
  } else if (command == "info") {
    info(session, options.domain);
  } else if (command == "hello") {
    hello(session);
  } else if (command == "create") {
    create(session, options.create);
  } else if (command == "destroy") {
    destroy(session, options.domain, wait);
  } else if (command == "attach") {
    options.attach.device = options.device;
    options.attach.domain = options.domain;
    attach(session, options.attach);
  } else if (command == "detach") {
    const Removal politely = options.ask_only ? Removal::kAskOnly : Removal::kDeadline;
    detach(session, options.device, options.force ? Removal::kSurprise : politely, wait);
  } else if (command == "top") {
    if (options.once) options.top.count = 1;
    options.top.clear = isatty(STDOUT_FILENO) != 0 && options.top.count != 1;
    top(session, options.top);
  } else if (command == "audit") {
    return audit(session);
  } else if (command == "report") {
    report(session, options.device);
  } else if (command == "log") {
    log(session, options.follow);
  } else {
    run_console(session, options);
  }
  return Exit::kDone;
}

CLI::App* add_command(CLI::App& app, const char* name, const char* text,
                      const char* examples = "") {
  CLI::App* command = app.add_subcommand(name, text);
  command->fallthrough();
  if (*examples != '\0') command->footer(fmt::format("Examples:\n{}", examples));
  return command;
}

void add_domain_commands(CLI::App& app, Options& options) {
  CLI::App* list = add_command(app, "list", "Domains and what they have",
                               "  penstockctl list\n  penstockctl list --json");
  list->add_flag("--names", options.names, "Only their names");
  const auto with_domain = [&](const char* name, const char* text, const char* examples) {
    CLI::App* command = add_command(app, name, text, examples);
    command->add_option("DOMAIN", options.domain, "Name or handle, as `list` shows them")
        ->required();
    return command;
  };
  with_domain("info", "Everything about one domain: counters, devices", "  penstockctl info store");
  CLI::App* create = add_command(
      app, "create", "Create the domains of a configuration; they start unless autostart = false",
      "  penstockctl create store.toml\n  penstockctl create --off store.toml && penstockctl start "
      "store");
  create->add_option("FILE", options.create.file, "A configuration (TOML), as for `penstock build`")
      ->required();
  create->add_option("--board", options.create.board,
                     "Check against this board description, not against the running machine");
  create->add_option("--only", options.create.only, "This domain of the file, no other");
  create->add_flag("--off", options.create.off, "Start none of them");
  with_domain("start", "Start a domain that is off", "  penstockctl start store");
  with_domain("pause", "Stop a domain's CPUs; its state stays", "  penstockctl pause store");
  with_domain("unpause", "Let a paused domain go on", "  penstockctl unpause store");
  with_domain("shutdown", "Press the domain's power button and wait until it is off",
              "  penstockctl shutdown store --timeout 120 || penstockctl destroy store")
      ->add_flag("--no-wait", options.no_wait, "Do not wait");
  with_domain("destroy",
              "End a domain at once, take back its devices and memory, wait until it is gone",
              "  penstockctl destroy store")
      ->add_flag("--no-wait", options.no_wait, "Do not wait");
  CLI::App* console =
      with_domain("console", "Use a domain's console; Ctrl-] leaves",
                  "  penstockctl console store\n  penstockctl console store --dump | tail\n"
                  "  penstockctl console store --send 'lspci' --until '# ' --timeout 10");
  console->add_flag("--dump", options.console.dump, "Print what is kept of it and end");
  console->add_flag("--raw", options.console.raw,
                    "Let the guest steer the terminal: colours, cursor, whatever it sends");
  console->add_option("--send", options.console.send, "Type this line first");
  console->add_option("--until", options.console.until,
                      "Type nothing else, end when this text appears (status 4: it did not)");
}

void add_device_commands(CLI::App& app, Options& options) {
  add_command(app, "devices", "Devices of the board and who has them", "  penstockctl devices")
      ->add_flag("--names", options.names, "Only their addresses");
  const auto with_device = [&](const char* name, const char* text, const char* examples) {
    CLI::App* command = add_command(app, name, text, examples);
    command->add_option("DEVICE", options.device, "Address on the board, [0000:]bb:dd.f")
        ->required();
    return command;
  };
  CLI::App* attach =
      with_device("attach", "Give a device to a domain, while it runs",
                  "  penstockctl attach 0000:01:00.0 store\n"
                  "  penstockctl attach 03:00.0 store --guest 02:00.0 --accept no-reset");
  attach->add_option("DOMAIN", options.domain, "Name or handle")->required();
  attach->add_option("--guest", options.attach.guest, "Address in the domain [a free slot]");
  attach->add_option("--accept", options.attach.accept, "Risks to live with: no-reset, insecure")
      ->delimiter(',')
      ->allow_extra_args(false);
  CLI::App* detach =
      with_device("detach",
                  "Take a device from its domain: the guest is asked, and loses it by surprise\n"
                  "when it has not let go after --timeout seconds",
                  "  penstockctl detach 0000:01:00.0 --timeout 20\n"
                  "  penstockctl detach 0000:01:00.0 --ask-only\n"
                  "  penstockctl detach 0000:01:00.0 --force");
  CLI::Option* force = detach->add_flag("--force", options.force, "Do not ask the guest");
  detach->add_flag("--ask-only", options.ask_only, "A guest that does not let go keeps it")
      ->excludes(force);
  detach->add_flag("--no-wait", options.no_wait, "Do not wait for the guest");
  with_device("reset", "Reset a device that is nobody's",
              "  penstockctl reset 0000:01:00.0\n"
              "  penstockctl reset 0000:01:00.0 --method bus")
      ->add_option("--method", options.reset_method,
                   "flr, af-flr, pm, bus or specific, and no other [those that it has, in turn]");
  with_device("hide", "Take a device out of every domain's sight",
              "  penstockctl hide 0000:01:00.0");
  with_device("unhide", "Bring a hidden device back", "  penstockctl unhide 0000:01:00.0");
  add_command(app, "report", "What isolates each device, and what does not",
              "  penstockctl report\n  penstockctl report 0000:01:00.0 --json")
      ->add_option("DEVICE", options.device, "Only this one");
}

void add_machine_commands(CLI::App& app, Options& options) {
  CLI::App* top =
      add_command(app, "top", "Traps, interrupts and faults per second",
                  "  penstockctl top\n  penstockctl top --json --count 10 --interval 0.5");
  top->add_flag("--once", options.once, "One picture, after one interval");
  top->add_option("--interval", options.top.interval, "Seconds")
      ->check(CLI::Range(0.05, 3600.0))
      ->capture_default_str();
  top->add_option("--count", options.top.count, "So many pictures (0: until Ctrl-C)");
  add_command(app, "audit",
              "Compare the hypervisor's books with the hardware; status 1: they differ",
              "  penstockctl audit && echo sound");
  add_command(app, "log", "The hypervisor's log", "  penstockctl log --follow")
      ->add_flag("--follow", options.follow, "Go on until Ctrl-C");
  add_command(app, "hello", "The machine: version of the interface, memory, CPUs",
              "  penstockctl hello --json");
  add_command(app, "completion", "Print a completion script for a shell",
              "  penstockctl completion bash > /etc/bash_completion.d/penstockctl")
      ->add_option("SHELL", options.shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
}

void add_common(CLI::App& app, Options& options) {
  app.set_version_flag("--version", "penstockctl " PENSTOCK_VERSION);
  app.require_subcommand(1);
  app.add_flag("--json", options.json, "Print JSON");
  app.add_option("--device", options.function,
                 "The control interface's PCI function, such as 0000:00:1f.0 [found by its IDs]")
      ->envname("PENSTOCKCTL_DEVICE");
  app.add_option("--timeout", options.timeout, "Seconds that each wait may last")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.footer(
      "`penstockctl COMMAND --help` has examples.\n"
      "Exit status: 0 done; 1 refused or failed; 2 wrong command line or configuration;\n"
      "3 no control interface; 4 timed out; 130 interrupted.");
}

/// What CLI11 says, and the command that may have been meant.
Exit complain_of_usage(const CLI::App& app, const CLI::ParseError& error) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  const auto rest = app.remaining();
  const auto given = app.get_subcommands();
  if (!given.empty() || rest.empty()) {
    std::cerr << fmt::format("penstockctl: {}\nSee penstockctl {}--help.\n", error.what(),
                             given.empty() ? "" : given.front()->get_name() + " ");
    return Exit::kUsage;
  }
  const std::string near = penstock::tool::nearest(rest.front(), commands);
  std::cerr << fmt::format("penstockctl: there is no command \"{}\"{}\nSee penstockctl --help.\n",
                           rest.front(),
                           near.empty() ? "." : fmt::format("; did you mean {}?", near));
  return Exit::kUsage;
}

Exit report_failure(const Options& options, const Failure& failure) {
  std::cout << std::flush;
  std::cerr << fmt::format("penstockctl: {}\n", failure.what());
  if (options.json) {
    nlohmann::json all = failure.facts;
    all["ok"] = false;
    all["error"] = failure.what();
    all["exit"] = static_cast<int>(failure.exit());
    if (failure.result()) all["result"] = name_of(*failure.result());
    std::cout << dump(all);
  }
  return failure.exit();
}

Exit dispatch(int argc, char** argv) {
  CLI::App app{"Penstock's domains and devices, from the control domain"};
  Options options;
  add_common(app, options);
  add_domain_commands(app, options);
  add_device_commands(app, options);
  add_machine_commands(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return complain_of_usage(app, error);
    app.exit(error);
    return Exit::kDone;
  }
  const std::string command = app.get_subcommands().front()->get_name();
  if (command == "completion") {
    std::cout << (options.shell == "bash" ? completion::kBash : completion::kZsh);
    return Exit::kDone;
  }
  try {
    const auto channel = open_function(find_function(kPciDevices, options.function));
    Client client(*channel,
                  std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout * 1000)));
    const Session session{client, std::cout, std::cerr, options.json,
                          !options.json && isatty(STDERR_FILENO) != 0};
    return run(command, options, session);
  } catch (const Failure& failure) {
    // Ctrl-C is how these two end.
    if (failure.exit() == Exit::kInterrupted && (command == "top" || options.follow)) {
      return Exit::kDone;
    }
    return report_failure(options, failure);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Exit exit = dispatch(argc, argv);
    if (std::cout.flush()) return static_cast<int>(exit);
    std::cerr << "penstockctl: the output could not be written\n";
    return static_cast<int>(Exit::kFailed);
  } catch (const std::exception& error) {
    std::cerr << fmt::format("penstockctl: {}\n", error.what());
    return static_cast<int>(Exit::kFailed);
  }
}
