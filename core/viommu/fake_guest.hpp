// For tests and fuzzers: a guest as the driver of its SMMUv3, with RAM, interrupts and, below, a
// board's SMMU that writes down what it is asked for. Layouts are written here by hand, from the
// specification (IHI 0070): a driver does not share the emulation's constants.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/viommu/virtual_smmu.hpp"

namespace penstock::viommu::fake {

/// RAM from 1 GiB on; everything else is not RAM.
class Ram final : public port::GuestMem {
 public:
  static constexpr std::uint64_t kBase = 0x4000'0000;
  explicit Ram(std::size_t bytes = 0x10'0000) : bytes_(bytes) {}

  Status read(Gpa from, std::span<std::uint8_t> to) override {
    ++reads;
    if (!holds(from, to.size())) return fail(Code::kNotMapped, from.value());
    std::uint8_t* source = bytes_.data() + (from.value() - kBase);
    std::memcpy(to.data(), source, to.size());
    if (changes_after_read) source[reads % to.size()] ^= static_cast<std::uint8_t>(reads | 1);
    return {};
  }
  Status write(Gpa to, std::span<const std::uint8_t> from) override {
    ++writes;
    if (!holds(to, from.size())) return fail(Code::kNotMapped, to.value());
    std::memcpy(bytes_.data() + (to.value() - kBase), from.data(), from.size());
    return {};
  }
  Status store32(Gpa to, std::uint32_t value) override {
    if (!to.is_aligned(4)) return fail(Code::kMisaligned, to.value());
    std::array<std::uint8_t, 4> bytes{};
    store_le(bytes, 0, 4, value);
    return write(to, bytes);
  }

  void put(std::uint64_t at, std::uint64_t value, unsigned size = 8) {
    store_le(bytes_, at - kBase, size, value);
  }
  [[nodiscard]] std::uint64_t get(std::uint64_t at, unsigned size = 8) const {
    return load_le(bytes_, at - kBase, size);
  }
  std::vector<std::uint8_t>& bytes() { return bytes_; }

  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  bool changes_after_read = false;  // another CPU of the guest is at it

 private:
  [[nodiscard]] bool holds(Gpa start, std::size_t size) const {
    return start.value() >= kBase && fits(start.value() - kBase, size, bytes_.size());
  }
  std::vector<std::uint8_t> bytes_;
};

class Irqs final : public port::IrqSink {
 public:
  void pulse(GuestIntId intid) override { ++pulses[intid.value()]; }
  void send_event() override { ++events; }
  std::map<std::uint32_t, unsigned> pulses;
  unsigned events = 0;
};

/// The board's SMMU.
class Host final : public Stage1Host {
 public:
  using Stage1 = hw::smmuv3::Stage1;
  using Command = hw::smmuv3::Command;

  Status configure(StreamId stream, const Stage1& wanted) override {
    ++calls;
    if (on_call) on_call();
    if (on_configure) on_configure(stream, wanted);
    if (cut_off == stream) return fail(Code::kNotFound, stream.value());
    if (Status status = answer(); !status) return status;
    if (remembers) configured.push_back({stream, wanted});
    now[stream.value()] = wanted;
    return {};
  }
  Status forward(std::span<Command> batch) override {
    ++calls;
    if (on_call) on_call();
    if (on_forward) on_forward(batch);
    for (const Command& command : batch) {
      const std::uint64_t op = command[0] & 0xff;
      if (cut_off && (op == 5 || op == 6) && command[0] >> 32 == cut_off->value()) {
        return fail(Code::kNotOwner, cut_off->value());
      }
    }
    if (Status status = answer(); !status) return status;
    ++batches;
    commands += batch.size();
    largest = batch.size() > largest ? batch.size() : largest;
    if (remembers) forwarded.insert(forwarded.end(), batch.begin(), batch.end());
    for (Command& command : batch) command = {~0ULL, ~0ULL};  // it may change the batch
    return {};
  }

