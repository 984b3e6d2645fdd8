#include "core/uart/geni.hpp"

#include <initializer_list>

namespace penstock::uart {
namespace {

// clang-format off
// Register                                  offset     access
constexpr std::uint64_t kStatus            = 0x040;  // RO   what the two sequencers do
constexpr std::uint64_t kDmaMode           = 0x258;  // RW
constexpr std::uint64_t kTransmitPacking   = 0x260;  // RW   two registers
constexpr std::uint64_t kTransmitLength    = 0x270;  // RW   characters of the next command
constexpr std::uint64_t kReceivePacking    = 0x284;  // RW   two registers
constexpr std::uint64_t kMainCommand       = 0x600;  // RW   the sending sequencer
constexpr std::uint64_t kMainIrqEnable     = 0x614;  // RW
constexpr std::uint64_t kMainIrqClear      = 0x618;  // WO
constexpr std::uint64_t kSecondCommand     = 0x630;  // RW   the receiving one
constexpr std::uint64_t kSecondIrqStatus   = 0x640;  // RO
constexpr std::uint64_t kSecondIrqEnable   = 0x644;  // RW
constexpr std::uint64_t kSecondIrqClear    = 0x648;  // WO
constexpr std::uint64_t kTransmitFifo      = 0x700;  // WO
constexpr std::uint64_t kReceiveFifo       = 0x780;  // RO
constexpr std::uint64_t kReceiveStatus     = 0x804;  // RO
constexpr std::uint64_t kReceiveWatermark  = 0x810;  // RW

constexpr std::uint32_t kMainActive      = 1 << 0;   // kStatus
constexpr std::uint32_t kSecondActive    = 1 << 12;  // kStatus
constexpr std::uint32_t kStart           = 1 << 27;  // both commands: the opcode
constexpr std::uint32_t kReceiveWords    = 0x01ff'ffff;           // kReceiveStatus: in the FIFO
constexpr unsigned kLastBytes            = 28;                    // kReceiveStatus: bits 30:28
constexpr std::uint32_t kLast            = std::uint32_t{1} << 31;  // kReceiveStatus: the last word is not full
constexpr std::uint32_t kReceived        = 3 << 26;  // kSecondIrq...: watermark, last word
// Four bytes to a word, the first one lowest.
constexpr std::uint32_t kPacking0        = 0x0004'380e;
constexpr std::uint32_t kPacking1        = 0x000c'3e0e;
// clang-format on

}  // namespace

void GeniUart::start() {
  registers_.write32(kMainIrqEnable, 0);
  registers_.write32(kSecondIrqEnable, 0);
  registers_.write32(kDmaMode, 0);
  for (const std::uint64_t packing : {kTransmitPacking, kReceivePacking}) {
    registers_.write32(packing, kPacking0);
    registers_.write32(packing + 4, kPacking1);
  }
  registers_.write32(kReceiveWatermark, 0);
  if ((registers_.read32(kStatus) & kSecondActive) == 0) registers_.write32(kSecondCommand, kStart);
}

/// The command of the last character is done, and its FIFO empty.
bool GeniUart::can_send() {
  return (registers_.read32(kStatus) & kMainActive) == 0;
}

/// Each character is a command of its own.
void GeniUart::send(char c) {
  registers_.write32(kMainIrqClear, ~0U);
  registers_.write32(kTransmitLength, 1);
  registers_.write32(kMainCommand, kStart);
  registers_.write32(kTransmitFifo, static_cast<std::uint8_t>(c));
}

int GeniUart::receive() {
  if (left_ == 0) {
    std::uint32_t status = registers_.read32(kReceiveStatus);
    if ((status & kReceiveWords) == 0) {
      registers_.write32(kSecondIrqClear, registers_.read32(kSecondIrqStatus));
      // What came between the two had its interrupt cleared.
      status = registers_.read32(kReceiveStatus);
      if ((status & kReceiveWords) == 0) return -1;
    }
    const bool last = (status & kReceiveWords) == 1 && (status & kLast) != 0;
    const unsigned valid = last ? (status >> kLastBytes) & 7 : 0;
    word_ = registers_.read32(kReceiveFifo);
    left_ = valid == 0 || valid > 4 ? 4 : valid;
  }
  const auto c = static_cast<int>(word_ & 0xff);
  word_ >>= 8;
  --left_;
  return c;
}

void GeniUart::enable_receive_interrupt() {
  registers_.write32(kSecondIrqEnable, kReceived);
}

}  // namespace penstock::uart
