#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mujigae/frames/frame_copies.hpp"

using namespace mujigae;

namespace {

// Frames of many sizes in order, and zeros between them.
struct Work {
  std::vector<std::byte> from, to, expected;
  std::vector<FrameCopy> copies;

  explicit Work(std::size_t num_copies) {
    for (std::size_t i = 0; i < num_copies; ++i) sizes.push_back(1 + i * i % 9000);
    for (const std::size_t size : sizes) expected.resize(expected.size() + size);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<std::byte>(i * 31);
    from = expected;
    to.assign(expected.size(), std::byte{255});
    std::size_t at = 0;
    for (std::size_t i = 0; i < num_copies; at += sizes[i++]) {
      copies.push_back({i % 5 == 4 ? nullptr : from.data() + at, to.data() + at, sizes[i]});
      if (i % 5 == 4) std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(at), sizes[i], std::byte{0});
    }
  }
  std::vector<std::size_t> sizes;
};

}  // namespace

TEST_CASE("every copy arrives, by the caller's thread and by others") {
  for (const std::size_t num_copies : {0, 1, 2, 63, 500}) {
    Work alone(num_copies), streamed(num_copies), shared(num_copies);
    copy_frames(alone.copies);
    CHECK(alone.to == alone.expected);
    copy_frames(streamed.copies, Stores::kStreamed);
    CHECK(streamed.to == streamed.expected);
    FrameCopies copies = FrameCopies::start(shared.copies);
    copies.finish();
    CHECK(copies.is_done());
    CHECK(shared.to == shared.expected);
  }
}

TEST_CASE("copies that are let go have ended") {
  for (int i = 0; i < 200; ++i) {
    Work work(40), other(3);
    {
      FrameCopies copies = FrameCopies::start(work.copies);
      copies = FrameCopies::start(other.copies);
      CHECK(work.to == work.expected);
    }
    CHECK(other.to == other.expected);
  }
}

TEST_CASE("several callers are served at once") {
  std::vector<std::thread> callers;
  std::vector<int> num_right(4);
  for (int& count : num_right) {
    callers.emplace_back([&count] {
      for (int i = 0; i < 50; ++i) {
        Work first(60), second(20);
        FrameCopies a = FrameCopies::start(first.copies), b = FrameCopies::start(second.copies);
        b.finish();
        a.finish();
        count += first.to == first.expected && second.to == second.expected;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const int count : num_right) CHECK(count == 50);
}

TEST_CASE("a forked process has no threads: it finishes what was begun, and begins anew") {
  for (int i = 0; i < 20; ++i) {
    Work work(200), other(50);
    FrameCopies copies = FrameCopies::start(work.copies), others = FrameCopies::start(other.copies);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      {
        const FrameCopies let_go = std::exchange(others, {});
      }  // without waiting for threads that there are not
      copies.finish();
      // Without a search for leaks: what a thread was holding at that moment is nobody's here.
      std::_Exit(work.to == work.expected ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    copies.finish();
    others.finish();
    CHECK(work.to == work.expected);
    CHECK(other.to == other.expected);
  }
}

TEST_CASE("every part of shared work is done once, whatever the step") {
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{2000}}) {
      std::vector<int> num_done(count);
      share(count, step, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) ++num_done[i];
      });
      CHECK(std::all_of(num_done.begin(), num_done.end(), [](int times) { return times == 1; }));
    }
  }
}

TEST_CASE("what a part throws is thrown to the caller, once nobody works any more") {
  for (int i = 0; i < 50; ++i) {
    std::atomic<int> num_parts = 0;
    const auto part = [&](std::size_t begin, std::size_t) {
      ++num_parts;
      if (begin % 10 == 3) throw std::runtime_error("a part that fails");
    };
    CHECK_THROWS_WITH_AS(share(100, 1, part), "a part that fails", std::runtime_error);
    CHECK(num_parts == 100);
  }
}

TEST_CASE("work that is begun is done once, when its handle is let go at the latest") {
  std::atomic<int> times = 0;
  for (int i = 0; i < 200; ++i) {
    FrameCopies work = begin([&] { ++times; });
    if (i % 2 == 0) std::this_thread::yield();
    work = {};
    CHECK(work.is_done());
    CHECK(times == i + 1);
  }
}

TEST_CASE("work that is not done yet says so") {
  std::atomic<bool> may_end = false;
  FrameCopies work = begin([&] {
    while (!may_end) std::this_thread::yield();
  });
  CHECK_FALSE(work.is_done());
  may_end = true;
  work = {};
  CHECK(work.is_done());
}

TEST_CASE("whoever waits for a thread takes part in what it shares") {
  std::atomic<int> num_begun = 0;
  std::atomic<bool> is_over = false;
  const auto part = [&](std::size_t, std::size_t) {  // neither ends before both have begun
    for (++num_begun; num_begun < 2;) std::this_thread::yield();
  };
  FrameCopies work = begin([&] {
    share(2, 1, part);
    is_over = true;
  });
  while (!is_over) help_threads();
  work.finish();
  CHECK(num_begun == 2);
}

TEST_CASE("as many threads copy as the environment says, if it is a number, and else at most four") {
  const char* wanted = std::getenv("MUJIGAE_NUM_THREADS");
  const std::map<std::string, std::size_t> counts = {{"1", 1}, {"3", 3}, {"100", 64}};
  const auto count = counts.find(wanted != nullptr ? wanted : "");
  if (count != counts.end()) {
    CHECK(num_copy_threads() == count->second);
  } else {
    CHECK(num_copy_threads() >= 1);
    CHECK(num_copy_threads() <= 4);
  }
}
