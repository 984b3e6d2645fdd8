// A domain's life: start, pause, unpause, shutdown, destroy.
#include <fmt/format.h>

#include <algorithm>

#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/render.hpp"

namespace penstock::ctl {
namespace {

using control::DomainRecord;
using control::DomainState;
using control::Opcode;

std::optional<DomainRecord> listed(Client& client, control::DomainHandle handle) {
  for (const DomainRecord& domain : client.domains()) {
    if (domain.domain == handle) return domain;
  }
  return {};
}

bool is_off(const std::optional<DomainRecord>& domain) {
  return !domain || domain->state == DomainState::kOff || domain->state == DomainState::kCrashed;
}

void report_state(const Session& session, const DomainRecord& was) {
  const auto now = listed(session.client, was.domain);
  const std::string state = now ? name_of(now->state) : "gone";
  say(session, fmt::format("{}: {}", label(was), state),
      {{"domain", was.domain}, {"name", name_of(was)}, {"state", state}});
}

}  // namespace

void change_domain(const Session& session, Opcode what, const std::string& name, bool wait) {
  Client& client = session.client;
  const DomainRecord domain = find_domain(client, name);
  client.change_domain(what, domain.domain);
  if (wait && what == Opcode::kShutdown) {
    client.wait_for(fmt::format("{} to shut down", label(domain)),
                    [&] { return is_off(listed(client, domain.domain)); });
  }
  report_state(session, domain);
}

void destroy(const Session& session, const std::string& name, bool wait) {
  Client& client = session.client;
  const DomainRecord domain = find_domain(client, name);
  // One that is dying already only needs to be waited for.
  if (domain.state != DomainState::kDying) client.change_domain(Opcode::kDestroy, domain.domain);
  if (wait) {
    client.wait_for(fmt::format("{} to be gone: its memory is cleared and its devices are reset",
                                label(domain)),
                    [&] { return !listed(client, domain.domain); });
  }
  report_state(session, domain);
}

}  // namespace penstock::ctl
