#include <gtest/gtest.h>

#include <vector>

#include "core/vmsi/its_fake.hpp"
#include "core/vmsi/virtual_its.hpp"

namespace penstock::vmsi {
namespace {

using fake::ItsGuest;
using fake::vcpu;

TEST(ItsRegisters, ResetValuesAndWritableBits) {
  struct Register {
    const char* name;
    std::uint64_t offset;
    std::uint64_t reset;
    std::uint64_t writable;
  };
  // Type 1, entry size 8; type 4, entry size 8.
  constexpr std::uint64_t kBaser = 0xf8e0'ffff'ffff'ffffULL;
  const Register registers[] = {
      // Physical, 8-byte entries, 11 EventID bits, 16 DeviceID bits, 4 collection bits
      {"GITS_TYPER", 0x08, 0x13'0001'ea71, 0},
      {"GITS_MPAMIDR", 0x10, 0, 0},
      {"GITS_CBASER", 0x80, 0, 0xb8ef'ffff'ffff'fcffULL},
      {"GITS_CWRITER", 0x88, 0, 0},
      {"GITS_CREADR", 0x90, 0, 0},
      {"GITS_BASER0", 0x100, 0x0107'0000'0000'0000ULL, kBaser},
      {"GITS_BASER1", 0x108, 0x0407'0000'0000'0000ULL, kBaser},
      {"GITS_BASER2", 0x110, 0, 0},
      {"GITS_BASER7", 0x138, 0, 0},
      {"GITS_TRANSLATER", 0x1'0040, 0, 0},
  };
  for (const Register& r : registers) {
    ItsGuest g;
    EXPECT_EQ(g.its.read(r.offset, 8), r.reset) << r.name;
    g.its.write(r.offset, 8, ~0ULL);
    if (r.offset != 0x88) EXPECT_EQ(g.its.read(r.offset, 8), r.reset | r.writable) << r.name;
    EXPECT_EQ(g.its.read(r.offset, 4), g.its.read(r.offset, 8) & 0xffff'ffff) << r.name;
    EXPECT_EQ(g.its.read(r.offset + 4, 4), g.its.read(r.offset, 8) >> 32) << r.name;
    g.its.write(r.offset + 4, 4, 0);
    g.its.write(r.offset, 4, 0);
    EXPECT_EQ(g.its.read(r.offset, 8), r.reset & ~r.writable) << r.name;
  }
  ItsGuest g;
  EXPECT_EQ(g.its.read(0, 4), 0x8000'0000u);  // disabled and quiescent
  EXPECT_EQ(g.its.read(4, 4), 0x43bu);
  EXPECT_EQ(g.its.read(0xffe8, 4), 0x3bu);
  g.its.write(0, 4, 1);
  EXPECT_EQ(g.its.read(0, 4), 1u);
}

TEST(ItsRegisters, RefusesImpossibleLimits) {
  ItsGuest g;
  VirtualIts its;
  EXPECT_EQ(its.init(g.gic, g.ram, g, {0, 1}).error().code, Code::kOutOfRange);
  EXPECT_EQ(its.init(g.gic, g.ram, g, {65, 1}).error().code, Code::kOutOfRange);
  EXPECT_EQ(its.init(g.gic, g.ram, g, {1, 0}).error().code, Code::kOutOfRange);
  EXPECT_EQ(its.init(g.gic, g.ram, g, {1, 2049}).error().code, Code::kOutOfRange);
}

// Covers: H13 H48 H50
TEST(ItsRegisters, EveryAccessSizeAtEveryOffsetHasAnAnswer) {
  ItsGuest g;
  for (const bool enabled : {false, true}) {
    g.its.write(0, 4, enabled ? 1 : 0);
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
      const std::uint64_t too_wide = size == 8 ? 0 : ~std::uint64_t{0} << (8 * size);
      for (std::uint64_t offset = 4; offset < 0x2'0010; ++offset) {
        if ((offset & 0xffff) == 0x200) offset += 0xfd00;
        EXPECT_EQ(g.its.read(offset, size) & too_wide, 0u) << offset;
        g.its.write(offset, size, 0x7a5a'a5a5'0fff'0000ULL + offset);
      }
    }
    for (const std::uint64_t offset :
         std::initializer_list<std::uint64_t>{~0ULL, ~7ULL, 1ULL << 63}) {
      EXPECT_EQ(g.its.read(offset, 8), 0u);
      g.its.write(offset, 8, ~0ULL);
    }
  }
}

// Covers: S0.7 S0.15 S0.16
TEST(Its, AnEventBecomesAnLpiOfItsCollectionsCpu) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(0x108, 5));
  g.command(g.mapti(0x108, 3, 8200, 1));
  EXPECT_EQ(g.log.back(), "event 264 3");
  const auto target = g.its.resolve(GuestDeviceId(0x108), GuestEventId(3));
  ASSERT_TRUE(target);
  EXPECT_EQ(target->vcpu, vcpu(1));
  EXPECT_EQ(target->lpi, GuestIntId(8200));
  g.gic.pend_lpi(target->vcpu, target->lpi);
  EXPECT_EQ(g.take(1), 8200u);
  g.its.software_message(GuestDeviceId(0x108), GuestEventId(3));
  EXPECT_EQ(g.take(1), 8200u);
  g.command(g.interrupt(0x108, 3));
  EXPECT_EQ(g.take(1), 8200u);
  EXPECT_EQ(g.its.counters().refused, 0u);
  EXPECT_EQ(g.its.resolve(GuestDeviceId(0x108), GuestEventId(4)).error(), fail(Code::kNotFound, 4));
  EXPECT_EQ(g.its.resolve(GuestDeviceId(0x109), GuestEventId(3)).error(),
            fail(Code::kNotFound, 0x109));
  g.its.write(0, 4, 0);
  EXPECT_EQ(g.its.resolve(GuestDeviceId(0x108), GuestEventId(3)).error().code, Code::kBadState);
  g.its.software_message(GuestDeviceId(0x108), GuestEventId(3));
  EXPECT_EQ(g.take(1), std::nullopt);
}

TEST(Its, MapiUsesTheEventAsInterrupt) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(1, 11));
  g.command(g.mapi(1, 8193, 0));  // beyond 2^11 events: no LPI has so small a number
  EXPECT_EQ(g.its.counters().refused, 1u);
}

TEST(Its, MoviMovesPendingInterruptsToo) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(1, 2));
  g.command(g.mapti(1, 0, 8192, 0));
  g.command(g.interrupt(1, 0));
  g.run(0);
  ASSERT_TRUE(g.cpus[0].is_pending(8192));
  g.command(g.movi(1, 0, 1));
  EXPECT_EQ(g.log.back(), "event 1 0");
  EXPECT_EQ(g.take(0), std::nullopt);
  EXPECT_EQ(g.take(1), 8192u);
  g.command(g.movi(1, 0, 7));  // not mapped
  EXPECT_EQ(g.its.counters().refused, 1u);
  EXPECT_EQ(g.its.resolve(GuestDeviceId(1), GuestEventId(0))->vcpu, vcpu(1));
}

TEST(Its, CollectionsAndMovallRetarget) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(1, 4));
  g.command(g.mapti(1, 0, 8192, 0));
  g.command(g.mapti(1, 1, 8193, 5));  // collection 5 goes nowhere yet
  EXPECT_FALSE(g.its.resolve(GuestDeviceId(1), GuestEventId(1)));
  g.command(g.interrupt(1, 1));
  EXPECT_EQ(g.its.counters().refused, 1u);
  g.command(g.mapc(5, 1));
  EXPECT_EQ(g.log.back(), "all");
  g.command(g.interrupt(1, 1));
  EXPECT_EQ(g.take(1), 8193u);
  g.command(g.interrupt(1, 0));
  g.command(g.movall(0, 1));
  g.command(g.mapc(0, 1));
  EXPECT_EQ(g.take(1), 8192u);
  g.command(g.mapc(5, 0, false));
  EXPECT_FALSE(g.its.resolve(GuestDeviceId(1), GuestEventId(1)));
}

