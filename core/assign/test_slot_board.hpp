// The simulated board with domains that have slots, for tests of what changes while guests run, and
// what a guest's port and hot-plug drivers do.
#pragma once

#include <string>

#include "core/assign/audit.hpp"
#include "core/assign/test_board.hpp"

namespace penstock::assign {

/// A root port as Linux' port bus driver and pciehp meet it. Offsets: PCIe 7.5.1.3, 7.5.3, 7.7.1;
/// the capabilities are where a driver finds them.
class PortDriver {
 public:
  static constexpr unsigned kPressed = 0x1, kPresenceChanged = 0x8, kPresent = 0x40;  // slot status
  static constexpr unsigned kOn = 0x100, kBlink = 0x200, kOff = 0x300;  // power indicator

  /// The board may be started later.
  PortDriver(TestBoard& board, unsigned domain, unsigned slot)
      : board_(board), domain_index_(domain), slot_(slot) {}
  [[nodiscard]] GuestBdf at() const { return vpci::port_of(slot_); }

  std::uint64_t read(unsigned offset, unsigned size) { return domain().config(at(), offset, size); }
  void write(unsigned offset, unsigned size, std::uint64_t value) {
    domain().set_config(at(), offset, size, value);
  }
  void number_buses(unsigned secondary) {
    write(0x18, 4, std::uint64_t{secondary} << 16 | std::uint64_t{secondary} << 8);
  }
  void number_buses() { number_buses(slot_ + 1); }
  /// Buses numbered, hot-plug events as event 0 of the port's DeviceID, which is `lpi`.
  void start(std::uint32_t lpi) {
    express_ = domain().capability(at(), 0x10);
    const unsigned msi = domain().capability(at(), 0x05);
    number_buses();
    domain().map_events(at(), 1, lpi);
    write(4, 2, 6);
    write(msi + 4, 8, kGuestDoorbell);
    write(msi + 0xc, 2, 0);
    write(msi + 2, 2, 0x0081);
    acknowledge();
    write(express_ + 0x18, 2, (read(express_ + 0x18, 2) & 0x300) | 0x1031);
  }
  [[nodiscard]] unsigned status() {
    return static_cast<unsigned>(read(domain().capability(at(), 0x10) + 0x1a, 2));
  }
  /// Events since the last call.
  unsigned acknowledge() {
    const unsigned events = status() & 0x11f;
    write(domain().capability(at(), 0x10) + 0x1a, 2, events);
    return events;
  }
  void indicate(unsigned indicator) {
    write(express_ + 0x18, 2, (read(express_ + 0x18, 2) & ~0x300U) | indicator);
  }
  void hold_bus_in_reset(bool held) { write(0x3e, 2, held ? 0x40 : 0); }

 private:
  [[nodiscard]] TestDomain& domain() const { return *board_.domains[domain_index_]; }

  TestBoard& board_;
  unsigned domain_index_;
  unsigned slot_;
  unsigned express_ = 0;
};

struct SlotBoard : TestBoard {
  static constexpr unsigned kSlots = 4;

  explicit SlotBoard(sim::Its::Options its_options = {}) : TestBoard(its_options) {}

  /// start(), and slots for both domains. hw.sriov may be set before.
  Status start_with_slots(SriovHost* sriov = nullptr) {
    TRY(start());
    hw.sriov = sriov;
    for (auto& domain : domains) {
      domain->owner.gic = &domain->guest.gic;
      TRY(domain->devices.init(hw, domain->owner, kSlots));
    }
    return {};
  }
  /// As whoever gives devices to domains does.
  Status attach(unsigned domain, Device& device, GuestBdf at) {
    device.placement.guest = at;
    device.domain = domain;
    return domains[domain]->devices.attach(device);
  }
  [[nodiscard]] AuditReport audited() {
    const std::array<ForbiddenRange, 2> forbidden{
        {{kPool, kPoolBytes, "maps the hypervisor's memory"},
         {Hpa(0x808'0000), 128 * kKiB, "maps the ITS"}}};
    std::array<AuditedDomain, 2> all{};
    for (unsigned i = 0; i < 2; ++i) all[i] = domains[i]->audited();
    AuditReport report;
    audit({hw, all, forbidden}, report);
    return report;
  }
  /// What the audit complains of first; nothing: "".
  [[nodiscard]] std::string wrong() {
    const AuditReport report = audited();
    return report.ok() ? "" : std::string(report.text(0));
  }
};

}  // namespace penstock::assign
