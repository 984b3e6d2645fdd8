#include "tools/penstockctl/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <random>

#include "tools/penstock/console.hpp"

namespace penstock::ctl {
namespace {

using control::Opcode;
using control::Result;
using std::chrono::nanoseconds;

static_assert(std::endian::native == std::endian::little,
              "abi.hpp's structures are copied as they are");

constexpr std::array<std::string_view, control::kOpcodeCount> kNames = {
    "hello",        "list domains",  "list devices", "counters", "begin bundle", "write bundle",
    "drop bundle",  "create",        "start",        "pause",    "unpause",      "shutdown",
    "destroy",      "attach",        "detach",       "reset",    "hide",         "unhide",
    "read console", "write console", "log",          "audit",    "report"};
constexpr std::array<std::string_view, 10> kResults = {
    "ok",   "unknown-operation", "bad-request", "not-found", "bad-state",
    "busy", "no-memory",         "not-owner",   "refused",   "failed"};

constexpr unsigned kAttempts = 8;  // at a window that somebody else writes to as well
constexpr nanoseconds kFirstNap = std::chrono::microseconds(20);
constexpr nanoseconds kLongestNap = std::chrono::milliseconds(100);
constexpr std::size_t kConsolePiece = 256;
constexpr std::uint32_t kAllOnes = 0xffff'ffff;  // what a function that is gone reads as

template <typename T>
T take(std::span<const std::uint8_t>& bytes, Opcode opcode) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < sizeof(T)) {
    throw Failure(Exit::kFailed, fmt::format("the hypervisor's answer to \"{}\" is cut off: {} "
                                             "bytes where {} belong",
                                             name_of(opcode), bytes.size(), sizeof(T)));
  }
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes = bytes.subspan(sizeof(T));
  return value;
}

template <typename T>
std::vector<T> records(std::span<const std::uint8_t> bytes, Opcode opcode) {
  const auto list = take<control::ListResult>(bytes, opcode);
  if (list.count == 0) return {};
  const std::uint64_t total = std::uint64_t{list.count} * list.record_bytes;
  if (list.record_bytes < sizeof(T) || total > bytes.size()) {
    throw Failure(Exit::kFailed,
                  fmt::format("the hypervisor's answer to \"{}\" contradicts itself: {} records of "
                              "{} bytes in {}",
                              name_of(opcode), list.count, list.record_bytes, bytes.size()));
  }
  std::vector<T> all;
  for (std::uint32_t i = 0; i < list.count; ++i) {
    std::span<const std::uint8_t> record = bytes.subspan(std::size_t{i} * list.record_bytes);
    all.push_back(take<T>(record, opcode));
  }
  return all;
}

std::string text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Stream stream_of(std::span<const std::uint8_t> bytes, Opcode opcode) {
  const auto head = take<control::ConsoleResult>(bytes, opcode);
  return {head.position, std::max(head.end, head.position + bytes.size()), text_of(bytes)};
}

double seconds(nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Short naps first: most things are done at once.
class Naps {
 public:
  void take(Channel& channel) {
    channel.pause(nap_);
    nap_ = std::min(2 * nap_, kLongestNap);
  }

 private:
  nanoseconds nap_ = kFirstNap;
};

}  // namespace

std::string_view name_of(Opcode opcode) {
  return kNames.at(static_cast<std::size_t>(opcode));
}

std::string name_of(Result result) {
  const auto index = static_cast<std::size_t>(result);
  return index < kResults.size() ? std::string(kResults.at(index)) : fmt::format("error-{}", index);
}

Client::Client(Channel& channel, std::chrono::milliseconds patience)
    : channel_(channel), patience_(patience), sequence_(std::random_device{}()) {
  if (channel_.read(control::kMagic) != control::kMagicValue) {
    throw Failure(Exit::kNoInterface,
                  "the PCI function is no control interface: its first "
                  "register does not read \"PNST\"");
  }
  const std::uint32_t version = channel_.read(control::kVersion);
  if (version >> 16 != control::kVersionValue >> 16) {
    throw Failure(Exit::kNoInterface,
                  fmt::format("the hypervisor's control interface has version {}.{}, this "
                              "penstockctl speaks {}.{}: use the one that came with the hypervisor",
                              version >> 16, version & 0xffff, control::kVersionValue >> 16,
                              control::kVersionValue & 0xffff));
  }
}

