// One physical function as a guest sees it: its config space, where its BARs are, its interrupt
// vectors.
//
// Built once from the hardware and a policy, then self-contained: reads come from an image in
// memory, and only bits that the policy calls live are fetched from the device. Writes change the
// image and return Effects; the hardware's command register, BARs and MSI or MSI-X registers are
// never written from here (S0.13, H15, H17, H18).
//
// No lock inside: config_read, config_write, bar_read, bar_write, reset and the views need the
// caller's lock of this function. All of it is bounded and may run in a trap handler with
// interrupts off.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/port/mmio.hpp"
#include "core/vpci/capability_list.hpp"
#include "core/vpci/effect.hpp"
#include "core/vpci/facts.hpp"
#include "core/vpci/msix_table.hpp"
#include "core/vpci/register_file.hpp"

namespace penstock::vpci {

struct BarView {
  std::uint64_t size = 0;  // bytes, 0: the guest sees no BAR here
  Hpa host{};
  Gpa gpa{};            // where the guest put it; meaningful when `mapped`
  bool mapped = false;  // decode on, address assigned and inside a window
  bool is64 = false;
  bool prefetchable = false;
};

enum class MsiKind : std::uint8_t { kNone, kMsi, kMsix };

struct VectorView {
  std::uint64_t address =
      0;  // as the guest wrote it: an IOVA of the guest, or a GPA without a stage 1 of its own
  std::uint32_t data = 0;  // as the guest wrote it, for MSI with the vector in the low bits
  bool in_use = false;     // MSI or MSI-X is on and has this vector
  bool masked = true;      // by its own mask bit or the function's
};

/// A part of a BAR, in bytes from its start; page aligned.
struct PageRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};
/// Table, PBA and mirrors cut a BAR into at most this many untrapped parts.
using PageRanges = StaticVector<PageRange, 3 + kMaxMirrors>;

/// What init found in the physical capability lists, for the boot log.
struct ListReport {
  std::uint8_t shown = 0;
  std::uint8_t hidden = 0;     // well-formed, but not on the list or denied
  std::uint8_t malformed = 0;  // loops, overlaps, lengths beyond the end: cut or hidden
};

class VirtualFunction {
 public:
  /// Reads the physical function once and builds the virtual one, in reset state. kUnsupported
  /// (arg: header type): not an endpoint. kNotFound (arg: 0): nobody answers, or no hw. kOutOfRange
  /// or kMisaligned or kOverlap (arg: BAR index, id or offset): facts or options contradict
  /// themselves; nothing may then be called but init.
  Status init(const FunctionFacts& facts, const PolicyOptions& options);

  /// A function without hardware: the virtual host bridge (class 0600) with these IDs, no BAR, no
  /// capability.
  void init_host_bridge(std::uint16_t vendor, std::uint16_t device);

  /// Any offset below 4096, any size 1..8, any alignment; bytes beyond 4095 read all-ones.
  [[nodiscard]] std::uint64_t config_read(unsigned offset, unsigned size) const {
    return full_access_ ? read_through(offset, size) : registers_.read(offset, size, hw_);
  }
  /// Same range; what no rule lists is dropped. The effects are in the order to apply them.
  [[nodiscard]] Effects config_write(unsigned offset, unsigned size, std::uint64_t value);

  /// `index` 0..5, or kRomIndex; anything else and the upper half of a 64-bit BAR are empty views.
  [[nodiscard]] BarView bar(unsigned index) const;
  /// True for a 4 KiB page (`page_offset` bytes from the BAR's start, rounded down) that must not
  /// be mapped into the guest.
  [[nodiscard]] bool is_trapped(unsigned bar, std::uint64_t page_offset) const;
  /// The rest, as the longest ranges possible, ascending.
  [[nodiscard]] PageRanges mappable(unsigned bar) const;

  /// An access of 1..8 bytes at any `offset` of BAR `bar`, which trapped. `hw_bar` covers the
  /// physical BAR and nothing else. Registers that are not the interrupts' are forwarded with the
  /// same width; misaligned accesses are split.
  [[nodiscard]] std::uint64_t bar_read(unsigned bar, std::uint64_t offset, unsigned size,
                                       port::Mmio& hw_bar) const;
  [[nodiscard]] Effects bar_write(unsigned bar, std::uint64_t offset, unsigned size,
                                  std::uint64_t value, port::Mmio& hw_bar);

