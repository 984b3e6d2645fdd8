// The command queue of an ITS (Arm IHI 0069 H, 5.3 and 12.19.2 to 12.19.5): a ring of 32-byte
// commands in our memory. push() writes commands, flush() hands them over and waits until they are
// done. Not locked: its owner's lock.
#pragma once

#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/mem/page_pool.hpp"
#include "core/msi/its_commands.hpp"
#include "core/port/clock.hpp"
#include "core/port/mmio.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::msi {

class ItsQueue {
 public:
  static constexpr std::uint64_t kBytes = 16 * kKiB;
  static constexpr unsigned kCommands = kBytes / its_commands::kBytes;

  /// Gives the disabled ITS behind `gits` an empty queue. kNoMemory; kUnsupported (arg:
  /// GITS_CBASER) when it did not keep the address.
  Status init(port::Mmio& gits, port::PhysMem& memory, mem::PagePool& pool, port::Clock& clock);

  /// A command that is always valid; it takes the place of one that the ITS stalls at (5.3: a
  /// stalled queue goes on only once its command is mended).
  void set_filler(const its_commands::Words& sync) { filler_ = sync; }

  /// Adds a command to the batch. Flushes by itself when the ring is full, with flush()'s errors.
  Status push(const its_commands::Words& command);

  /// Hands the batch over and waits for all of it. kHardwareError (arg: offset in the ring) when
  /// the ITS stalled at a command: that one was skipped, the others were done. kTimeout (arg:
  /// GITS_CREADR's offset) when it stopped moving: from then on dead(), and every call fails so at
  /// once.
  Status flush();

  [[nodiscard]] bool dead() const { return dead_; }
  /// For audits: GITS_CBASER says what init() left there.
  [[nodiscard]] bool intact() const;

 private:
  void write_command(unsigned at, const its_commands::Words& command);
  void publish();
  Status wait();
  Status skip_stalled(unsigned at, unsigned& last_stall);
  Status die();

  port::Mmio* gits_ = nullptr;
  port::PhysMem* memory_ = nullptr;
  port::Clock* clock_ = nullptr;
  Hpa ring_;
  std::uint64_t cbaser_ = 0;  // as it reads back
  unsigned written_ = 0;      // next slot to fill
  unsigned published_ = 0;    // GITS_CWRITER, in commands; everything before is done
  bool dead_ = false;
  its_commands::Words filler_{};
};

}  // namespace penstock::msi