  struct Configured {
    StreamId stream;
    Stage1 wanted;
  };
  std::vector<Configured> configured;
  std::map<std::uint32_t, Stage1> now;  // by physical stream
  std::vector<Command> forwarded;
  std::uint64_t calls = 0;
  std::uint64_t batches = 0;
  std::uint64_t commands = 0;
  std::size_t largest = 0;  // batch
  bool remembers = true;
  std::function<void()> on_call;
  std::function<void(StreamId, const Stage1&)> on_configure;
  std::function<void(std::span<const Command>)> on_forward;
  unsigned busy = 0;    // this many calls find another guest at it
  Error broken_with{};  // all calls
  std::optional<StreamId> cut_off;

 private:
  Status answer() {
    if (busy != 0) {
      --busy;
      return fail(Code::kBusy);
    }
    return broken_with.code == Code::kOk ? Status{} : Status{broken_with};
  }
};

/// QEMU 10 `virt`.
inline constexpr hw::smmuv3::IdRegisters kBoard{0x0d44'101b, 0x0273'0010, 0x1414, 0x74, 1};
/// The same with substreams (20 bits), two-level context descriptor tables.
inline constexpr hw::smmuv3::IdRegisters kBoardWithSubstreams{0x0d4c'101b, 0x0273'0510, 0x1414,
                                                              0x74, 1};

// Registers, by their offset.
enum : std::uint64_t {
  kIdr0 = 0x00,
  kIdr1 = 0x04,
  kCr0 = 0x20,
  kCr0Ack = 0x24,
  kCr1 = 0x28,
  kCr2 = 0x2c,
  kGbpa = 0x44,
  kIrqCtrl = 0x50,
  kIrqCtrlAck = 0x54,
  kGerror = 0x60,
  kGerrorN = 0x64,
  kGerrorMsi = 0x68,
  kGerrorData = 0x70,
  kStrtabBase = 0x80,
  kStrtabCfg = 0x88,
  kCmdqBase = 0x90,
  kCmdqProd = 0x98,
  kCmdqCons = 0x9c,
  kEventqBase = 0xa0,
  kEventqMsi = 0xb0,
  kEventqData = 0xb8,
  kEventqProd = 0x1'00a8,
  kEventqCons = 0x1'00ac,
};
// Enables in CR0.
enum : std::uint32_t { kSmmuEn = 1, kEventqEn = 4, kCmdqEn = 8, kAllEn = 13 };
// Global errors.
enum : std::uint32_t {
  kCmdqErr = 1,
  kEventqAbt = 1U << 2,
  kMsiCmdqAbt = 1U << 4,
  kMsiEventqAbt = 1U << 5,
  kMsiGerrorAbt = 1U << 7,
};

/// Where this guest has its things.
inline constexpr std::uint64_t kTable = Ram::kBase + 0x1'0000;   // linear, 256 entries
inline constexpr std::uint64_t kQueue = Ram::kBase + 0x2'0000;   // 256 commands
inline constexpr std::uint64_t kEvents = Ram::kBase + 0x3'0000;  // 16 records
inline constexpr std::uint64_t kMessages = Ram::kBase + 0x4'0000;
inline constexpr std::uint64_t kContexts = Ram::kBase + 0x5'0000;
inline constexpr unsigned kTableLog2 = 8;
inline constexpr unsigned kQueueLog2 = 8;
inline constexpr unsigned kEventsLog2 = 4;
inline constexpr std::uint32_t kEventqIntid = 42;
inline constexpr std::uint32_t kSyncIntid = 43;
inline constexpr std::uint32_t kErrorIntid = 44;

/// Physical streams differ from the guest's by this.
inline constexpr std::uint32_t kPhysical = 0x300;
constexpr StreamId physical(std::uint32_t guest) {
  return StreamId(guest + kPhysical);
}

// Commands.
using Command = std::array<std::uint64_t, 2>;
constexpr Command cfgi_ste(std::uint32_t stream) {
  return {0x03 | std::uint64_t{stream} << 32, 1};
}
constexpr Command cfgi_range(std::uint32_t stream, unsigned range) {
  return {0x04 | std::uint64_t{stream} << 32, range};
}
constexpr Command cfgi_cd(std::uint32_t stream, std::uint64_t substream = 0) {
  return {0x05 | substream << 12 | std::uint64_t{stream} << 32, 1};
}
constexpr Command cfgi_cd_all(std::uint32_t stream) {
  return {0x06 | std::uint64_t{stream} << 32, 0};
}
constexpr Command tlbi_asid(std::uint64_t asid) {
  return {0x11 | asid << 48, 0};
}
constexpr Command tlbi_va(std::uint64_t asid, std::uint64_t address) {
  return {0x12 | asid << 48, address | 1};
}
constexpr Command sync(unsigned signal = 0, std::uint64_t address = 0, std::uint64_t data = 0) {
  return {0x46 | std::uint64_t{signal} << 12 | data << 32, address};
}

class Guest {
 public:
  explicit Guest(const hw::smmuv3::IdRegisters& board = kBoard, std::size_t ram_bytes = 0x10'0000)
      : ram(ram_bytes), smmu(board, host) {
    smmu.connect({Gpa(0x0905'0000), GuestIntId(kEventqIntid), &ram, &irqs});
  }

  std::uint64_t get(std::uint64_t offset, unsigned size = 4) { return smmu.read(offset, size); }
  void set(std::uint64_t offset, std::uint64_t value, unsigned size = 4) {
    smmu.write(offset, size, value);
  }
  /// What the CPU's loop does before it enters the guest; how many slices that took.
  unsigned run(unsigned most = 100'000) {
    unsigned slices = 0;
    for (; smmu.has_work() && slices < most; ++slices) smmu.run();
    return slices;
  }

  /// Tables and queues in place, nothing enabled.
  void prepare() {
    set(kStrtabBase, kTable, 8);
    set(kStrtabCfg, kTableLog2);
    set(kCmdqBase, kQueue | kQueueLog2, 8);
    set(kEventqBase, kEvents | kEventsLog2, 8);
  }
  /// As a driver starts: queues first, then translation; interrupts on.
  void start() {
    prepare();
    set(kIrqCtrl, 5);
    set(kCr0, kAllEn);
    run();
  }
  void attach(std::uint32_t stream) {
    if (!smmu.attach(GuestStreamId(stream), physical(stream))) std::abort();
    run();
  }

  // Stream table entries of the linear table: word 0 and word 1.
  void put_entry(std::uint32_t stream, std::uint64_t word0, std::uint64_t word1 = 0) {
    ram.put(kTable + stream * 64ULL, word0);
    ram.put(kTable + stream * 64ULL + 8, word1);
  }
  static constexpr std::uint64_t kAbort = 0x1;
  static constexpr std::uint64_t kBypass = 0x9;
  static constexpr std::uint64_t translate(std::uint64_t context) { return 0xb | context; }

  /// Into the ring, not yet produced.
  void queue(const Command& command) {
    const std::uint64_t at = kQueue + (prod & low_mask(kQueueLog2)) * 16;
    ram.put(at, command[0]);
    ram.put(at + 8, command[1]);
    prod = static_cast<std::uint32_t>((prod + 1) & low_mask(kQueueLog2 + 1));
  }
  void produce() { set(kCmdqProd, prod); }
  /// Queued, produced and executed as far as it goes.
  void issue(std::initializer_list<Command> commands) {
    for (const Command& command : commands) queue(command);
    produce();
    run();
  }
  [[nodiscard]] bool idle() { return (get(kCmdqCons) & 0xf'ffff) == prod; }
  [[nodiscard]] unsigned command_error() {
    return static_cast<unsigned>(get(kCmdqCons) >> 24 & 0x7f);
  }
  [[nodiscard]] std::uint64_t errors() { return get(kGerror) ^ get(kGerrorN); }
  void acknowledge_errors() { set(kGerrorN, get(kGerror)); }

  /// Record `i` of the event queue's ring.
  [[nodiscard]] std::array<std::uint64_t, 4> event(unsigned i) const {
    std::array<std::uint64_t, 4> words{};
    for (unsigned k = 0; k < 4; ++k) words[k] = ram.get(kEvents + (i % 16) * 32 + k * 8);
    return words;
  }

  Ram ram;
  Irqs irqs;
  Host host;
  VirtualSmmu smmu;
  std::uint32_t prod = 0;  // index and wrap bit
};

}  // namespace penstock::viommu::fake
