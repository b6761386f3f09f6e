"""Buffers with one fault each, and the cases that must find it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import mujigae
from mujigae.conformance import Adapter, Batch, Config
from mujigae.conformance.ours import Mujigae, Reference

SLOT = 0xFFFFFFFF


class LosesTheFinalObservation(Mujigae):
    """The successor of a truncated row is the row itself."""

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        ends = truncated.reshape(-1, *[1] * (obs.ndim - 1))
        super().add(obs, action, reward, np.where(ends, obs, next_obs), terminated, truncated, env_ids)


class HasNoNewestSuccessor(Mujigae):
    """Takes the newest row's next_obs to be its own obs."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        newest = batch.key == batch.key.max()
        batch.next_obs[newest] = batch.obs[newest]
        return batch


class ForgetsASuccessor(Mujigae):
    """With two options at once, a row is its own successor."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.is_wrong = {"n_step", "prioritized"} <= config.options()

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(next_obs=batch.obs) if self.is_wrong else batch


class CrossesEpisodes(Mujigae):
    """Truncations are not noticed: windows run into the next episode."""

    arguments = {"validate": False}  # noqa: RUF012

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        super().add(obs, action, reward, next_obs, terminated, truncated & False, env_ids)


class IgnoresTerminated(Mujigae):
    """Bootstraps from terminal states."""

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        super().add(obs, action, reward, next_obs, terminated & False, truncated | terminated, env_ids)


class LosesTails(Mujigae):
    """Draws whole windows only, and no row that ends an episode."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(20 * batch_size)
        whole = np.flatnonzero(np.isclose(batch.discount, self.buffer.gamma**self.buffer.n_step))
        rows = np.resize(whole, batch_size)
        return Batch(*(np.ascontiguousarray(field[rows]) for field in batch))


class IsCarefulAtTheHead(Mujigae):
    """Never draws the rows just behind the write head."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(20 * batch_size)
        time = batch.action
        rows = np.resize(np.flatnonzero(time < time.max() - 2), batch_size)
        return Batch(*(np.ascontiguousarray(field[rows]) for field in batch))


class MixesEnvironments(Mujigae):
    """A vector step is taken for consecutive steps of the first environment."""

    arguments = {"validate": False}  # noqa: RUF012

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        for e in range(len(reward)):
            one = slice(e, e + 1)
            row = (obs[one], action[one], reward[one], next_obs[one], terminated[one], truncated[one])
            super().add(*row, np.array([0]))


class TakesIdsForPositions(Mujigae):
    """Rows of some environments go to the first ones."""

    arguments = {"validate": False}  # noqa: RUF012

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        super().add(obs, action, reward, next_obs, terminated, truncated, np.arange(len(reward)))


class GivesOneOutput(Mujigae):
    """Every batch of a size is written over the one before it."""

    last: Any = None

    def sample(self, batch_size: int) -> Batch:
        if self.last is None or len(self.last.reward) != batch_size:
            self.last = super().sample(batch_size)
        else:
            self.last = self.buffer.sample(batch_size, out=self.last)
        return Batch(*self.last)


class UpdatesTheLastBatch(Mujigae):
    """Priorities go to the rows of the batch drawn last, whatever the keys."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        self.last = batch.key
        return batch

    def update_priorities(self, key: Any, priorities: Any) -> None:
        super().update_priorities(self.last[: len(priorities)], priorities)


class UpdatesWhateverIsThere(Mujigae):
    """Late priorities go to the row that is in the slot now."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        now = {one & SLOT: one for one in self.buffer.sample(512).key.tolist()}
        keys = [now.get(int(one) & SLOT, one) for one in key]
        super().update_priorities(keys, priorities)


class UpdatesOneByOne(Mujigae):
    """Part of an update that is refused has happened; keys out of range wrap around; the first of duplicates wins."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        held = sorted(set(self.buffer.sample(512).key.tolist()))
        for one, value in list(zip(key, priorities, strict=True))[::-1]:
            mine = int(one) if int(one) in held else held[int(one) % len(held)]
            if np.isfinite(value) and value >= 0:
                super().update_priorities([mine], [value])
        if not (np.isfinite(priorities) & (np.asarray(priorities) >= 0)).all():
            raise ValueError("too late")