TEST(Its, InvAndInvallReadTheTableAgain) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(1, 4));
  g.ram.bytes()[0x1'0000] = 0xa0;
  g.command(g.mapti(1, 0, 8192, 0));
  g.command(g.interrupt(1, 0));
  EXPECT_EQ(g.take(0), std::nullopt);
  g.ram.bytes()[0x1'0000] = 0xa1;
  EXPECT_EQ(g.take(0), std::nullopt);  // not before INV
  g.command(g.inv(1, 0));
  EXPECT_EQ(g.take(0), 8192u);
  g.ram.bytes()[0x1'0000] = 0xa0;
  g.command(g.invall(0));
  g.command(g.interrupt(1, 0));
  EXPECT_EQ(g.take(0), std::nullopt);
  g.ram.bytes()[0x1'0000] = 0xa1;
  g.command(g.invall(1));  // another CPU's
  EXPECT_EQ(g.take(0), std::nullopt);
  g.command(g.invall(0));
  EXPECT_EQ(g.take(0), 8192u);
}

TEST(Its, ClearTakesAPendingInterruptAway) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(1, 4));
  g.command(g.mapti(1, 0, 8192, 0));
  for (const bool in_register : {false, true}) {
    g.command(g.interrupt(1, 0));
    if (in_register) g.run();
    g.command(g.clear(1, 0));
    EXPECT_EQ(g.take(0), std::nullopt);
  }
}

// Covers: H49
TEST(Its, DiscardAndUnmapWhilePending) {
  for (const bool in_register : {false, true}) {
    for (const unsigned way : {0u, 1u, 2u}) {
      ItsGuest g;
      g.enable_all();
      g.command(g.mapd(1, 4));
      g.command(g.mapti(1, 9, 8192, 0));
      g.command(g.interrupt(1, 9));
      if (in_register) g.run();
      const auto stale = g.its.resolve(GuestDeviceId(1), GuestEventId(9));
      if (way == 0) g.command(g.discard(1, 9));
      if (way == 1) g.command(g.mapd(1, 4, false));
      if (way == 2) g.command(g.mapd(1, 2));  // another ITT size under a live device
      EXPECT_EQ(g.log.back(), way == 0 ? "event 1 9" : "device 1");
      g.gic.pend_lpi(stale->vcpu, stale->lpi);  // a message with an old look-up
      EXPECT_EQ(g.take(0), std::nullopt);
      EXPECT_FALSE(g.its.resolve(GuestDeviceId(1), GuestEventId(9)));
      g.command(g.mapti(1, 9, 8192, 0));
      EXPECT_EQ(g.its.counters().refused, way == 0 ? 0u : 1u);
      g.command(g.mapd(1, 4));
      g.command(g.mapti(1, 9, 8192, 1));
      g.command(g.interrupt(1, 9));
      EXPECT_EQ(g.take(0), std::nullopt);
      EXPECT_EQ(g.take(1), 8192u);
    }
  }
}

// Covers: H49
TEST(Its, ANewMappingOfTheSameLpiInheritsNothing) {
  for (const bool in_register : {false, true}) {
    ItsGuest g;
    g.enable_all();
    g.command(g.mapd(1, 4));
    g.command(g.mapti(1, 0, 8192, 0));
    g.command(g.interrupt(1, 0));
    if (in_register) g.run();
    g.command(g.discard(1, 0));
    g.command(g.mapti(1, 2, 8192, 0));  // before the CPU looked
    EXPECT_EQ(g.take(0), std::nullopt);
    g.command(g.interrupt(1, 2));
    EXPECT_EQ(g.take(0), 8192u);
  }
}

// Covers: H1 H50
TEST(Its, CommandsWithWrongArgumentsChangeNothing) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(1, 4));
  g.command(g.mapti(1, 0, 8192, 0));
  const std::vector<ItsGuest::Command> wrong = {
      g.mapd(0x1'0000, 4),  // DeviceID bits
      g.mapd(2, 12),        // more events than announced
      g.mapd(2, 32),
      g.mapc(16, 0),  // collection bits
      g.mapc(0, 2),   // no such CPU
      g.mapc(0, 0xffff'ffff),
      g.mapti(2, 0, 8193, 0),   // device not mapped
      g.mapti(1, 16, 8193, 0),  // event beyond the ITT
      g.mapti(1, 0xffff'ffff, 8193, 0),
      g.mapti(1, 0, 8193, 0),  // mapped already
      g.mapti(1, 1, 8191, 0),  // not an LPI
      g.mapti(1, 1, 8192 + kLpiCount, 0),
      g.mapti(1, 1, 0, 0),
      g.mapti(1, 1, 8193, 16),
      g.mapi(1, 1, 0),
      g.movi(1, 1, 0),
      g.movi(1, 0, 16),
      g.movi(2, 0, 0),
      g.movall(0, 2),
      g.movall(2, 0),
      g.discard(1, 1),
      g.clear(1, 1),
      g.interrupt(1, 1),
      g.inv(1, 1),
      g.invall(3),
      g.invall(99),
      g.sync(2),
      ItsGuest::Command{0},
      ItsGuest::Command{0x29, ~0ULL, ~0ULL, ~0ULL},  // VMAPP: GICv4
      ItsGuest::Command{0xff, ~0ULL, ~0ULL, ~0ULL},
      ItsGuest::Command{~0ULL, ~0ULL, ~0ULL, ~0ULL},
  };
  std::uint64_t refused = 0;
  for (const auto& command : wrong) {
    g.command(command);
    EXPECT_EQ(g.its.counters().refused, ++refused) << std::hex << command[0] << " " << command[1];
    const auto target = g.its.resolve(GuestDeviceId(1), GuestEventId(0));
    ASSERT_TRUE(target);
    EXPECT_EQ(target->vcpu, vcpu(0));
  }
  g.command(g.sync(1));
  EXPECT_EQ(g.its.counters().refused, refused);
}

// Covers: H50
TEST(Its, QuotasAreTheDomainsOwn) {
  ItsGuest g(ItsLimits{3, 20});
  g.enable_all();
  for (unsigned d = 0; d < 5; ++d) g.command(g.mapd(d * 1000, 4));
  EXPECT_EQ(g.its.counters().exhausted, 2u);
  for (unsigned e = 0; e < 16; ++e) g.command(g.mapti(0, e, 8192 + e, 0));
  for (unsigned e = 0; e < 16; ++e) g.command(g.mapti(1000, e, 8300 + e, 0));
  EXPECT_EQ(g.its.counters().exhausted, 2u + 12u);
  g.command(g.mapd(0, 4, false));
  g.command(g.mapd(3000, 4));
  for (unsigned e = 0; e < 16; ++e) g.command(g.mapti(3000, e, 8192 + e, 0));
  EXPECT_EQ(g.its.counters().exhausted, 2u + 12u);
  EXPECT_TRUE(g.its.resolve(GuestDeviceId(3000), GuestEventId(15)));
  EXPECT_TRUE(g.its.resolve(GuestDeviceId(1000), GuestEventId(3)));
  EXPECT_FALSE(g.its.resolve(GuestDeviceId(0), GuestEventId(0)));
}

// Covers: H50
TEST(Its, SparseEventsUseUpOnlyThePool) {
  ItsGuest g;
  g.enable_all();
  unsigned mapped = 0;
  for (unsigned d = 0; d < 4; ++d) {
    g.command(g.mapd(d, 11));
    for (unsigned e = 0; e < 2048; e += 16) {
      g.command(g.mapti(d, e, 8192 + mapped, 0));
      ++mapped;
    }
  }
  EXPECT_EQ(g.its.counters().exhausted, 256u);
  for (unsigned d = 0; d < 4; ++d) g.command(g.mapd(d, 11, false));
  g.command(g.mapd(9, 11));
  for (unsigned e = 0; e < 2048; ++e) g.command(g.mapti(9, e, 8192 + e, 0));
  EXPECT_EQ(g.its.counters().exhausted, 256u);
  for (const unsigned e : {0u, 1u, 1000u, 2047u}) {
    const auto target = g.its.resolve(GuestDeviceId(9), GuestEventId(e));
    ASSERT_TRUE(target);
    EXPECT_EQ(target->lpi.value(), 8192 + e);
  }
}

// Covers: H50
TEST(ItsQueue, WorkIsDoneInSlices) {
  ItsGuest g;
  g.enable_all();
  g.queue_at(fake::Ram::kBase + 0x2'0000, 4);
  std::uint64_t n = 0;
  for (; n < 500; ++n) g.put(n, n % 2 == 0 ? g.sync(0) : g.mapd(1, 1 + n % 4));
  const auto before = g.its.counters().commands;
  g.its.write(0x88, 8, n * 32);
  const auto first = g.its.counters().commands - before;
  EXPECT_LE(first, 32u);
  EXPECT_GT(first, 0u);
  EXPECT_TRUE(g.its.has_pending_commands());
  EXPECT_EQ(g.its.read(0x90, 8), first * 32);
  unsigned slices = 0;
  for (; g.its.has_pending_commands(); ++slices) g.its.run_commands(32);
  EXPECT_GT(slices, 100u);
  EXPECT_EQ(g.its.counters().commands - before, 500u);
  EXPECT_EQ(g.its.counters().refused, 0u);
  g.its.run_commands(0);
  EXPECT_EQ(g.its.counters().commands - before, 500u);
}

// Covers: H50
TEST(ItsQueue, WrapsAndIsReadOncePerCommand) {
  ItsGuest g;
  g.enable_all();
  for (unsigned n = 0; n < 400; ++n) g.command(g.sync(n % 2));  // three times around 4 KiB
  EXPECT_EQ(g.its.counters().refused, 0u);
  const unsigned reads = g.ram.reads;
  g.command(g.sync(0));
  EXPECT_EQ(g.ram.reads, reads + 1);
}

// Covers: H50
TEST(ItsQueue, OddProducersAndLiveResizesAreSurvived) {
  ItsGuest g;
  g.enable_all();
  const auto base = g.its.read(0x80, 8);
  g.its.write(0x88, 8, 0x1000);  // just beyond the queue
  EXPECT_EQ(g.its.read(0x88, 8), g.its.read(0x90, 8));
  g.its.write(0x88, 8, 0xf'ffe0);
  EXPECT_EQ(g.its.read(0x88, 8), g.its.read(0x90, 8));
  g.its.write(0x80, 8, base | 0xff);  // ignored while enabled
  EXPECT_EQ(g.its.read(0x80, 8), base);
  g.its.write(0x100, 8, ~0ULL);
  EXPECT_EQ(g.its.read(0x100, 8) >> 63, 0u);
  g.its.write(0x90, 8, 0x660);  // CREADR is read-only
  EXPECT_EQ(g.its.read(0x90, 8), g.next * 32);
  g.its.write(0x88, 8, (g.next * 32) | 0x1f);  // the low bits are not part of the offset
  EXPECT_EQ(g.its.read(0x88, 8), g.next * 32);
  // A smaller queue with the producer beyond it.
  g.its.write(0, 4, 0);
  g.its.write(0x80, 8, base | 3);
  g.its.write(0x88, 8, 0x3000);
  g.its.write(0x80, 8, base);
  EXPECT_EQ(g.its.read(0x88, 8), 0u);
  EXPECT_EQ(g.its.read(0x90, 8), 0u);
  g.its.write(0, 4, 1);
  EXPECT_FALSE(g.its.has_pending_commands());
}

// Covers: H50
TEST(ItsQueue, OutsideRamThereAreNoCommands) {
  for (const std::uint64_t where : std::initializer_list<std::uint64_t>{
           0x0800'0000ULL, 0x0808'0000ULL, 0x40'1000'0000ULL, 0xf'ffff'ffff'f000ULL, 0ULL,
           fake::Ram::kBase + 0x4'0000 - 0x1000}) {
    ItsGuest g;
    g.enable_all();
    const auto before = g.its.counters();
    g.queue_at(where, 2);
    g.its.write(0x88, 8, 0x1fe0);
    unsigned slices = 0;
    for (; g.its.has_pending_commands() && slices < 1000; ++slices) g.its.run_commands(32);
    EXPECT_LT(slices, 20u);
    const auto after = g.its.counters();
    EXPECT_EQ(after.commands - before.commands, 255u);
    EXPECT_EQ(after.unreadable + after.refused - before.refused, 255u);
  }
}

// Covers: H50
TEST(ItsQueue, TablesAreNeverTouched) {
  ItsGuest g;
  g.its.write(0x100, 8, 1ULL << 63 | (fake::Ram::kBase + 0x3'0000) | 0xff);
  g.its.write(0x108, 8, 1ULL << 63 | 0x0900'0000 | 0xff);
  g.enable_all();
  auto untouched = g.ram.bytes();
  g.command(g.mapd(1, 4, true, 0x0808'0000));  // an ITT in the ITS itself
  g.command(g.mapti(1, 3, 8192, 0));
  g.command(g.interrupt(1, 3));
  EXPECT_EQ(g.take(0), 8192u);
  // Only the queue, which the guest itself wrote, differs.
  auto now = g.ram.bytes();
  std::fill(untouched.begin(), untouched.begin() + 0x1000, std::uint8_t{0});
  std::fill(now.begin(), now.begin() + 0x1000, std::uint8_t{0});
  EXPECT_EQ(now, untouched);
}

// Another vCPU that polls GITS_CREADR goes on when it passes the command: the messages must be on
// their new way by then.
TEST(Its, ACommandIsNotPassedBeforeItsChangeIsFollowedToTheEnd) {
  ItsGuest g;
  g.enable_all();
  const std::uint64_t before = g.its.read(0x90, 8);
  g.parts_left = 3 * VirtualIts::kCommandsPerTrap;
  g.put(g.next, ItsGuest::mapd(1, 5));
  g.put(g.next + 1, ItsGuest::mapti(1, 0, 8192, 0));
  g.its.write(0x88, 8, (g.next + 2) * 32);
  EXPECT_EQ(g.its.read(0x90, 8), before);
  EXPECT_EQ(g.log.back(), "device 1");
  for (unsigned slice = 0; slice < 2; ++slice) {
    EXPECT_TRUE(g.its.has_pending_commands());
    EXPECT_EQ(g.its.read(0x90, 8), before);
    g.its.run_commands(VirtualIts::kCommandsPerTrap);
  }
  while (g.its.has_pending_commands()) g.its.run_commands(VirtualIts::kCommandsPerTrap);
  EXPECT_EQ(g.log.back(), "event 1 0");
  EXPECT_EQ(g.its.read(0x90, 8), before + 64);
}

TEST(Its, SwitchedOffWhileAChangeIsFollowedItIsQuiescentAfterAllIsFollowed) {
  ItsGuest g;
  g.enable_all();
  const std::uint64_t before = g.its.read(0x90, 8);
  g.parts_left = 2 * VirtualIts::kCommandsPerTrap;
  g.put(g.next, ItsGuest::mapd(1, 5));
  g.its.write(0x88, 8, (g.next + 1) * 32);
  g.its.write(0, 4, 0);
  EXPECT_EQ(g.log.back(), "all");
  EXPECT_EQ(g.its.read(0, 4), 0u);
  g.its.write(0x80, 8, 1ULL << 63 | (fake::Ram::kBase + 0x2000));  // not yet
  EXPECT_EQ(g.its.read(0x90, 8), before);
  while (g.its.has_pending_commands()) g.its.run_commands(VirtualIts::kCommandsPerTrap);
  EXPECT_EQ(g.its.read(0, 4), 0x8000'0000u);
  EXPECT_EQ(g.its.read(0x90, 8), before + 32) << "the command that was under way is complete";
  g.its.write(0x80, 8, 1ULL << 63 | (fake::Ram::kBase + 0x2000));
  EXPECT_EQ(g.its.read(0x90, 8), 0u);
}

// Covers: H34
TEST(Its, ResetWhileACommandIsUnderWayItIsQuiescentAndTakesANewQueue) {
  ItsGuest g;
  g.enable_all();
  g.parts_left = 2 * VirtualIts::kCommandsPerTrap;
  g.put(g.next, ItsGuest::mapd(1, 5));
  g.its.write(0x88, 8, (g.next + 1) * 32);
  ASSERT_TRUE(g.its.has_pending_commands());
  g.its.reset();
  EXPECT_EQ(g.its.read(0, 4), 0x8000'0000u);
  constexpr std::uint64_t kQueue = 1ULL << 63 | (fake::Ram::kBase + 0x2000);
  g.its.write(0x80, 8, kQueue);
  EXPECT_EQ(g.its.read(0x80, 8), kQueue);
}

TEST(Its, ResetForgetsEverything) {
  ItsGuest g;
  g.enable_all();
  g.command(g.mapd(1, 4));
  g.command(g.mapti(1, 0, 8192, 0));
  g.its.reset();
  EXPECT_EQ(g.log.back(), "all");
  EXPECT_EQ(g.its.read(0x80, 8), 0u);
  EXPECT_EQ(g.its.read(0, 4), 0x8000'0000u);
  g.gic.reset();
  for (unsigned i = 0; i < 2; ++i) g.gic.start_vcpu(vcpu(i), g.cpus[i]);
  g.enable_all();
  EXPECT_FALSE(g.its.resolve(GuestDeviceId(1), GuestEventId(0)));
  g.command(g.mapti(1, 0, 8192, 0));
  EXPECT_EQ(g.its.counters().refused, 1u);
}

}  // namespace
}  // namespace penstock::vmsi
