// Mutexes beside the GIL.
#pragma once

#include <mutex>

#include "gil.hpp"
#include "mujigae/fork_safe_mutex.hpp"

namespace mujigae::bindings {

// work() under the mutex, without the GIL; `work` touches nothing of Python. Work of a microsecond or two keeps the GIL where
// nobody holds the mutex: to release it and take it again would cost a good part of that. Nobody waits for the mutex with the
// GIL, so nobody can wait for ever.
template <class Work>
auto with_lock(ForkSafeMutex& mutex, bool is_small, const Work& work) {
  if (is_small) {
    const std::unique_lock lock(mutex, std::try_to_lock);
    if (lock.owns_lock()) return work();
  }
  const ReleasedGil release;
  const std::lock_guard lock(mutex);
  return work();
}

}  // namespace mujigae::bindings
