// A model of an Arm SMMUv3 (IHI 0070), written from the specification and independent of the driver
// that it judges.
//
// It has what a driver's mistakes show up in: configuration and translation caches that stay stale
// until the right command and a CMD_SYNC (effects of invalidations are held back until then), table
// pointers that are cached apart from translations, registers that take effect only after their
// acknowledgement was read a few times, alignment rules, and a list of rules that software broke
// (misuses()).
//
// In the model: Non-secure state; linear and two-level stream tables; stage 1, stage 2, nested,
// bypass, abort; substreams with linear and two-level tables of context descriptors; AArch64 tables
// with the 4 KiB granule; event and command queues; GERROR; wired interrupts, MSIs and SEV; stalls
// of stage 1; ATS with devices' translation caches; merging of events. What of it exists follows
// from the ID registers in SmmuConfig; their defaults have neither substreams, stalls, ATS, MSI nor
// SEV. Not in it: PRI, HTTU, stalls of stage 2, 16 and 64 KiB granules, global translations (every
// one of stage 1 belongs to its ASID), cached pointers to stage 1's tables, effects of
// CD.A = 0. Single-threaded, as is the whole simulated board.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/port/mmio.hpp"
#include "sim/dma.hpp"
#include "sim/memory.hpp"
#include "sim/smmu/stage2_walk.hpp"

namespace penstock::sim {

class Atc;

struct SmmuConfig {
  // Defaults are the values of QEMU 10 `virt`.
  std::uint32_t idr0 = 0x0d44101b;
  std::uint32_t idr1 = 0x02730010;
  std::uint32_t idr3 = 0x00001414;
  std::uint32_t idr5 = 0x00000074;
  std::uint32_t gbpa = 0x00001000;     // reset value
  unsigned ack_reads = 2;              // reads of an acknowledgement before it shows the new value
  std::uint32_t device_id = 0x1'0000;  // requester of the SMMU's own MSIs
};

class Smmu final : public port::Mmio, public DmaBus {
 public:
  using Command = std::array<std::uint64_t, 2>;
  using Event = std::array<std::uint64_t, 4>;

  struct Outcome {
    bool ok = false;
    std::uint64_t pa = 0;
    std::uint8_t event = 0;  // type of the event that it caused, recorded or not; 0: none
    bool device_memory = false;
    bool stalled = false;    // neither done nor refused: it waits for CMD_RESUME
    std::uint16_t stag = 0;  // of the stall
  };
  /// One access of a device as the SMMU sees it.
  struct Access {
    std::uint32_t stream = 0;
    std::uint64_t iova = 0;
    bool is_write = false;
    std::optional<std::uint32_t> substream;
  };
  /// The answer to an ATS Translation Request (3.9.1). Success without any permission: there is no
  /// translation.
  struct AtsReply {
    enum class Status : std::uint8_t { kSuccess, kUnsupportedRequest, kCompleterAbort };
    Status status = Status::kUnsupportedRequest;
    bool readable = false;
    bool writable = false;
    std::uint64_t page = 0;  // address of the 4 KiB page to use in translated accesses
    std::uint8_t event = 0;
  };

  /// Tables and queues are in `memory`; translated traffic goes to `downstream` with machine
  /// addresses.
  Smmu(Memory& memory, DmaBus& downstream, SmmuConfig config = {});
  Smmu(const Smmu&) = delete;
  Smmu& operator=(const Smmu&) = delete;

  // Register pages 0 and 1 (128 KiB).
  std::uint8_t read8(std::uint64_t offset) override;
  std::uint16_t read16(std::uint64_t offset) override;
  std::uint32_t read32(std::uint64_t offset) override;
  std::uint64_t read64(std::uint64_t offset) override;
  void write8(std::uint64_t offset, std::uint8_t value) override;
  void write16(std::uint64_t offset, std::uint16_t value) override;
  void write32(std::uint64_t offset, std::uint32_t value) override;
  void write64(std::uint64_t offset, std::uint64_t value) override;

  // Devices' side; requester ID = stream ID, no substream. Accesses are split at 4 KiB boundaries.
  // One that stalls is false too: there is no bus that could wait.
  bool read(std::uint32_t requester, std::uint64_t address, std::span<std::uint8_t> to) override;
  bool write(std::uint32_t requester, std::uint64_t address,
             std::span<const std::uint8_t> from) override;

