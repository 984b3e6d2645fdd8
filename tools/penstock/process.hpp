// One child process with its three streams, and the signals that may end us. Nothing that was
// started outlives us: the kernel kills the child when this process dies, whatever the way.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::tool {

/// A file descriptor that is closed once.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  void close();
  /// Who takes it closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

class Child {
 public:
  /// Starts `command` (found by PATH). What cannot be started is told by error().
  explicit Child(const std::vector<std::string>& command);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Ends the child if it still runs.
  ~Child();

  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  Descriptor input;   // the child's standard input
  Descriptor output;  // its standard output, non-blocking
  Descriptor errors;  // its standard error, non-blocking

  /// Its exit status when it has ended: 0 to 255, 256 + n when signal n ended it.
  std::optional<int> poll_status();
  /// SIGTERM, and SIGKILL when that has not helped after `grace`. Returns the status.
  int end(std::chrono::milliseconds grace = std::chrono::seconds(3));

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
  std::string error_;
};

/// Blocks SIGINT, SIGTERM, SIGHUP and SIGCHLD and makes them readable instead.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  [[nodiscard]] int descriptor() const { return fd_.get(); }
  /// The next signal that asks us to end; SIGCHLD is swallowed.
  [[nodiscard]] std::optional<int> take();

 private:
  Descriptor fd_;
};

/// Reads what is there. false: the other end has closed.
bool read_available(const Descriptor& from, std::string& into);
/// Writes everything; false when it cannot, and errno says why.
bool write_all(int fd, std::string_view bytes);

}  // namespace penstock::tool