void Client::go_on() {
  if (channel_.interrupted()) throw Failure(Exit::kInterrupted, "interrupted");
}

bool Client::comes_true(const std::function<bool()>& done) {
  const nanoseconds start = channel_.now();
  Naps naps;
  while (!done()) {
    go_on();
    if (channel_.now() - start >= patience_) return false;
    naps.take(channel_);
  }
  return true;
}

void Client::wait_for(const std::string& what, const std::function<bool()>& done) {
  if (comes_true(done)) return;
  throw Failure(Exit::kTimedOut, fmt::format("waited {:.3g} s for {}", seconds(patience_), what));
}

void Client::lock(Channel::Turn turn, std::string_view what) {
  wait_for(fmt::format("another program to let go of the control interface, to {}", what),
           [&] { return channel_.try_lock(turn); });
}

/// Another program may have died in the middle of a request whose answer is still to come: numbers
/// that start anywhere keep it apart from ours.
std::uint32_t Client::next_sequence() {
  do {
    ++sequence_;
  } while (sequence_ == 0 || sequence_ == kAllOnes ||
           sequence_ == channel_.read(control::kFinished));
  return sequence_;
}

/// false: somebody else's request was answered instead.
bool Client::ring(std::uint32_t sequence, Opcode opcode) {
  const std::uint32_t before = channel_.read(control::kFinished);
  channel_.write(control::kDoorbell, sequence);
  const nanoseconds start = channel_.now();
  Naps naps;
  std::uint32_t finished = channel_.read(control::kFinished);
  for (; finished == before; finished = channel_.read(control::kFinished)) {
    // An interruption does not end this wait: what was asked for is being done.
    if (channel_.now() - start >= patience_) {
      throw Failure(Exit::kTimedOut,
                    fmt::format("waited {:.3g} s for the hypervisor to answer \"{}\"",
                                seconds(patience_), name_of(opcode)));
    }
    naps.take(channel_);
  }
  if (finished == kAllOnes) {
    throw Failure(Exit::kNoInterface,
                  "the control interface has gone away: its registers read "
                  "all-ones");
  }
  return finished == sequence;
}

/// false: it is somebody else's.
bool Client::take_response(std::uint32_t sequence, Response& response) {
  std::array<std::uint8_t, sizeof(control::ResponseHeader)> head{};
  const auto read_head = [&] {
    channel_.read_window(control::kResponseOffset, head);
    return std::bit_cast<control::ResponseHeader>(head);
  };
  const control::ResponseHeader header = read_head();
  if (header.sequence != sequence) return false;
  if (header.bytes < sizeof header || header.bytes > control::kResponseBytes) {
    throw Failure(Exit::kFailed,
                  fmt::format("the hypervisor's answer says that it has {} bytes", header.bytes));
  }
  response.result = header.result;
  response.body.resize(header.bytes - sizeof header);
  channel_.read_window(control::kResponseOffset + sizeof header, response.body);
  return read_head().sequence == sequence;
}

Client::Response Client::exchange(Opcode opcode, std::span<const std::uint8_t> arguments,
                                  std::span<const std::uint8_t> data) {
  lock(Channel::Turn::kRequest, name_of(opcode));
  struct Unlock {
    Channel& channel;
    ~Unlock() { channel.unlock(Channel::Turn::kRequest); }
  } const unlock{channel_};
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    control::RequestHeader header{next_sequence(), opcode, 0, 0};
    header.bytes = static_cast<std::uint32_t>(sizeof header + arguments.size());
    Bytes whole(header.bytes);
    std::memcpy(whole.data(), &header, sizeof header);
    std::copy(arguments.begin(), arguments.end(), whole.begin() + sizeof header);
    if (!data.empty()) channel_.write_window(control::kDataOffset, data);
    channel_.write_window(control::kRequestOffset, whole);
    Response response{};
    if (ring(header.sequence, opcode) && take_response(header.sequence, response)) return response;
  }
  throw Failure(Exit::kFailed, fmt::format("somebody else uses the control interface at the same "
                                           "time: {} times another answer came to \"{}\"",
                                           kAttempts, name_of(opcode)));
}