  /// The kind that is switched on. Never both: the guest's second switch is ignored (PCIe 7.7
  /// forbids it).
  [[nodiscard]] MsiKind kind() const;
  /// Vectors that kind() has: granted messages for MSI, table size for MSI-X, else 0.
  [[nodiscard]] unsigned vector_count() const;
  /// Vector `k` of kind(); not in use when there is none.
  [[nodiscard]] VectorView vector(unsigned k) const;
  /// Most vectors the guest can ever switch on, of either kind: what to set aside at assignment.
  [[nodiscard]] unsigned max_vectors() const;
  /// The physical capability's offset, 0: not shown. The integrator programs the descriptor there
  /// or in the table.
  [[nodiscard]] unsigned msi_offset() const { return msi_.base; }
  [[nodiscard]] unsigned msix_offset() const { return msix_base_; }
  [[nodiscard]] const MsixTable& msix_table() const { return msix_; }

  /// The state after power-on or a function-level reset. The effects undo what the guest had
  /// switched on; they hold no kFunctionReset, for the caller is the one who resets.
  [[nodiscard]] Effects reset();

  [[nodiscard]] ListReport report() const { return report_; }

  /// Virtual functions that the guest has switched on and that have not been lost since. VF i has
  /// the routing ID that is i + 1 above this function's.
  [[nodiscard]] unsigned vfs() const { return announced_.vfs; }
  /// There are none any more, or never were: VF Enable reads 0. Not by the guest's doing, so there
  /// are no effects.
  void vfs_lost();
  /// What the guest reads where one of its vfs() is, in any access: a header by which its kernel
  /// knows a virtual function (IDs all-ones) that no driver wants. Writes are dropped.
  [[nodiscard]] std::uint64_t vf_placeholder_read(unsigned offset, unsigned size) const;

 private:
  struct Bar {
    BarFacts facts{};
    std::uint64_t address_mask = 0;
    bool shown = false;
  };
  struct Msi {
    std::uint16_t base = 0;  // 0: not shown
    std::uint16_t data = 0;  // offsets in config space
    std::uint16_t mask = 0;  // 0: no per-vector masks
    std::uint8_t log2_vectors = 0;
    bool address64 = false;
  };
  /// The MSI registers as the guest wrote them.
  struct Message {
    std::uint64_t address = 0;
    std::uint32_t data = 0;
    std::uint32_t mask = 0;
    unsigned count = 0;  // 0: off
  };
  /// What the outside has been told: effects are the differences to the present state.
  struct Announced {
    std::array<bool, hw::pci::kBarCount> mapped{};
    std::array<Gpa, hw::pci::kBarCount> gpa{};
    Message msi{};
    bool msix_enabled = false;
    bool msix_masked = false;
    bool bus_master = false;
    std::uint16_t vfs = 0;
  };

  // function_init.cpp
  enum class Outcome : std::uint8_t { kShown, kHidden, kMalformed };
  Status init_bars(const FunctionFacts& facts, const PolicyOptions& options);
  Status init_capabilities(const PolicyOptions& options);
  void init_full_access(const CapabilityLists& lists, const PolicyOptions& options);
  [[nodiscard]] bool passes_through(const Capability& found, const PolicyOptions& options) const;
  void show_through(const Capability& found);
  void keep_back(const Capability& found, const CapabilityArray& list);
  Result<Outcome> show_capability(const Capability& found, const PolicyOptions& options);
  Result<Outcome> show_built_in(const Capability& found, Owner owner, const PolicyOptions& options);
  [[nodiscard]] const VendorCapability* vendor_row(const Capability& found) const;
  Result<Outcome> show_extra(const Capability& found, const ExtraCapability& extra);
  Status init_mirrors(const PolicyOptions& options);
  [[nodiscard]] unsigned prepare(const Capability& found, Owner owner,
                                 const PolicyOptions& options);
  [[nodiscard]] unsigned prepare_msi(unsigned base, const PolicyOptions& options);
  [[nodiscard]] unsigned prepare_msix(unsigned base, const PolicyOptions& options);
  [[nodiscard]] unsigned prepare_express(unsigned base, const PolicyOptions& options);
  [[nodiscard]] unsigned prepare_sriov(unsigned base, const PolicyOptions& options);
  void forget(Owner owner);
  Status add_rows(Owner owner, unsigned base, const PolicyOptions& options);
  Status add_register(unsigned offset, unsigned width, Handler handler, const Masks& masks,
                      std::uint32_t value);
  [[nodiscard]] bool applies(Condition condition) const;
  [[nodiscard]] Masks shaped_masks(const Row& row, const PolicyOptions& options) const;
  [[nodiscard]] std::uint32_t shaped_value(const Row& row, std::uint32_t value,
                                           const PolicyOptions& options) const;
  void snapshot(unsigned begin, unsigned end);
  void link(const Capability& shown);