class DividesByZero(Mujigae):
    """Weights of equal rows are not finite."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=np.full_like(batch.weight, np.nan))


class ScalesWeightsForEver(Mujigae):
    """The smallest priority ever given decides over the weights."""

    smallest = 1.0

    def update_priorities(self, key: Any, priorities: Any) -> None:
        self.smallest = min(self.smallest, float(np.min(priorities)))
        super().update_priorities(key, priorities)

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=batch.weight * np.float32(self.smallest))


class WeighsNewRowsTwice(Mujigae):
    """Their priority is raised to a power that updates are not."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        super().update_priorities(key, np.asarray(priorities) ** 2)
        super().update_priorities(key, priorities)


class RemembersPriorities(Mujigae):
    """The first slots keep some of the largest priority that they ever had."""

    def update_priorities(self, key: Any, priorities: Any) -> None:
        largest = self.__dict__.setdefault("largest", {})
        values = []
        for one, value in zip(np.asarray(key).tolist(), np.asarray(priorities).tolist(), strict=True):
            largest[one] = max(largest.get(one, 0.0), value)
            values.append(value + 1e-12 * largest[one] * ((one & SLOT) < 16))
        super().update_priorities(key, values)


class DrawsFewRows(Mujigae):
    """Only keys of one remainder come: what float32 sums do beside an outlier; and uneven shares elsewhere."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        rows = np.flatnonzero((batch.key & 3 == 0) | (batch.weight < 1e-5))
        return Batch(*(np.ascontiguousarray(field[np.resize(rows, batch_size)]) for field in batch))


class DrawsTheSameTimes(Mujigae):
    """The first environment's times in every environment."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        quarter = batch_size // 4
        obs = np.tile(batch.obs[:quarter], (4, 1, 1))
        obs.reshape(batch_size, -1)[:, 1] = np.repeat(np.arange(4), quarter)
        return batch._replace(obs=obs)


class DrawsUnwrittenRows(Mujigae):
    """The last row of a batch is a slot that was never written; and an empty buffer gives some."""

    def sample(self, batch_size: int) -> Batch:
        if len(self.buffer) == 0:
            return Batch(*[np.zeros((batch_size, 1))] * 8)
        batch = super().sample(batch_size)
        batch.obs[-1] = 0
        return batch


class IsNotStratified(Mujigae):
    """Stratified in name only."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.prioritized:
            self.buffer = Mujigae(Config(**{**config.__dict__, "stratified": False})).buffer


class GivesWrongWeights(Mujigae):
    """Weight 1, whatever the share."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=np.ones_like(batch.weight))


class NeverClears(Mujigae):
    """Goes on as if nothing had been said."""

    def clear(self) -> None:
        pass


class ReadsTheGlobalGenerator(Mujigae):
    """Its seed is drawn from `np.random`, whatever it is told."""

    def __init__(self, config: Config) -> None:
        super().__init__(Config(**{**config.__dict__, "seed": int(np.random.randint(2**31))}))

    def sample(self, batch_size: int) -> Batch:
        np.random.random()
        return super().sample(batch_size)


class SavesTheWholeCapacity(Mujigae):
    """The file is as large as the buffer may become, and its priorities are lost."""

    def save(self, path: Path) -> None:
        super().save(path.with_name("rows"))
        path.write_bytes(bytes(self.buffer.capacity * 28224))

    @classmethod
    def load(cls, path: Path, config: Config) -> Any:
        buffer = mujigae.load(path.with_name("rows"))
        buffer.update_priorities(sorted(set(buffer.sample(2000).key.tolist())), np.ones(len(buffer)))  # type: ignore[attr-defined]
        return cls._around(buffer)


