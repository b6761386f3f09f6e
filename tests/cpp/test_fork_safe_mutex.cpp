#include "mujigae/fork_safe_mutex.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

using namespace mujigae;

TEST_CASE("no other thread holds a mutex in a forked process, and what it guards is consistent there") {
  ForkSafeMutex outer, inner(ForkSafeMutex::Level::kInner);
  std::vector<int> guarded = {0, 0};  // always equal
  std::atomic<bool> has_ended = false;
  std::thread writer([&] {
    while (!has_ended) {
      const std::lock_guard lock(outer);
      ++guarded[0];
      const std::lock_guard within(inner);
      ++guarded[1];
    }
  });
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::alarm(10);
      const std::lock_guard lock(outer);
      const std::lock_guard within(inner);
      ::_exit(guarded[0] == guarded[1] ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  has_ended = true;
  writer.join();
}

TEST_CASE("mutexes come and go while the process forks") {
  std::atomic<bool> has_ended = false;
  std::thread maker([&] {
    while (!has_ended) {
      const auto mutex = std::make_unique<ForkSafeMutex>();
      const std::lock_guard lock(*mutex);
    }
  });
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(10);
      ForkSafeMutex mutex;
      ::_exit(mutex.try_lock() ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  has_ended = true;
  maker.join();
}