  /// One access without its data. Records an event as hardware would. A substream ID does not reach
  /// an SMMU without substreams (IDR1.SSIDSIZE = 0).
  Outcome translate(std::uint32_t stream, std::uint64_t iova, bool is_write,
                    std::optional<std::uint32_t> substream = std::nullopt);
  /// A device asks for a translation that it may keep.
  AtsReply translation_request(std::uint32_t stream, std::uint64_t iova,
                               std::optional<std::uint32_t> substream = std::nullopt);
  /// A device uses an address that it takes for translated.
  Outcome translated_access(std::uint32_t stream, std::uint64_t address, bool is_write);
  /// Who gets the CMD_ATC_INVs of a stream; nullptr: nobody any more.
  void attach_atc(std::uint32_t stream, Atc* atc);
  /// Called when a stalled access ends, by CMD_RESUME or CMD_STALL_TERM. A retried one may have
  /// stalled again.
  void on_resumed(std::function<void(const Access&, const Outcome&)> hook) {
    resumed_ = std::move(hook);
  }

  // What a test may look at.
  [[nodiscard]] const std::vector<std::string>& misuses() const { return misuses_; }
  [[nodiscard]] const std::vector<Command>& commands() const { return command_log_; }
  void forget_commands() { command_log_.clear(); }
  [[nodiscard]] std::uint64_t events_recorded() const { return events_recorded_; }
  [[nodiscard]] std::uint64_t events_lost() const { return events_lost_; }
  [[nodiscard]] std::uint64_t events_merged() const { return events_merged_; }
  // Interrupts, as a wire or as an MSI.
  [[nodiscard]] unsigned event_interrupts() const { return event_interrupts_; }
  [[nodiscard]] unsigned gerror_interrupts() const { return gerror_interrupts_; }
  // Completions of CMD_SYNC: on the wire, as an MSI, with SEV.
  [[nodiscard]] unsigned sync_interrupts() const { return sync_interrupts_; }
  [[nodiscard]] unsigned sync_messages() const { return sync_messages_; }
  [[nodiscard]] unsigned sync_wakeups() const { return sync_wakeups_; }
  [[nodiscard]] std::size_t stalled_accesses() const { return stalled_.size(); }
  [[nodiscard]] bool enabled() const { return (cr0_ & 1) != 0; }
  [[nodiscard]] std::size_t cached_translations() const { return tlb_.size(); }

  // What a test may break.
  void stop_commands(bool stopped) { commands_stopped_ = stopped; }  // a dead command queue
  void stop_acknowledging(bool stopped) {
    acks_stopped_ = stopped;
  }  // CR0ACK, GBPA.UPDATE never change
  void reject_next(std::uint8_t opcode) { rejected_opcode_ = opcode; }  // CERROR_ILL once
  void abort_fetches(unsigned count) { aborted_fetches_ = count; }      // CERROR_ABT this often
  void raise_gerror(std::uint32_t bits);
  void record(const Event& event);  // an event out of nowhere
  /// Something that happens just after software has read the 32-bit register at `offset`, once.
  void after_read(std::uint64_t offset, std::function<void()> hook) {
    read_hook_ = {offset, std::move(hook)};
  }
  /// Called when a CMD_SYNC is reached, before the invalidations that it waits for take effect.
  void before_sync(std::function<void()> hook) { before_sync_ = std::move(hook); }

