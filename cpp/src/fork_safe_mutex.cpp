#include "mujigae/fork_safe_mutex.hpp"

#include <array>
#include <set>

#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

// Every mutex there is. Never destroyed: buffers may outlive the objects of this file when the program ends.
class Registry {
 public:
  static Registry& only() {
    static Registry* const registry = new Registry;
    return *registry;
  }

  void add(ForkSafeMutex* mutex, ForkSafeMutex::Level level) {
    const std::lock_guard lock(mutex_);
    of(level).insert(mutex);
  }
  void remove(ForkSafeMutex* mutex, ForkSafeMutex::Level level) {
    const std::lock_guard lock(mutex_);
    of(level).erase(mutex);
  }

  void lock_all() {
    mutex_.lock();
    for (const auto& level : mutexes_) {
      for (ForkSafeMutex* mutex : level) mutex->lock();
    }
  }
  void unlock_all() {
    for (const auto& level : mutexes_) {
      for (ForkSafeMutex* mutex : level) mutex->unlock();
    }
    mutex_.unlock();
  }

 private:
  Registry() {
    system::at_fork([] { only().lock_all(); }, [] { only().unlock_all(); }, [] { only().unlock_all(); });
  }
  std::set<ForkSafeMutex*>& of(ForkSafeMutex::Level level) { return mutexes_[static_cast<std::size_t>(level)]; }

  std::mutex mutex_;
  std::array<std::set<ForkSafeMutex*>, 2> mutexes_;  // outer, inner
};

}  // namespace

ForkSafeMutex::ForkSafeMutex(Level level) : level_(level) { Registry::only().add(this, level); }
ForkSafeMutex::~ForkSafeMutex() { Registry::only().remove(this, level_); }

}  // namespace mujigae
