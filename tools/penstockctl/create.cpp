// create: a configuration, checked as `penstock build` does, its domains and payloads handed to the
// hypervisor through the window.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "core/pci/risk.hpp"
#include "tools/penstock/bundle.hpp"
#include "tools/penstock/check.hpp"
#include "tools/penstock/values.hpp"
#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/render.hpp"

namespace penstock::ctl {
namespace {

using control::DeviceRecord;
using control::DomainRecord;
using tool::Config;
using tool::Diagnostics;
using tool::Plan;

/// By the words of pci::name_of(ResetMethod), which a record may cut, or by a configuration's.
tool::Reset reset_of(std::string_view method) {
  if (method == "none") return tool::Reset::kNone;
  if (method == "bus" || method.starts_with("secondary")) return tool::Reset::kBus;
  if (method == "pm" || method.starts_with("power")) return tool::Reset::kPowerManagement;
  return tool::Reset::kFunctionLevel;
}

tool::BoardDevice board_device(const DeviceRecord& record) {
  tool::BoardDevice device;
  device.bdf = HostBdf(record.bdf);
  device.name = fmt::format("{:04x}:{:04x}", record.vendor, record.device);
  device.reset = reset_of({record.reset, std::find(record.reset, std::end(record.reset), '\0')});
  device.class_code = record.class_code;
  device.risks = risk_names(record.risks);
  const bool shared = std::find(device.risks.begin(), device.risks.end(),
                                pci::name_of(pci::Risk::kSharedGroup)) != device.risks.end();
  device.isolation = shared ? tool::Isolation::kShared : tool::Isolation::kAcs;
  return device;
}

/// The board as the hypervisor sees it. Where its memory lies is not asked for: the hypervisor
/// judges that when the domain is created.
tool::BoardDescription running_board(Client& client, const std::string& name) {
  tool::BoardDescription board;
  board.name = name;
  board.title = "the machine that this domain runs on";
  board.cpus = client.hello().cpus;
  board.memory = manifest::kMaxAddress;
  board.iommu = "smmuv3";
  board.iommu_stages = 2;
  board.msi = "its";
  board.bridge = "ecam";
  for (const DeviceRecord& record : client.devices()) {
    const bool bridge = (record.flags & control::device_flag::kBridge) != 0;
    if (!bridge) board.devices.push_back(board_device(record));
  }
  return board;
}

tool::BoardDescription described_board(const std::string& name, Diagnostics& out) {
  const auto path = tool::find_board(name, {}, tool::board_folders());
  if (!path) {
    throw Failure(Exit::kUsage, fmt::format("--board: there is no board \"{}\"", name));
  }
  return tool::read_board(*path, out).value_or(tool::BoardDescription{});
}

void check_device(const tool::DeviceSpec& spec, const std::vector<DeviceRecord>& devices,
                  const std::vector<DomainRecord>& running, Diagnostics& out) {
  if (!spec.host) return;
  for (const DeviceRecord& device : devices) {
    if (device.bdf != spec.host->value.value()) continue;
    const std::string address = board_address(device);
    if (device.domain != control::kNoDomain) {
      out.error(spec.host->at, fmt::format("{} is domain {}'s", address, owner_of(device, running)),
                fmt::format("`penstockctl detach {}` takes it away", address));
    } else if (device.state == control::DeviceState::kHidden) {
      out.error(spec.host->at, fmt::format("{} is hidden", address),
                fmt::format("`penstockctl unhide {}` brings it back", address));
    } else if (device.state == control::DeviceState::kBroken) {
      out.error(
          spec.host->at,
          fmt::format("{} did not come back from its reset and stays in quarantine", address));
    }
  }
}

void check_privileges(const Config& config, Diagnostics& out) {
  for (const tool::DomainSpec& spec : config.domains) {
    for (const auto& [wanted, name] :
         {std::pair{spec.control, "control"}, std::pair{spec.hardware, "hardware"}}) {
      if (!wanted.value) continue;
      out.error(wanted.at, fmt::format("the {} domain is decided when the board boots", name),
                fmt::format("take `{}` out", name));
    }
  }
  if (config.hidden.empty()) return;
  out.error(config.hidden.front().at, "what is hidden from boot on is decided when the board boots",
            "`penstockctl hide` hides a device now");
}

/// Leaves the one domain that is asked for, as if the file had no other.
void keep_only(const std::string& name, Config& config) {
  std::erase_if(config.domains, [&name](const tool::DomainSpec& spec) {
    return !spec.name || spec.name->value != name;
  });
  if (config.domains.empty()) {
    throw Failure(Exit::kUsage, fmt::format("{} has no domain {}", config.file, name));
  }
  config.hidden.clear();
}

/// What others have already, with the line that asks for it; the hypervisor would refuse it too.
void check_against_running(Client& client, const Config& config, Diagnostics& out) {
  const auto running = client.domains();
  const auto devices = client.devices();
  const std::uint64_t free = client.hello().memory_free_bytes;
  std::uint64_t wanted = 0;
  for (const tool::DomainSpec& spec : config.domains) {
    for (const DomainRecord& domain : running) {
      if (spec.name && spec.name->value == name_of(domain)) {
        out.error(spec.name->at, fmt::format("there is a domain {} already", label(domain)),
                  fmt::format("choose another name, or `penstockctl destroy {}`", name_of(domain)));
      }
      for (const auto& [cpu, at] : spec.cpus) {
        if (cpu < 64 && (domain.cpus >> cpu & 1) != 0) {
          out.error(at, fmt::format("CPU {} is domain {}'s", cpu, label(domain)),
                    "`penstockctl list` shows who has which");
        }
      }
    }
    for (const tool::DeviceSpec& device : spec.devices) {
      check_device(device, devices, running, out);
    }
    if (!spec.memory) continue;
    wanted += spec.memory->value;
    if (wanted > free) {
      out.error(spec.memory->at,
                fmt::format("the board has {} free, and {} more would be needed",
                            tool::format_size(free), tool::format_size(wanted - free)),
                "give the domain less, or destroy another one");
    }
  }
}

Plan plan_of(const Session& session, const CreateOptions& options) {
  Diagnostics diagnostics;
  std::optional<Plan> plan;
  if (auto config = tool::read_config(options.file, diagnostics)) {
    if (!options.only.empty()) keep_only(options.only, *config);
    config->run = {};  // says how to emulate a board; this one is there
    const tool::BoardDescription board =
        options.board.empty()
            ? running_board(session.client, config->board ? config->board->value : "")
            : described_board(options.board, diagnostics);
    plan = tool::check(*config, board, {}, diagnostics);
    check_privileges(*config, diagnostics);
    check_against_running(session.client, *config, diagnostics);
  }
  session.err << tool::to_text(diagnostics);
  if (!plan || diagnostics.has_errors()) {
    Failure failure(Exit::kUsage, fmt::format("{}: nothing was created", options.file));
    failure.facts["errors"] = to_json(diagnostics, tool::Diagnostic::Severity::kError);
    throw failure;
  }
  return *std::move(plan);
}

/// A bundle on its way. Dropped unless it was handed over: the memory it lies in is the
/// hypervisor's. Others wait: the hypervisor takes one at a time.
class Upload {
 public:
  Upload(const Session& session, const std::string& name, std::uint64_t bytes)
      : session_(session), name_(name), total_(bytes), turn_(session.client) {
    handle_ = session.client.bundle_begin(bytes);
  }
  ~Upload() {
    if (session_.show_progress) session_.err << "\r\x1b[K";
    if (done_) return;
    try {
      session_.client.bundle_drop(handle_);
    } catch (const Failure& failure) {  // there is an error on its way already
      if (failure.result() == control::Result::kNotFound) return;
      session_.err << fmt::format("penstockctl: the bundle could not be dropped: {}\n",
                                  failure.what());
    }
  }
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  void write(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      session_.client.go_on();
      const auto piece = bytes.first(std::min<std::size_t>(bytes.size(), control::kDataBytes));
      session_.client.bundle_write(handle_, sent_, piece);
      sent_ += piece.size();
      bytes = bytes.subspan(piece.size());
      if (session_.show_progress) {
        session_.err << fmt::format("\r\x1b[K{}: {} of {} bytes ({} %)", name_, sent_, total_,
                                    100 * sent_ / total_)
                     << std::flush;
      }
    }
  }
  std::vector<control::DomainHandle> create() {
    auto domains = session_.client.create(handle_);
    done_ = true;
    return domains;
  }

