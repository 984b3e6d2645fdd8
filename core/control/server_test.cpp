#include "core/control/server.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "core/control/fake_host.hpp"
#include "sim/memory.hpp"

namespace penstock::control {
namespace {

constexpr Hpa kWindow{0x4000'0000};

struct Mailbox {
  sim::Memory memory{kWindow, kWindowBytes, sim::Memory::Coherency::kNonCoherent};
  FakeHost host;
  Server server{memory, kWindow, host};
  std::uint32_t sequence = 0;

  /// As the guest writes: behind the hypervisor's caches.
  void write(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    ASSERT_TRUE(memory.device_write((kWindow + offset).value(), bytes));
  }
  template <typename T>
  void write(std::uint64_t offset, const T& value) {
    write(offset, std::span(reinterpret_cast<const std::uint8_t*>(&value), sizeof(T)));
  }
  template <typename T>
  T read(std::uint64_t offset) {
    std::array<std::uint8_t, sizeof(T)> bytes{};
    EXPECT_TRUE(memory.device_read((kWindow + offset).value(), bytes));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  void ring(std::uint32_t number) {
    server.write(kDoorbell, 4, number);
    EXPECT_EQ(server.has_work(), number != 0);
    server.run();
    EXPECT_FALSE(server.has_work());
  }
  /// The same request as ask()'s, but the host is not ready for it so many times.
  unsigned stays_until_answered(Opcode opcode, unsigned slices) {
    host.slices = slices;
    write(kRequestOffset, RequestHeader{sequence + 1, opcode, sizeof(RequestHeader), 0});
    server.write(kDoorbell, 4, ++sequence);
    unsigned stays = 0;
    while (server.has_work() && stays < 2 * slices + 2) {
      EXPECT_NE(server.read(kFinished, 4), sequence);
      server.run();
      ++stays;
    }
    EXPECT_EQ(server.read(kFinished, 4), sequence);
    return stays;
  }
  ResponseHeader ask_header(RequestHeader header, std::span<const std::uint8_t> arguments = {}) {
    write(kRequestOffset, header);
    write(kRequestOffset + sizeof(header), arguments);
    ring(++sequence);
    EXPECT_EQ(server.read(kFinished, 4), sequence);
    const auto response = read<ResponseHeader>(kResponseOffset);
    EXPECT_EQ(response.sequence, sequence);
    EXPECT_LE(response.bytes, kResponseBytes);
    return response;
  }
  ResponseHeader ask(Opcode opcode, std::span<const std::uint8_t> arguments = {}) {
    const auto bytes = static_cast<std::uint32_t>(sizeof(RequestHeader) + arguments.size());
    return ask_header({sequence + 1, opcode, bytes, 0}, arguments);
  }
  template <typename T>
  ResponseHeader ask(Opcode opcode, const T& argument) {
    return ask(opcode, std::span(reinterpret_cast<const std::uint8_t*>(&argument), sizeof(T)));
  }
  std::string text() {
    const auto response = read<ResponseHeader>(kResponseOffset);
    std::string out(response.bytes - sizeof(response), ' ');
    std::vector<std::uint8_t> bytes(out.size());
    EXPECT_TRUE(memory.device_read((kWindow + kResponseOffset + sizeof(response)).value(), bytes));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
};

// Covers: H60
TEST(ControlServer, RequestWaitsWhileTheHostHasSlicesOfWorkLeft) {
  Mailbox box;
  EXPECT_EQ(box.stays_until_answered(Opcode::kHello, 0), 1U);
  EXPECT_EQ(box.stays_until_answered(Opcode::kHello, 5), 5U);
  EXPECT_EQ(box.host.asked, (std::vector<std::string>{"hello", "hello"}));
}

TEST(ControlServer, RegistersIdentifyTheInterfaceAndIgnoreTheRest) {
  Mailbox box;
  EXPECT_EQ(box.server.read(kMagic, 4), kMagicValue);
  EXPECT_EQ(box.server.read(kVersion, 4), kVersionValue);
  for (std::uint64_t offset = 0; offset < kRegisterBytes; ++offset) {
    for (const unsigned size : {1U, 2U, 4U, 8U}) {
      if (size == 4 && offset % 4 == 0 && offset < 0x10) continue;
      EXPECT_EQ(box.server.read(offset, size), 0U);
      box.server.write(offset, size, ~0ULL);
      EXPECT_FALSE(box.server.has_work()) << offset << " " << size;
    }
  }
}

TEST(ControlServer, RequestReachesTheHostAndItsResultsTheGuest) {
  Mailbox box;
  const ResponseHeader hello = box.ask(Opcode::kHello);
  EXPECT_EQ(hello.result, Result::kOk);
  EXPECT_EQ(hello.bytes, sizeof(ResponseHeader) + sizeof(HelloResult));
  EXPECT_EQ(box.ask(Opcode::kDestroy, DomainArgument{0x102, 0}).result, Result::kOk);
  EXPECT_EQ(box.ask(Opcode::kAttach, DeviceArgument{0x102, 0x108, kNoBdf, 0, 0}).result,
            Result::kOk);
  EXPECT_EQ(box.host.asked, (std::vector<std::string>{"hello", "domain 12 258", "device 13 264"}));
}

TEST(ControlServer, RefusalCarriesItsReason) {
  Mailbox box;
  box.host.refuses = true;
  EXPECT_EQ(box.ask(Opcode::kStart, DomainArgument{1, 0}).result, Result::kRefused);
  EXPECT_EQ(box.text(), "not today");
}

TEST(ControlServer, BundleDataIsReadFromTheDataArea) {
  Mailbox box;
  const std::vector<std::uint8_t> data(1000, 3);
  box.write(kDataOffset, std::span<const std::uint8_t>(data));
  EXPECT_EQ(box.ask(Opcode::kBundleWrite, BundleArgument{7, 0, 4096, 1000}).result, Result::kOk);
  EXPECT_EQ(box.host.asked.back(), "write 7 4096 1000 sum 3000");
  EXPECT_EQ(box.ask(Opcode::kBundleWrite, BundleArgument{7, 0, 0, kDataBytes}).result, Result::kOk);
  EXPECT_EQ(box.ask(Opcode::kBundleWrite, BundleArgument{7, 0, 0, kDataBytes + 1}).result,
            Result::kBadRequest);
  EXPECT_EQ(box.ask(Opcode::kBundleWrite, BundleArgument{7, 0, 0, ~0ULL}).result,
            Result::kBadRequest);
}

// Covers: H1
TEST(ControlServer, MalformedRequestsAreRefusedAndNeverReachTheHost) {
  Mailbox box;
  const auto expect = [&box](const RequestHeader& header, Result result) {
    EXPECT_EQ(box.ask_header(header).result, result);
  };
  for (std::uint32_t bytes : {0U, 1U, 15U, 17U, 4097U, 0x8000'0000U, 0xffff'ffffU}) {
    expect({box.sequence + 1, Opcode::kHello, bytes, 0}, Result::kBadRequest);
  }
  expect({box.sequence + 1, Opcode::kHello, 16, 1}, Result::kBadRequest);
  expect({box.sequence + 2, Opcode::kHello, 16, 0}, Result::kBadRequest);
  for (std::uint32_t opcode : {kOpcodeCount, 0x100U, 0xffff'ffffU}) {
    expect({box.sequence + 1, static_cast<Opcode>(opcode), 16, 0}, Result::kUnknownOpcode);
  }
  EXPECT_EQ(box.ask(Opcode::kStart, DomainArgument{1, 1}).result, Result::kBadRequest);
  EXPECT_EQ(box.ask(Opcode::kAttach, DeviceArgument{1, 0, 0, 0, 1}).result, Result::kBadRequest);
  EXPECT_EQ(box.ask(Opcode::kAttach, DeviceArgument{1, 0, 0, 8, 0}).result, Result::kBadRequest);
  EXPECT_EQ(box.ask(Opcode::kDetach, DeviceArgument{1, 0, 0, 0x100, 0}).result,
            Result::kBadRequest);
  EXPECT_EQ(box.ask(Opcode::kReset, DeviceArgument{1, 0, 0, kResetMethodCount << 8, 0}).result,
            Result::kBadRequest);
  EXPECT_EQ(box.ask(Opcode::kBundleDrop, BundleArgument{1, 1, 0, 0}).result, Result::kBadRequest);
  EXPECT_EQ(box.ask(Opcode::kConsoleWrite, ConsoleArgument{1, 1, 0}).result, Result::kBadRequest);
  EXPECT_TRUE(box.host.asked.empty());
}

TEST(ControlServer, EveryOperationTakesArgumentsOfItsSizeOnly) {
  Mailbox box;
  const std::array<std::uint8_t, kRequestBytes - sizeof(RequestHeader)> zeros{};
  for (std::uint32_t opcode = 0; opcode < kOpcodeCount; ++opcode) {
    unsigned accepted = 0;
    for (std::size_t bytes = 0; bytes <= 64; ++bytes) {
      const Result result = box.ask(static_cast<Opcode>(opcode), {zeros.data(), bytes}).result;
      accepted += result == Result::kOk ? 1 : 0;
      EXPECT_TRUE(result == Result::kOk || result == Result::kBadRequest) << opcode;
    }
    EXPECT_EQ(accepted, 1U) << opcode;
  }
}

TEST(ControlServer, AnswerNeverExceedsItsRoom) {
  Mailbox box;
  box.host.text_bytes = kResponseBytes - sizeof(ResponseHeader);
  EXPECT_EQ(box.ask(Opcode::kAudit).bytes, kResponseBytes);
  ++box.host.text_bytes;
  EXPECT_EQ(box.ask(Opcode::kAudit).result, Result::kFailed);
}

TEST(ControlServer, RequestIsReadOnce) {
  Mailbox box;
  // Whatever the guest writes after the copy was made changes nothing: the copy is made after the
  // range was made observable, so a change in that hook is the last that counts.
  unsigned calls = 0;
  box.memory.on_observable([&](Hpa, std::uint64_t) {
    if (++calls != 2) return;  // the response's: the request has been judged
    box.write(kRequestOffset, RequestHeader{99, Opcode::kAudit, 16, 0});
  });
  EXPECT_EQ(box.ask(Opcode::kHello).result, Result::kOk);
  EXPECT_EQ(box.host.asked, std::vector<std::string>{"hello"});
}

TEST(ControlServer, DomainThatStopsLosesWhatItHadBegun) {
  Mailbox box;
  (void)box.ask(Opcode::kHello);
  box.server.write(kDoorbell, 4, 9);
  box.server.reset();
  EXPECT_FALSE(box.server.has_work());
  EXPECT_EQ(box.server.read(kFinished, 4), 0U);
  EXPECT_EQ(box.host.asked.back(), "abandoned");
}

}  // namespace
}  // namespace penstock::control
