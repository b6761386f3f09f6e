// Which row comes next. A sampler is notified of every row that is written, can be drawn from now on, or no longer can, and draws.
//
//   buffer   write(slot) -> enter(slot) -> ... leave(slot)       commit() after each group of these
//   draw     B slots;   P(i) = mass_i / total;   weight_i = (N P(i))^-beta / max over the batch = (min_j mass_j / mass_i)^beta
//
// One class for each way of drawing, in a header of its own. A buffer holds one behind a pointer and calls nothing that is not
// declared here, so a new one is a header, a source and a line in the bindings.
// Threads: none; the owner locks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mujigae/replay/row_ring.hpp"
#include "mujigae/replay/snapshot.hpp"
#include "mujigae/sampling/random.hpp"

namespace mujigae {

class Sampler {
 public:
  virtual ~Sampler() = default;

  // Rows come and go. write: a new row in the slot, with a first priority of its own or without; enter: it can be drawn, or its
  // priority has changed; leave: it can no longer be drawn.
  virtual void reserve(std::int64_t) {}  // room for so many of the next three calls before commit
  virtual void write(std::int64_t, std::optional<double>) {}
  virtual void enter(std::int64_t) {}
  virtual void leave(std::int64_t) {}
  virtual void commit() {}
  virtual void clear() {}

  // Draws. `span` is what a row needs to be drawn; check_can_draw raises ValueError when so many cannot be.
  virtual void check_can_draw(const RowRing& rows, const Span& span, std::int64_t batch_size) const = 0;
  virtual void draw(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots) = 0;
  // draw, and the masses of the rows drawn: what masses_of would give, for a sampler that knows them by then at less cost.
  virtual double draw_masses(const RowRing& rows, const Span& span, Philox& random, std::span<std::int64_t> slots,
                             std::span<double> masses) {
    draw(rows, span, random, slots);
    return masses_of(rows, span, slots, masses);
  }
  // The masses of rows that can be drawn; returns the total of all such rows.
  virtual double masses_of(const RowRing& rows, const Span& span, std::span<const std::int64_t> slots, std::span<double> masses) = 0;

  // Priorities, where the sampler has them. set_priority takes effect by enter() and commit().
  virtual bool has_priorities() const { return false; }
  virtual void check_priorities(const char* /*argument*/, std::span<const double>) const {}
  virtual void set_priority(std::int64_t, double) {}
  virtual double priority(std::int64_t) const { return 1.0; }  // raw, of a slot
  virtual double max_priority() const { return 1.0; }
  virtual double alpha() const { return 0.0; }
  virtual void set_alpha(double) {}  // the caller enters every row that can be drawn again
  virtual double beta() const { return 0.0; }
  virtual void set_beta(double) {}

  virtual std::int64_t nbytes() const { return 0; }
  virtual std::string why_invalid(const RowRing&, const Span&) const { return {}; }

  // In a snapshot: what the rows held have.
  virtual void save(SnapshotWriter&, const RowRing&) const {}
  virtual void load(SnapshotReader&, const RowRing&) {}
  // In a file, where the priorities lie: everything else. adopt is false for a state that cannot be.
  virtual std::vector<double> state() const { return {}; }
  virtual bool adopt(std::span<const double>, const RowRing&) { return true; }
};

// What is known of a sampler before it is made.
struct SamplerPlan {
  std::int64_t stored_bytes = 0;     // of a slot, in the file or in memory
  std::int64_t structure_bytes = 0;  // of a slot, in memory always: an upper bound
  std::int64_t num_state_words = 0;  // of state()
  std::function<std::unique_ptr<Sampler>(std::int64_t num_slots, MappedFile* file)> make;
};

// The exponent of importance weights: the caller's, or the sampler's own; ValueError for one that is negative or not finite.
double checked_beta(const Sampler& sampler, std::optional<double> beta);
void check_exponent(const char* argument, double value);

// Importance weights from masses (Schaul et al. 2016, section 3.4): N and the total cancel. With beta 0 all are 1.
void weigh(std::span<const double> masses, double beta, std::span<float> weights);

void check_has_rows(const RowRing& rows, const Span& span);

// floor(word x count / 2^64): every position alike up to count / 2^64 (Lemire 2019).
inline std::int64_t scale_word(std::uint64_t word, std::int64_t count) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::int64_t>(static_cast<Wide>(word) * static_cast<std::uint64_t>(count) >> 64);
}

}  // namespace mujigae
