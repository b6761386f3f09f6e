// Batches drawn ahead by a ReplayBuffer, and their section of a snapshot.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "mujigae/replay/replay_buffer.hpp"
#include "naive_buffer.hpp"
#include "refusal.hpp"
#include "temporary_folder.hpp"

using namespace mujigae;

namespace {

const std::vector<ObsLayout> kSmall = {{8, 3}}, kLarge = {{6000, 2}, {1, 1}};
constexpr std::int64_t kBatch = 20, kNumEnvs = 2;

template <class S>
struct Played {
  BufferOf<S> buffer;
  RollingEnvironment environment;
  std::vector<ObsLayout> layouts;

  Played(std::int64_t prefetch, const std::vector<ObsLayout>& layouts_)
      : buffer(settings(prefetch, layouts_), {}), environment(7, layouts_), layouts(layouts_) {}

  static BufferSettings settings(std::int64_t prefetch, const std::vector<ObsLayout>& layouts) {
    BufferSettings settings = settings_of(60, kNumEnvs, 3, layouts);
    settings.prefetch = prefetch;
    return settings;
  }
  void play(std::int64_t num_steps) {
    for (std::int64_t i = 0; i < num_steps; ++i) buffer.add(OwnedSteps(1, {i % kNumEnvs}, {environment.step(i)}).view());
  }
  OwnedBatch draw(std::int64_t size = kBatch, double beta = 0.5) {
    OwnedBatch batch(size, layouts);
    buffer.sample(beta, batch.view());
    CHECK(buffer.why_invalid() == "");
    return batch;
  }
};

template <class S>
void check_drawn_ahead(const std::vector<ObsLayout>& layouts) {
  Played<S> now(0, layouts), ahead(2, layouts);
  for (Played<S>* one : {&now, &ahead}) one->play(100);
  OwnedBatch first = now.draw(), second = now.draw(), third = now.draw();
  CHECK(ahead.draw() == first);
  for (Played<S>* one : {&now, &ahead}) one->play(500);  // every row of then is evicted
  OwnedBatch fourth = now.draw();
  CHECK(ahead.draw() == second);
  CHECK(ahead.draw() == third);
  CHECK(ahead.draw() == fourth);
}

// Sections of batches drawn ahead as no buffer writes them.
struct Forgery {
  std::shared_ptr<Arena> arena = std::make_shared<Arena>();
  Schema schema = batch_schema(settings_of(4, 1, 1, kSmall));
  PrefetchQueue queue{8, schema};
  SnapshotWriter writer;

  void draw(std::uint64_t counter, double leaf = 1.0, std::int64_t key = 0, unsigned char terminated = 0, std::size_t size = 1) {
    const auto batch_size = static_cast<std::int64_t>(size);
    DrawnBatch batch{counter, std::vector<double>(size, leaf), BatchMemory(*arena, batch_size, schema), {}};
    const std::vector<std::byte*> fields = fields_of(batch.memory.view, schema);
    for (std::size_t i = 0; i < fields.size(); ++i) std::memset(fields[i], 0, static_cast<std::size_t>(schema[i].row_bytes) * size);
    *batch.memory.view.key = key;
    std::memcpy(batch.memory.view.terminated, &terminated, 1);
    queue.push(std::move(batch));
  }
  void section(const std::vector<std::int64_t>& words) { writer.section(section_tag("DRAW"), std::span<const std::int64_t>(words)); }

