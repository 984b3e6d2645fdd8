#include "tools/penstock/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace penstock::tool {
namespace {

constexpr std::chrono::milliseconds kNap{20};

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, s);
  return set;
}

struct Pipe {
  Descriptor read;
  Descriptor write;
};

std::optional<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) != 0) return {};
  return Pipe{Descriptor(fds[0]), Descriptor(fds[1])};
}

/// In the child, after fork: only async-signal-safe calls.
[[noreturn]] void become(char* const* arguments, int in, int out, int err, int failure) {
  setpgid(0, 0);  // Ctrl-C is for us; we end the child in order
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvp(arguments[0], arguments);
  const int why = errno;
  (void)!write(failure, &why, sizeof why);
  _exit(127);
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Descriptor::~Descriptor() {
  close();
}

void Descriptor::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Child::Child(const std::vector<std::string>& command) {
  auto in = make_pipe();
  auto out = make_pipe();
  auto err = make_pipe();
  auto failure = make_pipe();
  if (!in || !out || !err || !failure) {
    error_ = std::string("no pipe: ") + std::strerror(errno);
    return;
  }
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& a : command) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    become(arguments.data(), in->read.get(), out->write.get(), err->write.get(),
           failure->write.get());
  }
  if (pid_ < 0) {
    error_ = std::string("no process: ") + std::strerror(errno);
    return;
  }
  failure->write.close();
  int why = 0;
  if (read(failure->read.get(), &why, sizeof why) == static_cast<ssize_t>(sizeof why)) {
    error_ = command[0] + " cannot be started: " + std::strerror(why);
    (void)waitpid(pid_, nullptr, 0);
    pid_ = -1;
    return;
  }
  input = std::move(in->write);
  output = std::move(out->read);
  errors = std::move(err->read);
  for (const Descriptor* d : {&output, &errors}) fcntl(d->get(), F_SETFL, O_NONBLOCK);
}

Child::~Child() {
  if (pid_ > 0) end();
}

std::optional<int> Child::poll_status() {
  if (status_ || pid_ <= 0) return status_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    status_ = WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return status_;
}

int Child::end(std::chrono::milliseconds grace) {
  if (pid_ <= 0) return 127;
  if (!poll_status()) kill(pid_, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + grace;
  bool killed = false;
  while (!poll_status()) {
    if (!killed && std::chrono::steady_clock::now() > deadline) {
      kill(pid_, SIGKILL);
      killed = true;
    }
    std::this_thread::sleep_for(kNap);
  }
  return *status_;
}

Signals::Signals() {
  const sigset_t set = our_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  fd_ = Descriptor(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

Signals::~Signals() {
  const sigset_t set = our_signals();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

std::optional<int> Signals::take() {
  signalfd_siginfo info{};
  while (read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGCHLD) return static_cast<int>(info.ssi_signo);
  }
  return {};
}

bool read_available(const Descriptor& from, std::string& into) {
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t n = read(from.get(), buffer.data(), buffer.size());
    if (n > 0) {
      into.append(buffer.data(), static_cast<std::size_t>(n));
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
  }
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace penstock::tool
