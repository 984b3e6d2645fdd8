#include "tools/penstock/run.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "tools/penstock/console.hpp"
#include "tools/penstock/files.hpp"
#include "tools/penstock/process.hpp"
#include "tools/penstock/report.hpp"
#include "tools/penstock/view.hpp"

namespace penstock::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kFocus = 0x14;  // Ctrl-T, then the domain's digit: the hypervisor's input command
constexpr char kLeave = 0x1d;  // Ctrl-]
constexpr std::chrono::milliseconds kTick{200};

/// A terminal that passes every key on while somebody types to a guest.
class RawTerminal {
 public:
  explicit RawTerminal(bool wanted) {
    if (!wanted || isatty(STDIN_FILENO) == 0 || tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    cfmakeraw(&raw);
    active_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (active_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  [[nodiscard]] bool active() const { return active_; }

 private:
  termios before_{};
  bool active_ = false;
};

std::vector<std::string> all_sources(const RunRequest& request) {
  std::vector<std::string> sources = request.domains;
  sources.emplace_back(kHypervisorSource);
  sources.emplace_back(kBoardSource);
  return sources;
}

class Runner {
 public:
  explicit Runner(const RunRequest& request)
      : request_(request),
        console_log_(request.out / "console.log"),
        qemu_log_(request.out / "qemu.log"),
        logs_(request.out, all_sources(request)),
        view_(request.domains, request.colour),
        report_(request.board, request.domain_facts, request.penstock_facts),
        terminal_(request.input.has_value()),
        splitter_(request.domains,
                  {[this](auto source, auto text, bool new_line) { piece(source, text, new_line); },
                   [this](auto source, auto text) { report_.line(source, text); }}) {}

  RunResult run();

 private:
  void piece(std::string_view source, std::string_view text, bool new_line) {
    logs_.piece(source, text, new_line);
    if (!request_.quiet) shown_ += view_.piece(source, text, new_line);
    if (request_.input && source == request_.domains[*request_.input]) listening_ = true;
  }
  void show() {
    (void)write_all(STDOUT_FILENO, shown_);
    shown_.clear();
  }
  /// One look at all descriptors. false: the board has closed its console.
  bool turn(Child& child);
  bool read_console(const Child& child);
  void read_errors(Child& child);
  void read_keys(Child& child);
  [[nodiscard]] bool late() const {
    return request_.timeout != 0 && Clock::now() - start_ > std::chrono::seconds(request_.timeout);
  }
  /// What went wrong with a log; empty as long as all is well.
  [[nodiscard]] std::string log_problem() const;
  RunResult conclude(RunEnd end, const std::string& why);
  RunResult judge(int status);

  const RunRequest& request_;
  LogFile console_log_;
  LogFile qemu_log_;
  SourceLogs logs_;
  LiveView view_;
  RunReport report_;
  RawTerminal terminal_;
  ConsoleSplitter splitter_;
  Signals signals_;
  std::string shown_;
  std::string qemu_said_;
  PrintableStream qemu_words_;
  Clock::time_point start_ = Clock::now();
  bool listening_ = false;  // the domain that gets our input has printed something
  bool focused_ = false;
  bool input_open_ = true;
  std::optional<int> interrupted_;  // signal; 0: the leave key
};

bool Runner::read_console(const Child& child) {
  std::string bytes;
  const bool open = read_available(child.output, bytes);
  console_log_.write(bytes);
  splitter_.feed(bytes);
  show();
  return open;
}

void Runner::read_errors(Child& child) {
  std::string bytes;
  if (!read_available(child.errors, bytes)) child.errors.close();
  qemu_log_.write(bytes);
  qemu_said_ += bytes;
  (void)write_all(STDERR_FILENO, qemu_words_.put(bytes));
}

void Runner::read_keys(Child& child) {
  std::array<char, 256> buffer{};
  const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
  if (n <= 0) {
    input_open_ = false;
    return;
  }
  std::string_view keys(buffer.data(), static_cast<std::size_t>(n));
  if (terminal_.active() && keys.find(kLeave) != std::string_view::npos) {
    interrupted_ = 0;
    return;
  }
  if (!focused_) {
    const std::array<char, 2> focus = {kFocus, static_cast<char>('0' + *request_.input)};
    (void)write_all(child.input.get(), {focus.data(), focus.size()});
    focused_ = true;
  }
  (void)write_all(child.input.get(), keys);
}

bool Runner::turn(Child& child) {
  std::array<pollfd, 4> fds = {{{child.output.get(), POLLIN, 0},
                                {signals_.descriptor(), POLLIN, 0},
                                {child.errors.open() ? child.errors.get() : -1, POLLIN, 0},
                                {-1, POLLIN, 0}}};
  if (request_.input && listening_ && input_open_) fds[3].fd = STDIN_FILENO;
  (void)poll(fds.data(), fds.size(), static_cast<int>(kTick.count()));
  if (const auto signal = signals_.take()) interrupted_ = signal;
  if (fds[2].revents != 0) read_errors(child);
  if (fds[3].revents != 0) read_keys(child);
  return fds[0].revents == 0 || read_console(child);
}

RunResult Runner::run() {
  signal(SIGPIPE, SIG_IGN);
  if (!log_problem().empty()) return conclude(RunEnd::kFailed, log_problem());
  Child child(request_.command);
  if (!child.error().empty()) return conclude(RunEnd::kFailed, child.error());
  while (turn(child)) {
    if (interrupted_ || late()) break;
  }
  if (interrupted_) {
    child.end();
    return conclude(RunEnd::kInterrupted, *interrupted_ == 0
                                              ? "ended from the keyboard"
                                              : fmt::format("ended by signal {}", *interrupted_));
  }
  if (late()) {
    child.end();
    (void)read_console(child);
    return conclude(RunEnd::kTimeout,
                    fmt::format("not finished after {} seconds", request_.timeout));
  }
  if (child.errors.open()) read_errors(child);
  const int status = child.end();
  splitter_.finish();
  return judge(status);
}

/// The board has ended by itself: how?
RunResult Runner::judge(int status) {
  if (status != 0) {
    const std::string how = status >= 256 ? fmt::format("by signal {}", status - 256)
                                          : fmt::format("with status {}", status);
    return conclude(RunEnd::kFailed, fmt::format("QEMU ended {}", how));
  }
  if (!report_.ended()) {
    return conclude(RunEnd::kFailed, "the board went off before the hypervisor had ended");
  }
  if (report_.violation()) {
    return conclude(RunEnd::kFailed, "the audit found: " + printable(*report_.violation()));
  }
  if (report_.gave_up()) {
    return conclude(RunEnd::kFailed, "the hypervisor could not go on; its console says why");
  }
  if (const auto missing = report_.not_run()) return conclude(RunEnd::kFailed, printable(*missing));
  if (const auto name = report_.crashed()) {
    return conclude(
        RunEnd::kFailed,
        fmt::format("domain {} crashed; the hypervisor's console says why", printable(*name)));
  }
  return conclude(RunEnd::kOrderly, "every domain is off");
}

std::string Runner::log_problem() const {
  for (const LogFile* log : {&console_log_, &qemu_log_}) {
    if (!log->problem().empty()) return log->problem();
  }
  return logs_.problem();
}

RunResult Runner::conclude(RunEnd end, const std::string& why) {
  splitter_.finish();
  if (!request_.quiet) shown_ += view_.finish();
  show();
  logs_.finish();
  const std::chrono::duration<double> seconds = Clock::now() - start_;
  RunResult result{end, why, {}};
  // A run whose logs are not whole has shown less than it seems.
  if (end == RunEnd::kOrderly && !log_problem().empty())
    result = {RunEnd::kFailed, log_problem(), {}};
  result.report = report_.finish(result.end == RunEnd::kOrderly, result.why, seconds.count());
  if (!qemu_said_.empty()) result.report["qemu"] = qemu_said_;
  const std::string problem =
      write_file(request_.out / "report.json", to_text(result.report) + "\n");
  if (problem.empty()) return result;
  result.report["ok"] = false;
  if (result.end != RunEnd::kOrderly) result.why += "; " + problem;
  if (result.end == RunEnd::kOrderly) result = {RunEnd::kFailed, problem, result.report};
  result.report["why"] = result.why;
  return result;
}

}  // namespace

RunResult run_board(const RunRequest& request) {
  return Runner(request).run();
}

}  // namespace penstock::tool
