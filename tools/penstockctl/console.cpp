// Streams of text: a domain's console, and the hypervisor's log.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "tools/penstock/console.hpp"
#include "tools/penstockctl/commands.hpp"
#include "tools/penstockctl/render.hpp"

namespace penstock::ctl {
namespace {

using control::DomainHandle;
using std::chrono::milliseconds;

constexpr char kLeave = 0x1d;  // Ctrl-]
// Each look is a trap; a person types faster than the second and slower than the first.
constexpr Channel::Time kBusyLook = milliseconds(5);
constexpr Channel::Time kIdleLook = milliseconds(80);

/// Everything from `position` to the end that there was at first.
template <typename Read>
Stream read_all(std::uint64_t position, Read read) {
  Stream all = read(position);
  while (all.position + all.text.size() < all.end) {
    const Stream next = read(all.position + all.text.size());
    if (next.text.empty()) break;
    all.text += next.text;
  }
  return all;
}

class ConsoleSession {
 public:
  ConsoleSession(const Session& session, const control::DomainRecord& domain,
                 const ConsoleOptions& options)
      : session_(session), domain_(domain), options_(options) {}

  void run(Keyboard& keyboard) {
    if (!options_.send.empty()) {
      position_ = read(0).end;  // what was said before is no answer
      session_.client.console_write(domain_.domain, options_.send + "\r");
    }
    const Channel::Time start = session_.client.channel().now();
    Channel::Time look = kBusyLook;
    while (is_there()) {
      const bool news = show();
      if (found_) return;
      session_.client.go_on();
      if (!options_.until.empty()) {
        limit(start);
        session_.client.channel().pause(look);
      } else if (!type(keyboard, look)) {
        return;
      }
      look = news ? kBusyLook : std::min(2 * look, kIdleLook);
    }
    if (options_.until.empty()) return;
    throw Failure(Exit::kFailed, fmt::format("{} is gone, and \"{}\" has not appeared",
                                             label(domain_), options_.until));
  }

 private:
  Stream read(std::uint64_t position) {
    return session_.client.console_read(domain_.domain, position);
  }

  /// The newest text is on the screen. Sets gone_ when the domain was destroyed meanwhile.
  bool show() {
    Stream next;
    try {
      next = read(position_);
    } catch (const Failure& failure) {
      if (failure.result() != control::Result::kNotFound) throw;
      gone_ = true;
      return false;
    }
    position_ = next.position + next.text.size();
    session_.out << (options_.raw ? next.text : shown_.put(next.text)) << std::flush;
    search(next.text);
    return !next.text.empty();
  }

  void search(const std::string& text) {
    if (options_.until.empty()) return;
    seen_ += text;
    found_ = seen_.find(options_.until) != std::string::npos;
    const std::size_t keep = options_.until.size() - 1;  // it may be cut between two looks
    if (seen_.size() > keep) seen_.erase(0, seen_.size() - keep);
  }

  void limit(Channel::Time start) {
    const auto patience = session_.client.patience();
    if (session_.client.channel().now() - start < patience) return;
    throw Failure(Exit::kTimedOut, fmt::format("waited {:.3g} s for \"{}\" on the console of {}",
                                               std::chrono::duration<double>(patience).count(),
                                               options_.until, label(domain_)));
  }

  /// false: the person leaves.
  bool type(Keyboard& keyboard, Channel::Time time) {
    const auto keys = keyboard.read(time);
    if (!keys) return false;
    const std::size_t leave = keys->find(kLeave);
    const std::string_view text = std::string_view(*keys).substr(0, leave);
    if (!text.empty()) session_.client.console_write(domain_.domain, text);
    return leave == std::string::npos;
  }

  [[nodiscard]] bool is_there() {
    if (gone_) session_.err << fmt::format("\r\npenstockctl: {} is gone\r\n", label(domain_));
    return !gone_;
  }

  const Session& session_;
  const control::DomainRecord domain_;
  const ConsoleOptions& options_;
  std::uint64_t position_ = 0;
  tool::PrintableStream shown_;
  std::string seen_;
  bool found_ = false;
  bool gone_ = false;
};

}  // namespace

void console(const Session& session, const ConsoleOptions& options, Keyboard& keyboard) {
  const control::DomainRecord domain = find_domain(session.client, options.domain);
  if (!options.dump) return ConsoleSession(session, domain, options).run(keyboard);
  const Stream all = read_all(0, [&](std::uint64_t position) {
    return session.client.console_read(domain.domain, position);
  });
  if (session.json) {
    session.out << dump({{"domain", domain.domain},
                         {"name", name_of(domain)},
                         {"position", all.position},
                         {"end", all.end},
                         {"text", all.text}});
  } else {
    session.out << (options.raw ? all.text : tool::PrintableStream().put(all.text));
  }
}

void log(const Session& session, bool follow) {
  Client& client = session.client;
  const auto read = [&client](std::uint64_t position) { return client.log_read(position); };
  Stream all = read_all(0, read);
  if (session.json) {
    session.out << dump({{"position", all.position}, {"end", all.end}, {"text", all.text}});
    return;
  }
  tool::PrintableStream shown;
  session.out << shown.put(all.text) << std::flush;
  if (!follow) return;
  for (;;) {
    client.go_on();  // how it ends
    client.channel().pause(kIdleLook);
    all = read(all.position + all.text.size());
    session.out << shown.put(all.text) << std::flush;
  }
}

}  // namespace penstock::ctl