  // function.cpp
  void write_register(const Change& change, Effects& effects);
  void write_hardware(const Change& change, Effects& effects);
  [[nodiscard]] bool starts_reset(const Change& change) const;
  [[nodiscard]] std::uint32_t filtered(const Register& reg, std::uint32_t before,
                                       std::uint32_t after) const;
  void restore();
  void settle(Effects& effects);
  void settle_bars(Effects& effects);
  void settle_interrupts(Effects& effects);
  void settle_sriov(Effects& effects);  // function_sriov.cpp
  [[nodiscard]] std::uint32_t sriov_filtered(const Register& reg, std::uint32_t before,
                                             std::uint32_t after) const;
  [[nodiscard]] bool vf_enable() const;
  [[nodiscard]] std::uint64_t bar_address(unsigned index) const;
  [[nodiscard]] bool in_window(std::uint64_t address, std::uint64_t size) const;
  [[nodiscard]] Message message() const;
  [[nodiscard]] std::uint32_t command() const { return registers_.get(hw::pci::kCommand, 2); }
  [[nodiscard]] std::uint32_t msix_control() const;

  // function_access.cpp
  [[nodiscard]] unsigned raw_lanes(unsigned dword) const;
  [[nodiscard]] std::uint64_t read_through(unsigned offset, unsigned size) const;
  void write_through(unsigned offset, unsigned size, std::uint64_t value, Effects& effects) const;

  // function_bar.cpp
  [[nodiscard]] const BarMirror* mirror_at(unsigned bar, std::uint64_t offset) const;
  [[nodiscard]] std::uint64_t read_piece(unsigned bar, std::uint64_t offset, unsigned size,
                                         port::Mmio& hw_bar) const;
  void write_piece(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value,
                   port::Mmio& hw_bar, Effects& effects);

  RegisterFile registers_;
  port::ConfigSpace* hw_ = nullptr;
  std::uint16_t vendor_ = 0;  // FunctionFacts'
  std::uint16_t device_ = 0;
  std::array<Bar, hw::pci::kBarCount + 1> bars_{};
  std::array<Window, 2> windows_{};
  BarPolicy bar_policy_ = BarPolicy::kVirtual;
  StaticVector<BarMirror, kMaxMirrors> mirrors_;
  Msi msi_{};
  std::uint16_t msix_base_ = 0;
  MsixTable msix_;
  Announced announced_{};
  ListReport report_{};
  std::uint8_t owners_shown_ = 0;  // one bit per Owner: the first instance of a capability counts
  std::uint8_t express_version_ = 0;
  bool express_link_ = false;
  bool full_access_ = false;
  std::uint16_t raw_dwords_ = 0;   // with full access: those below this
  std::uint64_t raw_headers_ = 0;  // dwords whose low half, a capability's header, is virtual
  std::uint16_t sriov_base_ = 0;   // 0: not shown
  std::uint16_t most_vfs_ = 0;
  std::uint16_t first_capability_ = 0;
  std::uint16_t last_standard_ = 0;  // while the lists are linked: the capability before
  std::uint16_t last_extended_ = 0;
};

}  // namespace penstock::vpci
