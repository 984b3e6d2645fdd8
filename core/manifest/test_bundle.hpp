// For tests and fuzzers: a small bundle made by code of its own, with whatever mistake a test wants
// in it.
#pragma once

#include <libfdt.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/manifest/bundle.hpp"

namespace penstock::manifest::test {

using Bytes = std::vector<std::uint8_t>;  // operator new aligns it to 16 bytes

inline void put_crc(Bytes& bundle) {
  store_le(bundle, 4092, 4, crc32(std::span<const std::uint8_t>(bundle).first(4092)));
}

/// Header, `tree` and payload space up to `total` bytes, all checksums right.
inline Bytes wrap(std::span<const std::uint8_t> tree, std::uint64_t total) {
  Bytes bundle(total);
  const std::string_view magic = "PENSTOCK";
  for (std::size_t i = 0; i < magic.size(); ++i) bundle[i] = static_cast<std::uint8_t>(magic[i]);
  store_le(bundle, 8, 4, 1);
  store_le(bundle, 12, 4, 4096);
  store_le(bundle, 16, 8, total);
  store_le(bundle, 24, 4, 4096);
  store_le(bundle, 28, 4, tree.size());
  store_le(bundle, 32, 4, crc32(tree));
  for (std::size_t i = 0; i < tree.size(); ++i) bundle[4096 + i] = tree[i];
  put_crc(bundle);
  return bundle;
}

/// One domain of the tree; change a member to make a mistake.
struct Domain {
  std::string name = "store";
  std::vector<std::uint32_t> cpus = {0, 1};
  std::uint64_t memory = 64 * kMiB;
  std::uint64_t memory_base = 0;  // 0: not written
  std::string bootargs = "console=ttyAMA0";
  std::string on_crash = "stop";
  std::string iommu = "";  // empty: not written
  std::uint64_t kernel_offset = 8192;
  std::uint64_t kernel_size = 4096;
  std::uint64_t raw_offset = 0;  // 0: the kernel is no raw image
  struct Device {
    std::uint32_t host = 0x0100;
    std::uint32_t guest = 0x08;
    bool accept_no_reset = false;
    bool accept_no_isolation = false;
    std::vector<std::uint32_t> capability = {};  // id, length, then registers; empty: none
    bool scratch = false;
    std::vector<std::uint32_t> deny = {};  // id, extended, and so on; empty: not written
  };
  std::vector<Device> devices = {};
  bool control = false;
  bool hardware = false;
  std::uint32_t slots = 0;       // 0: not written
  std::uint32_t interrupts = 0;  // the same
};

class Tree {
 public:
  Tree() : buffer_(256 * kKiB) {
    fdt_create(buffer_.data(), static_cast<int>(buffer_.size()));
    fdt_finish_reservemap(buffer_.data());
  }
  void begin(const std::string& name) { fdt_begin_node(buffer_.data(), name.c_str()); }
  void end() { fdt_end_node(buffer_.data()); }
  void text(const char* name, const std::string& value) {
    fdt_property(buffer_.data(), name, value.c_str(), static_cast<int>(value.size() + 1));
  }
  void flag(const char* name) { fdt_property(buffer_.data(), name, nullptr, 0); }
  void cells(const char* name, std::span<const std::uint32_t> values) {
    std::vector<std::uint8_t> data;
    for (const std::uint32_t v : values) {
      for (int shift = 24; shift >= 0; shift -= 8)
        data.push_back(static_cast<std::uint8_t>(v >> shift));
    }
    fdt_property(buffer_.data(), name, data.data(), static_cast<int>(data.size()));
  }
  void cells(const char* name, std::initializer_list<std::uint32_t> values) {
    cells(name, std::span<const std::uint32_t>(values.begin(), values.size()));
  }
  Bytes finish() {
    fdt_finish(buffer_.data());
    const void* finished = buffer_.data();
    buffer_.resize(fdt_totalsize(finished));
    return buffer_;
  }

 private:
  Bytes buffer_;
};

inline std::uint32_t high(std::uint64_t v) {
  return static_cast<std::uint32_t>(v >> 32);
}
inline std::uint32_t low(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}

inline void write_device(Tree& tree, const Domain::Device& device, std::size_t index) {
  tree.begin("device-" + std::to_string(index));
  tree.cells("host", {device.host});
  tree.cells("guest", {device.guest});
  if (device.accept_no_reset) tree.flag("accept-no-reset");
  if (device.accept_no_isolation) tree.flag("accept-no-isolation");
  if (device.scratch) tree.flag("scratch");
  if (!device.deny.empty()) tree.cells("deny", device.deny);
  if (device.capability.size() >= 2) {
    tree.begin("capability-0");
    tree.cells("id", {device.capability[0]});
    tree.cells("length", {device.capability[1]});
    tree.cells("registers", std::span(device.capability).subspan(2));
    tree.end();
  }
  tree.end();
}

/// The kernel that every domain of a test bundle boots: one page at 8192 with the header of an
/// arm64 Image.
inline Bytes kernel_page() {
  Bytes page(4096);
  page[56] = 'A';
  page[57] = 'R';
  page[58] = 'M';
  page[59] = 0x64;
  page[4095] = 0xee;
  return page;
}

inline Bytes make_bundle(const std::vector<Domain>& domains,
                         const std::vector<std::uint32_t>& hidden = {}) {
  Bytes kernel = kernel_page();
  if (!domains.empty() && domains[0].raw_offset != 0) kernel[56] = 0;  // all have the same
  Tree tree;
  tree.begin("");
  tree.text("compatible", "penstock,manifest");
  tree.cells("version", {1});
  tree.text("board", "a-board");
  if (!hidden.empty()) tree.cells("hidden", hidden);
  for (std::size_t i = 0; i < domains.size(); ++i) {
    const Domain& d = domains[i];
    tree.begin("domain-" + std::to_string(i));
    tree.text("name", d.name);
    tree.cells("cpus", d.cpus);
    tree.cells("memory", {high(d.memory), low(d.memory)});
    if (d.memory_base != 0) tree.cells("memory-base", {high(d.memory_base), low(d.memory_base)});
    tree.cells("kernel", {high(d.kernel_offset), low(d.kernel_offset), high(d.kernel_size),
                          low(d.kernel_size), crc32(kernel), crc32(kernel), crc32(kernel)});
    if (d.raw_offset != 0) {
      tree.cells("kernel-offset", {high(d.raw_offset), low(d.raw_offset)});
    }
    tree.text("bootargs", d.bootargs);
    tree.text("on-crash", d.on_crash);
    if (!d.iommu.empty()) tree.text("iommu", d.iommu);
    if (d.control) tree.flag("control");
    if (d.hardware) tree.flag("hardware");
    if (d.slots != 0) tree.cells("slots", {d.slots});
    if (d.interrupts != 0) tree.cells("interrupts", {d.interrupts});
    for (std::size_t k = 0; k < d.devices.size(); ++k) write_device(tree, d.devices[k], k);
    tree.end();
  }
  tree.end();
  Bytes bundle = wrap(tree.finish(), 12288);
  std::copy(kernel.begin(), kernel.end(), bundle.begin() + 8192);
  return bundle;
}

}  // namespace penstock::manifest::test
