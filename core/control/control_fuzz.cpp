// Registers and mailbox of the control interface under whatever a control domain writes: nothing is
// read or written beyond the window, every doorbell is answered with its own number, and no
// malformed request reaches the host. Input: operations of one byte and their operands.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/control/fake_host.hpp"
#include "core/control/server.hpp"
#include "sim/memory.hpp"

using namespace penstock;
using namespace penstock::control;

namespace {

constexpr Hpa kWindow{0x4000'0000};

void require(bool condition) {
  if (!condition) std::abort();
}

struct Input {
  const std::uint8_t* data;
  std::size_t size;
  std::uint64_t take(unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bytes && size != 0; ++i, ++data, --size) {
      value |= static_cast<std::uint64_t>(*data) << (8 * i);
    }
    return value;
  }
};

void check_answer(sim::Memory& memory, const Server& server, std::uint32_t sequence) {
  ResponseHeader response;
  std::memcpy(&response, memory.map(kWindow + kResponseOffset, sizeof(response)), sizeof(response));
  require(server.read(kFinished, 4) == sequence);
  require(response.sequence == sequence);
  require(response.bytes >= sizeof(response) && response.bytes <= kResponseBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static sim::Memory memory(kWindow, kWindowBytes);
  FakeHost host;
  Server server(memory, kWindow, host);
  Input input{data, size};
  while (input.size != 0) {
    switch (input.take(1) % 5) {
      case 0: {  // fill the request
        const std::uint64_t count = input.take(1);
        auto* request = reinterpret_cast<std::uint8_t*>(memory.map(kWindow, kRequestBytes));
        for (std::uint64_t i = 0; i < count; ++i)
          request[i] = static_cast<std::uint8_t>(input.take(1));
        break;
      }
      case 1: {  // a well-formed header
        const auto sequence = static_cast<std::uint32_t>(input.take(1));
        const RequestHeader header{sequence, static_cast<Opcode>(input.take(1)),
                                   static_cast<std::uint32_t>(input.take(2)), 0};
        std::memcpy(memory.map(kWindow, sizeof(header)), &header, sizeof(header));
        break;
      }
      case 2: {
        const auto sequence = static_cast<std::uint32_t>(input.take(1));
        server.write(kDoorbell, 4, sequence);
        const std::size_t before = host.asked.size();
        server.run();
        if (sequence != 0) check_answer(memory, server, sequence);
        require(host.asked.size() <= before + 1);
        break;
      }
      case 3:
        server.write(input.take(2) % kRegisterBytes, 1U << (input.take(1) % 4), input.take(8));
        break;
      default: (void)server.read(input.take(2) % kRegisterBytes, 1U << (input.take(1) % 4));
    }
  }
  return 0;
}
