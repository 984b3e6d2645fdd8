// A host that remembers what it was asked, for tests.
#pragma once

#include <string>
#include <vector>

#include "core/control/host.hpp"

namespace penstock::control {

class FakeHost final : public Host {
 public:
  std::vector<std::string> asked;
  bool refuses = false;
  std::size_t text_bytes = 0;  // of the answer to kAudit
  unsigned slices = 0;         // to be done before the next request

  bool ready() override {
    if (slices != 0) --slices;
    return slices == 0;
  }
  void hello(Reply& reply) override { answer(reply, "hello", HelloResult{}); }
  void list_domains(Reply& reply) override { answer(reply, "domains", ListResult{}); }
  void list_devices(Reply& reply) override { answer(reply, "devices", ListResult{}); }
  void counters(DomainHandle domain, Reply& reply) override {
    answer(reply, "counters " + std::to_string(domain), ListResult{});
  }
  void bundle_begin(std::uint64_t bytes, Reply& reply) override {
    answer(reply, "begin " + std::to_string(bytes), BundleResult{7, 0});
  }
  void bundle_write(const BundleArgument& where, std::span<const std::uint8_t> data,
                    Reply& reply) override {
    unsigned sum = 0;
    for (const std::uint8_t byte : data) sum += byte;
    answer(reply, "write " + std::to_string(where.handle) + " " + std::to_string(where.offset) +
                      " " + std::to_string(data.size()) + " sum " + std::to_string(sum));
  }
  void bundle_drop(std::uint32_t handle, Reply& reply) override {
    answer(reply, "drop " + std::to_string(handle));
  }
  void create(std::uint32_t handle, Reply& reply) override {
    answer(reply, "create " + std::to_string(handle), CreateResult{});
  }
  void change_domain(Opcode what, DomainHandle domain, Reply& reply) override {
    answer(reply, "domain " + number(what) + " " + std::to_string(domain));
  }
  void change_device(Opcode what, const DeviceArgument& argument, Reply& reply) override {
    answer(reply, "device " + number(what) + " " + std::to_string(argument.bdf));
  }
  void console_read(const ConsoleArgument& where, Reply& reply) override {
    answer(reply, "read " + std::to_string(where.position), ConsoleResult{});
  }
  void console_write(DomainHandle /*domain*/, std::string_view text, Reply& reply) override {
    answer(reply, "type " + std::string(text));
  }
  void log_read(std::uint64_t position, Reply& reply) override {
    answer(reply, "log " + std::to_string(position), ConsoleResult{});
  }
  void audit(Reply& reply) override {
    asked.emplace_back("audit");
    if (!reply.put_text(std::string(text_bytes, 'x'))) reply.refuse(Result::kFailed, "too long");
  }
  void report(Reply& reply) override { answer(reply, "report"); }
  void abandoned() override { asked.emplace_back("abandoned"); }

 private:
  static std::string number(Opcode what) {
    return std::to_string(static_cast<std::uint32_t>(what));
  }
  template <typename... T>
  void answer(Reply& reply, std::string what, const T&... results) {
    asked.push_back(std::move(what));
    if (refuses) return reply.refuse(Result::kRefused, "not today");
    (void(reply.put(results)), ...);
  }
};

}  // namespace penstock::control
