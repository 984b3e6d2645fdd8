// Writes and reads bundles (core/manifest/bundle.hpp has the layout).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/manifest/manifest.hpp"
#include "tools/penstock/check.hpp"
#include "tools/penstock/payload.hpp"

namespace penstock::tool {

struct BundleSizes {
  std::uint64_t image = 0;     // hypervisor with its zero-initialised data
  std::uint64_t manifest = 0;  // the tree
  std::uint64_t payloads = 0;
  std::uint64_t total = 0;  // the file
};

struct BuiltBundle {
  Bytes file;
  BundleSizes sizes;
};

/// A text for people instead of a value.
template <typename T>
struct Outcome {
  std::optional<T> value;
  std::string error;
};

/// The manifest's tree for a plan whose payloads lie at `blobs` (kernel, initrd of each domain in
/// order; size 0: none).
[[nodiscard]] Bytes manifest_tree(const Plan& plan, const std::vector<manifest::Blob>& blobs);

/// A bundle without an image before it, cut where its parts begin; one behind the other they are
/// the whole. sizes.image is 0.
struct BundlePieces {
  std::vector<Bytes> pieces;
  BundleSizes sizes;
};
[[nodiscard]] Outcome<BundlePieces> bundle_pieces(const Plan& plan);

/// `hypervisor` is the arm64 Image that the target build makes.
[[nodiscard]] Outcome<BuiltBundle> build_bundle(const Plan& plan, const Bytes& hypervisor);

/// A bundle file taken apart: checks what the hypervisor checks and the checksum of every payload,
/// whole.
struct OpenedBundle {
  manifest::Manifest manifest;  // views into the bytes that were given
  BundleSizes sizes;
};
[[nodiscard]] Outcome<OpenedBundle> open_bundle(const Bytes& file);

/// True when the file starts like an arm64 Image: a bundle rather than a configuration.
[[nodiscard]] bool looks_like_bundle(const std::filesystem::path& file);

}  // namespace penstock::tool