  std::string refusal() {
    queue.save(writer);
    writer.commit();
    SnapshotReader reader{std::span<const std::byte>(writer.bytes())};
    RowRing rows(4, 1, 3, 8, 1);
    rows.lane(0).next = rows.lane(0).issued_end = 1;  // key 0
    return refusal_of([&] { PrefetchQueue(2, schema).load(reader, rows, Philox({1, 2}, 100), *arena); });
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a batch in the buffer's memory is the one in the caller's", S, Uniform, Proportional) {
  for (const std::int64_t prefetch : {0, 2}) {
    Played<S> one(prefetch, kLarge), other(prefetch, kLarge);
    for (Played<S>* played : {&one, &other}) played->play(100);
    for (const std::int64_t size : {kBatch, kBatch, kBatch, std::int64_t{3}}) {
      const BatchMemory memory = one.buffer.sample(0.5, size);
      OwnedBatch got(size, kLarge);
      copy_batch(memory.view, got.view(), batch_schema(settings_of(4, 1, 1, kLarge)));
      CHECK(got == other.draw(size));
    }
  }
}

TEST_CASE("batches drawn ahead that no buffer has drawn are refused") {
  Forgery good;
  good.draw(98);
  good.draw(99);
  CHECK(good.refusal() == "");
  Forgery leaf, infinite, key, flag, order, future, sizes, many, no_size;
  leaf.draw(1, 0.0);
  check_says(leaf.refusal(), "a mass that is not positive");
  infinite.draw(1, std::numeric_limits<double>::infinity());
  check_says(infinite.refusal(), "a mass that is not positive");
  key.draw(1, 1.0, 1 << 20);
  check_says(key.refusal(), "key");
  flag.draw(1, 1.0, 0, 2);
  check_says(flag.refusal(), "unknown flags");
  order.draw(2);
  order.draw(2);
  check_says(order.refusal(), "out of order");
  future.draw(100);
  check_says(future.refusal(), "numbers to come");
  sizes.draw(1);
  sizes.draw(2, 1.0, 0, 0, 2);
  check_says(sizes.refusal(), "batches of different sizes");
  for (std::uint64_t counter = 1; counter <= 3; ++counter) many.draw(counter);
  check_says(many.refusal(), "3 batches are drawn ahead, at most 2 should be");
  for (const std::int64_t batch_size : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{2}, std::int64_t{1} << 62}) {
    Forgery lie;
    lie.section({1, batch_size, 0, 0});
    check_says(lie.refusal(), "another size than its section");
  }
  no_size.section({1});
  check_says(no_size.refusal(), "without a size");
}

TEST_CASE_TEMPLATE("a batch has the rows of the time when it was drawn, though they are evicted since", S, Uniform, Proportional) {
  for (const auto& layouts : {kSmall, kLarge}) check_drawn_ahead<S>(layouts);
}

TEST_CASE_TEMPLATE("what a sample leaves to be drawn is the same, drawn by a thread or by the next call", S, Uniform, Proportional) {
  for (const auto& layouts : {kSmall, kLarge}) {
    Played<S> at_once(2, layouts), later(2, layouts);
    for (Played<S>* played : {&at_once, &later}) played->play(100);
    for (int i = 0; i < 20; ++i) {
      const auto one = at_once.draw(kBatch), other = later.draw(kBatch);
      CHECK(one == other);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));  // `later` has nothing pending after that
      for (Played<S>* played : {&at_once, &later}) played->play(3);
      at_once.draw(kBatch);
      at_once.play(1);  // right behind its sample
      later.draw(kBatch);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      later.play(1);
    }
    CHECK(at_once.buffer.why_invalid() == "");
  }
}

TEST_CASE("beta is of the time when a batch is handed out") {
  Played<Proportional> now(0, kSmall), ahead(2, kSmall);
  for (auto* one : {&now, &ahead}) {
    one->play(100);
    const auto keys = one->draw(8).key;
    one->buffer.update_priorities(keys, std::vector<double>(keys.size(), 5.0));
    one->buffer.set_gamma(0.5);  // drops what was drawn ahead
  }
  for (const double beta : {0.1, 0.9, 0.0, 1.0}) CHECK(now.draw(kBatch, beta) == ahead.draw(kBatch, beta));
}

