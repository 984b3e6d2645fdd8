// Requests to the hypervisor, typed: what abi.hpp says in bytes. Believes no length, number or text
// of an answer. Every wait has a deadline and says what it waited for.
//
// The interface is locked for the time of one request, so that a long command (a console, a bundle)
// does not keep others from working.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/control/abi.hpp"
#include "tools/penstockctl/channel.hpp"
#include "tools/penstockctl/failure.hpp"

namespace penstock::ctl {

using Bytes = std::vector<std::uint8_t>;

struct Stream {
  std::uint64_t position = 0;  // of the text's first byte
  std::uint64_t end = 0;       // of the stream, for now
  std::string text;            // as it came: not for a terminal
};

class Client {
 public:
  /// Checks magic and version. `patience` bounds each wait.
  Client(Channel& channel, std::chrono::milliseconds patience);

  // Each throws Failure: what the hypervisor refused, with its reason; what took too long.
  [[nodiscard]] control::HelloResult hello();
  [[nodiscard]] std::vector<control::DomainRecord> domains();
  [[nodiscard]] std::vector<control::DeviceRecord> devices();
  [[nodiscard]] std::vector<control::CounterRecord> counters(control::DomainHandle domain);

  [[nodiscard]] std::uint32_t bundle_begin(std::uint64_t bytes);
  /// At most control::kDataBytes.
  void bundle_write(std::uint32_t handle, std::uint64_t offset, std::span<const std::uint8_t> data);
  void bundle_drop(std::uint32_t handle);
  [[nodiscard]] std::vector<control::DomainHandle> create(std::uint32_t bundle);

  /// kStart, kPause, kUnpause, kShutdown, kDestroy.
  void change_domain(control::Opcode what, control::DomainHandle domain);
  [[nodiscard]] control::AttachResult attach(const control::DeviceArgument& argument);
  /// kDetach, kReset, kHide, kUnhide.
  void change_device(control::Opcode what, const control::DeviceArgument& argument);

  [[nodiscard]] Stream console_read(control::DomainHandle domain, std::uint64_t position);
  /// Any length: in as many requests as it takes.
  void console_write(control::DomainHandle domain, std::string_view text);
  [[nodiscard]] Stream log_read(std::uint64_t position);
  [[nodiscard]] std::string audit();
  [[nodiscard]] std::string report();

  /// Asks `done` again and again until it says yes; false: it never did, however long each wait may
  /// last.
  [[nodiscard]] bool comes_true(const std::function<bool()>& done);
  /// The same, for what cannot be done without. Throws Failure kTimedOut: "waited 30 s for
  /// <what>".
  void wait_for(const std::string& what, const std::function<bool()>& done);
  /// Waits until no other program does what `turn` says, to do `what`.
  void lock(Channel::Turn turn, std::string_view what);
  /// Throws Failure kInterrupted when somebody wants us to end.
  void go_on();
  [[nodiscard]] Channel& channel() { return channel_; }
  [[nodiscard]] std::chrono::nanoseconds patience() const { return patience_; }

 private:
  struct Response {
    control::Result result;
    Bytes body;
  };
  Response exchange(control::Opcode opcode, std::span<const std::uint8_t> arguments,
                    std::span<const std::uint8_t> data);
  bool ring(std::uint32_t sequence, control::Opcode opcode);
  bool take_response(std::uint32_t sequence, Response& response);
  Bytes request(control::Opcode opcode, std::span<const std::uint8_t> arguments = {},
                std::span<const std::uint8_t> data = {});
  template <typename T>
  Bytes request_with(control::Opcode opcode, const T& argument,
                     std::span<const std::uint8_t> data = {}) {
    static_assert(std::is_trivially_copyable_v<T>);
    return request(opcode, {reinterpret_cast<const std::uint8_t*>(&argument), sizeof argument},
                   data);
  }
  std::uint32_t next_sequence();

  Channel& channel_;
  std::chrono::nanoseconds patience_;
  std::uint32_t sequence_;
};

/// Keeps other programs from beginning a bundle while one is under way.
class UploadTurn {
 public:
  explicit UploadTurn(Client& client) : channel_(client.channel()) {
    client.lock(Channel::Turn::kUpload, "create a domain");
  }
  ~UploadTurn() { channel_.unlock(Channel::Turn::kUpload); }
  UploadTurn(const UploadTurn&) = delete;
  UploadTurn& operator=(const UploadTurn&) = delete;

 private:
  Channel& channel_;
};

/// The name of an operation as messages have it: "attach".
[[nodiscard]] std::string_view name_of(control::Opcode opcode);
/// "refused", "not-found": for programs.
[[nodiscard]] std::string name_of(control::Result result);

}  // namespace penstock::ctl
