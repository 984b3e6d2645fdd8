#include "core/assign/secondary_bus.hpp"

#include "core/assign/device.hpp"

namespace penstock::assign {
namespace {

constexpr std::uint64_t kTurnNs = 1'000'000;  // how often one who waits for another's reset looks

}  // namespace

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
  for (Member& member : members_) {
    if (member.device == &device) member.used = used;
  }
}

void SecondaryBus::enter(const Device& device, port::Clock& clock) {
  for (;;) {
    {
      const LockGuard guard(lock_);
      if (!resetting_) return set_used(device, true);
    }
    clock.wait(kTurnNs);
  }
}

void SecondaryBus::leave(const Device& device) {
  const LockGuard guard(lock_);
  set_used(device, false);
}

bool SecondaryBus::begin(const Device& device, bool& alone) {
  const LockGuard guard(lock_);
  if (resetting_) return false;
  resetting_ = true;
  alone = true;
  for (const Member& member : members_) {
    alone = alone && (member.device == &device || !member.used);
  }
  return true;
}

void SecondaryBus::end() {
  const LockGuard guard(lock_);
  resetting_ = false;
}

Status SecondaryBus::reset(Device& device, port::Clock& clock) {
  bool alone = false;
  while (!begin(device, alone)) clock.wait(kTurnNs);
  StaticVector<pci::ResetPeer, pci::Reset::kMaxFunctions> peers;
  for (const Member& member : members_) {
    if (member.device == &device) continue;
    const Device& peer = *member.device;
    (void)peers.push_back({&peer.info, peer.config, peer.bars[0]});  // as many as members
  }
  const Result<pci::ResetMethod> done =
      pci::reset_function({.info = &device.info,
                           .config = device.config,
                           .registers = device.bars[0],
                           .port = alone ? bridge_ : nullptr,
                           .peers = {peers.begin(), peers.size()}},
                          clock);
  if (done && *done == pci::ResetMethod::kSecondaryBus) {
    // The device itself may be in use: whether it is clean is for the caller to know.
    for (const Member& member : members_) {
      if (member.device != &device) member.device->clean = true;
    }
  }
  end();
  return done ? Status{} : Status{done.error()};
}

}  // namespace penstock::assign
