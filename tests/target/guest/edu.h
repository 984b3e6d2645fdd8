// QEMU's "edu" device (QEMU's docs/specs/edu.rst): registers in BAR 0, DMA source 0x80, destination
// 0x88, count 0x90, command 0x98 (bit 0 run, bit 1 from device to memory); its buffer of 4 KiB is
// at 0x40000 in the device's own addresses. A transfer takes 100 ms.
//
// Whoever uses this has mapped the BAR and one page of memory that the device can reach.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
  kPage = 4096,
  kBarBytes = 1 << 20,
  kRegisterIdentification = 0x00,
  kRegisterSource = 0x80,
  kRegisterDestination = 0x88,
  kRegisterCount = 0x90,
  kRegisterCommand = 0x98,
  kCommandRun = 1,
  kCommandToMemory = 2,
  kDeviceBuffer = 0x40000,
  kPollMicroseconds = 10000,
  kPolls = 500,  // five seconds for a transfer of a tenth of one
  kProbeBytes = 64,
  kVendor = 0x1234,
  kDevice = 0x11e8,
};

struct Edu {
  volatile uint8_t* bar;
  uint8_t* page;          // a page of this process, through which data go in and out
  uint64_t page_address;  // where the device finds it
  bool stuck;             // a transfer did not end in time
};

static void write64(struct Edu* edu, unsigned at, uint64_t value) {
  *(volatile uint64_t*)(edu->bar + at) = value;
}

static uint64_t read64(struct Edu* edu, unsigned at) {
  return *(volatile uint64_t*)(edu->bar + at);
}

static uint32_t identification(struct Edu* edu) {
  return *(volatile uint32_t*)(edu->bar + kRegisterIdentification);
}

static void transfer(struct Edu* edu, uint64_t from, uint64_t to, uint64_t bytes,
                     uint64_t command) {
  write64(edu, kRegisterSource, from);
  write64(edu, kRegisterDestination, to);
  write64(edu, kRegisterCount, bytes);
  __asm__ volatile("dsb sy" ::: "memory");
  write64(edu, kRegisterCommand, command | kCommandRun);
  for (int poll = 0; poll < kPolls; ++poll) {
    usleep(kPollMicroseconds);
    if ((read64(edu, kRegisterCommand) & kCommandRun) == 0) {
      __asm__ volatile("dsb sy" ::: "memory");
      return;
    }
  }
  edu->stuck = true;
}

// Device buffer <- memory, and memory <- device buffer.
static void device_reads(struct Edu* edu, uint64_t address, uint64_t bytes) {
  transfer(edu, address, kDeviceBuffer, bytes, 0);
}

static void device_writes(struct Edu* edu, uint64_t address, uint64_t bytes) {
  transfer(edu, kDeviceBuffer, address, bytes, kCommandToMemory);
}

static void load_buffer(struct Edu* edu, const uint8_t* data) {
  memcpy(edu->page, data, kProbeBytes);
  device_reads(edu, edu->page_address, kProbeBytes);
}

static void store_buffer(struct Edu* edu, uint8_t* data) {
  memset(edu->page, 0xee, kProbeBytes);
  device_writes(edu, edu->page_address, kProbeBytes);
  memcpy(data, edu->page, kProbeBytes);
}

static void make_pattern(uint8_t* data, const char* what, unsigned number) {
  memset(data, 0, kProbeBytes);
  (void)snprintf((char*)data, kProbeBytes, "traitor %s %u", what, number);
}

static bool all_bytes(const uint8_t* data, uint8_t value) {
  for (int i = 0; i < kProbeBytes; ++i) {
    if (data[i] != value) {
      return false;
    }
  }
  return true;
}

// DMA into and out of the page has to work, or nothing that follows would mean anything.
static bool control(struct Edu* edu) {
  uint8_t pattern[kProbeBytes];
  uint8_t back[kProbeBytes];
  make_pattern(pattern, "control", 0);
  load_buffer(edu, pattern);
  store_buffer(edu, back);
  const bool wrote = !all_bytes(back, 0xee);
  const bool read = memcmp(pattern, back, kProbeBytes) == 0;
  printf("RESULT edu control address=0x%llx wrote=%s read=%s\n",
         (unsigned long long)edu->page_address, wrote ? "yes" : "no", read ? "yes" : "no");
  return wrote && read;
}

// Writes a pattern to an address, reads the address back, and tells what came back:
//   own-data: the pattern, so the write has arrived and the read too
//   nothing:  the device's buffer is as it was before the read
//   zeros, ones: a constant, as aborted transfers give
//   foreign:  something else, that is: somebody's memory
static const char* probe_memory(struct Edu* edu, uint64_t address, unsigned number) {
  uint8_t written[kProbeBytes];
  uint8_t before[kProbeBytes];
  uint8_t after[kProbeBytes];
  make_pattern(written, "wrote", number);
  make_pattern(before, "before", number);
  edu->stuck = false;
  load_buffer(edu, written);
  device_writes(edu, address, kProbeBytes);
  load_buffer(edu, before);
  device_reads(edu, address, kProbeBytes);
  store_buffer(edu, after);
  return memcmp(after, written, kProbeBytes) == 0  ? "own-data"
         : memcmp(after, before, kProbeBytes) == 0 ? "nothing"
         : all_bytes(after, 0)                     ? "zeros"
         : all_bytes(after, 0xff)                  ? "ones"
                                                   : "foreign";
}
