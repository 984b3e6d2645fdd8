// The ITS commands that the hypervisor sends, as values (Arm IHI 0069 H, 5.3).
#pragma once

#include <array>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/bits.hpp"
#include "core/base/ids.hpp"
#include "core/hw/gic/its_frame.hpp"

namespace penstock::msi::its_commands {

namespace layout = hw::gic::its_command;
using Opcode = layout::Opcode;

inline constexpr std::uint64_t kBytes = layout::kBytes;
using Words = std::array<std::uint64_t, 4>;

namespace detail {
[[nodiscard]] constexpr std::uint64_t opcode(Opcode op) {
  return with<layout::word0::Code>(0, static_cast<std::uint64_t>(op));
}
[[nodiscard]] constexpr std::uint64_t for_device(Opcode op, DeviceId device) {
  return with<layout::word0::DeviceId>(opcode(op), device.value());
}
[[nodiscard]] constexpr std::uint64_t event(EventId id) {
  return with<layout::word1::EventId>(0, id.value());
}
[[nodiscard]] constexpr std::uint64_t collection(unsigned icid) {
  return with<layout::word2::CollectionId>(0, icid);
}
}  // namespace detail

/// `itt` is a multiple of 256; `bits` EventID bits, 1..32.
[[nodiscard]] constexpr Words map_device(DeviceId device, Hpa itt, unsigned bits) {
  return {detail::for_device(Opcode::kMapd, device), with<layout::word1::Size>(0, bits - 1),
          with<layout::word2::Valid>(with<layout::word2::IttAddress>(0, itt.value() >> 8), 1), 0};
}
[[nodiscard]] constexpr Words unmap_device(DeviceId device) {
  return {detail::for_device(Opcode::kMapd, device), 0, 0, 0};
}
/// `rd_base` as the RDbase field has it.
[[nodiscard]] constexpr Words map_collection(unsigned icid, std::uint64_t rd_base) {
  return {
      detail::opcode(Opcode::kMapc), 0,
      with<layout::word2::Valid>(with<layout::word2::RdBase>(detail::collection(icid), rd_base), 1),
      0};
}
/// MAPTI.
[[nodiscard]] constexpr Words map_event(DeviceId device, EventId id, HostLpi lpi, unsigned icid) {
  return {detail::for_device(Opcode::kMapti, device),
          with<layout::word1::PIntId>(detail::event(id), lpi.value()), detail::collection(icid), 0};
}
/// MOVI.
[[nodiscard]] constexpr Words move_event(DeviceId device, EventId id, unsigned icid) {
  return {detail::for_device(Opcode::kMovi, device), detail::event(id), detail::collection(icid),
          0};
}
[[nodiscard]] constexpr Words discard(DeviceId device, EventId id) {
  return {detail::for_device(Opcode::kDiscard, device), detail::event(id), 0, 0};
}
[[nodiscard]] constexpr Words clear(DeviceId device, EventId id) {
  return {detail::for_device(Opcode::kClear, device), detail::event(id), 0, 0};
}
/// INV: the redistributor reads the configuration of this event's LPI again.
[[nodiscard]] constexpr Words invalidate(DeviceId device, EventId id) {
  return {detail::for_device(Opcode::kInv, device), detail::event(id), 0, 0};
}
/// INVALL: the redistributor of this collection reads all configuration again.
[[nodiscard]] constexpr Words invalidate_all(unsigned icid) {
  return {detail::opcode(Opcode::kInvall), 0, detail::collection(icid), 0};
}
[[nodiscard]] constexpr Words sync(std::uint64_t rd_base) {
  return {detail::opcode(Opcode::kSync), 0, with<layout::word2::RdBase>(0, rd_base), 0};
}

}  // namespace penstock::msi::its_commands
