// The least that a batch of Atari windows costs: runs of seven frames, read at random places of gigabytes, written as two stacks of
// four into an output that is used again. Nothing else is done. One thread, or two that meet after every batch.
//
// Two kernels: the C library's memcpy, and stores that pass the caches by where the processor has them.

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

constexpr std::size_t frame_bytes = 84 * 84, stack_bytes = 4 * frame_bytes, step_bytes = 3 * frame_bytes;
constexpr std::size_t run_frames = 7;

void stream_copy(std::uint8_t* to, const std::uint8_t* from, std::size_t size) {
#if defined(__x86_64__)
  for (std::size_t i = 0; i < size; i += 64) {  // stacks are 441 times 64 bytes, outputs are aligned
    for (std::size_t j = 0; j < 64; j += 16) {
      const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i + j));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + i + j), part);
    }
  }
#else
  std::memcpy(to, from, size);
#endif
}

void plain_copy(std::uint8_t* to, const std::uint8_t* from, std::size_t size) { std::memcpy(to, from, size); }

std::uint8_t* pages(std::size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  madvise(memory, size, MADV_HUGEPAGE);
  return static_cast<std::uint8_t*>(memory);
}

// Spins, so that nothing is waited for but memory; on a machine with other work it lets that go first.
void wait_for(const std::atomic<std::size_t>& count, std::size_t target) {
  for (int spins = 0; count.load(std::memory_order_acquire) < target; ++spins) {
    if (spins > 10'000) std::this_thread::yield();
  }
}

struct Floor {
  std::size_t num_frames = 0;
  std::uint8_t *frames = nullptr, *obs = nullptr, *next_obs = nullptr;
  std::size_t output_bytes = 0;
  std::vector<std::uint64_t> starts;  // first frame of every run of the last batch
  std::uint64_t state = 88172645463325252ULL;

  void draw() {
    for (auto& start : starts) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      start = static_cast<std::uint64_t>(static_cast<__uint128_t>(state) * (num_frames - run_frames + 1) >> 64);
    }
  }

  template <class Copy>
  void part(std::size_t first, std::size_t last, Copy copy) {
    for (std::size_t i = first; i < last; ++i) {
      const std::uint8_t* run = frames + starts[i] * frame_bytes;
      copy(obs + i * stack_bytes, run, stack_bytes);
      copy(next_obs + i * stack_bytes, run + step_bytes, stack_bytes);
    }
  }

  void part(std::size_t first, std::size_t last, bool is_streamed) {
    if (is_streamed) {
      part(first, last, stream_copy);
#if defined(__x86_64__)
      _mm_sfence();
#endif
    } else {
      part(first, last, plain_copy);
    }
  }
};

}  // namespace

extern "C" {

// Frames whose first eight bytes are their number, num_bytes of them; nullptr without the memory.
Floor* floor_new(std::size_t num_bytes, std::size_t max_batch) {
  auto* floor = new Floor;
  floor->num_frames = num_bytes / frame_bytes;
  floor->output_bytes = max_batch * stack_bytes;
  floor->frames = pages(floor->num_frames * frame_bytes);
  floor->obs = pages(floor->output_bytes);
  floor->next_obs = pages(floor->output_bytes);
  if (!floor->frames || !floor->obs || !floor->next_obs) return nullptr;
  for (std::size_t f = 0; f < floor->num_frames; ++f) {
    std::memset(floor->frames + f * frame_bytes, static_cast<int>(f % 251), frame_bytes);
    std::memcpy(floor->frames + f * frame_bytes, &f, sizeof f);
  }
  return floor;
}

// `times` batches, the half of each by a second thread if there are two.
void floor_copy(Floor* floor, std::size_t batch, std::size_t times, int num_threads, bool is_streamed) {
  floor->starts.resize(batch);
  const std::size_t half = num_threads == 2 ? batch / 2 : batch;
  std::atomic<std::size_t> begun{0}, ended{0};
  std::thread helper;
  if (num_threads == 2) {
    helper = std::thread([&] {
      for (std::size_t i = 1; i <= times; ++i) {
        wait_for(begun, i);
        floor->part(half, batch, is_streamed);
        ended.store(i, std::memory_order_release);
      }
    });
  }
  for (std::size_t i = 1; i <= times; ++i) {
    floor->draw();
    begun.store(i, std::memory_order_release);
    floor->part(0, half, is_streamed);
    if (num_threads == 2) wait_for(ended, i);
  }
  if (helper.joinable()) helper.join();
}

// Samples of the last batch whose frames are not those of their run.
std::size_t floor_num_wrong(const Floor* floor) {
  std::size_t num_wrong = 0;
  for (std::size_t i = 0; i < floor->starts.size(); ++i) {
    const std::uint8_t* run = floor->frames + floor->starts[i] * frame_bytes;
    num_wrong += std::memcmp(floor->obs + i * stack_bytes, run, stack_bytes) != 0 ||
                 std::memcmp(floor->next_obs + i * stack_bytes, run + step_bytes, stack_bytes) != 0;
  }
  return num_wrong;
}

// For each of the starts, so many rows of a column one after another into out.
void floor_copy_runs(const std::uint8_t* column, std::uint8_t* out, const std::int64_t* starts, std::size_t num_starts,
                     std::size_t num_rows, std::size_t row_bytes) {
  const std::size_t run_bytes = num_rows * row_bytes;
  for (std::size_t i = 0; i < num_starts; ++i) {
    std::memcpy(out + i * run_bytes, column + static_cast<std::size_t>(starts[i]) * row_bytes, run_bytes);
  }
}

// Rows of 17 floats, six floats of action, reward and discount, at these places; what is needed `ahead` rows later is asked for now.
void floor_gather(const float* obs, const float* action, const float* reward, const float* discount, float* obs_out, float* action_out,
                  float* reward_out, float* next_obs_out, float* discount_out, const std::int64_t* places, std::size_t num_places) {
  constexpr std::size_t num_obs = 17, num_action = 6, ahead = 16;
  for (std::size_t i = 0; i < num_places; ++i) {
    if (i + ahead < num_places) {
      const auto later = static_cast<std::size_t>(places[i + ahead]);
      const float* row = obs + later * num_obs;
      for (const void* line : {static_cast<const void*>(row), static_cast<const void*>(row + 16), static_cast<const void*>(row + 33),
                               static_cast<const void*>(action + later * num_action), static_cast<const void*>(reward + later),
                               static_cast<const void*>(discount + later)}) {
        __builtin_prefetch(line);
      }
    }
    const auto place = static_cast<std::size_t>(places[i]);
    std::memcpy(obs_out + i * num_obs, obs + place * num_obs, num_obs * sizeof(float));
    std::memcpy(next_obs_out + i * num_obs, obs + (place + 1) * num_obs, num_obs * sizeof(float));
    std::memcpy(action_out + i * num_action, action + place * num_action, num_action * sizeof(float));
    reward_out[i] = reward[place];
    discount_out[i] = discount[place];
  }
}
}
