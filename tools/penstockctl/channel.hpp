// The control interface as bytes: registers, window, whose turn it is, and time. The real one is a
// PCI function (sysfs_channel.hpp); tests have a hypervisor of their own behind it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

namespace penstock::ctl {

class Channel {
 public:
  /// What one program at a time may do, for how long.
  enum class Turn {
    kRequest,  // from the request to its response
    kUpload,   // from the beginning of a bundle to its end
  };
  using Time = std::chrono::nanoseconds;  // since an arbitrary moment

  virtual ~Channel() = default;

  /// A register of BAR 0, by its offset in bytes.
  virtual std::uint32_t read(std::uint64_t offset) = 0;
  /// What was written to the window before is there when the register is written.
  virtual void write(std::uint64_t offset, std::uint32_t value) = 0;
  /// A copy of the window (BAR 2) from `offset`, a multiple of 8. What it holds can change at any
  /// moment.
  virtual void read_window(std::uint64_t offset, std::span<std::uint8_t> into) = 0;
  virtual void write_window(std::uint64_t offset, std::span<const std::uint8_t> from) = 0;

  /// false: it is another program's turn.
  virtual bool try_lock(Turn turn) = 0;
  virtual void unlock(Turn turn) = 0;

  virtual Time now() = 0;
  /// Lets time pass; less of it when somebody wants us to end.
  virtual void pause(Time time) = 0;
  /// Somebody wants us to end (SIGINT, SIGTERM, SIGHUP).
  virtual bool interrupted() = 0;
};

}  // namespace penstock::ctl
