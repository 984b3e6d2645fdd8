// What there is: domains, devices, the machine.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <ostream>

#include "tools/penstock/schema.hpp"
#include "tools/penstock/values.hpp"
#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/render.hpp"

namespace penstock::ctl {
namespace {

using control::DeviceRecord;
using control::DomainRecord;
using nlohmann::json;

/// "258" or "0x102".
std::optional<control::DomainHandle> handle_in(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  control::DomainHandle value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::string hint(const std::string& wanted, const std::vector<std::string>& known) {
  const std::string near = tool::nearest(wanted, known);
  if (!near.empty()) return fmt::format("; did you mean {}?", near);
  return known.empty() ? "; there is none at all"
                       : fmt::format("; there is {}", fmt::join(known, ", "));
}

}  // namespace

DomainRecord find_domain(Client& client, const std::string& name) {
  const auto handle = handle_in(name);
  std::vector<std::string> known;
  for (const DomainRecord& domain : client.domains()) {
    if (handle ? domain.domain == *handle : name_of(domain) == name) return domain;
    known.push_back(name_of(domain));
  }
  throw Failure(Exit::kFailed, fmt::format("there is no domain {}{}", name, hint(name, known)),
                control::Result::kNotFound);
}

DeviceRecord find_device(Client& client, const std::string& address) {
  const auto bdf = tool::parse_host_bdf(address);
  if (!bdf) {
    throw Failure(Exit::kUsage,
                  fmt::format("\"{}\" is no PCI address; write it like 0000:01:00.0", address));
  }
  std::vector<std::string> known;
  for (const DeviceRecord& device : client.devices()) {
    if (device.bdf == bdf->value()) return device;
    known.push_back(board_address(device));
  }
  throw Failure(
      Exit::kFailed,
      fmt::format("the board has no device {}{}", tool::format_bdf(*bdf), hint(address, known)),
      control::Result::kNotFound);
}

std::string label(const DomainRecord& domain) {
  return fmt::format("{} ({:#x})", name_of(domain), domain.domain);
}

void say(const Session& session, const std::string& text, json facts) {
  if (session.json) {
    facts["ok"] = true;
    session.out << dump(facts);
  } else {
    session.out << text << '\n';
  }
}

void list(const Session& session, bool names_only) {
  const auto domains = session.client.domains();
  if (session.json) {
    json all = json::array();
    for (const DomainRecord& domain : domains) all.push_back(to_json(domain));
    session.out << dump({{"domains", all}});
  } else if (names_only) {
    for (const DomainRecord& domain : domains) session.out << name_of(domain) << '\n';
  } else {
    session.out << domain_table(domains);
  }
}

void devices(const Session& session, bool names_only) {
  const auto domains = session.client.domains();
  const auto devices = session.client.devices();
  if (session.json) {
    json all = json::array();
    for (const DeviceRecord& device : devices) all.push_back(to_json(device, domains));
    session.out << dump({{"devices", all}});
  } else if (names_only) {
    for (const DeviceRecord& device : devices) session.out << board_address(device) << '\n';
  } else {
    session.out << device_table(devices, domains);
  }
}

void info(const Session& session, const std::string& name) {
  const DomainRecord domain = find_domain(session.client, name);
  const auto counters = session.client.counters(domain.domain);
  std::vector<DeviceRecord> own;
  for (const DeviceRecord& device : session.client.devices()) {
    if (device.domain == domain.domain) own.push_back(device);
  }
  const std::span<const DomainRecord> owner(&domain, 1);
  json all = to_json(domain);
  all["counters"] = to_json(counters);
  if (session.json) {
    json list = json::array();
    for (const DeviceRecord& device : own) list.push_back(to_json(device, owner));
    all["devices"] = list;
    session.out << dump(all);
    return;
  }
  session.out << outline(all);
  if (!own.empty()) session.out << '\n' << device_table(own, owner);
}

void hello(const Session& session) {
  const control::HelloResult hello = session.client.hello();
  if (session.json) {
    session.out << dump(to_json(hello));
    return;
  }
  session.out << fmt::format(
      "interface version {}.{}; {} CPUs; {} for domains, {} of it free; the hypervisor uses {} of "
      "its {}; at most {} domains\n",
      hello.version >> 16, hello.version & 0xffff, hello.cpus,
      tool::format_size(hello.memory_bytes), tool::format_size(hello.memory_free_bytes),
      tool::format_size(hello.pool_used_bytes), tool::format_size(hello.pool_bytes),
      hello.max_domains);
}

}  // namespace penstock::ctl
