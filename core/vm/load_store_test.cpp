#include "core/vm/load_store.hpp"

#include <gtest/gtest.h>

namespace penstock::vm {
namespace {

constexpr unsigned kSp = 31, kZero = 31;

struct Row {
  std::uint32_t instruction;  // as an assembler makes it
  const char* text;
  LoadStore is;
};

// write, size, count, registers, signed, wide, base, offset, write-back
const Row kRows[] = {
    {0xa9400861, "ldp x1, x2, [x3]", {false, 8, 2, {1, 2}, false, true, 3, 0, 0}},
    {0x29600861, "ldp w1, w2, [x3, #-256]", {false, 4, 2, {1, 2}, false, false, 3, -256, 0}},
    {0xa95f8861, "ldp x1, x2, [x3, #504]", {false, 8, 2, {1, 2}, false, true, 3, 504, 0}},
    {0xa8c10be1, "ldp x1, x2, [sp], #16", {false, 8, 2, {1, 2}, false, true, kSp, 0, 16}},
    {0xa9e07bfd,
     "ldp x29, x30, [sp, #-512]!",
     {false, 8, 2, {29, 30}, false, true, kSp, -512, -512}},
    {0x695f94c4, "ldpsw x4, x5, [x6, #252]", {false, 4, 2, {4, 5}, true, true, 6, 252, 0}},
    {0x68ff94c4, "ldpsw x4, x5, [x6], #-4", {false, 4, 2, {4, 5}, true, true, 6, 0, -4}},
    {0xa840a127, "ldnp x7, x8, [x9, #8]", {false, 8, 2, {7, 8}, false, true, 9, 8, 0}},
    {0x287fa127, "ldnp w7, w8, [x9, #-4]", {false, 4, 2, {7, 8}, false, false, 9, -4, 0}},
    {0xa9407c61, "ldp x1, xzr, [x3]", {false, 8, 2, {1, kZero}, false, true, 3, 0, 0}},
    {0xa9007c1f, "stp xzr, xzr, [x0]", {true, 8, 2, {kZero, kZero}, false, true, 0, 0, 0}},
    {0x28810861, "stp w1, w2, [x3], #8", {true, 4, 2, {1, 2}, false, false, 3, 0, 8}},
    {0xa9bf0461, "stp x1, x1, [x3, #-16]!", {true, 8, 2, {1, 1}, false, true, 3, -16, -16}},
    {0xa8002127, "stnp x7, x8, [x9]", {true, 8, 2, {7, 8}, false, true, 9, 0, 0}},
    {0xf8408441, "ldr x1, [x2], #8", {false, 8, 1, {1, 0}, false, true, 2, 0, 8}},
    {0xb8404441, "ldr w1, [x2], #4", {false, 4, 1, {1, 0}, false, false, 2, 0, 4}},
    {0xb85fcc41, "ldr w1, [x2, #-4]!", {false, 4, 1, {1, 0}, false, false, 2, -4, -4}},
    {0x384017e1, "ldrb w1, [sp], #1", {false, 1, 1, {1, 0}, false, false, kSp, 0, 1}},
    {0x78500c41, "ldrh w1, [x2, #-256]!", {false, 2, 1, {1, 0}, false, false, 2, -256, -256}},
    {0x388ff441, "ldrsb x1, [x2], #255", {false, 1, 1, {1, 0}, true, true, 2, 0, 255}},
    {0x38c01441, "ldrsb w1, [x2], #1", {false, 1, 1, {1, 0}, true, false, 2, 0, 1}},
    {0x78802441, "ldrsh x1, [x2], #2", {false, 2, 1, {1, 0}, true, true, 2, 0, 2}},
    {0x78c02c41, "ldrsh w1, [x2, #2]!", {false, 2, 1, {1, 0}, true, false, 2, 2, 2}},
    {0xb8804441, "ldrsw x1, [x2], #4", {false, 4, 1, {1, 0}, true, true, 2, 0, 4}},
    {0xf81f8c5f, "str xzr, [x2, #-8]!", {true, 8, 1, {kZero, 0}, false, true, 2, -8, -8}},
    {0xb8004441, "str w1, [x2], #4", {true, 4, 1, {1, 0}, false, false, 2, 0, 4}},
    {0x38001441, "strb w1, [x2], #1", {true, 1, 1, {1, 0}, false, false, 2, 0, 1}},
    {0x78002fff, "strh wzr, [sp, #2]!", {true, 2, 1, {kZero, 0}, false, false, kSp, 2, 2}},
};

// Covers: H64
TEST(LoadStoreDecode, PairsAndWriteBackAreWhatTheAssemblerMeant) {
  for (const Row& row : kRows) {
    const auto got = decode_load_store(row.instruction);
    ASSERT_TRUE(got) << row.text;
    EXPECT_EQ(got->write, row.is.write) << row.text;
    EXPECT_EQ(got->size, row.is.size) << row.text;
    EXPECT_EQ(got->count, row.is.count) << row.text;
    EXPECT_EQ(got->regs, row.is.regs) << row.text;
    EXPECT_EQ(got->sign_extend, row.is.sign_extend) << row.text;
    EXPECT_EQ(got->wide, row.is.wide) << row.text;
    EXPECT_EQ(got->base, row.is.base) << row.text;
    EXPECT_EQ(got->offset, row.is.offset) << row.text;
    EXPECT_EQ(got->write_back, row.is.write_back) << row.text;
    EXPECT_EQ(got->bytes(), row.is.size * row.is.count) << row.text;
  }
}

struct Other {
  std::uint32_t instruction;
  const char* text;
};

const Other kDescribedBySyndrome[] = {
    {0xf9400041, "ldr x1, [x2]"},     {0xf9400441, "ldr x1, [x2, #8]"},
    {0xf8636841, "ldr x1, [x2, x3]"}, {0xf85f8041, "ldur x1, [x2, #-8]"},
    {0xf8400841, "ldtr x1, [x2]"},    {0xc89ffc41, "stlr x1, [x2]"},
};

const Other kOfAnotherKind[] = {
    {0xad400460, "ldp q0, q1, [x3]"},
    {0x6cc10460, "ldp d0, d1, [x3], #16"},
    {0x2d000460, "stp s0, s1, [x3]"},
    {0x3cc10440, "ldr q0, [x2], #16"},
    {0x3dc00040, "ldr q0, [x2]"},
    {0x3c001c40, "str b0, [x2, #1]!"},
    {0xc85f7c41, "ldxr x1, [x2]"},
    {0xc87f8861, "ldaxp x1, x2, [x3]"},
    {0xc8007c41, "stxr w0, x1, [x2]"},
    {0xf8210002, "ldadd x1, x2, [x0]"},
    {0xc8a17c02, "cas x1, x2, [x0]"},
    {0xf9800040, "prfm pldl1keep, [x2]"},
    {0xd50b7420, "dc zva, x0"},
    {0xd50b7e20, "dc civac, x0"},
    {0xd503201f, "nop"},
    {0x8b030041, "add x1, x2, x3"},
    {0x69000000, "stgp x0, x0, [x0]"},
    {0xe9400000, "a pair of opc 3"},
    {0x68400c41, "ldpsw, non-temporal"},
    {0xf8c08441, "a doubleword that is extended"},
    {0xb8c04441, "a word extended to 32 bits"},
};

const Other kUnpredictable[] = {
    {0xa9400421, "ldp x1, x1, [x1]"},      {0xa8c10421, "ldp x1, x1, [x1], #16"},
    {0xf8408421, "ldr x1, [x1], #8"},      {0xf8008421, "str x1, [x1], #8"},
    {0xa8810042, "stp x2, x0, [x2], #16"}, {0xa8810840, "stp x0, x2, [x2], #16"},
};

// Covers: H64
TEST(LoadStoreDecode, EverythingElseIsRefused) {
  for (const Other& row : kDescribedBySyndrome) {
    EXPECT_FALSE(decode_load_store(row.instruction)) << row.text;
  }
  for (const Other& row : kOfAnotherKind) {
    EXPECT_FALSE(decode_load_store(row.instruction)) << row.text;
  }
  for (const Other& row : kUnpredictable) {
    EXPECT_FALSE(decode_load_store(row.instruction)) << row.text;
  }
}

}  // namespace
}  // namespace penstock::vm
