// top: what happens per second, by domain and device.
#include <fmt/format.h>

#include <chrono>
#include <map>
#include <ostream>

#include "tools/penstock/values.hpp"
#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/render.hpp"

namespace penstock::ctl {
namespace {

using control::DeviceRecord;
using control::DomainRecord;
using nlohmann::json;

struct Sample {
  std::uint64_t now_ns = 0;
  control::HelloResult hello{};
  std::vector<DomainRecord> domains;
  std::vector<DeviceRecord> devices;
};

Sample take_sample(Client& client) {
  Sample sample;
  sample.hello = client.hello();
  sample.now_ns = sample.hello.now_ns;
  sample.domains = client.domains();
  sample.devices = client.devices();
  return sample;
}

/// Two samples and the time between them.
class Rates {
 public:
  Rates(const Sample& before, const Sample& after) {
    const std::uint64_t passed = after.now_ns - before.now_ns;
    seconds_ = after.now_ns > before.now_ns ? static_cast<double>(passed) / 1e9 : 1.0;
    for (const DomainRecord& d : before.domains) domains_[d.domain] = &d;
    for (const DeviceRecord& d : before.devices) devices_[d.bdf] = &d;
  }
  /// Since the domain's creation when it is new.
  [[nodiscard]] double of(const DomainRecord& now, std::uint64_t DomainRecord::* counter) const {
    const auto was = domains_.find(now.domain);
    return per_second(was == domains_.end() ? 0 : was->second->*counter, now.*counter);
  }
  /// A device's counters begin anew with each owner.
  [[nodiscard]] double of(const DeviceRecord& now, std::uint64_t DeviceRecord::* counter) const {
    const auto was = devices_.find(now.bdf);
    const bool same = was != devices_.end() && was->second->domain == now.domain;
    return per_second(same ? was->second->*counter : 0, now.*counter);
  }

 private:
  [[nodiscard]] double per_second(std::uint64_t before, std::uint64_t after) const {
    return static_cast<double>(after >= before ? after - before : after) / seconds_;
  }
  double seconds_ = 1;
  std::map<control::DomainHandle, const DomainRecord*> domains_;
  std::map<std::uint16_t, const DeviceRecord*> devices_;
};

std::string rate(double value) {
  return fmt::format("{:.0f}", value);
}

std::string picture(const Sample& now, const Rates& rates) {
  std::vector<tool::Row> domains = {
      {"domain", "state", "CPUs", "memory", "own memory", "traps/s", "interrupts/s", "faults/s"}};
  for (const DomainRecord& d : now.domains) {
    domains.push_back(
        {name_of(d), name_of(d.state), cpu_list(d.cpus), tool::format_size(d.memory_bytes),
         tool::format_size(d.own_bytes), rate(rates.of(d, &DomainRecord::exits)),
         rate(rates.of(d, &DomainRecord::interrupts)), rate(rates.of(d, &DomainRecord::faults))});
  }
  std::vector<tool::Row> devices = {
      {"device", "state", "owner", "as", "interrupts/s", "faults/s", "forged/s"}};
  for (const DeviceRecord& d : now.devices) {
    if (d.domain == control::kNoDomain) continue;
    devices.push_back({board_address(d), name_of(d.state), owner_of(d, now.domains),
                       guest_address(d.guest), rate(rates.of(d, &DeviceRecord::interrupts)),
                       rate(rates.of(d, &DeviceRecord::faults)),
                       rate(rates.of(d, &DeviceRecord::strays))});
  }
  return fmt::format(
      "{} of {} free, hypervisor {} of {}\n\n{}\n{}",
      tool::format_size(now.hello.memory_free_bytes), tool::format_size(now.hello.memory_bytes),
      tool::format_size(now.hello.pool_used_bytes), tool::format_size(now.hello.pool_bytes),
      tool::layout(domains), tool::layout(devices));
}

json picture_json(const Sample& now, const Rates& rates) {
  json domains = json::array();
  for (const DomainRecord& d : now.domains) {
    json one = to_json(d);
    one["per_second"] = {{"traps", rates.of(d, &DomainRecord::exits)},
                         {"interrupts", rates.of(d, &DomainRecord::interrupts)},
                         {"faults", rates.of(d, &DomainRecord::faults)}};
    domains.push_back(one);
  }
  json devices = json::array();
  for (const DeviceRecord& d : now.devices) {
    json one = to_json(d, now.domains);
    one["per_second"] = {{"interrupts", rates.of(d, &DeviceRecord::interrupts)},
                         {"faults", rates.of(d, &DeviceRecord::faults)},
                         {"strays", rates.of(d, &DeviceRecord::strays)}};
    devices.push_back(one);
  }
  return {{"hello", to_json(now.hello)}, {"domains", domains}, {"devices", devices}};
}

}  // namespace

void top(const Session& session, const TopOptions& options) {
  Client& client = session.client;
  const auto interval =
      std::chrono::duration_cast<Channel::Time>(std::chrono::duration<double>(options.interval));
  Sample before = take_sample(client);
  for (unsigned shown = 0; options.count == 0 || shown < options.count; ++shown) {
    client.channel().pause(interval);
    client.go_on();
    Sample now = take_sample(client);
    const Rates rates(before, now);
    if (session.json) {
      session.out << dump(picture_json(now, rates), -1) << std::flush;  // a line for each picture
    } else {
      if (options.clear)
        session.out << "\x1b[H\x1b[2J";
      else if (shown != 0)
        session.out << '\n';
      session.out << picture(now, rates) << std::flush;
    }
    before = std::move(now);
  }
}

}  // namespace penstock::ctl
