// What the control domain asks for, done on the machine (core/control/host.hpp).
//
// Runs on a CPU of the control domain, on its time, one request at a time. `life` is held only
// while a domain is looked up and looked at; operations on a device hold the locks of its domain.
#pragma once

#include <span>

#include "core/control/host.hpp"
#include "core/manifest/manifest.hpp"

namespace penstock {

struct Machine;
class Partition;

class Toolstack final : public control::Host {
 public:
  /// `self`: the domain that has the interface.
  Toolstack(Machine& machine, DomainId self) : machine_(machine), self_(self) {}

  bool ready() override;
  void hello(control::Reply& reply) override;
  void list_domains(control::Reply& reply) override;
  void list_devices(control::Reply& reply) override;
  void counters(control::DomainHandle domain, control::Reply& reply) override;
  void bundle_begin(std::uint64_t bytes, control::Reply& reply) override;
  void bundle_write(const control::BundleArgument& where, std::span<const std::uint8_t> data,
                    control::Reply& reply) override;
  void bundle_drop(std::uint32_t handle, control::Reply& reply) override;
  void create(std::uint32_t handle, control::Reply& reply) override;
  void change_domain(control::Opcode what, control::DomainHandle domain,
                     control::Reply& reply) override;
  void change_device(control::Opcode what, const control::DeviceArgument& argument,
                     control::Reply& reply) override;
  void console_read(const control::ConsoleArgument& where, control::Reply& reply) override;
  void console_write(control::DomainHandle domain, std::string_view text,
                     control::Reply& reply) override;
  void log_read(std::uint64_t position, control::Reply& reply) override;
  void audit(control::Reply& reply) override;
  void report(control::Reply& reply) override;
  void abandoned() override;

  [[nodiscard]] static control::DomainHandle handle_of(Partition& partition);

 private:
  /// The bundle that is being written; one at a time.
  struct Upload {
    std::uint32_t handle = 0;  // 0: none
    Hpa base;
    std::uint64_t bytes = 0;
    std::uint64_t room = 0;
  };
  [[nodiscard]] Partition* find(control::DomainHandle domain, control::Reply& reply);
  [[nodiscard]] bool has_upload(std::uint32_t handle, control::Reply& reply) const;
  void drop_upload();
  void reap();
  void create_from(std::span<const std::uint8_t> bundle, control::Reply& reply);
  void attach(const control::DeviceArgument& argument, control::Reply& reply);
  void detach(const control::DeviceArgument& argument, control::Reply& reply);
  void reset_device(const control::DeviceArgument& argument, control::Reply& reply);
  void hide(const control::DeviceArgument& argument, bool hidden, control::Reply& reply);

  Machine& machine_;
  DomainId self_;
  Upload upload_;
  std::uint32_t uploads_ = 0;
  manifest::Manifest manifest_;  // of the bundle under judgement
};

}  // namespace penstock
