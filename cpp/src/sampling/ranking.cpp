#include "mujigae/sampling/ranking.hpp"

#include <algorithm>
#include <bit>

#include "mujigae/check.hpp"

namespace mujigae {
namespace {

// The bits of numbers of at least 0 are in the order of the numbers.
std::uint64_t order_of(double priority) { return std::bit_cast<std::uint64_t>(priority + 0.0) + 1; }  // -0.0 is 0.0

}  // namespace

Ranking::Ranking(std::int64_t num_slots) : order_(num_slots) {
  const std::int64_t max_runs = 2 * num_slots / (kRun / 2 + 1) + 2;  // one more while a full run is split
  entries_ = Column<Entry>(max_runs * kRun);
  runs_.reserve(static_cast<std::size_t>(max_runs));
  unused_.reserve(static_cast<std::size_t>(max_runs));
  for (std::int64_t i = max_runs; i > 0; --i) unused_.push_back(entries_.data() + (i - 1) * kRun);
}

void Ranking::set(std::int64_t slot, double priority) { note(slot, order_of(priority)); }

void Ranking::remove(std::int64_t slot) { note(slot, 0); }

void Ranking::note(std::int64_t slot, std::uint64_t order) {
  if ((order_[slot] & kIsNoted) == 0) changes_.push_back({order_[slot], slot});
  order_[slot] = order | kIsNoted;
}

void Ranking::commit() {
  for (const Entry& old : changes_) {
    const std::uint64_t order = order_[old.slot] &= ~kIsNoted;
    if (order == old.order) continue;
    if (old.order != 0) erase(old);
    if (order != 0) insert({order, old.slot});
  }
  is_counted_ = is_counted_ && changes_.empty();
  changes_.clear();
}

void Ranking::count() {
  if (is_counted_) return;
  for (std::int64_t before = 0; Run& run : runs_) {
    run.before = before;
    before += run.count;
  }
  is_counted_ = true;
}

void Ranking::clear() {
  std::fill(order_.begin(), order_.end(), 0);
  while (!runs_.empty()) drop(runs_.size() - 1);
  changes_.clear();
  size_ = 0;
}

// The run that has the entry, or where it belongs: the last one that begins with it or before it, else the first.
std::size_t Ranking::run_of(const Entry& entry) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), entry, [](const Entry& e, const Run& run) { return e.is_before(run.first); });
  return after == runs_.begin() ? 0 : static_cast<std::size_t>(after - runs_.begin()) - 1;
}

std::int64_t Ranking::index_in(const Run& run, const Entry& entry) const {
  const auto is_before = [](const Entry& a, const Entry& b) { return a.is_before(b); };
  return std::lower_bound(run.entries, run.entries + run.count, entry, is_before) - run.entries;
}

void Ranking::insert(const Entry& entry) {
  if (runs_.empty()) {
    runs_.push_back({entry, unused_.back(), 0, 0});
    unused_.pop_back();
  }
  std::size_t at = run_of(entry);
  if (runs_[at].count == kRun) {
    split(at);
    at = run_of(entry);
  }
  Run& run = runs_[at];
  Entry* const at_entry = run.entries + index_in(run, entry);
  std::copy_backward(at_entry, run.entries + run.count, run.entries + run.count + 1);
  *at_entry = entry;
  run.first = run.entries[0];
  ++run.count;
  ++size_;
}

void Ranking::erase(const Entry& entry) {
  const std::size_t at = run_of(entry);
  Run& run = runs_[at];
  Entry* const at_entry = run.entries + index_in(run, entry);
  std::copy(at_entry + 1, run.entries + run.count, at_entry);
  --run.count;
  --size_;
  if (run.count == 0) return drop(at);
  run.first = run.entries[0];
  if (at + 1 < runs_.size()) join(at);
  if (at > 0) join(at - 1);
}

void Ranking::split(std::size_t at) {
  Run& run = runs_[at];
  Entry* const middle = run.entries + kRun / 2;
  const Run half{*middle, unused_.back(), kRun - kRun / 2, 0};
  unused_.pop_back();
  std::copy_n(middle, half.count, half.entries);
  run.count = kRun / 2;
  runs_.insert(runs_.begin() + static_cast<std::ptrdiff_t>(at) + 1, half);
}

// A run and the next one become one, if they have room in half of it.
void Ranking::join(std::size_t at) {
  Run& run = runs_[at];
  const Run& next = runs_[at + 1];
  if (run.count + next.count > kRun / 2) return;
  std::copy_n(next.entries, next.count, run.entries + run.count);
  run.count += next.count;
  drop(at + 1);
}

void Ranking::drop(std::size_t at) {
  unused_.push_back(runs_[at].entries);
  runs_.erase(runs_.begin() + static_cast<std::ptrdiff_t>(at));
}

double Ranking::priority_of(std::int64_t slot) const { return std::bit_cast<double>(order_[slot] - 1); }

std::int64_t Ranking::slot_at(std::int64_t rank) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), rank - 1, [](std::int64_t index, const Run& run) { return index < run.before; });
  const Run& run = *(after - 1);
  return run.entries[rank - 1 - run.before].slot;
}

std::int64_t Ranking::rank_of(std::int64_t slot) const {
  const Entry entry{order_[slot], slot};
  const Run& run = runs_[run_of(entry)];
  return run.before + index_in(run, entry) + 1;
}

std::string Ranking::why_invalid() const {
  std::int64_t num_entries = 0;
  const Entry* last = nullptr;
  for (const Run& run : runs_) {
    if (run.count < 1 || run.count > kRun) return concat("a run has ", run.count, " entries");
    if (is_counted_ && run.before != num_entries) return concat("a run has ", num_entries, " entries before it, not ", run.before);
    if (!(run.first == run.entries[0])) return "a run does not begin with its first entry";
    for (const Entry* entry = run.entries; entry < run.entries + run.count; last = entry++) {
      if (last != nullptr && !last->is_before(*entry)) return concat("slot ", entry->slot, " is out of order");
      if (order_[entry->slot] != entry->order) return concat("slot ", entry->slot, " is not where its priority belongs");
    }
    num_entries += run.count;
  }
  const auto num_ranked = order_.size() - std::count(order_.begin(), order_.end(), 0);
  return num_entries == size_ && num_ranked == size_ ? "" : "the runs have not as many entries as there are slots";
}

}  // namespace mujigae
