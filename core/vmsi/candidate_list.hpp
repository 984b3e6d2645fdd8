// The most urgent few of many pending interrupts.
#pragma once

#include <array>
#include <cstdint>

namespace penstock::vmsi {

struct Candidate {
  std::uint32_t intid = 0;
  std::uint8_t priority = 0;  // 0 is the most urgent
};

/// Keeps at most `capacity` (<= 16) candidates, the most urgent first; among equals the first come
/// stays first.
class CandidateList {
 public:
  explicit CandidateList(unsigned capacity) : capacity_(capacity < kMax ? capacity : kMax) {}

  void add(Candidate candidate) {
    if (size_ == capacity_) {
      overflowed_ = true;
      if (size_ == 0 || items_[size_ - 1].priority <= candidate.priority) return;
      --size_;
    }
    unsigned i = size_++;
    for (; i > 0 && items_[i - 1].priority > candidate.priority; --i) items_[i] = items_[i - 1];
    items_[i] = candidate;
  }
  /// A candidate was left out.
  [[nodiscard]] bool overflowed() const { return overflowed_; }
  [[nodiscard]] const Candidate* begin() const { return items_.data(); }
  [[nodiscard]] const Candidate* end() const { return items_.data() + size_; }

 private:
  static constexpr unsigned kMax = 16;
  unsigned capacity_;
  unsigned size_ = 0;
  bool overflowed_ = false;
  std::array<Candidate, kMax> items_{};
};

}  // namespace penstock::vmsi