 private:
  const Session& session_;
  const std::string& name_;
  std::uint64_t total_;
  UploadTurn turn_;
  std::uint32_t handle_ = 0;
  std::uint64_t sent_ = 0;
  bool done_ = false;
};

/// The hypervisor takes one domain at a time.
std::vector<Plan> one_by_one(const Plan& plan) {
  std::vector<Plan> plans;
  plans.reserve(plan.domains.size());
  for (const tool::PlannedDomain& domain : plan.domains) {
    Plan one;
    one.board = plan.board;
    one.domains = {domain};
    plans.push_back(std::move(one));
  }
  return plans;
}

struct Created {
  std::vector<control::DomainHandle> domains;
  std::uint64_t bytes = 0;
};

void create_one(const Session& session, const Plan& plan, Created& created) {
  const auto bundle = tool::bundle_pieces(plan);
  if (!bundle.value) throw Failure(Exit::kUsage, bundle.error);
  Upload upload(session, plan.domains.front().name, bundle.value->sizes.total);
  for (const tool::Bytes& piece : bundle.value->pieces) upload.write(piece);
  const auto domains = upload.create();
  created.domains.insert(created.domains.end(), domains.begin(), domains.end());
  created.bytes += bundle.value->sizes.total;
}

}  // namespace

void create(const Session& session, const CreateOptions& options) {
  Plan plan = plan_of(session, options);
  if (options.off) {
    for (tool::PlannedDomain& domain : plan.domains) domain.autostart = false;
  }
  Created created;
  const auto records = [&] {
    std::vector<DomainRecord> found;
    for (const DomainRecord& domain : session.client.domains()) {
      const auto& all = created.domains;
      if (std::find(all.begin(), all.end(), domain.domain) != all.end()) found.push_back(domain);
    }
    return found;
  };
  for (const Plan& one : one_by_one(plan)) {
    try {
      create_one(session, one, created);
    } catch (Failure&) {
      for (const DomainRecord& domain : records()) {
        session.err << fmt::format("penstockctl: {} was created before that\n", label(domain));
      }
      throw;
    }
  }
  nlohmann::json list = nlohmann::json::array();
  std::string text;
  for (const DomainRecord& domain : records()) {
    list.push_back(to_json(domain));
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", label(domain), name_of(domain.state));
  }
  say(session, text, {{"bytes", created.bytes}, {"domains", list}});
}

}  // namespace penstock::ctl
