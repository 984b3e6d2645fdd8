#include "core/base/chacha.hpp"

#include <bit>

#include "core/base/bytes.hpp"

namespace penstock {
namespace {

using State = std::array<std::uint32_t, 16>;

void quarter_round(State& s, unsigned a, unsigned b, unsigned c, unsigned d) {
  s[a] += s[b];
  s[d] = std::rotl(s[d] ^ s[a], 16);
  s[c] += s[d];
  s[b] = std::rotl(s[b] ^ s[c], 12);
  s[a] += s[b];
  s[d] = std::rotl(s[d] ^ s[a], 8);
  s[c] += s[d];
  s[b] = std::rotl(s[b] ^ s[c], 7);
}

void double_round(State& s) {
  quarter_round(s, 0, 4, 8, 12);
  quarter_round(s, 1, 5, 9, 13);
  quarter_round(s, 2, 6, 10, 14);
  quarter_round(s, 3, 7, 11, 15);
  quarter_round(s, 0, 5, 10, 15);
  quarter_round(s, 1, 6, 11, 12);
  quarter_round(s, 2, 7, 8, 13);
  quarter_round(s, 3, 4, 9, 14);
}

}  // namespace

std::array<std::uint8_t, 64> chacha20_block(const Seed& key, std::uint64_t stream,
                                            std::uint32_t counter) {
  State start = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (unsigned i = 0; i < 8; ++i)
    start[4 + i] = static_cast<std::uint32_t>(load_le(key, 4 * i, 4));
  start[12] = counter;
  start[13] = static_cast<std::uint32_t>(stream);
  start[14] = static_cast<std::uint32_t>(stream >> 32);
  State s = start;
  for (unsigned round = 0; round < 10; ++round) double_round(s);
  std::array<std::uint8_t, 64> out{};
  for (unsigned i = 0; i < 16; ++i) store_le(out, 4 * i, 4, s[i] + start[i]);
  return out;
}

}  // namespace penstock
