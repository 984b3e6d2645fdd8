// The functions that the compiler and libfdt call by name and that no operating system provides
// here.
#include <cstddef>
#include <cstdint>

extern "C" {

void* memcpy(void* to, const void* from, std::size_t n) {
  auto* t = static_cast<std::uint8_t*>(to);
  const auto* f = static_cast<const std::uint8_t*>(from);
  const bool aligned =
      ((reinterpret_cast<std::uintptr_t>(t) | reinterpret_cast<std::uintptr_t>(f)) & 7) == 0;
  if (aligned) {
    auto* tw = reinterpret_cast<std::uint64_t*>(t);
    const auto* fw = reinterpret_cast<const std::uint64_t*>(f);
    for (; n >= 64; n -= 64, tw += 8, fw += 8) {
      std::uint64_t a, b, c, d, e, g, h, i;
      asm volatile(
          "ldp %0, %1, [%8]\n\tldp %2, %3, [%8, #16]\n\tldp %4, %5, [%8, #32]\n\t"
          "ldp %6, %7, [%8, #48]\n\tstp %0, %1, [%9]\n\tstp %2, %3, [%9, #16]\n\t"
          "stp %4, %5, [%9, #32]\n\tstp %6, %7, [%9, #48]"
          : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d), "=&r"(e), "=&r"(g), "=&r"(h), "=&r"(i)
          : "r"(fw), "r"(tw)
          : "memory");
    }
    for (; n >= 16; n -= 16, tw += 2, fw += 2) {
      std::uint64_t a, b;
      asm volatile("ldp %0, %1, [%2]\n\tstp %0, %1, [%3]"
                   : "=&r"(a), "=&r"(b)
                   : "r"(fw), "r"(tw)
                   : "memory");
    }
    for (; n >= 8; n -= 8) *tw++ = *fw++;
    t = reinterpret_cast<std::uint8_t*>(tw);
    f = reinterpret_cast<const std::uint8_t*>(fw);
  }
  for (; n != 0; --n) {
    *t++ = *f++;
    asm volatile("" ::: "memory");  // keeps the loop from becoming a call of itself
  }
  return to;
}

void* memset(void* to, int value, std::size_t n) {
  auto* t = static_cast<std::uint8_t*>(to);
  for (; n != 0 && (reinterpret_cast<std::uintptr_t>(t) & 7) != 0; --n) {
    *t++ = static_cast<std::uint8_t>(value);
    asm volatile("" ::: "memory");
  }
  const std::uint64_t pattern = 0x0101010101010101 * static_cast<std::uint8_t>(value);
  for (; n >= 16; n -= 16, t += 16) {
    asm volatile("stp %0, %0, [%1]" ::"r"(pattern), "r"(t) : "memory");
  }
  for (; n != 0; --n) {
    *t++ = static_cast<std::uint8_t>(value);
    asm volatile("" ::: "memory");
  }
  return to;
}

void* memmove(void* to, const void* from, std::size_t n) {
  auto* t = static_cast<std::uint8_t*>(to);
  const auto* f = static_cast<const std::uint8_t*>(from);
  if (t == f || t + n <= f || f + n <= t) return memcpy(to, from, n);
  if (t < f) {
    for (std::size_t i = 0; i < n; ++i) {
      t[i] = f[i];
      asm volatile("" ::: "memory");
    }
  } else {
    for (std::size_t i = n; i != 0; --i) {
      t[i - 1] = f[i - 1];
      asm volatile("" ::: "memory");
    }
  }
  return to;
}

int memcmp(const void* a, const void* b, std::size_t n) {
  const auto* x = static_cast<const std::uint8_t*>(a);
  const auto* y = static_cast<const std::uint8_t*>(b);
  for (std::size_t i = 0; i < n; ++i) {
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return 0;
}

void* memchr(const void* s, int c, std::size_t n) {
  const auto* p = static_cast<const char*>(s);
  for (std::size_t i = 0; i < n; ++i) {
    if (p[i] == static_cast<char>(c)) return const_cast<char*>(p + i);
  }
  return nullptr;
}

std::size_t strlen(const char* s) {
  std::size_t n = 0;
  while (s[n] != 0) ++n;
  return n;
}

std::size_t strnlen(const char* s, std::size_t limit) {
  std::size_t n = 0;
  while (n < limit && s[n] != 0) ++n;
  return n;
}

char* strchr(const char* s, int c) {
  for (;; ++s) {
    if (*s == static_cast<char>(c)) return const_cast<char*>(s);
    if (*s == 0) return nullptr;
  }
}

char* strrchr(const char* s, int c) {
  char* last = nullptr;
  for (;; ++s) {
    if (*s == static_cast<char>(c)) last = const_cast<char*>(s);
    if (*s == 0) return last;
  }
}

// libfdt's overlay code refers to it; overlays are not used, so only decimal digits are read.
unsigned long strtoul(const char* s, char** end, int /*base*/) {
  unsigned long value = 0;
  while (*s >= '0' && *s <= '9') value = value * 10 + static_cast<unsigned long>(*s++ - '0');
  if (end != nullptr) *end = const_cast<char*>(s);
  return value;
}

// Debian's libfdt archive is built with stack protection.
std::uintptr_t __stack_chk_guard = 0x70656e73746f636b;
[[noreturn]] void penstock_panic(const char* reason);
[[noreturn]] void __stack_chk_fail() {
  penstock_panic("stack smashed");
}
[[noreturn]] void __cxa_pure_virtual() {
  penstock_panic("pure virtual call");
}

}  // extern "C"
