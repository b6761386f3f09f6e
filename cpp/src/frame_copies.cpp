#include "mujigae/frame_copies.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace mujigae {
namespace {

constexpr std::size_t kLine = 64, kPage = 4096, kMaxAhead = 1024;
constexpr std::size_t kStepBytes = 1 << 16;  // that a thread takes at a time
constexpr std::size_t kMaxThreads = 64, kMostByDefault = 4;

// While another frame is copied: more of it than fits into cache for a whole batch, and its pages.
void ask_for_more(const FrameCopy& copy) {
  if (copy.from == nullptr || copy.bytes < kPage) return;
  for (std::size_t at = 0; at < kMaxAhead; at += kLine) __builtin_prefetch(copy.from + at);
  for (std::size_t at = kPage; at < copy.bytes; at += kPage) __builtin_prefetch(copy.from + at);
}

std::size_t count_threads() {
  if (const char* wanted = std::getenv("MUJIGAE_NUM_THREADS")) {
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(wanted, wanted + std::strlen(wanted), count);
    if (error == std::errc() && *end == '\0' && count > 0) return std::min(count, kMaxThreads);
  }
  cpu_set_t processors;
  const int error = ::sched_getaffinity(0, sizeof processors, &processors);
  const std::size_t count = error == 0 ? static_cast<std::size_t>(CPU_COUNT(&processors)) : std::thread::hardware_concurrency();
  return std::clamp<std::size_t>(count, 1, kMostByDefault);
}

std::atomic<unsigned> num_forks = 0;  // between the first process and this one

}  // namespace

void copy_frames(std::span<const FrameCopy> copies) {
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (i + 1 < copies.size()) ask_for_more(copies[i + 1]);
    const FrameCopy& copy = copies[i];
    if (copy.from == nullptr) {
      std::memset(copy.to, 0, copy.bytes);
    } else {
      std::memcpy(copy.to, copy.from, copy.bytes);
    }
  }
}

std::size_t num_copy_threads() {
  static const std::size_t count = count_threads();
  return count;
}

struct FrameCopies::Job {
  explicit Job(std::vector<FrameCopy> all) : copies(std::move(all)) {
    std::size_t bytes = 0;
    for (const FrameCopy& copy : copies) bytes += copy.bytes;
    step = std::max<std::size_t>(kStepBytes * copies.size() / std::max<std::size_t>(bytes, 1), 1);
  }

  bool is_taken() const { return num_taken.load() >= copies.size(); }
  bool is_done() const { return num_done.load() == copies.size(); }

  // Copies until everything has been taken by somebody.
  void help() {
    while (!is_taken()) {
      const std::size_t begin = num_taken.fetch_add(step), end = std::min(begin + step, copies.size());
      if (begin >= end) return;
      copy_frames(std::span(copies).subspan(begin, end - begin));
      if (num_done.fetch_add(end - begin) + (end - begin) == copies.size()) num_done.notify_all();
    }
  }

  void wait() const {
    for (std::size_t done = num_done.load(); done != copies.size(); done = num_done.load()) num_done.wait(done);
  }

  const std::vector<FrameCopy> copies;
  std::size_t step;
  const unsigned process = num_forks;
  std::atomic<std::size_t> num_taken = 0, num_done = 0;
};

// The threads of this process. Never destroyed: they sleep when the process ends.
class CopyThreads {
 public:
  using Job = std::shared_ptr<FrameCopies::Job>;

  static CopyThreads& of_this_process() {
    [[maybe_unused]] static const int registered = ::pthread_atfork(nullptr, nullptr, [] {
      current_.store(nullptr);
      ++num_forks;
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

 private:
  // No signals, they are for the program's own threads. Without a thread, whoever finishes a job does all of it.
  bool start_thread() try {
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const auto restore = std::shared_ptr<void>(nullptr, [&before](void*) { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); });
    std::thread([this] { work(); }).detach();
    return true;
  } catch (const std::system_error&) {
    return false;
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      is_posted_.wait(lock, [this] { return !jobs_.empty(); });
      const Job job = jobs_.front();
      lock.unlock();
      job->help();
      lock.lock();
      if (!jobs_.empty() && jobs_.front() == job) jobs_.pop_front();
    }
  }

  static inline std::atomic<CopyThreads*> current_ = nullptr;

  std::mutex mutex_;
  std::condition_variable is_posted_;
  std::deque<Job> jobs_;  // the front one may have copies left to take
  std::size_t num_threads_ = 0;
};

FrameCopies FrameCopies::start(std::vector<FrameCopy> copies) {
  FrameCopies started;
  if (copies.empty()) return started;
  CopyThreads& threads = CopyThreads::of_this_process();
  started.job_ = std::make_shared<Job>(std::move(copies));
  threads.post(started.job_);
  return started;
}

void FrameCopies::finish() {
  if (job_ && job_->process == num_forks) {
    job_->help();
    job_->wait();
  } else if (job_) {
    copy_frames(job_->copies);
  }
  job_.reset();
}

void FrameCopies::wait() noexcept {
  if (job_ && job_->process == num_forks) finish();
}

}  // namespace mujigae
