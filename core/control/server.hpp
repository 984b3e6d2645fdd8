// The registers and the mailbox of the control interface (abi.hpp): takes a request, once, judges
// its shape, has the host do it, and answers.
//
// Lock: engine_ around the request under way; the control domain's other CPUs only try it. Nothing
// is held while the host works but this.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/lock.hpp"
#include "core/control/host.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::control {

class Server {
 public:
  /// `window`: kWindowBytes of RAM that the guest is shown as BAR 2. All outlive the server.
  Server(port::PhysMem& memory, Hpa window, Host& host)
      : memory_(memory), window_(window), host_(host) {}

  /// Accesses to BAR 0, any offset below kRegisterBytes, 1..8 bytes.
  [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size) const;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value);

  /// A doorbell was rung and not answered: run() on a CPU of the domain, soon.
  [[nodiscard]] bool has_work() const { return rung_.load(std::memory_order_acquire) != 0; }
  /// Does the request that the newest doorbell names, or a slice of what has to come before. May
  /// take as long as the operation does.
  void run() EXCLUDES(engine_);
  /// The domain's CPUs are off.
  void reset();

 private:
  using Arguments = std::span<const std::uint8_t>;
  void answer(std::uint32_t sequence) REQUIRES(engine_);
  void dispatch(Opcode opcode, Arguments arguments, Reply& reply);
  void bundle(Opcode opcode, const BundleArgument& argument, Reply& reply);
  void console(Opcode opcode, const ConsoleArgument& argument, Arguments text, Reply& reply);
  [[nodiscard]] std::uint8_t* at(std::uint64_t offset, std::uint64_t bytes);

  port::PhysMem& memory_;
  Hpa window_;
  Host& host_;
  std::atomic<std::uint32_t> rung_{0};      // sequence number, 0: nothing to do
  std::atomic<std::uint32_t> finished_{0};  // of the newest response
  SpinLock engine_;
  alignas(8) std::array<std::uint8_t, kRequestBytes> request_ GUARDED_BY(engine_){};
};

}  // namespace penstock::control
