// How a device changes owner: the only way in and the only way out (invariant 5, H27, H34).
#pragma once

#include "core/assign/device.hpp"

namespace penstock::assign {

/// Puts a function that enumeration has found into quarantine: no DMA, no messages. Boot.
/// kTimeout, kHardwareError when the SMMU does not confirm that the stream aborts: the device is
/// kBroken.
Status quarantine(const Hardware& hw, Device& device);

/// Resets a quarantined device unless it has been since its last owner, so that hand_over() need
/// not. What reset_quarantined() answers, unless the placement accepts it without a reset: then
/// whatever the reset came to is good enough.
Status prepare(const Hardware& hw, Device& device);

/// kQuarantined -> kAssigned. kBadState; what prepare() answers; what SMMU and ITS answer. After an
/// error the device is quarantined again and nothing of the attempt is left (H21, H40).
Status hand_over(const Hardware& hw, const Owner& owner, Device& device);

/// The first half of taking a device back, kAssigned -> kLeaving: messages, BARs, DMA off in this
/// order. What the SMMU answers is for settle(). The owner's CPUs are off or the caller holds the
/// devices' lock.
Status cut_off(const Hardware& hw, const Owner& owner, Device& device);

/// The second half, kLeaving -> kQuarantined: reset, unless the device was reset together with
/// another one of its bus in between. `cut` is what cut_off() answered. kNoReset, kTimeout,
/// kHardwareError: the device is kBroken, unless the placement accepts it without a reset.
Status settle(const Hardware& hw, const Owner& owner, Device& device, const Status& cut);

/// Both. A device that can only be reset with its bus is kBroken then if somebody has another
/// function of that; of several that go at once each is cut off before the first one settles.
Status take_back(const Hardware& hw, const Owner& owner, Device& device);

/// Resets a device that is nobody's; a broken one that comes back is usable again. kBadState (it is
/// assigned), kNoReset, kTimeout, kHardwareError: it is then kBroken, except without a method.
/// `only`: that method or none; it does not stand in for the reset before the next hand-over.
Status reset_quarantined(const Hardware& hw, Device& device,
                         pci::ResetMethod only = pci::ResetMethod::kNone);

/// The guest reset the function (FLR): the hardware is reset and comes back with our messages in
/// its descriptors.
Status reset_in_place(const Hardware& hw, const Owner& owner, Device& device);

/// A reset that the guest asked for: now, or, where that would switch virtual functions off which
/// somebody may have, after they were taken back (DeviceSet::do_work()).
void reset_or_note(const Hardware& hw, const Owner& owner, Device& device);

/// Maps the BARs that their guest has placed and that could not be mapped: another one was there,
/// or the domain's quota was used up. Whenever a BAR or another part of the guest's address space
/// has gone. Does nothing for a BAR that still has to wait.
void map_waiting_bars(const Owner& owner);

/// LPIs that the device takes while it is assigned: one for each vector that its guest is shown,
/// and one for all other events.
[[nodiscard]] unsigned interrupts_of(const Device& device);

/// Applies what a guest's write asked for, in order. BARs that waited for one that goes here are
/// for map_waiting_bars().
void apply(const Hardware& hw, const Owner& owner, Device& device, const vpci::Effects& effects);

}  // namespace penstock::assign
