// Drawing without replacement: the positions 0 ... size - 1 that have not been drawn yet, as a Fisher-Yates shuffle of which only
// what was touched is stored.
//
//   before   [ 0 1 2 3 4 5 6 7 | ]
//   take(2)  [ 0 1 7 3 4 5 6 | 2 ]         the last one takes the drawn one's place: all orders of draws are alike likely
//
// O(1) a draw, on average, and 32 to 64 bytes for each of `max_draws`; the size does not matter. Nothing is rejected.
// Threads: none; the owner locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mujigae {

// ValueError for a batch of more rows than there are to draw without replacement.
void check_are_enough(std::int64_t num_rows, std::int64_t batch_size);

class Undrawn {
 public:
  Undrawn(std::int64_t size, std::size_t max_draws);

  std::int64_t size() const { return size_; }
  std::int64_t take(std::int64_t index);  // the position at 0 <= index < size(), which is drawn with this
  void remove(std::int64_t position);  // one that has not been drawn: now it has

 private:
  // What differs from the identity, in a table of which at most half is in use.
  class Moved {
   public:
    explicit Moved(std::size_t max_size);
    std::int64_t operator[](std::int64_t at) const;
    void set(std::int64_t at, std::int64_t value);

   private:
    struct Pair {
      std::int64_t at = -1, value = 0;
    };
    std::size_t find(std::int64_t at) const;  // where it is or belongs

    std::vector<Pair> pairs_;
    int shift_;
  };

  std::int64_t size_;
  Moved position_at_, index_of_;
};

}  // namespace mujigae
