// What the control interface asks of the machine, and how the machine answers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "core/base/text.hpp"
#include "core/control/abi.hpp"

namespace penstock::control {

/// The response under construction. What does not fit is cut between two records.
class Reply {
 public:
  explicit Reply(std::span<std::uint8_t> room) : room_(room) {}

  /// Appends one of abi.hpp's structures; false: no room for it.
  template <typename T>
  bool put(const T& record) {
    static_assert(std::is_trivially_copyable_v<T>);
    return put_bytes({reinterpret_cast<const std::uint8_t*>(&record), sizeof(T)});
  }
  bool put_bytes(std::span<const std::uint8_t> bytes) {
    if (bytes.size() > room_.size() - size_) return false;
    __builtin_memcpy(room_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return true;
  }
  bool put_text(std::string_view text) {
    return put_bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }
  /// `write(TextWriter&)` appends a text in place, without a copy on the stack; false: it has been
  /// cut.
  template <typename Write>
  bool put_written(Write&& write) {
    TextWriter out(reinterpret_cast<char*>(room_.data()) + size_, left());
    write(out);
    size_ += out.view().size();
    return left() != 0;
  }
  /// Writes over what was put at `at`.
  template <typename T>
  void amend(std::size_t at, const T& record) {
    if (sizeof(T) <= size_ && at <= size_ - sizeof(T)) {
      __builtin_memcpy(room_.data() + at, &record, sizeof(T));
    }
  }
  /// Bytes so far.
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t left() const { return room_.size() - size_; }
  [[nodiscard]] Result result() const { return result_; }

  /// The operation is not done; `why` is one line that names domain, device and reason.
  void refuse(Result result, std::string_view why) {
    result_ = result;
    size_ = 0;
    (void)put_text(why.substr(0, room_.size()));
  }

 private:
  std::span<std::uint8_t> room_;
  std::size_t size_ = 0;
  Result result_ = Result::kOk;
};

/// One call at a time; on a CPU of the control domain, without locks. Each either puts its results
/// or refuses. Arguments have been copied; their reserved fields are 0.
class Host {
 public:
  /// Asked before every request: does a slice of what earlier ones have left to do. false: there is
  /// more of it, and the request waits for its domain's next stay here.
  [[nodiscard]] virtual bool ready() = 0;
  virtual void hello(Reply& reply) = 0;
  virtual void list_domains(Reply& reply) = 0;
  virtual void list_devices(Reply& reply) = 0;
  virtual void counters(DomainHandle domain, Reply& reply) = 0;
  virtual void bundle_begin(std::uint64_t bytes, Reply& reply) = 0;
  /// `data`: what the control domain has put into the data area; it may change meanwhile.
  virtual void bundle_write(const BundleArgument& where, std::span<const std::uint8_t> data,
                            Reply& reply) = 0;
  virtual void bundle_drop(std::uint32_t handle, Reply& reply) = 0;
  virtual void create(std::uint32_t handle, Reply& reply) = 0;
  /// kStart, kPause, kUnpause, kShutdown, kDestroy.
  virtual void change_domain(Opcode what, DomainHandle domain, Reply& reply) = 0;
  /// kAttach, kDetach, kReset, kHide, kUnhide.
  virtual void change_device(Opcode what, const DeviceArgument& argument, Reply& reply) = 0;
  virtual void console_read(const ConsoleArgument& where, Reply& reply) = 0;
  virtual void console_write(DomainHandle domain, std::string_view text, Reply& reply) = 0;
  virtual void log_read(std::uint64_t position, Reply& reply) = 0;
  virtual void audit(Reply& reply) = 0;
  virtual void report(Reply& reply) = 0;
  /// The control domain has stopped or restarted: what it had begun and not finished is dropped.
  virtual void abandoned() = 0;

 protected:
  ~Host() = default;
};

}  // namespace penstock::control
