#include "tools/penstock/bundle.hpp"

#include <fmt/format.h>
#include <libfdt.h>

#include <array>
#include <fstream>
#include <span>
#include <stdexcept>

#include "core/base/bytes.hpp"
#include "core/manifest/bundle.hpp"
#include "core/manifest/tree.hpp"

namespace penstock::tool {
namespace header = manifest::header;
namespace image = manifest::arm64_image;
namespace tree = manifest::tree;
namespace {

constexpr std::size_t kTreeRoom = 256 * kKiB;  // more than the largest valid configuration needs

/// libfdt's sequential writer. Running out of room or a wrong order are mistakes of this program.
class TreeWriter {
 public:
  TreeWriter() : buffer_(kTreeRoom) {
    must(fdt_create(buffer_.data(), static_cast<int>(buffer_.size())));
    must(fdt_finish_reservemap(buffer_.data()));
  }
  void begin(const std::string& name) { must(fdt_begin_node(buffer_.data(), name.c_str())); }
  void end() { must(fdt_end_node(buffer_.data())); }
  void text(const char* name, const std::string& value) {
    must(fdt_property_string(buffer_.data(), name, value.c_str()));
  }
  void flag(const char* name, bool present) {
    if (present) must(fdt_property(buffer_.data(), name, nullptr, 0));
  }
  void number(const char* name, std::uint64_t value) {
    must(fdt_property_u32(buffer_.data(), name, static_cast<std::uint32_t>(value)));
  }
  void number64(const char* name, std::uint64_t value) {
    must(fdt_property_u64(buffer_.data(), name, value));
  }
  void cells(const char* name, const std::vector<std::uint64_t>& values) {
    std::vector<fdt32_t> data;
    data.reserve(values.size());
    for (const std::uint64_t v : values)
      data.push_back(cpu_to_fdt32(static_cast<std::uint32_t>(v)));
    must(fdt_property(buffer_.data(), name, data.data(), static_cast<int>(4 * data.size())));
  }
  Bytes finish() {
    must(fdt_finish(buffer_.data()));
    const void* finished = buffer_.data();
    buffer_.resize(fdt_totalsize(finished));
    return std::move(buffer_);
  }

