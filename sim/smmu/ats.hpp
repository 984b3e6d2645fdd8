// A device's Address Translation Cache (PCI Express, chapter 10.3): it asks the SMMU for
// translations, keeps them until it is told to forget them, and accesses memory with translated
// addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

class Atc final {
 public:
  /// Attached to its SMMU as long as it lives.
  Atc(Smmu& smmu, std::uint32_t stream);
  ~Atc();
  Atc(const Atc&) = delete;
  Atc& operator=(const Atc&) = delete;

  /// One access with what the cache holds; it asks the SMMU when it holds nothing that would do.
  Smmu::Outcome access(std::uint64_t iova, bool is_write,
                       std::optional<std::uint32_t> substream = std::nullopt);

  // The SMMU's side.
  [[nodiscard]] bool answers() const { return answers_; }
  /// 4 KiB << `size_log2` bytes from `start`; 52 and more: everything. `any_substream`: whatever
  /// substream it belongs to.
  void invalidate(std::optional<std::uint32_t> substream, bool any_substream, std::uint64_t start,
                  unsigned size_log2);

  // What a test may look at, and break.
  [[nodiscard]] std::size_t entries() const { return entries_.size(); }
  void stop_answering(bool stopped) { answers_ = !stopped; }  // a device that hangs

 private:
  struct Entry {
    std::uint64_t page = 0;
    bool readable = false;
    bool writable = false;
  };
  using Key = std::pair<std::optional<std::uint32_t>, std::uint64_t>;  // substream, page

  Smmu& smmu_;
  std::uint32_t stream_;
  bool answers_ = true;
  std::map<Key, Entry> entries_;
};

}  // namespace penstock::sim
