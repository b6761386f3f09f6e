"""What was added to a buffer, and therefore what each row of a batch has to say: worked out from identities alone.

The first bytes of each frame say environment, episode and time, so a row of a batch says which transition it claims to be,
and every other field of it follows from the list of rewards and ends kept here. No buffer of ours is asked.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from mujigae.conformance.adapter import Adapter, Batch, Config
from mujigae.conformance.identity import (
    MARK,
    Identity,
    extras_of,
    frame_in_words,
    frame_of,
    speed_of,
    telling_reward,
)

__all__ = ["Failed", "Identity", "Ledger", "Row", "check_extras", "check_numbers", "require"]


class Failed(AssertionError):  # noqa: N818, what a case says
    """A buffer does something else than it should; the message says what was expected and what came."""


def require(condition: object, message: str) -> None:
    """Raises `Failed` unless the condition holds."""
    if not condition:
        raise Failed(message)


class Row(NamedTuple):
    """One transition as it was added."""

    reward: float
    terminated: bool
    truncated: bool

    @property
    def ended(self) -> bool:
        return self.terminated or self.truncated


class Window(NamedTuple):
    """What a batch has to say of a start."""

    reward: float
    discount: float
    terminated: bool
    num_steps: int
    has_successor: bool


FIELDS = ("obs", "action", "reward", "next_obs", "discount", "terminated", "extras")
ENDS = {"": (False, False), "terminated": (True, False), "truncated": (False, True), "both": (True, True)}


class Ledger:
    """Plays transitions into a buffer, remembers them, and checks batches against them.

    Args:
        make: makes an adapter of a configuration.
        config: how the buffer is wanted.
        reward: of a transition; by default small numbers that tell neighbours apart.
        padding: what stands before the first frame of an episode in its stacks: "zeros" or "repeat" (of that frame).
    """

    def __init__(
        self,
        make: Callable[[Config], Adapter],
        config: Config,
        *,
        reward: Callable[[Identity], float] | None = None,
        padding: str = "zeros",
    ) -> None:
        self.config = config
        self.buffer = make(config)
        self._reward = reward or telling_reward
        self._padding = padding
        self.episodes: list[list[list[Row]]] = [[[]] for _ in range(config.num_envs)]
        self.order: list[list[Identity]] = [[] for _ in range(config.num_envs)]

    # --- playing ---

    def add(
        self,
        ends: Sequence[str],
        env_ids: Sequence[int] | None = None,
        priority: Sequence[float] | None = None,
    ) -> None:
        """One transition of each environment (or of `env_ids`), which ends as one of ENDS says.

        `priority`: the first priorities of these rows; None: what the buffer gives a new row.
        """
        envs = list(range(self.config.num_envs)) if env_ids is None else list(env_ids)
        starts = [Identity(e, len(self.episodes[e]) - 1, len(self.episodes[e][-1])) for e in envs]
        rows = [Row(self._reward(at), *ENDS[end]) for at, end in zip(starts, ends, strict=True)]
        arrays = self._arrays(starts, rows)
        ids = None if env_ids is None else np.array(envs)
        if self.config.extras or priority is not None:
            extras = extras_of(starts) if self.config.extras else None
            first = None if priority is None else np.array(priority, np.float64)
            self.buffer.add_with(arrays, ids, first, extras)
            _scribble(extras or {})
        else:
            step = (*arrays, ids)
            self.buffer.add(*step)
        _scribble(*arrays)
        self._remember(starts, rows)

    def episode(self, num_steps: int, end: str = "terminated") -> None:
        """An episode of this many steps in every environment; `end` "" leaves it open."""
        for t in range(num_steps):
            self.add([end if t == num_steps - 1 else ""] * self.config.num_envs)

    def fill(self, num_steps: int, kinds: Sequence[str] = ("terminated", "truncated")) -> None:
        """Steps of every environment, in episodes of 1 to 9 steps that end at different times, of these kinds by turns."""
        lengths = (5, 1, 7, 2, 4, 9, 1, 3)
        for _ in range(num_steps):
            ends = []
            for e, episodes in enumerate(self.episodes):
                number = len(episodes) - 1 + 3 * e
                is_last = len(episodes[-1]) + 1 >= lengths[number % len(lengths)]
                ends.append(kinds[number % len(kinds)] if is_last else "")
            self.add(ends)

    def extend(self, num_steps: int) -> None:
        """Steps of the one environment in a single call, all in one open episode."""
        first = len(self.episodes[0][-1])
        starts = [Identity(0, len(self.episodes[0]) - 1, first + t) for t in range(num_steps)]
        rows = [Row(self._reward(at), False, False) for at in starts]
        arrays = self._arrays(starts, rows)
        self.buffer.extend(*arrays)
        _scribble(*arrays)
        self._remember(starts, rows)

    def step(self, starts: list[Identity]) -> tuple[Any, ...]:
        """Arrays for `Adapter.add` of transitions without an end that nobody has added."""
        return self._arrays(starts, [Row(self._reward(at), False, False) for at in starts])

    def copy(self) -> Ledger:
        """Another list of the same rows around the same buffer."""
        twin = copy.copy(self)
        twin.episodes = [[list(rows) for rows in episodes] for episodes in self.episodes]
        twin.order = [list(order) for order in self.order]
        return twin

    def forget(self) -> None:
        """After `clear`: whatever was added may come no more, and new episodes have new identities."""
        self.order = [[] for _ in self.order]
        for episodes in self.episodes:
            episodes.append([])

    def _arrays(self, starts: list[Identity], rows: list[Row]) -> tuple[Any, ...]:
        return (
            self.observations(starts),
            np.array([at.time for at in starts], np.int64),
            np.array([row.reward for row in rows], np.float64),
            self.observations([at._replace(time=at.time + 1) for at in starts]),
            np.array([row.terminated for row in rows], np.bool_),
            np.array([row.truncated for row in rows], np.bool_),
        )

    def _remember(self, starts: list[Identity], rows: list[Row]) -> None:
        for at, row in zip(starts, rows, strict=True):
            self.episodes[at.env][-1].append(row)
            self.order[at.env].append(at)
            if row.ended:
                self.episodes[at.env].append([])

    # --- what an observation looks like ---

    def observations(self, identities: Sequence[Identity]) -> Any:
        """The observations of these identities, as `add` takes them."""
        image = np.stack([self.stack(at) for at in identities])
        if not self.config.dict_obs:
            return image
        return {"image": image, "speed": np.array([[speed_of(at)] for at in identities], np.float32)}

    def stack(self, at: Identity) -> Any:
        """The image part of one observation."""
        if self.config.frame_stack is None:
            return self.frame(at)
        times = range(at.time - self.config.frame_stack + 1, at.time + 1)
        return np.stack([self._frame_or_padding(at, time) for time in times])

    def _frame_or_padding(self, at: Identity, time: int) -> Any:
        if time < 0 and self._padding == "zeros":
            return np.zeros(self.config.frame_shape, np.uint8)
        return self.frame(at._replace(time=max(time, 0)))

    def frame(self, at: Identity) -> Any:
        """The newest frame of an observation: its identity, then noise that does not compress."""
        return frame_of(self.config.frame_shape, at)

    def identities(self, obs: Any) -> list[Identity]:
        """Which observations these are, by the newest frame of each; `Failed` for one that was never added."""
        image = np.asarray(obs["image"] if self.config.dict_obs else obs)
        newest = image if self.config.frame_stack is None else image[:, -1]
        flat = newest.reshape(len(newest), -1)[:, :6].astype(np.int64)
        return [self._identity(head) for head in flat.tolist()]

    def _identity(self, head: list[int]) -> Identity:
        mark, env, high, low, time_high, time_low = head
        at = Identity(env, 256 * high + low, 256 * time_high + time_low)
        is_known = (
            mark == MARK
            and at.env < len(self.episodes)
            and at.episode < len(self.episodes[at.env])
            and at.time <= len(self.episodes[at.env][at.episode])
        )
        require(
            is_known, f"expected a row that was added, got an observation that begins with the bytes {head}"
        )
        return at

    # --- what a batch has to say ---

    def window(self, at: Identity) -> Window:
        """The n-step window that starts here; it may still be open, and then it is as long as it can be now."""
        episode = self.episodes[at.env][at.episode]
        rows = episode[at.time : at.time + self.config.n_step]
        ended = bool(rows) and rows[-1].ended
        reward = sum(self.config.gamma**i * row.reward for i, row in enumerate(rows))
        terminated = ended and rows[-1].terminated
        discount = 0.0 if terminated else self.config.gamma ** len(rows)
        has_successor = ended or at.time + self.config.n_step < len(episode)
        return Window(reward, discount, terminated, len(rows), has_successor)

    def check(
        self, batch: Batch, fields: Collection[str] = FIELDS, *, is_strict: bool = False
    ) -> list[Identity]:
        """The identities of the rows of a batch; `Failed` unless each of these fields says what it has to.

        next_obs counts where something is bootstrapped from it; `is_strict`: everywhere.
        """
        starts = self.identities(batch.obs)
        windows = [self.window(at) for at in starts]
        for at, window in zip(starts, windows, strict=True):
            require(
                window.num_steps > 0,
                f"{at}: expected the start of a transition, got an episode's last observation",
            )
        numbers: dict[str, list[Any]] = {
            "action": [at.time for at in starts],
            "reward": [window.reward for window in windows],
            "terminated": [window.terminated for window in windows],
            "discount": [window.discount for window in windows],
        }
        for field in [name for name in numbers if name in fields]:
            check_numbers(field, getattr(batch, field), numbers[field], starts)
        if "obs" in fields:
            self.check_observations("obs", batch.obs, starts, starts)
        if self.config.extras and "extras" in fields:
            check_extras(batch.extras, starts)
        if "next_obs" in fields:
            used = [i for i, window in enumerate(windows) if is_strict or window.discount > 0.0]
            ends = [starts[i]._replace(time=starts[i].time + windows[i].num_steps) for i in used]
            self.check_observations("next_obs", _rows(batch.next_obs, used), ends, [starts[i] for i in used])
        return starts

    def check_observations(
        self, field: str, got: Any, expected: list[Identity], starts: list[Identity]
    ) -> None:
        """`Failed`, naming the row of `starts`, unless `got` [B, *obs_shape] are these observations."""
        if self.config.dict_obs:
            check_numbers(f"{field} speed", got["speed"], [speed_of(at) for at in expected], starts)
            got = got["image"]
        for i, at in enumerate(expected):
            if not np.array_equal(np.asarray(got[i]), self.stack(at)):
                raise Failed(
                    f"{starts[i]}: expected {field} {self.said(self.stack(at))}, got {self.said(got[i])}"
                )

    def said(self, image: Any) -> str:
        """An image in a few words: the times that its frames claim."""
        array = np.asarray(image)
        frames = array[None] if self.config.frame_stack is None else array
        return " ".join(frame_in_words(frame) for frame in frames)

    # --- what can be drawn ---

    def draw(
        self, num_rows: int, fields: Collection[str] = FIELDS, *, is_strict: bool = False
    ) -> Counter[Identity]:
        """How often each row came in about this many, every batch checked."""
        seen: Counter[Identity] = Counter()
        for _ in range(-(-num_rows // 64)):
            seen.update(self.check(self.buffer.sample(64), fields, is_strict=is_strict))
        return seen

    def count(self, num_rows: int, batch_size: int = 4096) -> Counter[Identity]:
        """How often each row came in about this many, by the identity of obs alone: for statistics."""
        seen: Counter[Identity] = Counter()
        for _ in range(-(-num_rows // batch_size)):
            obs = self.buffer.sample(batch_size).obs
            image = np.asarray(obs["image"] if self.config.dict_obs else obs)
            newest = image if self.config.frame_stack is None else image[:, -1]
            heads, counts = np.unique(newest.reshape(batch_size, -1)[:, :6], axis=0, return_counts=True)
            for head, count in zip(heads.tolist(), counts.tolist(), strict=True):
                seen[self._identity(head)] += count
        return seen

    def held(self, *, spare: int = 0) -> set[Identity]:
        """The rows that must be drawn sooner or later: those among the newest of each environment's share of the capacity,
        but for `spare` of them, whose window has ended, or is complete and followed by another row. (There are buffers that
        learn of a successor only when it is acted on.)
        """
        share = self.config.capacity // self.config.num_envs - spare
        newest = [at for order in self.order for at in order[-share:]]
        return {at for at in newest if self.window(at).has_successor}

    def check_all_drawn(
        self, fields: Collection[str] = FIELDS, *, spare: int = 0, is_strict: bool = False
    ) -> None:
        """Every row held is drawn sooner or later, and every batch on the way is right."""
        missing = self.held(spare=spare)
        num_rows = 2 * len(missing) + 64
        for _ in range(40):  # in each, a row is missed once in seven times
            missing -= set(self.draw(num_rows, fields, is_strict=is_strict))
            if not missing:
                return
        raise Failed(
            f"expected every row to be drawn, got none of {', '.join(map(str, sorted(missing)[:4]))}"
        )


def check_numbers(field: str, got: Any, expected: Sequence[float], starts: list[Identity]) -> None:
    """`Failed` unless `got` [B, ...] begins with these numbers: float32 of a few operations, so 1e-5 apart is something else."""
    if not expected:
        return
    numbers = np.asarray(got).reshape(len(expected), -1)[:, 0].astype(np.float64)
    wrong = ~np.isclose(numbers, np.asarray(expected, np.float64), rtol=1e-5, atol=1e-6)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise Failed(f"{starts[i]}: expected {field} {float(expected[i]):g}, got {numbers[i]:g}")


def check_extras(got: Any, starts: list[Identity]) -> None:
    """`Failed` unless these are the extras of these transitions, bit for bit."""
    for name, expected in extras_of(starts).items():
        values = np.asarray(got[name])
        wrong = [i for i in range(len(starts)) if not np.array_equal(values[i], expected[i])]
        if wrong:
            i = wrong[0]
            raise Failed(f"{starts[i]}: expected extra {name} {expected[i]}, got {values[i]}")


def _rows(obs: Any, rows: list[int]) -> Any:
    if isinstance(obs, dict):
        return {name: np.asarray(array)[rows] for name, array in obs.items()}
    return np.asarray(obs)[rows]


def _scribble(*arrays: Any) -> None:
    """What a caller does to its arrays once they are handed over."""
    for array in arrays:
        for leaf in array.values() if isinstance(array, dict) else [array]:
            leaf[...] = np.ones_like(leaf)
