// The two state bits of a list register, one by one, beside the layout in
// core/hw/gic/cpu_interface.hpp.
#pragma once

#include <cstdint>

#include "core/base/bits.hpp"
#include "core/hw/gic/cpu_interface.hpp"

namespace penstock::vmsi::lr {

using hw::gic::ich_lr::EOI;
using hw::gic::ich_lr::Group;
using hw::gic::ich_lr::HW;
using hw::gic::ich_lr::PINTID;
using hw::gic::ich_lr::Priority;
using hw::gic::ich_lr::VINTID;
using Pending = Field<62, 62>;
using Active = Field<63, 63>;
static_assert((Pending::kMask | Active::kMask) == hw::gic::ich_lr::StateField::kMask);

[[nodiscard]] constexpr bool pending(std::uint64_t value) {
  return get<Pending>(value) != 0;
}
[[nodiscard]] constexpr bool active(std::uint64_t value) {
  return get<Active>(value) != 0;
}
[[nodiscard]] constexpr bool valid(std::uint64_t value) {
  return pending(value) || active(value);
}
[[nodiscard]] constexpr bool tied(std::uint64_t value) {
  return get<HW>(value) != 0;
}

}  // namespace penstock::vmsi::lr
