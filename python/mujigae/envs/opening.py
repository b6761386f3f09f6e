"""From an id to one Gymnasium environment: found, made, wrapped, held to its contract; every failure in one line."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import re
from collections.abc import Iterable
from typing import Any

import gymnasium

from mujigae.config.run import EnvConfig
from mujigae.envs.atari import atari_ids
from mujigae.envs.contract import Contract
from mujigae.errors import ConfigError, MissingExtraError

__all__ = ["known_ids", "literal", "open_one", "unknown_environment"]

# Packages whose environments are not in Gymnasium's registry until they are imported (or the function is called).
_PACKAGES = {
    "MinAtar/": ("minatar", "minatar.gym", "register_envs"),
    "MiniGrid-": ("minigrid", "minigrid", None),
    "BabyAI-": ("minigrid", "minigrid", None),
    "highway-": ("highway-env", "highway_env", None),
    "FlappyBird-": ("flappy-bird-gymnasium", "flappy_bird_gymnasium", None),
}

_OLD_ATARI_VARIANT = re.compile(r"(-ram)?(NoFrameskip|Deterministic)?(?=-v\d+$)")
_WORDS = {"true": True, "false": False, "none": None, "null": None}


def open_one(options: EnvConfig, number: int = 0, render_mode: str | None = None) -> Contract:
    """Environment `number` of `options`, with its wrappers.

    Raises:
        ConfigError: the id is unknown (the message has close matches), or it cannot be opened, wrapped or drawn.
        MissingExtraError: it needs a package that is not installed.
    """
    env_id = options.env_id
    if env_id not in gymnasium.registry:
        _register_package(env_id)
    env = _make(env_id, _arguments(options.env_kwargs), render_mode)
    for text in options.wrapper:
        env = _wrapped(env, text)
    if render_mode is not None and env.render_mode != render_mode:
        raise ConfigError(
            f"render: {env_id!r} has no {render_mode!r} pictures, only {env.metadata.get('render_modes')}"
        )
    return Contract(env, env_id if options.num_envs == 1 else f"{env_id}, environment {number}")


def literal(text: str) -> Any:
    """The Python literal that `text` is, true, false and none in any case included; else the word itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def unknown_environment(env_id: str, known: Iterable[str]) -> ConfigError:
    """The error for an id that is not among `known`: it names those that are spelled much like it."""
    by_lower = {name.lower(): name for name in known}
    wanted = _OLD_ATARI_VARIANT.sub("", env_id).lower()  # "PongNoFrameskip-v4" means "ALE/Pong-v5"
    close = difflib.get_close_matches(wanted, by_lower, n=3, cutoff=0.65)
    hint = f"; did you mean {' or '.join(by_lower[name] for name in close)}?" if close else ""
    return ConfigError(f"env_id: unknown environment {env_id!r}{hint}")


def known_ids() -> list[str]:
    """The ids of everything registered so far, and of the Atari games."""
    registered = [env_id for env_id, spec in gymnasium.registry.items() if not _is_ale_py(spec)]
    with contextlib.suppress(MissingExtraError):
        registered += atari_ids()
    return registered


def _make(env_id: str, arguments: dict[str, Any], render_mode: str | None) -> gymnasium.Env[Any, Any]:
    """gymnasium.make, with every failure in one line."""
    if render_mode is not None:
        arguments["render_mode"] = render_mode  # not every environment takes it
    try:
        if _is_ale_py(gymnasium.registry.get(env_id)):
            raise gymnasium.error.UnregisteredEnv  # "Pong-v4" and its like bypass the vector environment
        env: gymnasium.Env[Any, Any] = gymnasium.make(env_id, disable_env_checker=True, **arguments)
    except gymnasium.error.UnregisteredEnv as error:
        raise unknown_environment(env_id, known_ids()) from error
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise MissingExtraError(
            f"env_id: {env_id!r} needs a package that is missing: {_one_line(error)}"
        ) from error
    except Exception as error:
        raise ConfigError(f"env_id: {env_id!r} cannot be opened: {_one_line(error)}") from error
    return env


def _wrapped(env: gymnasium.Env[Any, Any], text: str) -> gymnasium.Env[Any, Any]:
    """`env` in the wrapper that "module:Class" or "module:Class(key=value)" names."""
    try:
        module, name, arguments = _wrapper_of(text)
    except (ValueError, SyntaxError, AttributeError):
        raise ConfigError(
            f"wrapper: expected module:Class or module:Class(key=value), got {text!r}"
        ) from None
    try:
        wrapped = getattr(importlib.import_module(module), name)(env, **arguments)
    except Exception as error:
        raise ConfigError(
            f"wrapper: {text!r} cannot be made: {type(error).__name__}: {_one_line(error)}"
        ) from error
    if not isinstance(wrapped, gymnasium.Env):
        raise ConfigError(f"wrapper: expected {text!r} to give a gymnasium.Env, got {type(wrapped).__name__}")
    return wrapped


def _wrapper_of(text: str) -> tuple[str, str, dict[str, Any]]:
    """Module, class and keyword arguments; ValueError, SyntaxError or AttributeError for another form."""
    module, _, call = text.partition(":")
    parsed: Any = ast.parse(call, mode="eval").body
    if isinstance(parsed, ast.Call):
        if parsed.args:
            raise ValueError(text)
        arguments = {str(pair.arg): ast.literal_eval(pair.value) for pair in parsed.keywords}
        return module, parsed.func.id, arguments  # type: ignore[attr-defined]
    return module, parsed.id, {}


def _arguments(pairs: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE, ... as keyword arguments of the environment."""
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier() or key in arguments or key == "render_mode":
            expected = "KEY=VALUE with another key in each, none of them render_mode"
            raise ConfigError(f"env_kwargs: expected {expected}, got {pair!r}")
        arguments[key] = literal(value)
    return arguments


def _register_package(env_id: str) -> None:
    """Imports the package that brings `env_id`, if it is one of those known here."""
    for prefix, (package, module, function) in _PACKAGES.items():
        if env_id.startswith(prefix):
            try:
                imported = importlib.import_module(module)
            except ImportError as error:
                raise MissingExtraError(
                    f"env_id: {env_id!r} needs {package}, which comes with: python -m pip install"
                    f' "mujigae[envs]" ({_one_line(error)})'
                ) from error
            if function is not None:
                getattr(imported, function)()


def _is_ale_py(spec: Any) -> bool:
    return spec is not None and str(spec.entry_point).startswith("ale_py")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