 private:
  struct Ste {
    std::array<std::uint64_t, 8> words{};
  };
  struct Config {  // a decoded stream table entry
    bool stage1 = false;
    bool stage2 = false;
    bool record_stage2 = false;
    bool ptw = false;
    bool merge = false;          // MEV
    bool refuses_stall = false;  // S1STALLD
    std::uint16_t vmid = 0;
    std::uint64_t context = 0;    // S1ContextPtr
    unsigned context_bits = 0;    // S1CDMax
    unsigned context_format = 0;  // S1Fmt
    unsigned substreamless = 0;   // S1DSS
    unsigned ats = 0;             // EATS
    Stage2Regime regime;
  };
  using ContextWords = std::array<std::uint64_t, 8>;
  struct Context {  // a decoded context descriptor
    std::uint16_t asid = 0;
    std::array<std::uint64_t, 2> roots{};
    std::array<unsigned, 2> input_bits{};
    std::array<bool, 2> disabled{};
    unsigned output_bits = 48;
    bool access_faults = true;
    bool record = true;
    bool stall = false;
  };
  struct Entry {  // of the TLB: 4 KiB of input, whatever the leaf's size
    std::uint64_t pa = 0;
    std::uint64_t ipa = 0;
    bool s1_read = true;
    bool s1_write = true;
    bool s2_read = true;
    bool s2_write = true;
    bool device_memory = false;
    unsigned s1_level = 3;  // of the leaves that it comes from
    unsigned s2_level = 3;
  };
  struct Failure {
    std::uint8_t type = 0;
    bool stage2 = false;
    unsigned cls = 2;  // 0 CD, 1 table walk, 2 input
    std::uint64_t ipa = 0;
    std::uint64_t fetch = 0;
    bool recorded = true;
    bool stalls = false;
  };
  template <typename T>
  struct Expected {
    std::optional<T> value;
    Failure failure;
  };
  static constexpr std::uint32_t kNoAsid = ~std::uint32_t{0};              // stage 2 only
  using TlbKey = std::tuple<std::uint16_t, std::uint32_t, std::uint64_t>;  // VMID, ASID, page
  using PointerKey = std::tuple<std::uint16_t, unsigned, std::uint64_t>;   // VMID, level, prefix
  using ContextKey = std::pair<std::uint32_t, std::uint64_t>;  // stream; substream, or L1 index
  struct Resolved {  // what a stream's configuration says about one access
    Config config;
    std::optional<Context> context;  // nothing: stage 1 is not used
  };
  struct Range {  // of addresses that a TLBI means
    std::uint64_t start = 0;
    std::uint64_t size = 0;
    unsigned level = 0;  // only leaves of it; 0: of any
  };
  struct Interrupt {  // the registers xxx_IRQ_CFG0, 1 and 2
    std::uint64_t address = 0;
    std::uint64_t data = 0;  // and the attributes above it
  };

  [[nodiscard]] bool has(unsigned idr0_bit) const { return ((config_.idr0 >> idr0_bit) & 1) != 0; }
  [[nodiscard]] unsigned stall_model() const { return (config_.idr0 >> 24) & 3; }
  [[nodiscard]] unsigned substream_bits() const { return (config_.idr1 >> 6) & 0x1f; }

  // registers.cpp
  void misuse(std::string what) { misuses_.push_back(std::move(what)); }
  void write_cr0(std::uint32_t value);
  void write_base(std::uint64_t& reg, std::uint64_t value, bool locked, const char* name);
  void write_interrupt(std::uint64_t& reg, std::uint64_t value, std::uint32_t enable);
  void settle();
  [[nodiscard]] std::uint64_t read_register(std::uint64_t offset);
  void write_register(std::uint64_t offset, std::uint32_t value);

  // queues.cpp. Commands give the error that they cause.
  void run_commands();
  unsigned execute(const Command& command);
  unsigned execute_configuration(const Command& command, std::uint8_t opcode);
  unsigned sync(const Command& command);
  void fail_command(unsigned error);
  void apply_pending();
  [[nodiscard]] std::uint64_t queue_slot(std::uint64_t base, std::uint32_t index,
                                         std::uint64_t entry_bytes) const;
  [[nodiscard]] bool send_message(std::uint64_t address, std::uint32_t data);

  // invalidation.cpp
  unsigned execute_tlbi(const Command& command, std::uint8_t opcode);
  Range decode_range(const Command& command);
  void invalidate_ipa(const Command& command);

  // events.cpp
  Outcome fault(const Access& access, const Failure& failure, bool merge);
  [[nodiscard]] static Event describe(const Access& access, const Failure& failure);
  [[nodiscard]] bool similar_is_queued(const Event& event) const;
  [[nodiscard]] bool event_queue_is_full() const;
  void store(const Event& event);
  void store_waiting();

  // stalls.cpp
  Outcome stall(const Access& access, const Failure& failure);
  unsigned resume(const Command& command);
  unsigned terminate_stalls(const Command& command);
  void finish(const Access& access, const Outcome& outcome);

  // ats.cpp
  unsigned invalidate_atc(const Command& command);
  Outcome check_translated(const Access& access);

