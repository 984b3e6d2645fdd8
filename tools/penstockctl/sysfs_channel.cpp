#include "tools/penstockctl/sysfs_channel.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

#include "core/control/abi.hpp"
#include "tools/penstock/process.hpp"
#include "tools/penstockctl/failure.hpp"

namespace penstock::ctl {
namespace fs = std::filesystem;
namespace {

/// A number of a sysfs file such as `vendor`, "0x5053"; nothing when it cannot be read.
std::optional<std::uint64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  std::string text;
  if (!(in >> text)) return {};
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text.c_str(), &end, 0);
  return end != text.c_str() && *end == '\0' ? std::optional(value) : std::nullopt;
}

bool is_control_function(const fs::path& folder) {
  return number_in(folder / "class") == control::kClassCode &&
         number_in(folder / "vendor") == control::kVendorId &&
         number_in(folder / "device") == control::kDeviceId;
}

[[noreturn]] void fail_with(const fs::path& file, int error) {
  throw Failure(Exit::kNoInterface,
                fmt::format("{}: {}{}", file.string(), std::strerror(error),
                            error == EACCES || error == EPERM ? " (penstockctl needs root)" : ""));
}

/// A BAR, mapped whole.
class Mapping {
 public:
  Mapping(const fs::path& file, std::uint64_t bytes) : bytes_(bytes) {
    fd_ = tool::Descriptor(open(file.c_str(), O_RDWR | O_SYNC | O_CLOEXEC));
    if (!fd_.open()) fail_with(file, errno);
    struct stat status{};
    if (fstat(fd_.get(), &status) != 0) fail_with(file, errno);
    if (static_cast<std::uint64_t>(status.st_size) < bytes) {
      throw Failure(Exit::kNoInterface, fmt::format("{}: has {} bytes, not {}: this is no control "
                                                    "function of Penstock",
                                                    file.string(), status.st_size, bytes));
    }
    base_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (base_ == MAP_FAILED) fail_with(file, errno);
  }
  ~Mapping() { munmap(base_, bytes_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] int descriptor() const { return fd_.get(); }
  /// The memory may be of a kind that takes only aligned accesses, whole and in this order, so
  /// nothing is copied by memcpy.
  template <typename T>
  [[nodiscard]] volatile T* at(std::uint64_t offset) const {
    return reinterpret_cast<volatile T*>(static_cast<std::uint8_t*>(base_) + offset);
  }

 private:
  tool::Descriptor fd_;
  std::uint64_t bytes_;
  void* base_ = nullptr;
};

class SysfsChannel final : public Channel {
 public:
  SysfsChannel(const fs::path& registers, const fs::path& window)
      : registers_(registers, control::kRegisterBytes), window_(window, control::kWindowBytes) {}

  std::uint32_t read(std::uint64_t offset) override {
    const std::uint32_t value = *registers_.at<std::uint32_t>(offset);
    order();  // what the register announced is read after it
    return value;
  }
  void write(std::uint64_t offset, std::uint32_t value) override {
    order();  // the request is there before the doorbell rings
    *registers_.at<std::uint32_t>(offset) = value;
  }
  void read_window(std::uint64_t offset, std::span<std::uint8_t> into) override {
    for (std::size_t i = 0; i < into.size(); i += sizeof(std::uint64_t)) {
      const std::uint64_t word = *window_.at<std::uint64_t>(offset + i);
      std::memcpy(&into[i], &word, std::min(sizeof word, into.size() - i));
    }
  }
  void write_window(std::uint64_t offset, std::span<const std::uint8_t> from) override {
    for (std::size_t i = 0; i < from.size(); i += sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, &from[i], std::min(sizeof word, from.size() - i));
      *window_.at<std::uint64_t>(offset + i) = word;
    }
  }

  bool try_lock(Turn turn) override { return flock(lock_of(turn), LOCK_EX | LOCK_NB) == 0; }
  void unlock(Turn turn) override { flock(lock_of(turn), LOCK_UN); }

  Time now() override { return std::chrono::steady_clock::now().time_since_epoch(); }
  void pause(Time time) override {
    pollfd wait{signals_.descriptor(), POLLIN, 0};
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    const timespec left{static_cast<time_t>(seconds.count()),
                        static_cast<long>((time - seconds).count())};
    ppoll(&wait, 1, &left, nullptr);
  }
  bool interrupted() override {
    if (signals_.take()) interrupted_ = true;
    return interrupted_;
  }

 private:
  static void order() {
#ifdef __aarch64__
    asm volatile("dsb sy" ::
                     : "memory");  // the window and the registers are different kinds of memory
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  }

  [[nodiscard]] int lock_of(Turn turn) const {
    return (turn == Turn::kRequest ? registers_ : window_).descriptor();
  }

  Mapping registers_;
  Mapping window_;
  tool::Signals signals_;
  bool interrupted_ = false;
};

fs::path named_function(const fs::path& devices, const std::string& wanted) {
  std::error_code ignored;
  for (const fs::path& folder :
       {fs::path(wanted), devices / wanted, devices / ("0000:" + wanted)}) {
    if (fs::exists(folder / "resource0", ignored)) return folder;
  }
  throw Failure(Exit::kUsage,
                fmt::format("--device: there is no PCI function \"{}\"; write an address such as "
                            "0000:00:1f.0, or its folder in sysfs",
                            wanted));
}

}  // namespace

fs::path find_function(const fs::path& devices, const std::string& wanted) {
  if (!wanted.empty()) return named_function(devices, wanted);
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(devices, error)) {
    if (is_control_function(entry.path())) found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    throw Failure(Exit::kNoInterface,
                  fmt::format("no control interface among {}: give the domain `control = true` in "
                              "the configuration, or name the function with --device",
                              devices.string()));
  }
  throw Failure(Exit::kNoInterface, fmt::format("{} functions look like the control interface: "
                                                "name one with --device",
                                                found.size()));
}

std::unique_ptr<Channel> open_function(const fs::path& folder) {
  // The kernel counts who enabled a function: a second "1" would only have to be taken back.
  const fs::path enable = folder / "enable";
  if (number_in(enable) == 0U) {
    std::ofstream out(enable);
    out << "1" << std::flush;
    if (!out) fail_with(enable, errno);
  }
  // Write-combining memory on arm64 is normal memory, faster than the device memory of `resource2`.
  const fs::path combining = folder / "resource2_wc";
  std::error_code ignored;
  const bool has_combining = fs::exists(combining, ignored);
  return std::make_unique<SysfsChannel>(folder / "resource0",
                                        has_combining ? combining : folder / "resource2");
}

}  // namespace penstock::ctl
