// The hypervisor's records for people and for programs. Texts that came from it are shown without
// characters that could change a terminal's state.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/control/abi.hpp"
#include "tools/penstock/table.hpp"

namespace penstock::ctl {

[[nodiscard]] std::string name_of(const control::DomainRecord& domain);
[[nodiscard]] std::string name_of(control::DomainState state);                 // "running"
[[nodiscard]] std::string name_of(control::DeviceState state);                 // "free"
[[nodiscard]] std::string board_address(const control::DeviceRecord& device);  // 0000:01:00.0
[[nodiscard]] std::string guest_address(std::uint16_t guest);                  // 01:00.0, "-": none
/// Name of the domain with this handle; "-" for nobody, "#3" for one that is not in the list.
[[nodiscard]] std::string owner_of(const control::DeviceRecord& device,
                                   std::span<const control::DomainRecord> domains);
/// Names of docs/SUPPORT.md; "risk-31" for one of a newer version.
[[nodiscard]] std::vector<std::string> risk_names(std::uint32_t bits);
[[nodiscard]] std::string cpu_list(std::uint64_t mask);  // "0,2-3"

[[nodiscard]] nlohmann::json to_json(const control::DomainRecord& domain);
[[nodiscard]] nlohmann::json to_json(const control::DeviceRecord& device,
                                     std::span<const control::DomainRecord> domains);
[[nodiscard]] nlohmann::json to_json(const control::HelloResult& hello);
[[nodiscard]] nlohmann::json to_json(std::span<const control::CounterRecord> counters);

[[nodiscard]] std::string domain_table(std::span<const control::DomainRecord> domains);
[[nodiscard]] std::string device_table(std::span<const control::DeviceRecord> devices,
                                       std::span<const control::DomainRecord> domains);

/// JSON that is not of this program's making, as indented lines "name: value".
[[nodiscard]] std::string outline(const nlohmann::json& value);
/// What came from the hypervisor as JSON. Throws Failure when it is none.
[[nodiscard]] nlohmann::json parse_json(const std::string& text, const std::string& what);
/// The text, a line's end behind it; bytes that are no UTF-8 replaced.
[[nodiscard]] std::string dump(const nlohmann::json& value, int indent = 2);

}  // namespace penstock::ctl
