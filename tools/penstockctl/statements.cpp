// audit and report: what the hypervisor says of itself, as JSON.
#include <fmt/format.h>

#include <ostream>

#include "tools/penstock/values.hpp"
#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/render.hpp"

namespace penstock::ctl {

using nlohmann::json;

Exit audit(const Session& session) {
  const json audit = parse_json(session.client.audit(), "audit");
  session.out << (session.json ? dump(audit) : outline(audit));
  return audit.is_object() && audit.value("ok", json()) == true ? Exit::kDone : Exit::kFailed;
}

namespace {

/// Only the entries of lists that say they are about this device.
json only(const json& report, const std::string& device) {
  json some = json::object();
  for (const auto& [name, value] : report.items()) {
    if (!value.is_array()) continue;
    for (const json& entry : value) {
      if (entry.is_object() && entry.value("device", json()) == device) some[name].push_back(entry);
    }
  }
  return some;
}

}  // namespace

void report(const Session& session, const std::string& device) {
  json report = parse_json(session.client.report(), "report");
  if (!device.empty()) report = only(report, board_address(find_device(session.client, device)));
  session.out << (session.json ? dump(report) : outline(report));
}

}  // namespace penstock::ctl
