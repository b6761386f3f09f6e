"""One environment held to Gymnasium's contract: everything that it returns is checked where it comes back.

    obs      the structure, shape and dtype of the observation space (numbers are cast where they keep their meaning),
             no NaN, no infinity
    reward   one finite number; an array with one element counts as one
    ends     terminated and truncated, a truth value each
    info     a dict of anything; none of it goes on, so its shapes and types cannot do harm (`info` has the last one)

Whatever fails names the environment, the step and what was expected, in one line (BrokenEnvironmentError).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from mujigae.envs import statistics
from mujigae.errors import BrokenEnvironmentError, ConfigError

__all__ = ["Contract", "checked_obs", "checked_reward"]

# What Python and Gymnasium's own wrappers say of an environment made for another interface, and what that means.
_HINTS = {
    (
        "step()",
        "values to unpack (expected 5",
    ): "it has to return obs, reward, terminated, truncated and info",
    ("reset()", "values to unpack (expected 2"): "it has to return obs and info",
    (
        "reset()",
        "unexpected keyword argument",
    ): "its signature has to be reset(self, *, seed=None, options=None)",
}


class Contract(gymnasium.Wrapper[Any, Any, Any, Any]):
    """`env` with every answer checked; `name` stands in the errors, which count the steps since it was made.

    `info`: that of the last reset or step, as it came.

    Raises ConfigError for an environment without spaces.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self._name = name
        self._num_steps = 0
        self._is_frozen = False
        self.info: Mapping[Any, Any] = {}
        for attribute in ("observation_space", "action_space"):
            space = getattr(env, attribute, None)
            if not isinstance(space, gymnasium.Space):
                raise ConfigError(f"{name}: expected {attribute} to be a gymnasium.Space, got {space!r}")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As Gymnasium's; raises BrokenEnvironmentError."""
        answer = self._call("reset()", lambda: self.env.reset(seed=seed, options=options))
        if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], Mapping):
            self._fail(
                f"reset() has to return obs and info, a tuple with a dict at its end, got {_outline(answer)}"
            )
        self.info = answer[1]
        return self.checked("reset()", lambda: checked_obs(self.observation_space, answer[0])), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As Gymnasium's, with a plain reward and an empty info; raises BrokenEnvironmentError.

        The last observation of an episode is a copy: an environment that writes the next one into the same array
        would change it.
        """
        self._num_steps += 1
        answer = self._call("step()", lambda: self.env.step(action))
        if not isinstance(answer, tuple) or len(answer) != 5:
            self._fail(
                "step() has to return obs, reward, terminated, truncated and info, a tuple of 5,"
                f" got {_outline(answer)}"
            )
        obs, reward, terminated, truncated, info = answer
        if not isinstance(info, Mapping):
            self._fail(f"step() has to return a dict as info, got {_outline(info)}")
        self.info = info

        def checked() -> tuple[Any, float, bool, bool]:
            ends = _flag("terminated", terminated), _flag("truncated", truncated)
            return (checked_obs(self.observation_space, obs, copy=any(ends)), checked_reward(reward), *ends)

        return (*self.checked("step()", checked), {})

    def render(self) -> Any:
        """As Gymnasium's; raises BrokenEnvironmentError, for a picture of nothing too."""
        picture = self._call("render()", self.env.render)
        if picture is None:
            self._fail("render() has to return a picture, got None")
        return picture

    @property
    def kept(self) -> dict[str, NDArray[Any]]:
        """What wrappers and environment keep over their resets (see `statistics`)."""
        return statistics.read(self.env)

    @kept.setter
    def kept(self, state: dict[str, NDArray[Any]]) -> None:
        statistics.write(self.env, state)

    @property
    def is_frozen(self) -> bool:
        """Whether the statistics of the wrappers stay as they are."""
        return self._is_frozen

    @is_frozen.setter
    def is_frozen(self, is_frozen: bool) -> None:
        statistics.freeze(self.env, is_frozen)
        self._is_frozen = is_frozen

    def close(self) -> None:
        """As Gymnasium's, but an error is only a warning: what was wanted of the environment is done."""
        try:
            self.env.close()
        except Exception as error:
            warnings.warn(f"{self._name}: close() raised {_in_words(error)}", RuntimeWarning, stacklevel=2)

    def _call(self, what: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            hints = [
                f" ({words})"
                for (where, said), words in _HINTS.items()
                if where == what and said in str(error)
            ]
            self._fail(f"{what} raised {_in_words(error)}{''.join(hints)}", error)

    def checked(self, what: str, check: Callable[[], Any]) -> Any:
        """What `check` makes of an answer of `what`, "reset()" or "step()"; its ValueError is a BrokenEnvironmentError."""
        try:
            return check()
        except ValueError as error:
            self._fail(f"{what} returned {error}", error)

    def _fail(self, what: str, cause: Exception | None = None) -> NoReturn:
        raise BrokenEnvironmentError(f"{self._name}, step {self._num_steps}: {what}") from cause


def checked_obs(space: gymnasium.Space[Any], obs: Any, name: str = "obs", *, copy: bool = False) -> Any:
    """`obs` as `space` describes it, arrays of its dtypes; raises ValueError that names the part.

    What is no array (texts, graphs, spaces of an environment's own) goes through unchecked.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(obs, Mapping) or set(obs) != set(space.spaces):
            raise ValueError(f"{name}: expected a dict with {sorted(space.spaces)}, got {_outline(obs)}")
        return {
            key: checked_obs(part, obs[key], f"{name}[{key!r}]", copy=copy)
            for key, part in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        if not isinstance(obs, tuple | list) or len(obs) != len(space.spaces):
            raise ValueError(f"{name}: expected a tuple of {len(space.spaces)}, got {_outline(obs)}")
        parts = zip(space.spaces, obs, strict=True)
        return tuple(
            checked_obs(part, value, f"{name}[{i}]", copy=copy) for i, (part, value) in enumerate(parts)
        )
    if isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        return _checked_array(space, obs, name, copy=copy)
    return obs


def checked_reward(reward: Any) -> float:
    """The number that `reward` is; raises ValueError unless it is one finite number."""
    try:
        number = float(reward if np.ndim(reward) == 0 else np.reshape(reward, ()))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"reward: expected one number, got {_outline(reward)}") from None
    if not np.isfinite(number):
        raise ValueError(f"reward: expected a finite number, got {number}")
    return number


def _checked_array(space: Any, obs: Any, name: str, *, copy: bool) -> Any:
    """An array of the space's shape and dtype, for Discrete a NumPy scalar."""
    array = _array(obs, name)
    if array.shape != space.shape and not (space.shape == () and array.size == 1):
        raise ValueError(f"{name}: expected shape {space.shape}, got {array.shape}")
    cast = _cast(array.reshape(space.shape), space.dtype, name)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        kind = "NaN" if np.isnan(cast).any() else "infinity"
        raise ValueError(f"{name}: expected finite numbers, got {kind} at index {_first(~np.isfinite(cast))}")
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        size = space.n if isinstance(space, spaces.Discrete) else space.nvec
        is_outside = (cast < space.start) | (cast >= space.start + size)
        if np.any(is_outside):
            raise ValueError(f"{name}: expected values of {space}, got {cast.tolist()}")
    if cast.ndim == 0:
        return cast[()]
    return cast.copy() if copy else cast


def _array(obs: Any, name: str) -> Any:
    try:
        array = np.asarray(obs)
    except ValueError as error:
        raise ValueError(f"{name}: expected an array, got one that NumPy cannot make: {error}") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected numbers, got {_outline(obs)}")
    return array


def _cast(array: Any, dtype: Any, name: str) -> Any:
    """As Gymnasium casts when it batches observations, and integers of any width where every value survives."""
    if array.dtype == dtype:
        return array
    if array.dtype.kind in "iu" and np.dtype(dtype).kind in "biu":
        cast = array.astype(dtype)
        if np.array_equal(cast, array):
            return cast
    elif np.can_cast(array.dtype, dtype, "same_kind"):
        return array.astype(dtype)
    raise ValueError(f"{name}: expected dtype {dtype}, got {array.dtype}")


def _flag(name: str, value: Any) -> bool:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.size != 1:
        raise ValueError(f"{name}: expected true or false, got {_outline(value)}")
    return bool(array.reshape(()))


def _first(mask: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _outline(value: Any) -> str:
    """What `value` is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    if isinstance(value, Mapping):
        return f"a dict with {sorted(map(str, value))}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else type(value).__name__


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