TEST_CASE("another size, n_step, gamma or alpha draws anew with the same random numbers; the same ones change nothing") {
  using Buffer = BufferOf<Proportional>;
  const std::vector<void (*)(Buffer&)> changes = {[](Buffer& b) { b.set_n_step(2); }, [](Buffer& b) { b.set_gamma(0.25); },
                                                  [](Buffer& b) { b.set_alpha(0.9); }};
  const std::vector<void (*)(Buffer&)> no_changes = {[](Buffer& b) { b.set_n_step(3); }, [](Buffer& b) { b.set_gamma(0.9); },
                                                     [](Buffer& b) { b.set_alpha(0.6); }, [](Buffer& b) { b.set_beta(0.1); }};
  const auto after = [](std::int64_t prefetch, const auto& change, std::int64_t size) {
    Played<Proportional> played(prefetch, kSmall);
    played.play(100);
    played.draw();
    played.play(7);
    change(played.buffer);
    return played.draw(size);
  };
  const auto nothing = [](Buffer&) {};
  for (const auto& change : changes) CHECK(after(3, change, kBatch) == after(0, change, kBatch));
  CHECK(after(3, nothing, 9) == after(0, nothing, 9));
  CHECK_FALSE(after(3, nothing, kBatch) == after(0, nothing, kBatch));
  for (const auto& change : no_changes) CHECK(after(3, change, kBatch) == after(3, nothing, kBatch));
}

TEST_CASE("a refused draw leaves the queue as it is") {
  Played<Proportional> tried(2, kSmall), left(2, kSmall);
  for (auto* one : {&tried, &left}) {
    one->play(100);
    one->draw();
  }
  CHECK_THROWS_AS(tried.draw(kBatch, -1.0), std::invalid_argument);
  CHECK_THROWS_AS(tried.draw(3, -1.0), std::invalid_argument);
  CHECK_THROWS_AS(tried.buffer.set_n_step(0), std::invalid_argument);
  CHECK_THROWS_AS(tried.buffer.set_alpha(-1.0), std::invalid_argument);
  CHECK(tried.draw() == left.draw());
}

TEST_CASE_TEMPLATE("a snapshot has the batches drawn ahead, rows evicted since among them", S, Uniform, Proportional) {
  const TemporaryFolder folder;
  for (const auto& layouts : {kSmall, kLarge}) {
    Played<S> saved(3, layouts), loaded(3, layouts);
    saved.play(100);
    saved.draw();
    saved.play(300);
    saved.buffer.save(folder / "saved", "");
    loaded.buffer.load(folder / "saved");
    CHECK(loaded.buffer.to_pieces("") == saved.buffer.to_pieces(""));
    for (int i = 0; i < 6; ++i) CHECK(loaded.draw() == saved.draw());
  }
}

TEST_CASE("a snapshot with more batches than the buffer draws ahead is refused") {
  const TemporaryFolder folder;
  Played<Uniform> saved(3, kSmall);
  saved.play(100);
  saved.draw();
  saved.buffer.save(folder / "saved", "");
  Played<Uniform> loaded(2, kSmall);
  CHECK_THROWS_AS(loaded.buffer.load(folder / "saved"), SnapshotError);
}

TEST_CASE("batches drawn where the generator's counter goes round are in order") {
  const auto arena = std::make_shared<Arena>();
  const Schema schema = batch_schema(settings_of(4, 1, 1, kSmall));
  PrefetchQueue queue(2, schema);
  const std::uint64_t last = ~std::uint64_t{0};
  for (const std::uint64_t counter : {last, last + 5}) queue.push({counter, {1.0}, BatchMemory(*arena, 1, schema), {}});
  CHECK(queue.why_invalid() == "");
}

TEST_CASE("a prefetch that cannot be is refused") {
  for (const std::int64_t prefetch : {-1, 1025}) {
    CHECK_THROWS_AS(BufferOf<Uniform>(Played<Uniform>::settings(prefetch, kSmall), {}), std::invalid_argument);
  }
}

TEST_CASE_TEMPLATE("batches drawn ahead are counted as memory in use, until they are dropped", S, Uniform, Proportional) {
  Played<S> played(3, kLarge);
  played.play(100);
  const std::int64_t before = played.buffer.nbytes();
  played.draw();
  CHECK(played.buffer.nbytes() >= before + 3 * kBatch * 2 * (2 * 6000 + 1));
  played.buffer.set_gamma(0.25);
  CHECK(played.buffer.nbytes() == before);
}
