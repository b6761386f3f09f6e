// Frames on their way into a batch: copied by the caller, by the caller and threads, or by threads while the caller goes on.
//
//   start   the copies are handed to threads of this process, made when they are first needed
//   finish  the caller copies what nobody has begun, and waits for the rest: it never waits for a thread to wake up
//
// Each copy has a target of its own, so the bytes are the same with any number of threads. The memory that is read and written
// must stay until finish has returned. A process that was forked has no threads: there, finish copies everything again.
// Other work is given to the same threads: in parts (share), or as a whole (begin).
// Threads: any may start; one copies handle belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace mujigae {

struct FrameCopy {
  const std::byte* from;  // nullptr: zeros
  std::byte* to;
  std::size_t bytes;
};

// memcpy, without a call for 8 bytes and for 16 to 256 bytes, the sizes of actions and vectors.
inline void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes) {
  constexpr std::size_t kRegister = 16, kFew = 256;
  if (bytes == 8) {
    std::memcpy(to, from, 8);
  } else if (bytes < kRegister || bytes > kFew) {
    std::memcpy(to, from, bytes);
  } else {
    for (std::size_t at = 0; at + kRegister <= bytes; at += kRegister) std::memcpy(to + at, from + at, kRegister);
    std::memcpy(to + bytes - kRegister, from + bytes - kRegister, kRegister);  // some of it twice
  }
}

// Begins to load the first of these bytes into cache. (GCC drops calls of a function that does nothing else, unless it is inlined.)
[[gnu::always_inline]] inline void load_ahead(const std::byte* from, std::size_t bytes) {
  constexpr std::size_t kLine = 64, kFew = 256;
  const std::byte* const end = from + (bytes < kFew ? bytes : kFew);
  for (const std::byte* at = from; at < end; at += kLine) __builtin_prefetch(at);
  __builtin_prefetch(end - 1);
}

// What is written may pass the caches by: a batch that they would not keep until it is read need not be read into them either.
enum class Stores { kCached, kStreamed };

// One after the other, while the beginning of the next one is loaded into cache.
void copy_frames(std::span<const FrameCopy> copies, Stores stores = Stores::kCached);

// Threads that copy a large batch, the caller among them: the processors it may run on, at most 4, or the environment variable
// MUJIGAE_NUM_THREADS.
std::size_t num_copy_threads();

// part(begin, end) for all of 0 ... count, `step` at a time, by the caller and the threads: done, or a part has thrown, when this
// returns or throws.
using Part = std::function<void(std::size_t, std::size_t)>;
void share(std::size_t count, std::size_t step, Part part);

// work(), which throws nothing, by one of the threads; by whoever lets go of the handle if none has begun.
class FrameCopies;
FrameCopies begin(std::function<void()> work);

// Takes part in the oldest work that was handed to the threads; whether there was any. For a caller who waits for one of them.
bool help_threads();

class FrameCopies {
 public:
  FrameCopies() = default;  // nothing to copy
  static FrameCopies start(std::vector<FrameCopy> copies, Stores stores = Stores::kCached);
  FrameCopies(FrameCopies&&) = default;
  FrameCopies& operator=(FrameCopies&& other) noexcept {
    wait();
    job_ = std::move(other.job_);
    return *this;
  }
  ~FrameCopies() { wait(); }

  void finish();
  bool is_done() const;  // nothing is left that finish would wait for

 private:
  struct Job;
  friend class CopyThreads;
  friend void share(std::size_t, std::size_t, Part);
  friend FrameCopies begin(std::function<void()>);

  static FrameCopies post(std::size_t count, std::size_t step, Part part);
  void wait() noexcept;

  std::shared_ptr<Job> job_;
};

}  // namespace mujigae
