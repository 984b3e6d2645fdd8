#include "core/assign/secondary_bus.hpp"

#include "core/assign/device.hpp"

namespace penstock::assign {

void SecondaryBus::init(port::ConfigSpace& bridge) {
  bridge_ = &bridge;
}

Status SecondaryBus::add(Device& device) {
  const LockGuard guard(lock_);
  TRY(members_.push_back({&device, false}));
  device.bus = this;
  return {};
}

void SecondaryBus::set_used(const Device& device, bool used) {
  const LockGuard guard(lock_);
  for (Member& member : members_) {
    if (member.device == &device) member.used = used;
  }
}

bool SecondaryBus::is_used(const Device& device) {
  const LockGuard guard(lock_);
  for (const Member& member : members_) {
    if (member.device == &device) return member.used;
  }
  return false;
}

bool SecondaryBus::is_alone(const Device& device) {
  const LockGuard guard(lock_);
  for (const Member& member : members_) {
    if (member.device != &device && member.used) return false;
  }
  return true;
}

void SecondaryBus::enter(const Device& device) {
  const LockGuard turn(turn_);
  set_used(device, true);
}

void SecondaryBus::leave(const Device& device) {
  set_used(device, false);
}

Status SecondaryBus::reset(Device& device, port::Clock& clock, pci::ResetMethod only) {
  if (is_used(device)) {
    const Result<pci::ResetMethod> own = pci::reset_function(
        {.info = &device.info, .config = device.config, .registers = device.bars[0]}, clock);
    if (own) return {};
  }
  const LockGuard turn(turn_);
  const Result<pci::ResetMethod> done = reset_all(device, clock, only);
  const bool hit_all =
      done ? *done == pci::ResetMethod::kSecondaryBus
           : done.error().code != Code::kNoReset &&
                 pci::failure_of(done.error()).method == pci::ResetMethod::kSecondaryBus;
  // The device itself may be in use: whether it is clean is for the caller to know.
  for (const Member& member : members_) {
    if (hit_all && member.device != &device) member.device->clean = done.has_value();
  }
  return done ? Status{} : Status{done.error()};
}

Result<pci::ResetMethod> SecondaryBus::reset_all(Device& device, port::Clock& clock,
                                                 pci::ResetMethod only) {
  StaticVector<pci::ResetPeer, pci::Reset::kMaxFunctions> peers;
  for (const Member& member : members_) {
    const Device& peer = *member.device;
    if (&peer == &device) continue;
    (void)peers.push_back({&peer.info, peer.config, peer.bars[0]});  // as many as members
  }
  return pci::reset_function({.info = &device.info,
                              .config = device.config,
                              .registers = device.bars[0],
                              .port = is_alone(device) ? bridge_ : nullptr,
                              .peers = {peers.begin(), peers.size()},
                              .only = only},
                             clock);
}

}  // namespace penstock::assign