 private:
  static void must(int status) {
    if (status != 0) throw std::runtime_error(fdt_strerror(status));
  }
  Bytes buffer_;
};

std::vector<std::uint64_t> blob_cells(const manifest::Blob& blob) {
  return {blob.offset >> 32,   blob.offset,        blob.size >> 32, blob.size,
          blob.first_page_crc, blob.last_page_crc, blob.crc};
}

void write_capability(TreeWriter& writer, const CapabilitySpec& capability, std::size_t index) {
  writer.begin(fmt::format("{}{}", tree::kCapability, index));
  writer.number(tree::kId, capability.id);
  writer.flag(tree::kExtended, capability.extended);
  writer.number(tree::kLength, capability.length);
  std::vector<std::uint64_t> cells;
  for (const RegisterSpec& r : capability.registers) {
    cells.insert(cells.end(), {r.offset, r.live, r.write, r.w1c});
  }
  if (!cells.empty()) writer.cells(tree::kRegisters, cells);
  writer.end();
}

void write_device(TreeWriter& writer, const PlannedDevice& device, std::size_t index) {
  writer.begin(fmt::format("{}{}", tree::kDevice, index));
  writer.number(tree::kHost, device.host.value());
  writer.number(tree::kGuest, device.guest.value());
  writer.flag(tree::kAcceptNoReset, device.accept_no_reset);
  writer.flag(tree::kAcceptNoIsolation, device.accept_no_isolation);
  writer.flag(tree::kScratch, device.scratch);
  std::vector<std::uint64_t> denied;
  for (const auto& each : device.denied) {
    denied.insert(denied.end(), {each.value.id, each.value.extended ? 1U : 0U});
  }
  if (!denied.empty()) writer.cells(tree::kDeny, denied);
  for (std::size_t i = 0; i < device.capabilities.size(); ++i) {
    write_capability(writer, device.capabilities[i], i);
  }
  writer.end();
}

void write_domain(TreeWriter& writer, const PlannedDomain& domain, std::size_t index,
                  const manifest::Blob& kernel, const manifest::Blob& initrd) {
  writer.begin(fmt::format("{}{}", tree::kDomain, index));
  writer.text(tree::kName, domain.name);
  writer.cells(tree::kCpus, {domain.cpus.begin(), domain.cpus.end()});
  writer.number64(tree::kMemory, domain.memory);
  if (domain.memory_base) writer.number64(tree::kMemoryBase, *domain.memory_base);
  writer.cells(tree::kKernel, blob_cells(kernel));
  if (domain.kernel_offset) writer.number64(tree::kKernelOffset, *domain.kernel_offset);
  if (initrd.size != 0) writer.cells(tree::kInitrd, blob_cells(initrd));
  if (!domain.cmdline.empty()) writer.text(tree::kBootargs, domain.cmdline);
  writer.number(tree::kAutostart, domain.autostart ? 1 : 0);
  writer.text(tree::kOnReboot, domain.on_reboot);
  writer.text(tree::kOnCrash, domain.on_crash);
  writer.text(tree::kIommu, domain.iommu);
  writer.flag(tree::kControl, domain.control);
  writer.flag(tree::kHardware, domain.hardware);
  if (domain.slots != 0) writer.number(tree::kSlots, domain.slots);
  if (domain.interrupts != 0) writer.number(tree::kInterrupts, domain.interrupts);
  for (std::size_t i = 0; i < domain.devices.size(); ++i) {
    write_device(writer, domain.devices[i], i);
  }
  writer.end();
}

manifest::Blob describe_blob(const Bytes& bytes) {
  return {0, bytes.size(), manifest::crc32_first_page(bytes), manifest::crc32_last_page(bytes),
          manifest::crc32(bytes)};
}

Outcome<std::vector<Bytes>> read_payloads(const Plan& plan) {
  std::vector<Bytes> payloads;
  for (const PlannedDomain& domain : plan.domains) {
    Result<Kernel> kernel = read_kernel(domain.kernel);
    if (!kernel) {
      return {{}, fmt::format("{}: {}", domain.kernel.string(), describe(kernel.error().code))};
    }
    payloads.push_back(std::move(kernel->bytes));
    std::optional<Bytes> initrd = domain.initrd.empty() ? Bytes{} : read_file(domain.initrd);
    if (!initrd) return {{}, fmt::format("{}: cannot be read", domain.initrd.string())};
    payloads.push_back(std::move(*initrd));
  }
  return {std::move(payloads), {}};
}

Bytes make_header(std::uint64_t total, const Bytes& manifest_bytes) {
  Bytes h(manifest::kBundleHeaderBytes);
  std::copy(manifest::kBundleMagic.begin(), manifest::kBundleMagic.end(), h.begin());
  store_le(h, header::kVersion, 4, manifest::kBundleVersion);
  store_le(h, header::kHeaderBytes, 4, manifest::kBundleHeaderBytes);
  store_le(h, header::kTotalBytes, 8, total);
  store_le(h, header::kManifestOffset, 4, manifest::kBundleHeaderBytes);
  store_le(h, header::kManifestBytes, 4, manifest_bytes.size());
  store_le(h, header::kManifestCrc, 4, manifest::crc32(manifest_bytes));
  store_le(h, header::kHeaderCrc, 4,
           manifest::crc32(std::span<const std::uint8_t>(h).first(header::kHeaderCrc)));
  return h;
}

/// Offset of the bundle in a file whose Image header covers `image_size` bytes of hypervisor; 0
/// when it cannot be.
std::uint64_t image_bytes(std::span<const std::uint8_t> file) {
  if (!manifest::is_arm64_image(file)) return 0;
  return load_le(file, image::kImageSize, 8);
}

std::string whole(const manifest::Blob& blob, std::span<const std::uint8_t> bundle,
                  std::string_view domain, std::string_view kind) {
  if (blob.size == 0) return {};
  if (manifest::crc32(bundle.subspan(blob.offset, blob.size)) == blob.crc) return {};
  return fmt::format("the {} of domain {} is damaged: build the bundle again", kind, domain);
}

}  // namespace

Bytes manifest_tree(const Plan& plan, const std::vector<manifest::Blob>& blobs) {
  TreeWriter writer;
  writer.begin("");
  writer.text(tree::kCompatible, tree::kCompatibleValue);
  writer.number(tree::kVersion, tree::kVersionNumber);
  writer.text(tree::kBoard, plan.board.name);
  std::vector<std::uint64_t> hidden;
  hidden.reserve(plan.hidden.size());
  for (const HostBdf bdf : plan.hidden) hidden.push_back(bdf.value());
  if (!hidden.empty()) writer.cells(tree::kHidden, hidden);
  for (std::size_t i = 0; i < plan.domains.size(); ++i) {
    write_domain(writer, plan.domains[i], i, blobs[2 * i], blobs[2 * i + 1]);
  }
  writer.end();
  return writer.finish();
}

Outcome<BundlePieces> bundle_pieces(const Plan& plan) {
  auto payloads = read_payloads(plan);
  if (!payloads.value) return {{}, payloads.error};

  std::vector<manifest::Blob> blobs;
  for (const Bytes& payload : *payloads.value) blobs.push_back(describe_blob(payload));
  // The tree's size does not depend on the offsets in it.
  const std::uint64_t tree_bytes = manifest_tree(plan, blobs).size();
  std::uint64_t end = align_up(manifest::kBundleHeaderBytes + tree_bytes, kPageSize);
  const std::uint64_t tree_end = end;
  BundlePieces built;
  for (manifest::Blob& blob : blobs) {
    if (blob.size == 0) continue;
    blob.offset = end;
    end = align_up(end + blob.size, manifest::kPayloadAlign);
    built.sizes.payloads += blob.size;
  }
  Bytes tree = manifest_tree(plan, blobs);
  built.sizes.manifest = tree.size();
  built.sizes.total = end;
  built.pieces.push_back(make_header(end, tree));
  tree.resize(tree_end - manifest::kBundleHeaderBytes);
  built.pieces.push_back(std::move(tree));
  for (Bytes& payload : *payloads.value) {
    payload.resize(align_up(payload.size(), manifest::kPayloadAlign));
    if (!payload.empty()) built.pieces.push_back(std::move(payload));
  }
  return {std::move(built), {}};
}

Outcome<BuiltBundle> build_bundle(const Plan& plan, const Bytes& hypervisor) {
  const std::uint64_t own_size = image_bytes(hypervisor);
  if (own_size == 0 || own_size % kPageSize != 0 || own_size < hypervisor.size()) {
    return {{}, "the hypervisor's file is no arm64 Image made by the target build"};
  }
  const auto bundle = bundle_pieces(plan);
  if (!bundle.value) return {{}, bundle.error};
  BuiltBundle built{{}, bundle.value->sizes};
  built.sizes.image = own_size;
  built.sizes.total += own_size;
  built.file.reserve(built.sizes.total);
  built.file = hypervisor;
  built.file.resize(own_size);
  // A loader keeps the whole file free, and the hypervisor knows its own size from its linker
  // script.
  store_le(built.file, image::kImageSize, 8, built.sizes.total);
  for (const Bytes& piece : bundle.value->pieces) {
    built.file.insert(built.file.end(), piece.begin(), piece.end());
  }

  const Outcome<OpenedBundle> opened = open_bundle(built.file);
  if (!opened.value) return {{}, fmt::format("the bundle contradicts itself: {}", opened.error)};
  return {std::move(built), {}};
}

Outcome<OpenedBundle> open_bundle(const Bytes& file) {
  if (!manifest::is_arm64_image(file))
    return {{}, "is no bundle: it does not start as an arm64 Image"};
  // The Image header was patched to cover everything, so the bundle is found by its magic, on a
  // page.
  const std::span<const std::uint8_t> all(file);
  for (std::size_t offset = kPageSize; offset + manifest::kBundleHeaderBytes <= file.size();
       offset += kPageSize) {
    const std::string_view magic(reinterpret_cast<const char*>(file.data() + offset),
                                 manifest::kBundleMagic.size());
    if (magic != manifest::kBundleMagic) continue;
    Outcome<OpenedBundle> opened;
    opened.value.emplace();
    const std::span<const std::uint8_t> bundle = all.subspan(offset);
    manifest::Problem problem;
    manifest::Manifest& m = opened.value->manifest;
    if (const Status parsed = manifest::parse(bundle, m, problem); !parsed) {
      Text<300> text;
      manifest::describe(problem, m, text);
      return {{}, std::string(text.view())};
    }
    if (image_bytes(all) != file.size()) {
      return {{}, "is cut off or has something behind it: build or copy it again"};
    }
    BundleSizes& sizes = opened.value->sizes;
    sizes.image = offset;
    sizes.manifest = load_le(bundle, header::kManifestBytes, 4);
    sizes.total = file.size();
    for (const manifest::DomainConfig& domain : m.domains) {
      sizes.payloads += domain.kernel.size + domain.initrd.size;
      std::string damage = whole(domain.kernel, bundle, domain.name_view(), "kernel");
      if (damage.empty()) damage = whole(domain.initrd, bundle, domain.name_view(), "initrd");
      if (!damage.empty()) return {{}, damage};
    }
    return opened;
  }
  return {{}, "has no bundle behind the hypervisor: boot what `penstock build` writes"};
}

bool looks_like_bundle(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<std::uint8_t, image::kHeaderBytes> start{};
  in.read(reinterpret_cast<char*>(start.data()), start.size());
  return in && manifest::is_arm64_image(start);
}

}  // namespace penstock::tool
