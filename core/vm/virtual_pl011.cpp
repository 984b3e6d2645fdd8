#include "core/vm/virtual_pl011.hpp"

namespace penstock::vm {
namespace {

// clang-format off
// Register                          offset  DDI 0183 3.3
constexpr std::uint64_t kDr        = 0x000;  // data
constexpr std::uint64_t kRsr       = 0x004;  // receive status, error clear
constexpr std::uint64_t kFr        = 0x018;  // flags
constexpr std::uint64_t kIlpr      = 0x020;
constexpr std::uint64_t kIbrd      = 0x024;
constexpr std::uint64_t kFbrd      = 0x028;
constexpr std::uint64_t kLcrH      = 0x02c;
constexpr std::uint64_t kCr        = 0x030;
constexpr std::uint64_t kIfls      = 0x034;
constexpr std::uint64_t kImsc      = 0x038;
constexpr std::uint64_t kRis       = 0x03c;
constexpr std::uint64_t kMis       = 0x040;
constexpr std::uint64_t kIcr       = 0x044;
constexpr std::uint64_t kDmacr     = 0x048;
constexpr std::uint64_t kPeriphId  = 0xfe0;  // eight identification bytes up to 0xffc

constexpr std::uint32_t kFrRxEmpty = 1 << 4;
constexpr std::uint32_t kFrRxFull  = 1 << 6;
constexpr std::uint32_t kFrTxEmpty = 1 << 7;
constexpr std::uint32_t kIntRx     = 1 << 4;
constexpr std::uint32_t kIntTx     = 1 << 5;
constexpr std::uint32_t kIntRt     = 1 << 6;  // receive time-out: something is there and nothing followed
constexpr std::uint32_t kIntAll    = 0x7ff;
constexpr std::uint32_t kLcrFifos  = 1 << 4;
constexpr std::uint32_t kCrEnable  = 1 << 0;
constexpr std::uint32_t kCrRx      = 1 << 9;
// clang-format on

// PL011 r1p5: part 0x011, designer Arm (0x41), revision 3; then the PrimeCell identification.
constexpr std::array<std::uint8_t, 8> kIdentification = {0x11, 0x10, 0x34, 0x00,
                                                         0x0d, 0xf0, 0x05, 0xb1};

std::uint64_t narrow(std::uint32_t value, unsigned size) {
  return size >= 4 ? value : value & ((1U << (8 * size)) - 1);
}

}  // namespace

void VirtualPl011::reset() {
  ConsoleSink* sink = sink_;
  *this = VirtualPl011{};
  sink_ = sink;
}

std::uint32_t VirtualPl011::flags() const {
  const std::size_t depth = (line_control_ & kLcrFifos) != 0 ? kFifo : 1;
  return kFrTxEmpty | (count_ == 0 ? kFrRxEmpty : 0) | (count_ >= depth ? kFrRxFull : 0);
}

void VirtualPl011::update_receive() {
  if (count_ == 0) {
    raw_ &= ~(kIntRx | kIntRt);
  } else {
    raw_ |= kIntRx | kIntRt;
  }
}

std::uint32_t VirtualPl011::read_data() {
  if (count_ == 0) return 0;
  const std::uint8_t c = fifo_[first_];
  first_ = (first_ + 1) % kFifo;
  --count_;
  update_receive();
  return c;
}

bool VirtualPl011::push_input(char c) {
  const std::size_t depth = (line_control_ & kLcrFifos) != 0 ? kFifo : 1;
  if ((control_ & kCrEnable) == 0 || (control_ & kCrRx) == 0 || count_ >= depth) return false;
  fifo_[(first_ + count_++) % kFifo] = static_cast<std::uint8_t>(c);
  update_receive();
  return true;
}

std::uint64_t VirtualPl011::read(std::uint64_t offset, unsigned size) {
  if (offset % 4 != 0 || size > 4) return 0;
  if (offset >= kPeriphId && offset < kPeriphId + 4 * kIdentification.size()) {
    return narrow(kIdentification[(offset - kPeriphId) / 4], size);
  }
  switch (offset) {
    case kDr: return narrow(read_data(), size);
    case kFr: return narrow(flags(), size);
    case kIlpr: return narrow(low_power_, size);
    case kIbrd: return narrow(integer_baud_, size);
    case kFbrd: return narrow(fraction_baud_, size);
    case kLcrH: return narrow(line_control_, size);
    case kCr: return narrow(control_, size);
    case kIfls: return narrow(fifo_levels_, size);
    case kImsc: return narrow(mask_, size);
    case kRis: return narrow(raw_, size);
    case kMis: return narrow(raw_ & mask_, size);
    case kDmacr: return narrow(dma_control_, size);
    default: return 0;
  }
}

void VirtualPl011::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (offset % 4 != 0 || size > 4) return;
  const auto v = static_cast<std::uint32_t>(narrow(static_cast<std::uint32_t>(value), size));
  switch (offset) {
    case kDr:
      // A guest that never enables the transmitter is still heard: firmware and early consoles rely on a UART that is on.
      sink_->put(static_cast<char>(v));
      raw_ |= kIntTx;
      return;
    case kIlpr: low_power_ = v & 0xff; return;
    case kIbrd: integer_baud_ = v & 0xffff; return;
    case kFbrd: fraction_baud_ = v & 0x3f; return;
    case kLcrH:
      if (((line_control_ ^ v) & kLcrFifos) != 0) {
        count_ = 0;  // switching the FIFOs empties them
        update_receive();
      }
      line_control_ = v & 0xff;
      return;
    case kCr: control_ = v & 0xff87; return;
    case kIfls: fifo_levels_ = v & 0x3f; return;
    case kImsc: mask_ = v & kIntAll; return;
    case kIcr:
      raw_ &= ~v;
      return;
    case kDmacr: dma_control_ = v & 7; return;
    case kRsr:
    default: return;
  }
}

}  // namespace penstock::vm
