// The client and the hypervisor's server, each as it is, with plain memory between them.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/control/fake_host.hpp"
#include "core/control/server.hpp"
#include "tools/penstockctl/client.hpp"

namespace penstock::ctl {
namespace {

using control::Opcode;

constexpr Hpa kWindow{0x4000'0000};

class Window final : public port::PhysMem {
 public:
  std::byte* map(Hpa pa, std::uint64_t size) override {
    const std::uint64_t offset = pa - kWindow;
    EXPECT_LE(offset + size, bytes_.size());
    return bytes_.data() + offset;
  }
  void make_observable(Hpa, std::uint64_t) override {}

 private:
  std::vector<std::byte> bytes_{control::kWindowBytes};
};

class ServerChannel final : public Channel {
 public:
  explicit ServerChannel(control::Host& host) : server_(window_, kWindow, host) {}

  std::uint32_t read(std::uint64_t offset) override {
    return static_cast<std::uint32_t>(server_.read(offset, 4));
  }
  void write(std::uint64_t offset, std::uint32_t value) override {
    server_.write(offset, 4, value);
    server_.run();
  }
  void read_window(std::uint64_t offset, std::span<std::uint8_t> into) override {
    std::copy_n(window_.map(kWindow + offset, into.size()), into.size(),
                std::as_writable_bytes(into).begin());
  }
  void write_window(std::uint64_t offset, std::span<const std::uint8_t> from) override {
    std::ranges::copy(std::as_bytes(from), window_.map(kWindow + offset, from.size()));
  }
  bool try_lock(Turn) override { return true; }
  void unlock(Turn) override {}
  Time now() override { return now_; }
  void pause(Time time) override { now_ += time; }
  bool interrupted() override { return false; }

 private:
  Window window_;
  control::Server server_;
  Time now_{};
};

struct BothSidesTest : testing::Test {
  control::FakeHost host;
  ServerChannel channel{host};
  Client client{channel, std::chrono::milliseconds(100)};
};

TEST_F(BothSidesTest, EveryRequestHasTheShapeThatTheServerTakes) {
  (void)client.hello();
  EXPECT_TRUE(client.domains().empty());
  EXPECT_TRUE(client.devices().empty());
  EXPECT_TRUE(client.counters(0x101).empty());
  EXPECT_EQ(client.bundle_begin(4096), 7U);
  client.bundle_write(7, 512, Bytes(1000, 2));
  client.bundle_drop(7);
  EXPECT_TRUE(client.create(7).empty());
  for (const Opcode what :
       {Opcode::kStart, Opcode::kPause, Opcode::kUnpause, Opcode::kShutdown, Opcode::kDestroy}) {
    client.change_domain(what, 0x101);
  }
  for (const Opcode what : {Opcode::kDetach, Opcode::kReset, Opcode::kHide, Opcode::kUnhide}) {
    client.change_device(what, {0, 0x0100, 0, 0, 0});
  }
  (void)client.console_read(0x101, 99);
  client.console_write(0x101, "ls\r");
  (void)client.log_read(5);
  (void)client.audit();
  (void)client.report();
  EXPECT_EQ(host.asked,
            (std::vector<std::string>{"hello",         "domains",       "devices",
                                      "counters 257",  "begin 4096",    "write 7 512 1000 sum 2000",
                                      "drop 7",        "create 7",      "domain 8 257",
                                      "domain 9 257",  "domain 10 257", "domain 11 257",
                                      "domain 12 257", "device 14 256", "device 15 256",
                                      "device 16 256", "device 17 256", "read 99",
                                      "type ls\r",     "log 5",         "audit",
                                      "report"}));
}

TEST_F(BothSidesTest, TheWholeDataAreaArrives) {
  client.bundle_write(7, 0, Bytes(control::kDataBytes, 1));
  EXPECT_EQ(host.asked.back(), "write 7 0 1966080 sum 1966080");
}

TEST_F(BothSidesTest, TheLongestAnswerArrives) {
  host.text_bytes = control::kResponseBytes - sizeof(control::ResponseHeader);
  EXPECT_EQ(client.audit(), std::string(host.text_bytes, 'x'));
  ++host.text_bytes;
  EXPECT_THROW((void)client.audit(), Failure);
}

TEST_F(BothSidesTest, ARefusalArrivesWithItsReason) {
  host.refuses = true;
  try {
    client.change_domain(Opcode::kStart, 0x101);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_STREQ(failure.what(), "not today");
    EXPECT_EQ(failure.result(), control::Result::kRefused);
  }
}

}  // namespace
}  // namespace penstock::ctl
