// A device's interrupt messages: what its descriptors hold, and where its LPIs go.
//
// The hardware's descriptor k always says (doorbell, event k), whatever the guest wrote (S0.13,
// S0.14); what the guest wrote is kept by its view and is the key into its virtual ITS. A route is
// worked out anew whenever one of the two changes. The doorbell is the guest's, which stage 2 leads
// to the physical one. Behind a stage 1 of the guest's own, its address is an IOVA that only the
// guest knows: there the descriptor holds the address that the guest wrote, and stage 2 bounds
// where it can lead (invariant 2).
//
// All functions need the device's lock (DeviceSet).
#pragma once

#include "core/assign/device.hpp"

namespace penstock::assign {

/// Writes every descriptor with our message, all masked, both capabilities off.
void program_messages(const Owner& owner, Device& device);
/// Follows the guest's enable and mask bits of the kind that is on (or off).
void follow_enable(const Hardware& hw, const Owner& owner, Device& device);
/// Follows vectors [first, first + count): mask bits and routes. How many of them the board's ITS
/// was told to move.
unsigned follow_vectors(const Hardware& hw, const Owner& owner, Device& device, unsigned first,
                        unsigned count);
/// Nothing of the device goes to a guest any more; forged messages are still counted.
void close_routes(const Hardware& hw, Device& device);

}  // namespace penstock::assign