  // configuration.cpp
  Expected<Ste> fetch_ste(std::uint32_t stream);
  Expected<Ste> fetch_ste_from(std::uint32_t stream, std::uint64_t table, std::uint64_t index);
  Expected<Config> decode_ste(const Ste& ste);
  bool decode_stage1(const Ste& ste, Config& config) const;
  bool decode_stage2(const Ste& ste, Config& config);
  Expected<Config> configuration(std::uint32_t stream);

  // context.cpp
  Expected<Resolved> resolve(const Access& access, const Config& config);
  Expected<std::uint64_t> context_address(std::uint32_t stream, std::uint32_t substream,
                                          const Config& config);
  Expected<Context> fetch_context(std::uint32_t stream, std::uint32_t substream,
                                  const Config& config);
  Expected<Context> decode_context(const ContextWords& words, const Config& config) const;

  // translation.cpp
  Expected<Entry> look_up(const Access& access, const Resolved& resolved);
  Expected<Entry> walk(const Resolved& resolved, std::uint64_t iova);
  Expected<Stage2Outcome> stage2(const Config& config, std::uint64_t ipa, unsigned cls);
  Expected<std::uint64_t> read_through_stage2(const Config& config, std::uint64_t ipa, unsigned cls,
                                              std::span<std::uint8_t> to);
  Expected<Entry> stage1(const Config& config, const Context& context, std::uint64_t iova);

  Memory& memory_;
  DmaBus& downstream_;
  SmmuConfig config_;

  // Registers: as written, and as in effect once acknowledged.
  std::uint32_t cr0_written_ = 0;
  std::uint32_t cr0_ = 0;
  unsigned cr0_countdown_ = 0;
  std::uint32_t cr1_ = 0;
  std::uint32_t cr2_ = 0;
  std::uint32_t gbpa_;
  std::uint32_t gbpa_written_ = 0;
  unsigned gbpa_countdown_ = 0;
  std::uint32_t irq_ctrl_ = 0;
  std::uint32_t gerror_ = 0;
  std::uint32_t gerrorn_ = 0;
  Interrupt gerror_irq_;
  Interrupt eventq_irq_;
  std::uint64_t strtab_base_ = 0;
  std::uint32_t strtab_base_cfg_ = 0;
  std::uint64_t cmdq_base_ = 0;
  std::uint32_t cmdq_prod_ = 0;
  std::uint32_t cmdq_cons_ = 0;
  std::uint64_t eventq_base_ = 0;
  std::uint32_t eventq_prod_ = 0;
  std::uint32_t eventq_cons_ = 0;

  // Caches.
  std::map<std::uint64_t, std::uint64_t> l1_cache_;
  std::map<std::uint32_t, Ste> ste_cache_;
  std::map<ContextKey, std::uint64_t> l1_context_cache_;
  std::map<ContextKey, ContextWords> context_cache_;
  std::map<TlbKey, Entry> tlb_;
  std::map<PointerKey, std::uint64_t> pointers_;
  std::vector<std::function<void()>> pending_;  // invalidations that wait for their CMD_SYNC
  std::map<std::uint32_t, Atc*> atcs_;
  bool atc_timed_out_ = false;               // since the last CMD_SYNC
  std::map<std::uint16_t, Access> stalled_;  // by STAG
  std::uint16_t next_stag_ = 0;
  std::deque<Event> waiting_;  // events of stalls, which a full queue does not lose

  std::vector<std::string> misuses_;
  std::vector<Command> command_log_;
  std::uint64_t events_recorded_ = 0;
  std::uint64_t events_lost_ = 0;
  std::uint64_t events_merged_ = 0;
  unsigned event_interrupts_ = 0;
  unsigned gerror_interrupts_ = 0;
  unsigned sync_interrupts_ = 0;
  unsigned sync_messages_ = 0;
  unsigned sync_wakeups_ = 0;
  bool commands_stopped_ = false;
  bool acks_stopped_ = false;
  std::optional<std::uint8_t> rejected_opcode_;
  unsigned aborted_fetches_ = 0;
  std::function<void()> before_sync_;
  std::pair<std::uint64_t, std::function<void()>> read_hook_;
  std::function<void(const Access&, const Outcome&)> resumed_;
};

}  // namespace penstock::sim
