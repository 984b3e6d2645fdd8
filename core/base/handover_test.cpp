#include "core/base/handover.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace penstock {
namespace {

/// Lets two threads touch shared words one at a time, in a given order: "GU" is the giver's access
/// first, then the user's. A thread that is done is passed over; after the last letter both run on.
class Schedule {
 public:
  void begin(const std::string& order) {
    const std::lock_guard guard(mutex_);
    order_ = order;
    at_ = 0;
    done_[0] = done_[1] = false;
  }
  template <typename Access>
  void touch(char who, Access access) {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return turn_of(who); });
    access();
    if (at_ < order_.size()) ++at_;
    changed_.notify_all();
  }
  void finish(char who) {
    const std::lock_guard guard(mutex_);
    done_[who == 'G' ? 0 : 1] = true;
    changed_.notify_all();
  }

 private:
  bool turn_of(char who) {
    while (at_ < order_.size() && done_[order_[at_] == 'G' ? 0 : 1]) ++at_;
    return at_ == order_.size() || order_[at_] == who;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string order_;
  std::size_t at_ = 0;
  bool done_[2] = {};
};

Schedule schedule;
thread_local char self = 0;  // 'G', 'U', or 0: not scheduled

template <typename T>
class ScheduledWord {
 public:
  explicit ScheduledWord(T value) : value_(value) {}
  T load() const {
    T value = value_.load();
    if (self != 0) schedule.touch(self, [&] { value = value_.load(); });
    return value;
  }
  void store(T value) {
    if (self == 0) return value_.store(value);
    schedule.touch(self, [&] { value_.store(value); });
  }

 private:
  std::atomic<T> value_;
};

template <typename Function>
void as(char who, Function function) {
  self = who;
  function();
  schedule.finish(who);
}

/// Every order of the first six accesses. What one side's code needs beyond them comes last.
TEST(Handover, InEveryOrderTheUserHasNothingThatTheGiverMayFree) {
  unsigned kept = 0;
  unsigned freed = 0;
  for (unsigned bits = 0; bits < 64; ++bits) {
    std::string order;
    for (unsigned i = 0; i < 6; ++i) order += (bits >> i & 1) != 0 ? 'G' : 'U';
    int thing = 0;
    Handover<int, ScheduledWord> handover;
    handover.assign(&thing);
    schedule.begin(order);
    int* adopted = nullptr;
    bool free = false;
    std::thread user([&] { as('U', [&] { adopted = handover.adopt(); }); });
    std::thread giver([&] { as('G', [&] { free = handover.withdraw(&thing); }); });
    user.join();
    giver.join();
    EXPECT_FALSE(free && adopted == &thing) << order;
    kept += adopted == &thing;
    freed += free;
    if (!free) {
      EXPECT_EQ(handover.adopt(), nullptr) << order;
      EXPECT_TRUE(handover.withdraw(&thing)) << order;
    }
  }
  EXPECT_GT(kept, 0U);
  EXPECT_GT(freed, 0U);
}

TEST(Handover, AThingThatWasGivenToNobodyElseStays) {
  int one = 0;
  int two = 0;
  Handover<int> handover;
  EXPECT_EQ(handover.adopt(), nullptr);
  handover.assign(&one);
  EXPECT_TRUE(handover.withdraw(&two));
  EXPECT_EQ(handover.assigned(), &one);
  EXPECT_EQ(handover.adopt(), &one);
  EXPECT_FALSE(handover.withdraw(&one));
  EXPECT_EQ(handover.assigned(), nullptr);
  handover.assign(&two);
  EXPECT_EQ(handover.adopt(), &two);
  EXPECT_TRUE(handover.withdraw(&one));
}

}  // namespace
}  // namespace penstock
