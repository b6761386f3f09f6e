#include "mujigae/frames/frame_copies.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "mujigae/storage/system.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace mujigae {
namespace {

constexpr std::size_t kLine = 64, kPage = 4096, kMaxAhead = 1024;
constexpr std::size_t kStepBytes = 1 << 16;  // that a thread takes at a time
constexpr std::size_t kMaxThreads = 64, kMostByDefault = 4;

// While another frame is copied: begins to load more of this one than would fit into cache for all frames of a batch at once, and all its pages.
[[gnu::always_inline]] inline void load_more_ahead(const FrameCopy& copy) {
  if (copy.from == nullptr || copy.bytes < kPage) return;
  for (std::size_t at = 0; at < kMaxAhead; at += kLine) __builtin_prefetch(copy.from + at);
  for (std::size_t at = kPage; at < copy.bytes; at += kPage) __builtin_prefetch(copy.from + at);
}

#if defined(__SSE2__)
void stream(std::byte* to, const std::byte* from, std::size_t bytes) {
  const std::size_t head = -reinterpret_cast<std::uintptr_t>(to) % kLine;
  std::memcpy(to, from, head);
  std::size_t at = head;
  for (; at + kLine <= bytes; at += kLine) {
    __builtin_prefetch(from + at + kMaxAhead);
    for (std::size_t part = at; part < at + kLine; part += sizeof(__m128i)) {
      const __m128i value = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + part));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + part), value);
    }
  }
  std::memcpy(to + at, from + at, bytes - at);
}

void end_streams() { _mm_sfence(); }  // before another thread is notified that the bytes are there
#else
void stream(std::byte* to, const std::byte* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
void end_streams() {}
#endif

std::size_t count_threads() {
  if (const char* wanted = std::getenv("MUJIGAE_NUM_THREADS")) {
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(wanted, wanted + std::strlen(wanted), count);
    if (error == std::errc() && *end == '\0' && count > 0) return std::min(count, kMaxThreads);
  }
  return std::min(system::num_processors(), kMostByDefault);
}

std::atomic<unsigned> num_forks = 0;  // between the first process and this one

}  // namespace

void copy_frames(std::span<const FrameCopy> copies, Stores stores) {
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (i + 1 < copies.size()) load_more_ahead(copies[i + 1]);
    const FrameCopy& copy = copies[i];
    if (copy.from == nullptr) {
      std::memset(copy.to, 0, copy.bytes);
    } else if (stores == Stores::kStreamed && copy.bytes >= kPage) {
      stream(copy.to, copy.from, copy.bytes);
    } else {
      copy_bytes(copy.to, copy.from, copy.bytes);
    }
  }
  if (stores == Stores::kStreamed) end_streams();
}

std::size_t num_copy_threads() {
  static const std::size_t count = count_threads();
  return count;
}

struct FrameCopies::Job {
  Job(std::size_t count_, std::size_t step_, Part part_) : count(count_), step(step_), part(std::move(part_)) {}

  // Works until everything has been taken by somebody.
  void help() {
    while (num_taken.load() < count) {
      const std::size_t begin = num_taken.fetch_add(step), end = std::min(begin + step, count);
      if (begin >= end) return;
      try {
        part(begin, end);
      } catch (...) {
        if (!has_failed.exchange(true)) error = std::current_exception();
      }
      if (num_done.fetch_add(end - begin) + (end - begin) == count) num_done.notify_all();
    }
  }

  void wait() const {
    for (std::size_t done = num_done.load(); done != count; done = num_done.load()) num_done.wait(done);
  }

  const std::size_t count, step;
  const Part part;
  const unsigned process = num_forks;
  std::atomic<std::size_t> num_taken = 0, num_done = 0;
  std::atomic<bool> has_failed = false;
  std::exception_ptr error;  // the first one; complete when all copies are done
};

// The threads of this process. Never destroyed: they sleep when the process ends.
class CopyThreads {
 public:
  using Job = std::shared_ptr<FrameCopies::Job>;

  static CopyThreads& of_this_process() {
    static std::once_flag once;
    std::call_once(once, [] {
      system::at_fork(nullptr, nullptr, [] {
        current_.store(nullptr);
        ++num_forks;
      });
    });
    CopyThreads* threads = current_.load();
    if (threads != nullptr) return *threads;
    auto fresh = std::make_unique<CopyThreads>();
    return current_.compare_exchange_strong(threads, fresh.get()) ? *fresh.release() : *threads;
  }

  void post(Job job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
      while (num_threads_ < std::max<std::size_t>(num_copy_threads() - 1, 1) && start_thread()) ++num_threads_;
    }
    is_posted_.notify_all();
  }

  bool help() {
    std::unique_lock lock(mutex_);
    if (jobs_.empty()) return false;
    help_oldest(lock);
    return true;
  }

 private:
  // No signals, they are for the program's own threads. Without a thread, whoever finishes a job does all of it.
  bool start_thread() try {
    system::without_signals([this] { std::thread([this] { work(); }).detach(); });
    return true;
  } catch (const std::system_error&) {
    return false;
  }

  void work() {
    system::yield_to_wakers();
    std::unique_lock lock(mutex_);
    for (;;) {
      is_posted_.wait(lock, [this] { return !jobs_.empty(); });
      help_oldest(lock);
    }
  }

  void help_oldest(std::unique_lock<std::mutex>& lock) {
    const Job job = jobs_.front();
    lock.unlock();
    job->help();
    lock.lock();
    if (!jobs_.empty() && jobs_.front() == job) jobs_.pop_front();
  }

  static inline std::atomic<CopyThreads*> current_ = nullptr;

  std::mutex mutex_;
  std::condition_variable is_posted_;
  std::deque<Job> jobs_;  // the front one may have copies left to take
  std::size_t num_threads_ = 0;
};

FrameCopies FrameCopies::post(std::size_t count, std::size_t step, Part part) {
  CopyThreads& threads = CopyThreads::of_this_process();
  FrameCopies started;
  started.job_ = std::make_shared<Job>(count, step, std::move(part));
  threads.post(started.job_);
  return started;
}

FrameCopies FrameCopies::start(std::vector<FrameCopy> copies, Stores stores) {
  if (copies.empty()) return {};
  std::size_t bytes = 1;
  for (const FrameCopy& copy : copies) bytes += copy.bytes;
  const std::size_t count = copies.size(), step = std::max<std::size_t>(kStepBytes * count / bytes, 1);
  return post(count, step, [all = std::move(copies), stores](std::size_t begin, std::size_t end) {
    copy_frames(std::span(all).subspan(begin, end - begin), stores);
  });
}

void FrameCopies::finish() {
  const std::shared_ptr<Job> job = std::exchange(job_, nullptr);
  if (job == nullptr) return;
  if (job->process != num_forks) return job->part(0, job->count);
  job->help();
  job->wait();
  const std::exception_ptr error = std::exchange(job->error, nullptr);  // a thread may hold the job for longer than that
  if (error) std::rethrow_exception(error);
}

bool FrameCopies::is_done() const { return job_ == nullptr || job_->process != num_forks || job_->num_done.load() == job_->count; }

void FrameCopies::wait() noexcept {
  if (job_ && job_->process == num_forks) finish();
}

FrameCopies begin(std::function<void()> work) {
  return FrameCopies::post(1, 1, [work = std::move(work)](std::size_t, std::size_t) { work(); });
}

bool help_threads() { return CopyThreads::of_this_process().help(); }

void share(std::size_t count, std::size_t step, Part part) {
  if (count > 0) FrameCopies::post(count, step, std::move(part)).finish();
}

}  // namespace mujigae
