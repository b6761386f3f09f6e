"""StepStream: every autoreset mode gives the rows that playing each environment by hand gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper

from mujigae.envs.steps import Episode, Steps, StepStream, autoreset_mode_of

MODES = list(AutoresetMode)
T, U, BOTH = (True, False), (False, True), (True, True)  # terminated, truncated
# Environment e plays these in turn: (length in steps, how it ends). One-step episodes, ends that meet.
SCRIPTS: list[list[tuple[int, tuple[bool, bool]]]] = [
    [(3, T), (1, U), (1, T), (4, BOTH)],
    [(1, T), (2, U)],
    [(3, BOTH), (5, U)],
]


class Script(gymnasium.Env[Any, Any]):
    """Observes (environment, episode, step); the reward is the action plus a hundredth."""

    def __init__(self, env_id: int, structure: str = "array") -> None:
        self.env_id, self.structure, self.episode = env_id, structure, -1
        box = spaces.Box(-1000, 1000, (3,), np.int64)
        small = spaces.Box(0, 255, (2, 2), np.uint8)
        self.observation_space = {
            "array": box,
            "dict": spaces.Dict({"where": box, "inner": spaces.Dict({"image": small})}),
            "tuple": spaces.Tuple((box, spaces.Discrete(100))),
        }[structure]
        self.action_space = spaces.Discrete(100)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        return self.observe(), {"seed": -1 if seed is None else seed}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        length, (terminated, truncated) = self.script[self.episode % len(self.script)]
        over = self.time == length
        return self.observe(), float(action) + 0.01, over and terminated, over and truncated, {}

    @property
    def script(self) -> list[tuple[int, tuple[bool, bool]]]:
        return SCRIPTS[self.env_id]

    def observe(self) -> Any:
        where = np.array([self.env_id, self.episode, self.time])
        if self.structure == "dict":
            return {
                "where": where,
                "inner": {"image": np.full((2, 2), (10 * self.episode + self.time) % 100, np.uint8)},
            }
        return (where, (10 * self.episode + self.time) % 100) if self.structure == "tuple" else where


class Row(NamedTuple):
    obs: Any
    action: int
    reward: float
    next_obs: Any
    terminated: bool
    truncated: bool


def plain(obs: Any) -> Any:
    """Comparable with ==: nested dicts and tuples of lists."""
    if isinstance(obs, dict):
        return {name: plain(part) for name, part in obs.items()}
    if isinstance(obs, tuple):
        return tuple(plain(part) for part in obs)
    return np.asarray(obs).tolist()


def first_row(tree: Any, row: int) -> Any:
    if isinstance(tree, dict):
        return {name: first_row(part, row) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(first_row(part, row) for part in tree)
    return tree[row]


def where(obs: Any) -> Any:
    return obs["where"] if isinstance(obs, dict) else obs[0] if isinstance(obs, tuple) else obs


def policy(obs: Any) -> np.ndarray[Any, Any]:
    """Different on every observation, so that acting on a wrong one shows."""
    position = where(obs)
    return np.asarray((30 * position[..., 0] + 7 * position[..., 1] + 3 * position[..., 2]) % 100)


def rows_of(steps: Steps) -> list[tuple[int, Row]]:
    return [
        (
            int(e),
            Row(
                plain(first_row(steps.obs, i)),
                int(steps.action[i]),
                float(steps.reward[i]),
                plain(first_row(steps.next_obs, i)),
                bool(steps.terminated[i]),
                bool(steps.truncated[i]),
            ),
        )
        for i, e in enumerate(steps.env_ids)
    ]


def played_by_hand(env_id: int, structure: str, num_rows: int) -> tuple[list[Row], list[Episode]]:
    env, rows, episodes = Script(env_id, structure), list[Row](), list[Episode]()
    while len(rows) < num_rows:
        obs, score, length, over = env.reset()[0], 0.0, 0, False
        while not over:
            action = int(policy(obs))
            next_obs, reward, terminated, truncated, _ = env.step(action)
            rows.append(
                Row(plain(obs), action, reward, plain(next_obs), terminated, truncated and not terminated)
            )
            obs, score, length, over = next_obs, score + reward, length + 1, terminated or truncated
        episodes.append(Episode(env_id, score, length))
    return rows[:num_rows], episodes


def make_stream(mode: AutoresetMode, structure: str = "array", num_envs: int = 3) -> StepStream:
    makers = [lambda e=e: Script(e, structure) for e in range(num_envs)]
    return StepStream(SyncVectorEnv(makers, autoreset_mode=mode))


def collect(stream: StepStream, num_steps: int) -> tuple[list[list[Row]], list[list[Episode]]]:
    rows: list[list[Row]] = [[] for _ in range(stream.num_envs)]
    episodes: list[list[Episode]] = [[] for _ in range(stream.num_envs)]
    for _ in range(num_steps):
        steps = stream.step(policy(stream.obs))
        for e, row in rows_of(steps):
            rows[e].append(row)
        for episode in steps.episodes:
            episodes[episode.env_id].append(episode)
    return rows, episodes


@pytest.mark.parametrize("structure", ["array", "dict", "tuple"])
@pytest.mark.parametrize("mode", MODES)
def test_rows_are_those_of_playing_each_environment_by_hand(mode: AutoresetMode, structure: str) -> None:
    stream = make_stream(mode, structure)
    stream.reset(seed=1)
    rows, episodes = collect(stream, 40)
    for e in range(3):
        expected_rows, expected_episodes = played_by_hand(e, structure, len(rows[e]))
        assert len(rows[e]) >= 20
        assert rows[e] == expected_rows
        assert len(episodes[e]) >= 5
        for got, expected in zip(episodes[e], expected_episodes, strict=False):
            assert (got.env_id, got.length_steps) == (expected.env_id, expected.length_steps)
            assert got.score == pytest.approx(expected.score, abs=1e-9)
    stream.close()


def test_asynchronous_environments_give_the_same_rows() -> None:
    makers = [lambda e=e: Script(e, "dict") for e in range(2)]
    stream = StepStream(AsyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP, context="forkserver"))
    stream.reset(seed=1)
    rows, _ = collect(stream, 12)
    stream.close()
    assert rows == [played_by_hand(e, "dict", 12)[0] for e in range(2)]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_step_that_is_sent_and_received_is_a_step(mode: AutoresetMode) -> None:
    stepped, sent = make_stream(mode), make_stream(mode)
    stepped.reset(), sent.reset()
    for _ in range(12):
        obs = sent.obs.copy()
        sent.send(policy(obs))
        np.testing.assert_array_equal(sent.obs, obs)  # until the answer is received
        assert rows_of(sent.receive()) == rows_of(stepped.step(policy(stepped.obs)))
    sent.close()


def test_step_under_way_has_to_be_received_first() -> None:
    stream = make_stream(AutoresetMode.NEXT_STEP)
    stream.reset()
    with pytest.raises(RuntimeError, match="call send"):
        stream.receive()
    stream.send(policy(stream.obs))
    for what, call in {"send": stream.send, "step": stream.step, "reset": stream.reset}.items():
        with pytest.raises(RuntimeError, match=rf"call receive\(\) before {what}\(\)"):
            call(policy(stream.obs))
    assert len(rows_of(stream.receive())) == 3
    stream.close()


def test_next_step_mode_drops_the_reset_step_and_the_other_modes_have_none() -> None:
    counts = {}
    for mode in MODES:
        stream = make_stream(mode)
        stream.reset(seed=1)
        counts[mode] = [stream.step(policy(stream.obs)).env_ids.tolist() for _ in range(6)]
    # Lengths: environment 0 plays 3, 1, 1, ...; environment 1 plays 1, 2, 1, ...; environment 2 plays 3, 5
    everyone = [[0, 1, 2]] * 6
    assert counts[AutoresetMode.SAME_STEP] == counts[AutoresetMode.DISABLED] == everyone
    assert counts[AutoresetMode.NEXT_STEP] == [[0, 1, 2], [0, 2], [0, 1, 2], [1], [0, 2], [1, 2]]


def test_a_step_that_only_resets_has_no_rows() -> None:
    stream = StepStream(SyncVectorEnv([lambda: Script(1)]))
    stream.reset(seed=1)
    assert stream.step(policy(stream.obs)).env_ids.tolist() == [0]
    idle = stream.step(policy(stream.obs))
    assert idle.env_ids.shape == idle.reward.shape == idle.terminated.shape == (0,)
    assert idle.obs.shape == idle.next_obs.shape == (0, 3)
    assert idle.episodes == ()


@pytest.mark.parametrize("mode", MODES)
def test_final_observation_is_stored_not_the_reset_observation(mode: AutoresetMode) -> None:
    stream = make_stream(mode)
    stream.reset(seed=1)
    steps = stream.step(policy(stream.obs))
    assert steps.next_obs[1].tolist() == [1, 0, 1]  # environment 1 ends after one step: episode 0, step 1
    if mode is not AutoresetMode.NEXT_STEP:
        assert stream.obs[1].tolist() == [1, 1, 0]  # and is acted on in episode 1, step 0


@pytest.mark.parametrize("mode", MODES)
def test_terminated_wins_over_truncated(mode: AutoresetMode) -> None:
    stream = make_stream(mode)
    stream.reset(seed=1)
    rows, _ = collect(stream, 3)
    assert (rows[2][2].terminated, rows[2][2].truncated) == (True, False)  # its script says both
    assert not any(row.terminated and row.truncated for env_rows in rows for row in env_rows)


@pytest.mark.parametrize("mode", MODES)
def test_reset_in_the_middle_forgets_open_episodes(mode: AutoresetMode) -> None:
    stream = make_stream(mode)
    stream.reset(seed=1)
    stream.step(np.full(3, 50))  # environments 0 and 2 are in the middle of a game; 1 has just ended one
    stream.reset(seed=2)
    steps = [stream.step(np.ones(3, np.int64)) for _ in range(5)]
    assert steps[0].env_ids.tolist() == [0, 1, 2]
    assert steps[0].obs[:, 2].tolist() == [0, 0, 0]
    # Their second scripts: one step for environment 0, five for environment 2; the action 1 brings 1.01.
    games = [episode for step in steps for episode in step.episodes]
    assert next(game for game in games if game.env_id == 0) == Episode(0, 1.01, 1)
    (last,) = [game for game in games if game.env_id == 2]
    assert last.length_steps == 5
    assert last.score == pytest.approx(5.05)


class Reuses(VectorEnv[Any, Any, Any]):
    """Two endless counters that hand out the same arrays every time, and overwrite the action they get."""

    def __init__(self) -> None:
        self.num_envs = 2
        self.metadata = {}
        self.single_observation_space = spaces.Box(0, 100, (1,), np.int64)
        self.single_action_space = spaces.Discrete(5)
        self.shared = np.zeros((2, 1), np.int64), np.zeros(2), np.zeros(2, bool), np.zeros(2, bool)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.shared[0][:] = 0
        return self.shared[0], {}

    def step(self, actions: Any) -> Any:
        self.shared[0][:] += 1
        self.shared[1][:] += actions
        actions[:] = 4
        return (*self.shared, {})


def test_rows_do_not_alias_the_memory_of_the_environment() -> None:
    stream = StepStream(Reuses())
    first = stream.reset()
    one = stream.step(np.array([1, 2]))
    two = stream.step(np.array([0, 0]))
    assert first.tolist() == one.obs.tolist() == [[0], [0]]
    assert one.next_obs.tolist() == two.obs.tolist() == [[1], [1]]
    assert one.reward.tolist() == [1.0, 2.0]
    assert one.reward.dtype == np.float64


class Lives(Reuses):
    """Environment 0 loses a life in steps 2, 4 and 6, its last; environment 1 in step 3, and a limit at 6."""

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.clock, self.over = 0, np.zeros(2, bool)
        return np.full((2, 1), 0), {}

    def step(self, actions: Any) -> Any:
        self.clock += 1
        lost = np.array([self.clock in (2, 4, 6), self.clock == 3])
        limit = np.array([False, self.clock == 6])
        info = {"really": np.array([self.clock == 6, self.clock == 6])}
        return np.full((2, 1), self.clock), np.full(2, 10.0), lost, limit, info


def test_lost_lives_are_terminal_for_the_learner_and_the_score_goes_on() -> None:
    stream = StepStream(Lives(), game_over=lambda info, terminated, truncated: info["really"])
    stream.reset()
    steps = [stream.step(np.array([0, 0])) for _ in range(7)]
    assert [s.terminated.tolist() for s in steps[:6]] == [
        [False, False],
        [True, False],
        [False, True],
        [True, False],
        [False, False],
        [True, False],
    ]
    assert steps[5].truncated.tolist() == [False, True]
    assert [s.env_ids.tolist() for s in steps] == [[0, 1]] * 6 + [
        []
    ]  # a lost life is followed by no reset step
    assert [s.episodes for s in steps[:5]] == [()] * 5
    assert steps[5].episodes == (Episode(0, 60.0, 6), Episode(1, 60.0, 6))
    assert steps[2].obs.tolist() == [[2], [2]]  # the game goes on from where the life was lost


def test_every_end_is_real_without_game_over() -> None:
    stream = StepStream(Lives())
    stream.reset()
    ids = [stream.step(np.array([0, 0])).env_ids.tolist() for _ in range(4)]
    assert ids == [[0, 1], [0, 1], [1], [0]]


def test_missing_metadata_means_next_step() -> None:
    class Bare(Reuses):
        pass

    assert autoreset_mode_of(Bare()) is AutoresetMode.NEXT_STEP
    assert autoreset_mode_of(CartPoleVectorEnv(num_envs=2)) is AutoresetMode.NEXT_STEP


@pytest.mark.parametrize("mode", MODES)
def test_mode_is_found_through_wrappers_and_in_the_form_of_a_string(mode: AutoresetMode) -> None:
    env = SyncVectorEnv([lambda: Script(0)], autoreset_mode=mode)
    assert autoreset_mode_of(VectorWrapper(env)) is mode
    env.metadata["autoreset_mode"] = mode.value
    assert autoreset_mode_of(env) is mode


def test_mode_in_the_metadata_that_all_vector_environments_share_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(VectorEnv.metadata, "autoreset_mode", AutoresetMode.SAME_STEP)

    class Bare(Reuses):
        def __init__(self) -> None:
            super().__init__()
            del self.metadata

    class Declares(Bare):
        autoreset_mode = AutoresetMode.DISABLED

    assert autoreset_mode_of(Bare()) is AutoresetMode.NEXT_STEP
    assert autoreset_mode_of(Declares()) is AutoresetMode.DISABLED
    assert autoreset_mode_of(VectorWrapper(Declares())) is AutoresetMode.DISABLED


def test_same_step_without_final_obs_is_refused() -> None:
    class Forgets(Lives):
        autoreset_mode = AutoresetMode.SAME_STEP

        def __init__(self) -> None:
            super().__init__()
            self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    stream = StepStream(Forgets())
    stream.reset()
    stream.step(np.array([0, 0]))
    with pytest.raises(RuntimeError, match="final_obs"):
        stream.step(np.array([0, 0]))


def test_acting_before_the_first_reset_is_refused() -> None:
    stream = make_stream(AutoresetMode.SAME_STEP)
    with pytest.raises(RuntimeError, match="reset"):
        stream.step(np.zeros(3, np.int64))
