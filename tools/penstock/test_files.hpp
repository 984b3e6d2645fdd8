// For tests: a folder of its own that goes away, and small files in it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/bytes.hpp"
#include "tools/penstock/payload.hpp"

namespace penstock::tool::test {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }
  std::filesystem::path write(const std::string& name, const Bytes& content) const {
    return write(name,
                 std::string_view(reinterpret_cast<const char*>(content.data()), content.size()));
  }

 private:
  std::filesystem::path path_;
};

/// An arm64 Image of `bytes` bytes that says it needs `image_size`.
inline Bytes arm64_image(std::size_t bytes, std::uint64_t image_size) {
  Bytes image(bytes);
  store_le(image, 16, 8, image_size);
  image[56] = 'A';
  image[57] = 'R';
  image[58] = 'M';
  image[59] = 0x64;
  return image;
}

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A board with the devices of the demo.
inline constexpr const char* kBoard = R"(name = "test-board"
title = "A board for tests"
cpus = 4
memory_base = 0x40000000
memory = "1G"
iommu = "smmuv3"
iommu_stages = 2
msi = "its"
bridge = "ecam"
[qemu]
machine = "virt"
cpu = "cortex-a76"
arguments = ["-device pcie-root-port,id=port1"]
[[device]]
bdf = "0000:01:00.0"
name = "NVMe drive"
driver = "nvme"
vectors = 65
reset = "flr"
isolation = "acs"
qemu = "nvme,drive=nvme0"
backend = "nvme0"
default_backend = "-blockdev driver=null-co,node-name=nvme0"
[[device]]
bdf = "0000:02:00.0"
name = "network card"
driver = "igb"
reset = "flr"
isolation = "acs"
qemu = "igb,netdev=net0"
backend = "net0"
[[device]]
bdf = "0000:00:03.0"
name = "edu"
reset = "none"
isolation = "integrated"
risks = ["its DMA engine goes where its driver says"]
[[device]]
bdf = "0000:03:00.0"
name = "old card"
reset = "bus"
isolation = "shared"
)";

}  // namespace penstock::tool::test
