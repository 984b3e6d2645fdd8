// Result<T>: a value or an Error, never both, never ignored.
//
// Use it for everything that can fail outside our control. `TRY(expr)` hands an error to the caller
// and otherwise yields the value:
//
//     Result<Hpa> place(Bytes n) { auto frame = TRY(pool.take(n)); return frame; }
//
// The surface is that of std::expected, so it can be replaced by it when the freestanding library
// has it.
#pragma once

#include <type_traits>
#include <utility>

#include "core/base/error.hpp"

namespace penstock {

template <typename T>
class [[nodiscard]] Result {
  static_assert(!std::is_reference_v<T>, "a Result owns its value");

 public:
  constexpr Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  constexpr Result(Error error) : error_(error) {}         // NOLINT(google-explicit-constructor)

  [[nodiscard]] constexpr bool has_value() const { return error_.code == Code::kOk; }
  [[nodiscard]] constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] constexpr const T& value() const { return value_; }
  [[nodiscard]] constexpr T& value() { return value_; }
  [[nodiscard]] constexpr const T& operator*() const { return value_; }
  [[nodiscard]] constexpr T& operator*() { return value_; }
  [[nodiscard]] constexpr const T* operator->() const { return &value_; }
  [[nodiscard]] constexpr T* operator->() { return &value_; }
  [[nodiscard]] constexpr Error error() const { return error_; }
  [[nodiscard]] constexpr T value_or(T other) const { return has_value() ? value_ : other; }

 private:
  T value_{};
  Error error_{};
};

template <>
class [[nodiscard]] Result<void> {
 public:
  constexpr Result() = default;
  constexpr Result(Error error) : error_(error) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] constexpr bool has_value() const { return error_.code == Code::kOk; }
  [[nodiscard]] constexpr explicit operator bool() const { return has_value(); }
  [[nodiscard]] constexpr Error error() const { return error_; }
  constexpr void value() const {}

 private:
  Error error_{};
};

using Status = Result<void>;

[[nodiscard]] constexpr Error fail(Code code, std::uint64_t arg = 0) {
  return Error{code, arg};
}

}  // namespace penstock

/// Yields the value of a Result or returns its error from the enclosing function (a statement
/// expression: GNU C++).
#define TRY(expression)                                       \
  __extension__({                                             \
    auto&& try_result_ = (expression);                        \
    if (!try_result_.has_value()) return try_result_.error(); \
    std::move(try_result_).value();                           \
  })
