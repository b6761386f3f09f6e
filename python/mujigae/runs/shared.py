"""Runs that go from one place to another: which of their files do, and how those of others are taken.

    pushed folder   README.md (the card)  config.json  protocol.txt  the tables and pictures that there are
                    checkpoint-<step>/ and best/: agent.safetensors (or policy.safetensors)  state.json  environments.safetensors
                    no replay, no TensorBoard, and nothing that says who the run belongs to

What was pushed is a run folder again. What is pulled is believed as little as any run folder of somebody else: only files of these
names and sizes are taken, checksums have to be right, and nothing is imported.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mujigae.errors import CheckpointError, ConfigError, MujigaeError
from mujigae.runs import checkpoint, hub, own_folders
from mujigae.runs import folder as run_folder
from mujigae.runs.card import card_of
from mujigae.runs.closing import closed_in_the_end
from mujigae.runs.files import written_to
from mujigae.runs.reading import open_regular, read_json, reason_of

__all__ = ["pull_run", "push_run"]

CARD = "README.md"
MAX_FILE_BYTES, MAX_BYTES = 2**31, 2**32  # of one, and of all of them
_PICTURES = (
    *("curve.png", "progress.png", "play.gif", "play.mp4", "q_values.png"),
    *("distributions.png", "distributions.gif"),
)
_TABLES = ("progress.csv", "episodes.csv", "evaluations.csv")
_ALONE = (CARD, "config.json", "protocol.txt", *_TABLES, *_PICTURES)
_PLACE = re.compile(rf"{own_folders.CHECKPOINT_PATTERN}|{own_folders.BEST}")
_IN_CHECKPOINTS = (own_folders.AGENT, own_folders.POLICY, own_folders.STATE, own_folders.ENVIRONMENTS)


def push_run(
    folder: Path,
    destination: str,
    *,
    private: bool = False,
    policy_only: bool = False,
    trust_modules: bool = False,
) -> str:
    """Writes what others need of the run in `folder`, and a card, to a new folder or to hf://user/name; returns where it is.

    private: make the repository private where it is new; not for a folder.
    policy_only: of each agent what acting needs; the environment has to be there, as for an evaluation.
    Raises ConfigError or CheckpointError for a run that is damaged or has no network yet, ConfigError for a private push to a
    public repository, MujigaeError where it cannot be written; no file is, then.
    """
    repo = hub.parse(destination)
    if repo is None and private:
        raise ConfigError(f"private: expected hf://user/name to be pushed to, got {destination}")
    if repo is not None and repo.revision is not None:
        raise ConfigError(f"push: expected hf://user/name without a revision, got {destination}")
    config = run_folder.read_config(folder, trust_modules=trust_modules)
    if repo is None and os.path.lexists(destination):
        raise ConfigError(f"{destination}: expected a new folder, it exists")
    beside = Path(tempfile.gettempdir()) if repo is not None else Path(destination).absolute().parent
    with _staging(beside) as staging:
        _take(folder, staging)
        _check(staging, named=str(folder))
        if policy_only:
            _keep_policies(folder, staging, trust_modules)
        with written_to(staging / CARD) as card:
            text = card_of(staging, config, name=folder.resolve().name)
            card.write_text(text, encoding="utf-8", errors="replace")
        if repo is not None:
            return hub.upload(staging, repo, private=private)
        with written_to(Path(destination)):
            staging.rename(destination)
    return destination


def pull_run(source: str, root: Path, name: str | None = None) -> Path:
    """Takes a run from a folder, or from hf://user/name[@revision], into a new folder below `root`, and returns that.

    Raises ConfigError for a place that has no run, CheckpointError for one whose files are not as they were written; nothing
    is written, then. The card stays, and what the configuration names is imported only with consent, when it is used.
    """
    repo = hub.parse(source)
    name = name or (repo.id.partition("/")[2] if repo is not None else Path(source).resolve().name)
    if name in ("", ".", "..") or Path(name).name != name:
        raise ConfigError(f"name: expected the name of a folder, got {name!r}")
    beside = next(place for place in (root, *root.absolute().parents) if place.is_dir())
    with _staging(beside) as staging:
        if repo is None:
            _take(run_folder.find(Path(source), root), staging)
        else:
            with _staging(Path(tempfile.gettempdir())) as download:
                hub.download(repo, download, shared_names, MAX_BYTES)
                _take(download, staging)
        _check(staging, named=source)
        target = run_folder.create(root, name)
        with written_to(target):
            staging.rename(target)  # which is empty
    return target


def _keep_policies(folder: Path, staging: Path, trust_modules: bool) -> None:
    """Of the run in `folder`, in its copy in `staging`."""
    for place in _places(staging):
        network: run_folder.Network = "best" if place.name == own_folders.BEST else "latest"
        _, environment, agent = run_folder.load_player(
            folder, num_envs=1, device="cpu", network=network, trust_modules=trust_modules
        )
        with closed_in_the_end(environment), written_to(place):
            checkpoint.keep_policy(agent, place)


def shared_names(names: Iterable[str]) -> set[str]:
    """Those of the files of a run, by their names below its folder, that go: of the latest checkpoint and the best snapshot alone."""
    places: dict[str, list[str]] = {}  # checkpoints and the best snapshot, and their files
    for name in names:
        place, _, file = name.rpartition("/")
        if (name in _ALONE) if not place else (_PLACE.fullmatch(place) and file in _IN_CHECKPOINTS):
            places.setdefault(place, []).append(name)
    older = sorted(
        (Path(one) for one in places if one not in ("", own_folders.BEST)), key=own_folders.step_of
    )[:-1]
    return {name for place, found in places.items() if Path(place) not in older for name in found}


def _names_in(folder: Path) -> Iterator[str]:
    """The files that go, of the latest checkpoint and the best snapshot alone."""
    for name in _ALONE:
        if os.path.lexists(folder / name):
            yield name
    for place in _places(folder):
        for file in _IN_CHECKPOINTS:
            if os.path.lexists(place / file):
                yield f"{place.name}/{file}"


def _places(folder: Path) -> list[Path]:
    """The latest checkpoint and the best snapshot, those that there are."""
    best = own_folders.find(folder / own_folders.BEST)
    found = own_folders.checkpoints(folder)[-1:]
    if best is not None and not best.is_symlink():
        found.append(best)
    return found


def _take(folder: Path, staging: Path) -> None:
    """Copies the files that go, regular ones of bounded sizes."""
    left = MAX_BYTES
    for name in _names_in(folder):
        target = staging / name.replace(".old/", "/")
        target.parent.mkdir(exist_ok=True)
        left -= _copy(folder / name, target, min(left, MAX_FILE_BYTES))


def _copy(path: Path, target: Path, most: int) -> int:
    """Returns how many bytes it had; CheckpointError for what is no file, as a link is none, or has more than `most` bytes."""
    if path.is_symlink():  # to any file of whoever pushes a run folder of somebody else
        raise CheckpointError(f"{path}: expected a file, got a link")
    try:
        with open_regular(path) as source:
            size = os.fstat(source.fileno()).st_size
            if size > most:
                raise CheckpointError(f"{path}: expected at most {most:,} bytes, got {size:,}")
            with written_to(target), target.open("xb") as copy:
                shutil.copyfileobj(source, copy)
    except OSError as error:
        raise CheckpointError(f"{path}: {reason_of(error)}") from error
    return size


def _check(staging: Path, named: str) -> None:
    """Raises unless there are a configuration and a network, and every checksum is right; errors call the folder `named`."""
    try:
        read_json(staging / "config.json")
        places = _places(staging)
        if not places:
            raise CheckpointError(f"{staging}: expected a checkpoint or a best snapshot, got neither")
        for place in places:
            checkpoint.verify(place)
    except (CheckpointError, ConfigError) as error:
        raise type(error)(str(error).replace(str(staging), named)) from error


@contextmanager
def _staging(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`, gone in the end unless it was renamed."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".mujigae-", dir=parent))
    except OSError as error:
        raise MujigaeError(f"{parent}: cannot be written: {reason_of(error)}") from error
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