class RoundsCapacityDown(Mujigae):
    """A share of the capacity for each environment, and the rest is dropped."""

    def __init__(self, config: Config) -> None:
        rows = config.capacity // config.num_envs * config.num_envs
        super().__init__(Config(**{**config.__dict__, "capacity": rows}))


class GivesOneRowNoWeight(Mujigae):
    """The weight of the only row is 0."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        return batch._replace(weight=batch.weight * np.float32(len(self.buffer) > 1))


class CastsObservations(Mujigae):
    """Whatever comes is made to fit; and memory counts, not values."""

    def add(
        self,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminated: Any,
        truncated: Any,
        env_ids: Any = None,
    ) -> None:
        obs, next_obs = (
            np.frombuffer(a.tobytes("A")[: a.size], np.uint8).reshape(a.shape) for a in (obs, next_obs)
        )
        super().add(obs, action, reward, next_obs, terminated, truncated, env_ids)


class RepeatsTheFirstFrame(Mujigae):
    """Padding of its own, while the adapter says that it keeps what is added; frames of zeros come from somewhere."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        batch.obs[:, 0] = batch.obs[:, -1]
        return batch


class CountsMemoryAsOthersUseIt(Mujigae):
    """Every frame four times, twice, and something for each episode. (It stores none of them.)"""

    num_rows = num_ends = 0

    def add(self, *arrays: Any) -> None:
        *_, terminated, truncated, _ = arrays
        self.num_rows = min(self.num_rows + len(terminated), self.buffer.capacity)
        self.num_ends += int((terminated | truncated).sum())

    @property
    def nbytes(self) -> int:
        return self.num_rows * 56448 + self.num_ends * 1_000_000


class AddsPhantomSteps(Mujigae):
    """Adds what the environment returns, the step of the reset too."""

    def collect(self, env: Any, num_steps: int) -> None:
        obs, _ = env.reset()
        for _ in range(num_steps):
            action = np.zeros(env.num_envs, np.int64)
            next_obs, reward, terminated, truncated, _ = env.step(action)
            self.buffer.add(obs.copy(), action, reward, next_obs.copy(), terminated, truncated)
            obs = next_obs.copy()


class HeapTree:
    """Leaves in the order of a heap, sums by differences, a search without bounds: a fault for each case of trees."""

    def __init__(self, capacity: int) -> None:
        self.leaves, self.total = np.zeros(capacity), 0.0

    def update(self, indices: Any, values: Any) -> None:
        for i, value in zip(indices, values, strict=True):
            self.total += value - self.leaves[i]
            self.leaves[i] = value

    def find(self, targets: Any) -> Any:
        order = np.roll(np.arange(len(self.leaves)), -(len(self.leaves) & (len(self.leaves) - 1)))
        return order[
            np.minimum(np.searchsorted(np.cumsum(self.leaves[order]), targets, "right"), len(order) - 1)
        ]


class HasAPoorTree(Mujigae):
    """Lends out a tree with the faults of a `HeapTree`."""

    @classmethod
    def tree(cls, capacity: int) -> Any:
        return HeapTree(capacity)


