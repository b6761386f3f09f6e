"""The Hugging Face hub as a place for runs: hf://user/name, and hf://user/name@revision to read an older one.

Log-ins, mirrors and the cache are huggingface_hub's own: `hf auth login`, HF_TOKEN, HF_ENDPOINT, HF_HOME.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mujigae.errors import CheckpointError, ConfigError, MujigaeError, require
from mujigae.runs.reading import reason_of

__all__ = ["Repo", "download", "parse", "upload"]

_SCHEME = "hf://"
_REPO = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", flags=re.ASCII)


class Repo(NamedTuple):
    """A repository of a model."""

    id: str
    revision: str | None


def parse(place: str) -> Repo | None:
    """None for what is no place on the hub; ConfigError for one that cannot be."""
    if not place.startswith(_SCHEME):
        return None
    found = _REPO.fullmatch(place.removeprefix(_SCHEME))
    if found is None:
        raise ConfigError(f"expected hf://user/name or hf://user/name@revision, got {place}")
    return Repo(found[1], found[2])


def upload(folder: Path, repo: Repo, *, private: bool) -> str:
    """Puts the files of `folder` into the repository in one commit, in the place of older checkpoints; returns the page's address.

    Raises ConfigError where a private repository is wanted and there is a public one, MujigaeError for what the library raises.
    """
    api = require("huggingface_hub", "hub").HfApi()
    with _named(repo):
        api.create_repo(repo.id, private=private or None, exist_ok=True)  # None: as the account has it
        if private and not api.model_info(repo.id).private:
            raise ConfigError(f"private: expected a new or a private repository, got a public one, {repo.id}")
        api.upload_folder(
            repo_id=repo.id,
            folder_path=str(folder),
            commit_message="A run of mujigae",
            delete_patterns=["checkpoint-*/*", "best/*"],  # those that the run has no more
        )
    return f"{api.endpoint}/{repo.id}"


def download(repo: Repo, folder: Path, wanted: Callable[[Iterable[str]], set[str]], most: int) -> None:
    """Puts those files into `folder` whose names are wanted of all the names that there are.

    Raises CheckpointError where they have more than `most` bytes, or the hub does not say how many, MujigaeError for what the
    library raises.
    """
    library = require("huggingface_hub", "hub")
    with _named(repo):
        info = library.HfApi().model_info(repo.id, revision=repo.revision, files_metadata=True)
        sizes = {one.rfilename: one.size for one in info.siblings or ()}
        files = {name: sizes[name] for name in sorted(wanted(sizes))}
        for name, size in files.items():
            if size is None:
                raise CheckpointError(f"{_SCHEME}{repo.id}: {name}: expected a size, got none")
        if sum(files.values()) > most:
            raise CheckpointError(
                f"{_SCHEME}{repo.id}: expected at most {most:,} bytes, got {sum(files.values()):,}"
            )
        for name in files:
            library.hf_hub_download(repo.id, name, revision=info.sha, local_dir=str(folder))


@contextmanager
def _named(repo: Repo) -> Iterator[None]:
    """Whatever the library raises (no network, no log-in, no such repository) as a MujigaeError of one line."""
    try:
        yield
    except MujigaeError:
        raise
    except Exception as error:
        raise MujigaeError(f"{_SCHEME}{repo.id}: {type(error).__name__}: {reason_of(error)}") from error
