// The reader of a manifest's tree, for parse() alone. manifest.cpp has the header and the domains,
// read_devices.cpp what is below a domain.
#pragma once

#include <libfdt.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "core/manifest/manifest.hpp"
#include "core/manifest/tree.hpp"

namespace penstock::manifest {

/// A property as big-endian cells or as text. Absent: data == nullptr.
struct Property {
  const std::uint8_t* data = nullptr;
  unsigned bytes = 0;

  [[nodiscard]] bool present() const { return data != nullptr; }
  [[nodiscard]] unsigned cells() const { return bytes / 4; }
  [[nodiscard]] std::uint32_t cell(unsigned i) const {
    const std::uint8_t* b = data + std::size_t{4} * i;
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  }
  [[nodiscard]] std::uint64_t pair(unsigned i) const {
    return std::uint64_t{cell(i)} << 32 | cell(i + 1);
  }
  /// The text without its terminating zero; empty when it has none or holds another zero before the
  /// end.
  [[nodiscard]] std::string_view text() const {
    if (bytes == 0 || data[bytes - 1] != 0) return {};
    const std::string_view all(reinterpret_cast<const char*>(data), bytes - 1);
    return all.find('\0') == std::string_view::npos ? all : std::string_view{};
  }
};

class Reader {
 public:
  Reader(std::span<const std::uint8_t> bundle, Manifest& manifest, Problem& problem)
      : bundle_(bundle), manifest_(manifest), problem_(problem) {}

  Status read();

 private:
  Error refuse(Code code, std::string_view text, std::uint64_t value = 0) {
    problem_.code = code;
    problem_.text = text;
    problem_.value = value;
    return fail(code, value);
  }
  [[nodiscard]] Property property(int node, const char* name) const {
    int length = 0;
    const void* data = fdt_getprop(tree_, node, name, &length);
    if (data == nullptr || length < 0) return {};
    return {static_cast<const std::uint8_t*>(data), static_cast<unsigned>(length)};
  }
  [[nodiscard]] bool is_named(int node, std::string_view prefix) const {
    int length = 0;
    const char* name = fdt_get_name(tree_, node, &length);
    if (name == nullptr || length < 0 || static_cast<std::size_t>(length) < prefix.size())
      return false;
    return std::string_view(name, prefix.size()) == prefix;
  }
  Status one_cell(int node, const char* name, std::uint32_t& out, std::string_view text) {
    const Property p = property(node, name);
    if (!p.present() || p.bytes != 4) return refuse(Code::kBadManifest, text);
    out = p.cell(0);
    return {};
  }

  Status read_header();
  Status read_root();
  Status read_domain(int node, DomainConfig& domain);
  Status read_name(int node, DomainConfig& domain);
  Status read_cpus(int node, DomainConfig& domain);
  Status read_memory(int node, DomainConfig& domain);
  Status read_kernel_offset(int node, DomainConfig& domain);
  Status read_payloads(int node, DomainConfig& domain);
  Status read_blob(int node, const char* name, Blob& blob);
  Status read_policy(int node, DomainConfig& domain);
  Status read_iommu(int node, DomainConfig& domain);
  Status read_roles(int node, DomainConfig& domain);
  Status read_interrupts(int node, DomainConfig& domain);
  Status read_hidden(int node);
  Status read_place(int node, const DomainConfig& domain, DeviceConfig& device);
  Status read_denied(int node, DeviceConfig& device);
  Status read_after(int node, const char* name, AfterStop& out);
  Status read_devices(int node, DomainConfig& domain);
  Status read_device(int node, const DomainConfig& domain, DeviceConfig& device);
  Status read_capability(int node, ExtraCapability& capability);
  [[nodiscard]] bool cpu_taken(CpuIndex cpu) const;
  [[nodiscard]] bool device_taken(HostBdf host) const;

  std::span<const std::uint8_t> bundle_;  // cut to total_bytes by read_header()
  Manifest& manifest_;
  Problem& problem_;
  const void* tree_ = nullptr;
  std::uint64_t payloads_ = 0;  // offset behind the manifest
};

}  // namespace penstock::manifest
