// A device's owner: attach, detach, reset, hide, unhide.
#include <fmt/format.h>

#include "tools/penstock/values.hpp"
#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/render.hpp"

namespace penstock::ctl {
namespace {

using control::DeviceArgument;
using control::DeviceRecord;
using control::DeviceState;
using control::Opcode;
namespace argument = control::device_argument;

std::uint32_t accept_flag(const std::string& word) {
  if (word == "no-reset") return argument::kAcceptNoReset;
  // The configuration's word for it is the second.
  if (word == "insecure" || word == "no-isolation") return argument::kAcceptInsecure;
  throw Failure(Exit::kUsage, fmt::format("--accept: there is no \"{}\"; write no-reset, insecure "
                                          "or both with a comma",
                                          word));
}

/// As the column of `penstockctl devices` has them.
control::ResetMethod reset_method(const std::string& word) {
  using control::ResetMethod;
  if (word.empty()) return ResetMethod::kAny;
  if (word == "flr") return ResetMethod::kFlr;
  if (word == "af-flr") return ResetMethod::kAdvanced;
  if (word == "pm") return ResetMethod::kPower;
  if (word == "bus") return ResetMethod::kBus;
  if (word == "specific") return ResetMethod::kSpecific;
  throw Failure(
      Exit::kUsage,
      fmt::format("--method: there is no \"{}\"; write flr, af-flr, pm, bus or specific", word));
}

std::uint16_t guest_place(const std::string& text) {
  if (text.empty()) return control::kNoBdf;
  const auto bdf = tool::parse_guest_bdf(text);
  if (!bdf) {
    throw Failure(Exit::kUsage,
                  fmt::format("--guest: \"{}\" is no PCI address; write it like 01:00.0", text));
  }
  return bdf->value();
}

nlohmann::json facts_of(const DeviceRecord& device) {
  return {{"device", board_address(device)}, {"state", name_of(device.state)}};
}

/// What became of it; a device that did not survive its reset is a failure however well the rest
/// went.
void report_device(const Session& session, const DeviceRecord& device) {
  if (device.state == DeviceState::kBroken) {
    throw Failure(Exit::kFailed,
                  fmt::format("{} did not come back from its reset: it stays quarantined",
                              board_address(device)),
                  control::Result::kFailed);
  }
  say(session, fmt::format("{}: {}", board_address(device), name_of(device.state)),
      facts_of(device));
}

}  // namespace

void attach(const Session& session, const AttachOptions& options) {
  Client& client = session.client;
  DeviceArgument request{};
  request.guest = guest_place(options.guest);
  for (const std::string& word : options.accept) request.flags |= accept_flag(word);
  const DeviceRecord device = find_device(client, options.device);
  const control::DomainRecord domain = find_domain(client, options.domain);
  request.bdf = device.bdf;
  request.domain = domain.domain;
  const control::AttachResult result = client.attach(request);
  const std::string place = guest_address(result.guest);
  say(session, fmt::format("{}: {}'s, as {}", board_address(device), label(domain), place),
      {{"device", board_address(device)},
       {"domain", domain.domain},
       {"name", name_of(domain)},
       {"guest", place}});
}

namespace {

/// Takes a device from its domain: what became of it by then.
DeviceRecord take_away(const Session& session, const std::string& address, Removal how, bool wait) {
  Client& client = session.client;
  DeviceRecord device = find_device(client, address);
  const control::DomainHandle owner = device.domain;
  const auto take = [&](std::uint32_t flags) {
    DeviceArgument request{};
    request.bdf = device.bdf;
    request.flags = flags;
    client.change_device(Opcode::kDetach, request);
  };
  const auto look = [&] {
    device = find_device(client, address);
    return device.domain != owner ||
           (device.state != DeviceState::kDetaching && device.state != DeviceState::kAssigned);
  };
  if (how == Removal::kSurprise) {
    take(argument::kForce);
  } else if (device.state != DeviceState::kDetaching) {
    take(0);  // one that its guest was asked for already only needs to be waited for
  }
  if (wait && !client.comes_true(look)) {
    const std::string kept = fmt::format("{}'s guest has not let go of it", board_address(device));
    if (how != Removal::kDeadline) throw Failure(Exit::kTimedOut, kept);
    session.err << kept << ": it is taken by surprise\n";
    try {
      take(argument::kForce);
    } catch (const Failure&) {
      if (!look()) throw;  // else it has let go after all, at the last moment
    }
  }
  look();
  return device;
}

bool is_hardware_domains(Client& client, const DeviceRecord& device) {
  for (const control::DomainRecord& domain : client.domains()) {
    if (domain.domain == device.domain) {
      return (domain.flags & control::domain_flag::kHardware) != 0;
    }
  }
  return false;
}

}  // namespace

void detach(const Session& session, const std::string& address, Removal how, bool wait) {
  report_device(session, take_away(session, address, how, wait));
}

void hide(const Session& session, const std::string& address) {
  // What nobody was given is the hardware domain's only for want of somebody else.
  const DeviceRecord device = find_device(session.client, address);
  if (is_hardware_domains(session.client, device)) {
    const bool in_slot = device.guest >> 8 != 0;  // on bus 0 its guest cannot be asked
    (void)take_away(session, address, in_slot ? Removal::kDeadline : Removal::kSurprise, true);
  }
  change_device(session, Opcode::kHide, address);
}

void reset(const Session& session, const std::string& address, const std::string& method) {
  Client& client = session.client;
  DeviceArgument request{};
  request.flags = static_cast<std::uint32_t>(reset_method(method)) << argument::kMethodShift;
  request.bdf = find_device(client, address).bdf;
  client.change_device(Opcode::kReset, request);
  report_device(session, find_device(client, address));
}

void change_device(const Session& session, Opcode what, const std::string& address) {
  Client& client = session.client;
  DeviceArgument request{};
  request.bdf = find_device(client, address).bdf;
  client.change_device(what, request);
  report_device(session, find_device(client, address));
}

}  // namespace penstock::ctl