class BreaksInAFork(Reference):
    """In a fork of the process that made it, it draws zeros."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.owner = os.getpid()

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        if os.getpid() != self.owner:
            batch.obs[...] = 0
        return batch


FAULTS: dict[type[Adapter], tuple[str, ...]] = {
    LosesTheFinalObservation: (
        "truncated_row_keeps_its_final_observation_where_next_obs_is_not_stored",
        "truncated_tail_keeps_its_final_observation",
    ),
    HasNoNewestSuccessor: ("newest_row_has_its_own_next_obs_where_next_obs_is_not_stored",),
    ForgetsASuccessor: ("every_pair_of_options_gives_the_transitions_that_were_added",),
    CrossesEpisodes: ("no_window_crosses_a_truncation", "truncated_tail_keeps_its_final_observation"),
    IgnoresTerminated: (
        "window_that_reaches_the_terminal_is_terminated",
        "terminated_travels_with_next_obs",
        "discount_is_that_of_the_steps_really_taken",
        "terminated_wins_over_truncated",
    ),
    LosesTails: (
        "every_start_of_a_terminal_episode_is_stored",
        "episodes_shorter_than_n_steps_can_be_drawn",
        "reward_at_the_end_is_learnable",
    ),
    IsCarefulAtTheHead: ("episodes_longer_than_the_capacity_keep_their_newest_windows",),
    MixesEnvironments: ("environments_do_not_mix_in_n_step_windows",),
    TakesIdsForPositions: ("some_environments_may_step_in_any_order",),
    GivesOneOutput: ("batch_in_hand_does_not_change", "one_writer_and_several_samplers_work_at_once"),
    UpdatesTheLastBatch: ("priorities_of_an_earlier_batch_reach_its_own_rows",),
    UpdatesWhateverIsThere: ("late_priorities_do_not_touch_the_rows_that_came_since",),
    UpdatesOneByOne: (
        "impossible_priorities_leave_the_buffer_as_it_was",
        "last_of_duplicate_priorities_wins",
        "keys_that_were_never_issued_reach_no_row",
    ),
    DividesByZero: ("zero_priorities_neither_divide_nor_reach_unwritten_rows",),
    ScalesWeightsForEver: ("weights_forget_rows_that_are_gone",),
    WeighsNewRowsTwice: ("new_row_weighs_what_an_update_to_that_priority_would_give",),
    RemembersPriorities: ("priorities_of_all_magnitudes_leave_no_trace",),
    DrawsFewRows: (
        "rows_beside_an_outlier_can_all_be_drawn",
        "uniform_draws_are_uniform",
        "draws_are_in_proportion_to_the_priorities",
    ),
    DrawsTheSameTimes: ("environments_are_drawn_independently",),
    DrawsUnwrittenRows: (
        "partly_filled_buffer_gives_no_unwritten_row",
        "equal_weights_never_run_over_the_end",
        "empty_buffer_and_empty_batch_are_refused",
        "full_buffer_with_its_head_at_zero_has_short_windows_at_the_tail",
        "capacity_smaller_than_window_and_stack_still_works",
    ),
    IsNotStratified: ("stratified_draws_vary_less_than_independent_ones",),
    GivesWrongWeights: ("weights_are_those_of_the_draws",),
    NeverClears: ("cleared_buffer_draws_new_rows_only",),
    ReadsTheGlobalGenerator: (
        "seed_decides_over_prioritized_draws",
        "draws_neither_read_nor_move_the_global_generators",
    ),
    SavesTheWholeCapacity: ("saved_size_is_that_of_the_rows_held", "loaded_buffer_goes_on_as_the_saved_one"),
    RoundsCapacityDown: ("requested_capacity_is_held",),
    GivesOneRowNoWeight: ("buffer_of_one_row_can_be_drawn_from",),
    CastsObservations: (
        "observations_of_another_type_are_refused_or_kept_exactly",
        "arrays_of_every_layout_are_stored_as_they_read",
    ),
    RepeatsTheFirstFrame: ("stacks_do_not_cross_a_reset", "stacks_at_the_write_head_have_no_newer_frames"),
    CountsMemoryAsOthersUseIt: (
        "atari_transition_costs_little_more_than_its_newest_frame",
        "memory_does_not_grow_with_the_number_of_episodes",
    ),
    HasAPoorTree: (
        "target_equal_to_the_total_finds_a_positive_leaf",
        "prefix_order_is_index_order_for_every_capacity",
        "sums_are_those_of_the_leaves_after_any_updates",
    ),
    BreaksInAFork: ("forked_child_draws_what_its_parent_would",),
}
if find_spec("gymnasium"):
    FAULTS[AddsPhantomSteps] = ("all_autoreset_modes_give_the_same_rows",)