Bytes Client::request(Opcode opcode, std::span<const std::uint8_t> arguments,
                      std::span<const std::uint8_t> data) {
  const nanoseconds start = channel_.now();
  Naps naps;
  for (;;) {
    Response response = exchange(opcode, arguments, data);
    if (response.result == Result::kOk) return std::move(response.body);
    std::string why = tool::printable(text_of(response.body));
    if (why.empty()) {
      why = fmt::format("the hypervisor answers {} to \"{}\"", name_of(response.result),
                        name_of(opcode));
    }
    if (response.result != Result::kBusy) throw Failure(Exit::kFailed, why, response.result);
    go_on();
    if (channel_.now() - start >= patience_) {
      throw Failure(
          Exit::kTimedOut,
          fmt::format("waited {:.3g} s to {}: {}", seconds(patience_), name_of(opcode), why),
          response.result);
    }
    naps.take(channel_);
  }
}

control::HelloResult Client::hello() {
  const Bytes body = request(Opcode::kHello);
  std::span<const std::uint8_t> rest(body);
  return take<control::HelloResult>(rest, Opcode::kHello);
}

std::vector<control::DomainRecord> Client::domains() {
  return records<control::DomainRecord>(request(Opcode::kListDomains), Opcode::kListDomains);
}

std::vector<control::DeviceRecord> Client::devices() {
  return records<control::DeviceRecord>(request(Opcode::kListDevices), Opcode::kListDevices);
}

std::vector<control::CounterRecord> Client::counters(control::DomainHandle domain) {
  return records<control::CounterRecord>(
      request_with(Opcode::kCounters, control::DomainArgument{domain, 0}), Opcode::kCounters);
}

std::uint32_t Client::bundle_begin(std::uint64_t bytes) {
  const Bytes body = request_with(Opcode::kBundleBegin, control::BundleArgument{0, 0, 0, bytes});
  std::span<const std::uint8_t> rest(body);
  return take<control::BundleResult>(rest, Opcode::kBundleBegin).handle;
}

void Client::bundle_write(std::uint32_t handle, std::uint64_t offset,
                          std::span<const std::uint8_t> data) {
  request_with(Opcode::kBundleWrite, control::BundleArgument{handle, 0, offset, data.size()}, data);
}

void Client::bundle_drop(std::uint32_t handle) {
  request_with(Opcode::kBundleDrop, control::BundleArgument{handle, 0, 0, 0});
}

std::vector<control::DomainHandle> Client::create(std::uint32_t bundle) {
  const Bytes body = request_with(Opcode::kCreate, control::BundleArgument{bundle, 0, 0, 0});
  std::span<const std::uint8_t> rest(body);
  const auto result = take<control::CreateResult>(rest, Opcode::kCreate);
  if (result.count > std::size(result.domains)) {
    throw Failure(Exit::kFailed, fmt::format("the hypervisor says that it created {} domains at "
                                             "once, more than fit its answer",
                                             result.count));
  }
  return {result.domains, result.domains + result.count};
}

void Client::change_domain(Opcode what, control::DomainHandle domain) {
  request_with(what, control::DomainArgument{domain, 0});
}

control::AttachResult Client::attach(const control::DeviceArgument& argument) {
  const Bytes body = request_with(Opcode::kAttach, argument);
  std::span<const std::uint8_t> rest(body);
  return take<control::AttachResult>(rest, Opcode::kAttach);
}

void Client::change_device(Opcode what, const control::DeviceArgument& argument) {
  request_with(what, argument);
}

Stream Client::console_read(control::DomainHandle domain, std::uint64_t position) {
  return stream_of(
      request_with(Opcode::kConsoleRead, control::ConsoleArgument{domain, 0, position}),
      Opcode::kConsoleRead);
}

void Client::console_write(control::DomainHandle domain, std::string_view text) {
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, kConsolePiece);
    const control::ConsoleArgument argument{domain, static_cast<std::uint32_t>(piece.size()), 0};
    Bytes bytes(sizeof argument + piece.size());
    std::memcpy(bytes.data(), &argument, sizeof argument);
    std::copy(piece.begin(), piece.end(), bytes.begin() + sizeof argument);
    request(Opcode::kConsoleWrite, bytes);
    text.remove_prefix(piece.size());
  }
}

Stream Client::log_read(std::uint64_t position) {
  return stream_of(request_with(Opcode::kLog, control::ConsoleArgument{0, 0, position}),
                   Opcode::kLog);
}

std::string Client::audit() {
  return text_of(request(Opcode::kAudit));
}

std::string Client::report() {
  return text_of(request(Opcode::kReport));
}

}  // namespace penstock::ctl
