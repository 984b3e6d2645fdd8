#include "core/vm/virtual_pl011.hpp"

#include "core/hw/pl011/registers.hpp"

namespace penstock::vm {
namespace {

using namespace hw::pl011;

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
  return (transmitter_full_ ? kFrTxFull : kFrTxEmpty) | (count_ == 0 ? kFrRxEmpty : 0) |
         (count_ >= depth ? kFrRxFull : 0);
}

void VirtualPl011::look_for_room() {
  if (!transmitter_full_ || !sink_->has_room()) return;
  transmitter_full_ = false;
  raw_ |= kIntTx;
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
    case kFr:
      if (transmitter_full_) look_for_room();  // polled often, and seldom full
      return narrow(flags(), size);
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
      // A guest that never enables the transmitter is still heard: firmware and early consoles rely
      // on a UART that is on.
      transmitter_full_ = !sink_->put(static_cast<char>(v));
      raw_ = transmitter_full_ ? raw_ & ~kIntTx : raw_ | kIntTx;
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
    case kIcr: raw_ &= ~v; return;
    case kDmacr: dma_control_ = v & 7; return;
    case kRsr:
    default: return;
  }
}

}  // namespace penstock::vm
