// For tests: the other side of the control interface, as small as can be honest about abi.hpp, and
// able to lie. Time passes only when somebody pauses.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/control/abi.hpp"
#include "tools/penstockctl/channel.hpp"

namespace penstock::ctl::test {

using control::Opcode;
using control::Result;
using Bytes = std::vector<std::uint8_t>;

struct Answer {
  Result result = Result::kOk;
  Bytes body;
};

template <typename T>
Bytes bytes_of(const T& value) {
  Bytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

template <typename T>
Bytes list_of(const std::vector<T>& records) {
  Bytes all = bytes_of(control::ListResult{static_cast<std::uint32_t>(records.size()), sizeof(T)});
  for (const T& record : records) {
    const Bytes one = bytes_of(record);
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

inline Answer refusal(Result result, std::string_view why) {
  return {result, {why.begin(), why.end()}};
}

inline control::DomainRecord domain_record(control::DomainHandle handle, const char* name,
                                           control::DomainState state) {
  control::DomainRecord d{};
  d.domain = handle;
  d.state = state;
  d.vcpus = 1;
  d.cpus = std::uint64_t{1} << (handle & 0xff);
  d.memory_bytes = 256 << 20;
  std::strncpy(d.name, name, sizeof d.name - 1);
  return d;
}

inline control::DeviceRecord device_record(std::uint16_t bdf) {
  control::DeviceRecord d{};
  d.bdf = bdf;
  d.guest = control::kNoBdf;
  d.domain = control::kNoDomain;
  d.physical = control::kNoBdf;
  d.vendor = 0x1b36;
  d.device = 0x0010;
  d.class_code = 0x01'0802;
  std::strncpy(d.reset, "flr", sizeof d.reset - 1);
  return d;
}

class FakeHypervisor final : public Channel {
 public:
  FakeHypervisor() : window_(control::kWindowBytes) {
    domains = {domain_record(0x100, "control", control::DomainState::kRunning),
               domain_record(0x101, "store", control::DomainState::kRunning)};
    devices = {device_record(0x0100), device_record(0x0200)};
  }

  // What it has, and what happened to it.
  std::vector<control::DomainRecord> domains;
  std::vector<control::DeviceRecord> devices;
  std::map<control::DomainHandle, std::string> consoles;
  std::string log_text;
  std::map<std::uint32_t, Bytes> bundles;
  std::vector<std::string> created_from;  // the bundles that were handed over
  std::vector<std::pair<Opcode, Bytes>> requests;
  bool locked = false;     // for a request
  bool uploading = false;  // for a bundle
  unsigned unlocks = 0;
  std::uint32_t magic = control::kMagicValue;
  std::uint32_t version = control::kVersionValue;
  bool interrupt = false;

  // How it misbehaves.
  std::function<Answer(Opcode, const Bytes&)> instead;  // answers in its place
  std::function<void(control::ResponseHeader&)> lie;    // changes the header of every response
  std::function<void(unsigned pauses)> meanwhile;       // runs whenever time passes
  std::function<void()> before_force;                   // runs when a device is taken by surprise
  bool deaf = false;                                    // answers no doorbell
  unsigned strangers = 0;                               // so many answers are another program's

  std::uint32_t read(std::uint64_t offset) override {
    if (offset == control::kMagic) return magic;
    if (offset == control::kVersion) return version;
    return offset == control::kFinished ? finished_ : 0;
  }
  void write(std::uint64_t offset, std::uint32_t value) override {
    if (offset == control::kDoorbell && !deaf) answer(value);
  }
  void read_window(std::uint64_t offset, std::span<std::uint8_t> into) override {
    std::copy_n(window_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
  }
  void write_window(std::uint64_t offset, std::span<const std::uint8_t> from) override {
    std::copy(from.begin(), from.end(), window_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  bool try_lock(Turn turn) override { return !std::exchange(locked_by(turn), true); }
  void unlock(Turn turn) override {
    locked_by(turn) = false;
    ++unlocks;
  }
  Time now() override { return now_; }
  void pause(Time time) override {
    now_ += time;
    if (meanwhile) meanwhile(++pauses_);
  }
  bool interrupted() override { return interrupt; }

 private:
  bool& locked_by(Turn turn) { return turn == Turn::kRequest ? locked : uploading; }
  void answer(std::uint32_t sequence) {
    control::RequestHeader header{};
    std::memcpy(&header, window_.data() + control::kRequestOffset, sizeof header);
    const Bytes arguments(window_.begin() + sizeof header, window_.begin() + header.bytes);
    Answer answer = refusal(Result::kBadRequest, "the request carries another sequence number");
    if (header.sequence == sequence && header.reserved == 0) {
      requests.emplace_back(header.opcode, arguments);
      answer = instead ? instead(header.opcode, arguments) : handle(header.opcode, arguments);
    }
    if (strangers != 0) {
      --strangers;
      sequence ^= 0x5555;
    }
    control::ResponseHeader response{
        sequence, answer.result, static_cast<std::uint32_t>(sizeof response + answer.body.size()),
        0};
    if (lie) lie(response);
    auto* to = window_.data() + control::kResponseOffset;
    std::memcpy(to, &response, sizeof response);
    std::copy(answer.body.begin(), answer.body.end(), to + sizeof response);
    finished_ = sequence;
  }

 public:
  template <typename T>
  static T argument(const Bytes& arguments) {
    T value{};
    std::memcpy(&value, arguments.data(), std::min(sizeof value, arguments.size()));
    return value;
  }
  control::DomainRecord* domain(control::DomainHandle handle) {
    for (auto& d : domains) {
      if (d.domain == handle) return &d;
    }
    return nullptr;
  }
  control::DeviceRecord* device(std::uint16_t bdf) {
    for (auto& d : devices) {
      if (d.bdf == bdf) return &d;
    }
    return nullptr;
  }

  Answer handle(Opcode opcode, const Bytes& arguments) {
    switch (opcode) {
      case Opcode::kHello:
        return {Result::kOk,
                bytes_of(control::HelloResult{control::kVersionValue, 4, std::uint64_t{1} << 30,
                                              std::uint64_t{512} << 20, 64 << 20, 1 << 20,
                                              static_cast<std::uint64_t>(now_.count()), 0x100, 8})};
      case Opcode::kListDomains: return {Result::kOk, list_of(domains)};
      case Opcode::kListDevices: return {Result::kOk, list_of(devices)};
      case Opcode::kCounters: return counters();
      case Opcode::kBundleBegin:
      case Opcode::kBundleWrite:
      case Opcode::kBundleDrop:
      case Opcode::kCreate: return bundle(opcode, argument<control::BundleArgument>(arguments));
      case Opcode::kStart:
      case Opcode::kPause:
      case Opcode::kUnpause:
      case Opcode::kShutdown:
      case Opcode::kDestroy: return change(opcode, argument<control::DomainArgument>(arguments));
      case Opcode::kAttach:
      case Opcode::kDetach:
      case Opcode::kReset:
      case Opcode::kHide:
      case Opcode::kUnhide: return change(opcode, argument<control::DeviceArgument>(arguments));
      case Opcode::kConsoleRead: {
        const auto where = argument<control::ConsoleArgument>(arguments);
        return stream(consoles[where.domain], where.position);
      }
      case Opcode::kConsoleWrite: {
        const auto where = argument<control::ConsoleArgument>(arguments);
        consoles[where.domain].append(arguments.begin() + sizeof where, arguments.end());
        return {};
      }
      case Opcode::kLog:
        return stream(log_text, argument<control::ConsoleArgument>(arguments).position);
      case Opcode::kAudit: return refusal(Result::kOk, R"({"ok":true,"streams":2})");
      case Opcode::kReport:
        return refusal(Result::kOk, R"({"devices":[{"device":"0000:01:00.0","dma":"stage 2"},)"
                                    R"({"device":"0000:02:00.0","dma":"stage 2"}]})");
    }
    return refusal(Result::kUnknownOpcode, "this version knows no such operation");
  }

 private:
  static Answer counters() {
    control::CounterRecord counter{};
    std::strncpy(counter.name, "mmio", sizeof counter.name - 1);
    counter.value = 42;
    return {Result::kOk, list_of(std::vector{counter})};
  }

  static Answer stream(const std::string& text, std::uint64_t position) {
    constexpr std::size_t kMost = 1000;  // so that long texts take several requests
    position = std::min<std::uint64_t>(position, text.size());
    Answer answer{Result::kOk, bytes_of(control::ConsoleResult{position, text.size()})};
    const std::string piece = text.substr(position, kMost);
    answer.body.insert(answer.body.end(), piece.begin(), piece.end());
    return answer;
  }

  Answer bundle(Opcode opcode, const control::BundleArgument& a) {
    if (opcode == Opcode::kBundleBegin) {
      bundles[++last_bundle_].resize(a.bytes);
      return {Result::kOk, bytes_of(control::BundleResult{last_bundle_, 0})};
    }
    const auto found = bundles.find(a.handle);
    if (found == bundles.end()) return refusal(Result::kNotFound, "no such bundle");
    Bytes& content = found->second;
    if (opcode == Opcode::kBundleWrite) {
      if (a.bytes > control::kDataBytes || a.offset > content.size() ||
          a.bytes > content.size() - a.offset) {
        return refusal(Result::kBadRequest, "beyond the bundle's end");
      }
      std::copy_n(window_.begin() + control::kDataOffset, a.bytes,
                  content.begin() + static_cast<std::ptrdiff_t>(a.offset));
      return {};
    }
    control::CreateResult created{};
    if (opcode == Opcode::kCreate) {
      created_from.emplace_back(content.begin(), content.end());
      const auto handle = static_cast<control::DomainHandle>(0x200 + domains.size());
      domains.push_back(domain_record(handle, "fresh", control::DomainState::kRunning));
      created.count = 1;
      created.domains[0] = handle;
    }
    bundles.erase(found);
    return {Result::kOk, opcode == Opcode::kCreate ? bytes_of(created) : Bytes{}};
  }

  Answer change(Opcode opcode, const control::DomainArgument& a) {
    control::DomainRecord* d = domain(a.domain);
    if (d == nullptr) return refusal(Result::kNotFound, "no such domain");
    if (opcode == Opcode::kShutdown || opcode == Opcode::kDestroy) {
      d->state = opcode == Opcode::kDestroy ? control::DomainState::kDying
                                            : control::DomainState::kStopping;
    } else {
      d->state =
          opcode == Opcode::kPause ? control::DomainState::kPaused : control::DomainState::kRunning;
    }
    return {};
  }

  Answer change(Opcode opcode, const control::DeviceArgument& a) {
    control::DeviceRecord* d = device(a.bdf);
    if (d == nullptr) return refusal(Result::kNotFound, "no such device");
    if (opcode == Opcode::kAttach) {
      if (d->domain != control::kNoDomain) {
        return refusal(Result::kNotOwner, "0000:01:00.0 is domain store's");
      }
      d->state = control::DeviceState::kAssigned;
      d->domain = a.domain;
      d->guest = a.guest == control::kNoBdf ? 0x0100 : a.guest;
      return {Result::kOk, bytes_of(control::AttachResult{d->guest, 0})};
    }
    if (opcode == Opcode::kDetach) {
      const bool force = (a.flags & control::device_argument::kForce) != 0;
      if (!force && d->guest >> 8 == 0) {
        return refusal(Result::kRefused, "its guest cannot be asked for what stands in no slot");
      }
      if (force && before_force) before_force();
      if (d->domain == control::kNoDomain) return refusal(Result::kBadState, "no domain has it");
      d->state = force ? control::DeviceState::kFree : control::DeviceState::kDetaching;
      if (force) d->domain = control::kNoDomain;
    }
    if (opcode == Opcode::kHide && d->domain != control::kNoDomain) {
      return refusal(Result::kNotOwner, "a domain has it: detach it first");
    }
    if (opcode == Opcode::kHide) d->state = control::DeviceState::kHidden;
    if (opcode == Opcode::kUnhide) d->state = control::DeviceState::kFree;
    return {};
  }

  Bytes window_;
  std::uint32_t finished_ = 0;
  std::uint32_t last_bundle_ = 6;
  unsigned pauses_ = 0;
  Time now_{};
};

}  // namespace penstock::ctl::test
