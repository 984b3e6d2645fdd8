// Histories: what goes in as pending comes out as acknowledged, once, whatever happens in between.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "core/vmsi/guest_fake.hpp"
#include "core/vmsi/virtual_gic.hpp"

namespace penstock::vmsi {
namespace {

using fake::Guest;
using fake::vcpu;
using testing::Test;

GuestIntId lpi(unsigned i) {
  return GuestIntId(kFirstLpi + i);
}

/// A guest and its devices doing anything in any order, against the simplest model of pending bits
/// there is.
class History {
 public:
  History(unsigned seed, unsigned list_registers, bool lpis_become_active)
      : random_(seed), g_(2, list_registers) {
    g_.enable_all();
    for (auto& cpu : g_.cpus) {
      cpu.lpis_become_active = lpis_become_active;
      cpu.in_turn = true;
    }
    for (unsigned v = 0; v < 2; ++v) {
      for (unsigned id = 0; id < 32; ++id) {
        g_.gicr_write(v, v * 0x2'0000 + 0x1'0400 + id, 1, random_() & 0xf8);
      }
    }
    for (unsigned i = 0; i < kLpis; ++i) {
      g_.gic.route_lpi(lpi(index(i)), vcpu(i % 2));
      target_[i] = i % 2;
      g_.gic.configure_lpi(lpi(index(i)), true, static_cast<std::uint8_t>(random_() & 0xf8));
      enabled_[i] = true;
    }
  }
  void step() {
    const unsigned v = random_() % 2;
    const unsigned i = random_() % kLpis;
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2: pend_lpi(i); break;
      case 3: pend_private(v, 16 + random_() % 8); break;
      case 4: {
        const unsigned sgi = random_() % 16;
        g_.gic.send_sgi(vcpu(v), std::uint64_t{sgi} << 24 | 1U << (1 - v));
        private_[1 - v].insert(sgi);
        break;
      }
      case 5: {
        enabled_[i] = !enabled_[i];
        g_.gic.configure_lpi(lpi(index(i)), enabled_[i], 0xa0);
        break;
      }
      case 6: {
        target_[i] = 1 - target_[i];
        g_.gic.route_lpi(lpi(index(i)), vcpu(target_[i]));
        break;
      }
      case 7: {
        g_.gic.clear_lpi(lpi(index(i)));
        lpis_.erase(i);
        break;
      }
      default: acknowledge_or_end(v); break;
    }
    g_.run();
    for (const auto& cpu : g_.cpus) ASSERT_TRUE(cpu.sane());
    for (const auto& cpu : g_.cpus) ASSERT_FALSE(cpu.maintenance_asserted());
  }
  void drain() {
    for (unsigned i = 0; i < kLpis; ++i) g_.gic.configure_lpi(lpi(index(i)), true, 0xa0);
    g_.run();
    for (unsigned n = 0; n < 1000; ++n) {
      for (unsigned v = 0; v < 2; ++v) {
        while (!active_[v].empty()) end(v);
        g_.run();
        acknowledge(v);
        g_.run();
      }
    }
    EXPECT_TRUE(lpis_.empty());
    EXPECT_TRUE(private_[0].empty() && private_[1].empty());
  }

 private:
  static constexpr unsigned kLpis = 24;
  static unsigned index(unsigned i) { return i * 83; }

  void pend_lpi(unsigned i) {
    g_.gic.pend_lpi(vcpu(target_[i]), lpi(index(i)));
    lpis_.insert(i);
  }
  void pend_private(unsigned v, unsigned id) {
    g_.gic.pend_private(vcpu(v), id);
    private_[v].insert(id);
  }
  void acknowledge_or_end(unsigned v) {
    if (!active_[v].empty() && random_() % 2 == 0) {
      end(v);
    } else {
      acknowledge(v);
    }
  }
  void end(unsigned v) {
    g_.cpus[v].end(active_[v].back());
    active_[v].pop_back();
  }
  void acknowledge(unsigned v) {
    const auto id = g_.cpus[v].acknowledge();
    if (!id) return;
    active_[v].push_back(*id);
    if (*id < 32) {
      ASSERT_EQ(private_[v].erase(*id), 1u) << *id;  // not invented, not twice
    } else {
      const unsigned i = (*id - 8192) / 83;
      ASSERT_EQ(lpis_.erase(i), 1u) << *id;
      ASSERT_EQ(target_[i], v) << *id;
    }
  }

  std::mt19937 random_;
  Guest g_;
  std::array<unsigned, kLpis> target_{};
  std::array<bool, kLpis> enabled_{};
  std::set<unsigned> lpis_;
  std::set<unsigned> private_[2];
  std::vector<std::uint32_t> active_[2];
};

// Covers: S0.16 H31 H49
TEST(DeliveryProperty, NothingIsLostInventedOrDoubled) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    for (const unsigned registers : {2u, 4u, 16u}) {
      History history(seed, registers, seed % 2 == 0);
      for (unsigned n = 0; n < 120 && !Test::HasFatalFailure(); ++n) history.step();
      if (!Test::HasFatalFailure()) history.drain();
      ASSERT_FALSE(Test::HasFailure()) << "seed " << seed << " registers " << registers;
    }
  }
}

// Covers: S0.16
TEST(DeliveryProperty, MessagesFromAnotherCpuAreNeverLost) {
  constexpr unsigned kPosts = 20'000;
  Guest g(1, 4);
  g.enable_all();
  std::array<std::atomic<unsigned>, 64> posted{};
  std::array<unsigned, 64> seen{};
  for (unsigned i = 0; i < 64; ++i) {
    g.gic.route_lpi(lpi(i * 31), vcpu(0));
    g.gic.configure_lpi(lpi(i * 31), true, 0xa0);
  }
  std::atomic<bool> done{false};
  std::thread device([&] {
    for (unsigned n = 0; n < kPosts; ++n) {
      const unsigned i = n * 7919 % 64;
      posted[i].fetch_add(1);
      g.gic.pend_lpi(vcpu(0), lpi(i * 31));
    }
    done.store(true);
  });
  for (;;) {
    const bool last = done.load();
    bool any = false;
    g.run(0);
    while (const auto id = g.cpus[0].acknowledge()) {
      any = true;
      const unsigned i = (*id - 8192) / 31;
      seen[i] = posted[i].load();
      g.cpus[0].end(*id);
      g.run(0);
    }
    if (last && !any) break;
  }
  device.join();
  for (unsigned i = 0; i < 64; ++i) EXPECT_EQ(seen[i], posted[i].load()) << i;
}

}  // namespace
}  // namespace penstock::vmsi
