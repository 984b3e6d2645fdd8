// What penstockctl does, one function per command; main.cpp takes the command line apart. All throw
// Failure when the thing was not done.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/penstockctl/client.hpp"

namespace penstock::ctl {

/// Where a command works and talks.
struct Session {
  Client& client;
  std::ostream& out;  // results
  std::ostream& err;  // progress, and what a person should know besides
  bool json = false;
  bool show_progress = false;
};

// inventory.cpp
/// The domain with this name or handle. Throws Failure that names the ones there are.
[[nodiscard]] control::DomainRecord find_domain(Client& client, const std::string& name);
/// The device with this address on the board.
[[nodiscard]] control::DeviceRecord find_device(Client& client, const std::string& address);
/// "name (0x102)" for messages.
[[nodiscard]] std::string label(const control::DomainRecord& domain);
/// {"ok": true, ...} with --json, the text else.
void say(const Session& session, const std::string& text, nlohmann::json facts);
void list(const Session& session, bool names_only);
void info(const Session& session, const std::string& domain);
void devices(const Session& session, bool names_only);
void hello(const Session& session);

// domain_commands.cpp
/// kStart, kPause, kUnpause, kShutdown.
void change_domain(const Session& session, control::Opcode what, const std::string& domain,
                   bool wait);
void destroy(const Session& session, const std::string& domain, bool wait);

// create.cpp
struct CreateOptions {
  std::string file;
  std::string board;  // a description; empty: what the hypervisor says of itself
  std::string only;   // this domain of the file; empty: all
  bool off = false;   // do not start any
};
void create(const Session& session, const CreateOptions& options);

// device_commands.cpp
struct AttachOptions {
  std::string device;
  std::string domain;
  std::string guest;  // empty: any free slot
  std::vector<std::string> accept;
};
void attach(const Session& session, const AttachOptions& options);
/// How a device leaves a running guest.
enum class Removal : std::uint8_t {
  kDeadline,  // the guest is asked; when it has not let go in time, by surprise
  kAskOnly,   // a guest that does not let go keeps it
  kSurprise,  // nobody is asked
};
/// Without `wait` the guest is asked, and that is all (kSurprise: it is taken).
void detach(const Session& session, const std::string& device, Removal how, bool wait);
/// Out of everybody's sight; the hardware domain's is taken from it, as by detach.
void hide(const Session& session, const std::string& device);
/// By `method` ("flr", "af-flr", "pm", "bus", "specific") or not at all; empty: the device's own
/// order.
void reset(const Session& session, const std::string& device, const std::string& method);
/// kHide, kUnhide.
void change_device(const Session& session, control::Opcode what, const std::string& device);

// console.cpp
/// Where keys come from.
class Keyboard {
 public:
  virtual ~Keyboard() = default;
  /// What was typed within `time`, perhaps nothing; no value when there is nobody to type.
  virtual std::optional<std::string> read(Channel::Time time) = 0;
};
struct ConsoleOptions {
  std::string domain;
  bool dump = false;  // print what is kept, and end
  std::string send;   // a line to type at first
  std::string until;  // end when this text has appeared
  bool raw = false;   // the guest's control characters are obeyed, not shown
};
void console(const Session& session, const ConsoleOptions& options, Keyboard& keyboard);
void log(const Session& session, bool follow);

// top.cpp
struct TopOptions {
  double interval = 1;  // seconds
  unsigned count = 0;   // pictures, 0: until interrupted
  bool clear = false;   // the terminal, before each
};
void top(const Session& session, const TopOptions& options);

// statements.cpp
/// kFailed when the audit does not hold, which it has then said.
[[nodiscard]] Exit audit(const Session& session);
void report(const Session& session, const std::string& device);

}  // namespace penstock::ctl
