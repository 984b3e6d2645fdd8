// A thing that one side gives and takes away, and another side uses: a vCPU and the CPU that it is
// given to. The giver may free the thing once withdraw() has said so.
//
// Each side writes its own word and then reads the other's, all sequentially consistent: whatever
// the order, at least one of the two sees the other. The user either finds that the thing was
// withdrawn meanwhile and lets go of it unused, or is seen to hold it.
#pragma once

#include <atomic>

namespace penstock {

/// `Word`: std::atomic, or a test's.
template <typename T, template <typename> typename Word = std::atomic>
class Handover {
 public:
  /// The giver: from now on the user shall have `thing`.
  void assign(T* thing) { assigned_.store(thing); }
  [[nodiscard]] T* assigned() const { return assigned_.load(); }

  /// The giver: takes `thing` away. True when the user does not have it and cannot come to have it;
  /// else it has to look (adopt()), and this is to be asked again.
  [[nodiscard]] bool withdraw(T* thing) {
    if (assigned_.load() == thing) assigned_.store(nullptr);
    return adopted_.load() != thing;
  }

  /// The user: lets go of what it had, and returns what it has now, to be used until the next call.
  T* adopt() {
    for (;;) {
      T* thing = assigned_.load();
      adopted_.store(thing);
      if (assigned_.load() == thing) return thing;
    }
  }

 private:
  Word<T*> assigned_{nullptr};
  Word<T*> adopted_{nullptr};
};

}  // namespace penstock
