// A guest and a person at the power button who do anything: the interrupt is what RIS and IE say,
// no access answers with more than eight bits, lines that are wired to nothing stay low, and
// whatever the guest did before, a driver that sets the line up gets the next press and its
// release.
#include <cstdint>
#include <cstdlib>
#include <initializer_list>

#include "core/vm/virtual_pl061.hpp"

namespace {

using penstock::vm::VirtualPl061;

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr std::uint64_t kPower = 8;
constexpr std::uint64_t kPowerData = kPower << 2;
constexpr std::uint64_t kAllData = 0x3fc;
constexpr std::uint64_t kDir = 0x400;
constexpr std::uint64_t kIs = 0x404;
constexpr std::uint64_t kIbe = 0x408;
constexpr std::uint64_t kIe = 0x410;
constexpr std::uint64_t kRis = 0x414;
constexpr std::uint64_t kMis = 0x418;
constexpr std::uint64_t kIc = 0x41c;

void judge(VirtualPl061& gpio) {
  require(gpio.irq_level() == (gpio.read(kMis, 4) != 0));
  require(gpio.read(kMis, 4) == (gpio.read(kRis, 4) & gpio.read(kIe, 4)));
  const std::uint64_t others = gpio.read(kAllData & ~kPowerData, 4);  // leaves the button alone
  require((others & ~gpio.read(kDir, 4)) == 0);
}

void drive_like_linux(VirtualPl061& gpio) {
  gpio.write(kIe, 1, 0);
  gpio.write(kDir, 1, 0);
  gpio.write(kIs, 1, 0);
  gpio.write(kIbe, 1, kPower);
  (void)gpio.read(kPowerData, 1);
  gpio.write(kIc, 1, 0xff);
  gpio.write(kIe, 1, kPower);
  require(!gpio.irq_level());
  gpio.press();
  for (const std::uint64_t line : {kPower, std::uint64_t{0}}) {
    require(gpio.irq_level());
    require(gpio.read(kMis, 1) == kPower);
    gpio.write(kIc, 1, kPower);
    require(!gpio.irq_level());
    require(gpio.read(kPowerData, 1) == line);
  }
  require(!gpio.irq_level());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  VirtualPl061 gpio;
  for (std::size_t i = 0; i + 4 <= size; i += 4) {
    const std::uint64_t offset = (data[i + 1] | std::uint64_t{data[i + 2]} << 8) & 0x1fff;
    const unsigned width = 1U << (data[i] >> 6);
    switch (data[i] & 3) {
      case 0: gpio.press(); break;
      case 1: require(gpio.read(offset, width) >> 8 == 0); break;
      case 2: gpio.write(offset, width, data[i + 3] * 0x0101'0101'0101'0101ULL); break;
      case 3:
        if (data[i + 3] == 0) gpio.reset();
        break;
    }
    judge(gpio);
  }
  drive_like_linux(gpio);
  return 0;
}
