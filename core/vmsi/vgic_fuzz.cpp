// A guest that does anything with its GIC: frames at any offset and size, SGIs, acknowledge and end
// in any order, while devices raise interrupts. After every step the list registers are such as
// hardware allows and no maintenance interrupt is left asserted; at the end, with everything
// enabled and all sources quiet, nothing stays pending.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/vmsi/guest_fake.hpp"

namespace {

using penstock::GuestIntId;
using penstock::vmsi::kFirstLpi;
using penstock::vmsi::kLpiCount;
using penstock::vmsi::fake::Guest;
using penstock::vmsi::fake::vcpu;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool empty() const { return size_ == 0; }
  std::uint64_t take(unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes && size_ != 0; ++i, --size_) {
      value |= std::uint64_t{*data_++} << (8 * i);
    }
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

void require(bool condition) {
  if (!condition) std::abort();
}

void check(Guest& g) {
  g.run();
  for (const auto& cpu : g.cpus) {
    require(cpu.sane());
    require(!cpu.maintenance_asserted());
  }
  require(g.ram.writes == 0);
}

void step(Guest& g, Input& in) {
  const std::uint64_t op = in.take(1);
  const unsigned v = static_cast<unsigned>(op >> 4 & 1);
  const unsigned size = 1U << (op >> 5 & 3);
  const GuestIntId lpi(static_cast<std::uint32_t>(kFirstLpi + in.take(1) * 9));
  switch (op & 0xf) {
    case 0: g.gicd_write(v, in.take(2), size, in.take(8)); break;
    case 1: (void)g.gicd_read(v, in.take(2), size); break;
    case 2: g.gicr_write(v, in.take(3) & 0x7'ffff, size, in.take(8)); break;
    case 3: (void)g.gicr_read(v, in.take(3) & 0x7'ffff, size); break;
    case 4: g.gic.send_sgi(vcpu(v), in.take(8)); break;
    case 5: g.gic.set_spi_level(static_cast<unsigned>(in.take(1)), (op & 0x80) != 0); break;
    case 6: g.gic.pend_private(vcpu(v), static_cast<unsigned>(in.take(1))); break;
    case 7:
      // The physical timer: only when it is not active already, as hardware does it.
      if ((g.cpus[v].physical_active & 1U << 27) == 0) {
        g.cpus[v].physical_active |= 1U << 27;
        g.gic.pend_hardware_ppi(vcpu(v), 27);
      }
      break;
    case 8: g.gic.pend_lpi(vcpu(v), lpi); break;
    case 9: g.gic.route_lpi(lpi, vcpu(v)); break;
    case 10:
      g.gic.configure_lpi(lpi, (op & 0x80) != 0, static_cast<std::uint8_t>(in.take(1)));
      break;
    case 11: g.gic.clear_lpi(lpi); break;
    case 12: g.gic.route_lpi(lpi, std::nullopt); break;
    case 13: (void)g.cpus[v].acknowledge(); break;
    case 14: g.cpus[v].end(static_cast<std::uint32_t>(in.take(2))); break;
    default:
      g.gic.park(vcpu(v), g.cpus[v]);
      require(g.cpus[v].valid_count() == 0);
      g.gic.start_vcpu(vcpu(v), g.cpus[v]);
      break;
  }
}

/// Everything on, all sources quiet, all interrupts taken: then nothing may be left.
void settle(Guest& g) {
  for (unsigned i = 32; i < 64; ++i) g.gic.set_spi_level(i, false);
  g.enable_all();
  g.gicd_write(0, 0x84, 4, ~0U);
  g.gicd_write(0, 0x0000, 4, 0x3);
  for (unsigned i = 32; i < 64; ++i) g.gicd_write(0, 0x6000 + 8 * i, 8, 0);
  for (unsigned i = 0; i < kLpiCount; ++i) {
    g.gic.configure_lpi(GuestIntId(kFirstLpi + i), true, 0xa0);
  }
  bool any = true;
  for (unsigned n = 0; n < 600 && any; ++n) {
    any = false;
    for (unsigned v = 0; v < 2; ++v) {
      g.gicr_write(v, v * 0x2'0000 + 0x1'0380, 4, ~0U);
      g.gicd_write(v, 0x384, 4, ~0U);
      for (std::uint32_t id = kFirstLpi; id < kFirstLpi + kLpiCount && n == 0; ++id) {
        if (g.cpus[v].is_active(id)) g.cpus[v].end(id);
      }
      any |= g.take(v).has_value();
    }
    check(g);
  }
  for (unsigned v = 0; v < 2; ++v) {
    require(g.cpus[v].valid_count() == 0);
    require(g.cpus[v].physical_active == 0);
    require(!g.cpus[v].asks_for_more());
    require(g.gicr_read(v, v * 0x2'0000 + 0x1'0200) == 0);
  }
  require(g.gicd_read(0, 0x204) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 2048) return 0;
  Input in(data, size);
  Guest g(2, in.take(1) % 2 == 0 ? 2 : 4);
  g.enable_all();
  while (!in.empty()) {
    step(g, in);
    check(g);
  }
  settle(g);
  return 0;
}
