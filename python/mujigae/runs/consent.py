"""Whose run it is: config.json may name modules (agent, environment, wrappers), and importing a module runs its code.

The modules of a run that was begun under this user's account are imported. Such a run has a file, `imports.hmac`, that only
this account can make: its key lies in $XDG_STATE_HOME/mujigae (~/.local/state/mujigae). For any other run the user has to
consent.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mujigae.config.saved import flat_values
from mujigae.errors import ConfigError
from mujigae.runs.files import write_whole
from mujigae.runs.reading import read_bytes

__all__ = ["MARK", "check_consent", "mark_as_ours"]

MARK = "imports.hmac"
_KEY_BYTES, _MAX_MARK_BYTES = 32, 1024
_ALWAYS = ("gymnasium", "mujigae")  # packages that are imported anyway


def check_consent(folder: Path, values: Mapping[str, Any]) -> None:
    """Raises ConfigError where config.json's object, of either version, names modules and the run in `folder` is not ours."""
    modules = _modules(flat_values(values))
    if modules and not _is_ours(folder, modules):
        raise ConfigError(
            f"expected consent to import {', '.join(modules)}, as this run was not begun under this account"
            " (or the account had no place for its key): --trust-modules gives it, and they run their code"
        )


def mark_as_ours(folder: Path, values: Mapping[str, Any]) -> None:
    """Where the configuration, as `check_consent` takes it, names modules: the run in `folder` may import them from now on.

    Without a place for the key nothing is written, and consent stays necessary.
    """
    modules = _modules(flat_values(values))
    if modules and (key := _key()) is not None:
        write_whole(folder / MARK, _mark(key, modules) + "\n")


def _modules(flat: Mapping[str, Any]) -> list[str]:
    """What a configuration imports: the part before the colon of its agent, its environment and its wrappers."""
    wrappers = flat.get("wrapper")
    names = [
        flat.get("agent_name"),
        flat.get("env_id"),
        *(wrappers if isinstance(wrappers, list | tuple) else ()),
    ]
    modules = {name.partition(":")[0] for name in names if isinstance(name, str) and ":" in name}
    return sorted(module for module in modules if module.partition(".")[0] not in _ALWAYS)


def _is_ours(folder: Path, modules: list[str]) -> bool:
    key = _key()
    if key is None or not os.path.lexists(folder / MARK):
        return False
    mark = read_bytes(folder / MARK, _MAX_MARK_BYTES).strip()
    return hmac.compare_digest(mark, _mark(key, modules).encode())


def _mark(key: bytes, modules: list[str]) -> str:
    return hmac.new(key, "\n".join(modules).encode(), "sha256").hexdigest()


def _key() -> bytes | None:
    """The account's own key, made where there is none yet; None where it cannot be kept."""
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        path = state / "mujigae" / "key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{os.getpid()}-key")
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.link(aside, path)
            aside.unlink()
        key = path.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: an account without a home
        return None
    return key if len(key) == _KEY_BYTES else None
