// What of a function's configuration survives its reset, and what shows that there was one.
//
// Nothing that a guest could have written comes back: base addresses are those that enumeration
// gave, the command register is ours, and of the capabilities only fields are kept that every
// guest reads and none writes (payload and request sizes, time-outs, the link's and the access
// control's settings).
#pragma once

#include <cstdint>

#include "core/base/static_vector.hpp"
#include "core/pci/function_info.hpp"
#include "core/port/config_space.hpp"

namespace penstock::pci {

/// How a reset went wrong.
enum class ResetFault : std::uint8_t {
  kNone,
  kNoAnswer,   // all-ones until the deadline
  kRetries,    // Configuration RRS, "not ready yet", until the deadline
  kStranger,   // answers with other IDs than before
  kNoLink,     // the link below the port did not come up again
  kPending,    // still waits for completions of requests from before
  kUnchanged,  // answers, but nothing shows that it was reset
  kConfig,     // does not take its configuration back
};

class ResetConfig {
 public:
  /// Silences the function, decoding off too, and notes what restore() writes. Both objects outlive
  /// this one.
  void save(const FunctionInfo& info, port::ConfigSpace& config);
  /// Sets bits that every reset clears and that do no harm meanwhile.
  void mark();
  /// Requests of it are not completed yet (PCIe 7.5.3.5).
  [[nodiscard]] bool pending();
  /// kNone when it answers as what it is; else kNoAnswer, kRetries or kStranger.
  [[nodiscard]] ResetFault presence();
  /// After presence() said kNone: whether the marks are gone. A function that has no such bits
  /// shows it by its base addresses. One without either shows nothing: false.
  [[nodiscard]] bool happened();
  void restore();
  [[nodiscard]] bool restored();

  [[nodiscard]] const FunctionInfo& info() const { return *info_; }
  [[nodiscard]] port::ConfigSpace& config() { return *config_; }

 private:
  struct Kept {
    std::uint16_t at = 0;
    std::uint8_t size = 0;
    std::uint32_t mask = 0;
    std::uint32_t value = 0;
  };
  friend void quiesce(port::ConfigSpace& config, const FunctionInfo& info);
  using KeptList = StaticVector<Kept, 10>;
  static void quiet(port::ConfigSpace& config, const FunctionInfo& info, KeptList* kept);

  [[nodiscard]] std::uint32_t command() const;
  [[nodiscard]] bool bars_are(bool placed);

  const FunctionInfo* info_ = nullptr;
  port::ConfigSpace* config_ = nullptr;
  KeptList kept_;
  bool marked_command_ = false;
  bool marked_msix_ = false;
};

/// Bus mastering, MSI, MSI-X, no-snoop, phantom functions, ATS, page requests and PASIDs off.
/// Nothing that the function does reaches anybody afterwards.
void quiesce(port::ConfigSpace& config, const FunctionInfo& info);

}  // namespace penstock::pci
