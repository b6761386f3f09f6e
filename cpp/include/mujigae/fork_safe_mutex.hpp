// A mutex that no other thread holds in a forked process: what it guards is consistent on both sides of the fork.
//
//   fork   before    every such mutex is locked: a fork waits for the calls that run
//          after     all are unlocked, in the parent and in the child
//
// Who holds an outer mutex may lock inner ones, so those are locked last. Nobody makes or destroys one while holding another.
// Threads: any.
#pragma once

#include <mutex>

namespace mujigae {

class ForkSafeMutex {
 public:
  enum class Level { kOuter, kInner };

  explicit ForkSafeMutex(Level level = Level::kOuter);
  ~ForkSafeMutex();
  ForkSafeMutex(const ForkSafeMutex&) = delete;
  ForkSafeMutex& operator=(const ForkSafeMutex&) = delete;

  void lock() { mutex_.lock(); }
  bool try_lock() { return mutex_.try_lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
  Level level_;
};

}  // namespace mujigae
