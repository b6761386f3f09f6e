"""The one way to read a file of a run folder: regular files only, of a bounded size, depth and number of digits.

A run folder may come from anywhere, and may have been damaged, so nothing in it is believed. Whatever is not what
a run writes is an error of the caller's class, with the file and the reason in one line.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mujigae.errors import ConfigError, MujigaeError

__all__ = ["open_regular", "read_bytes", "read_json", "read_table", "reason_of"]

MAX_JSON_BYTES, MAX_JSON_DEPTH = 2**24, 64
MAX_DIGITS = 40  # of one integer; the state of a 128-bit generator has 39
MAX_TABLE_BYTES, MAX_LINE_BYTES = 2**34, 2**16

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')  # and strings, whose brackets do not count

Failure = Callable[[str], MujigaeError]


def open_regular(path: Path) -> io.BufferedReader:
    """Opens a file to be read; OSError for what is none: a folder, a pipe (which would wait for a writer), a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path}: not a regular file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, most: int, failure: Failure = ConfigError) -> bytes:
    """The whole file; `failure` where it cannot be read or has more than `most` bytes."""
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise failure(f"{path}: {reason_of(error)}") from error
    if len(data) > most:
        raise failure(f"{path}: expected at most {most:,} bytes, got more")
    return data


def read_json(
    path: Path, failure: Failure = ConfigError, not_an_object: str = "expected a JSON object"
) -> dict[str, Any]:
    """The JSON object in `path`; `failure` for anything else."""
    data = read_bytes(path, MAX_JSON_BYTES, failure)
    try:
        text = data.decode()
        _check_depth(text)
        values = json.loads(text, parse_int=_parse_int)
    except (ValueError, RecursionError) as error:
        raise failure(f"{path}: expected JSON, got what is not JSON ({reason_of(error)})") from None
    if not isinstance(values, dict):
        raise failure(f"{path}: {not_an_object}, got {type(values).__name__}")
    return values


def read_table(path: Path, failure: Failure = ConfigError) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows of a CSV file, one by one with their line numbers, from 1.

    A last line that a crash left unfinished is left out. What our tables hold needs no quotes, so a line of the file is
    a row; a line of another kind is a `failure`.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_TABLE_BYTES:
                raise failure(f"{path}: expected at most {MAX_TABLE_BYTES:,} bytes, got more")
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES and number > 1:
                    return
                yield number, _cells(path, number, line, failure)
    except (OSError, ValueError) as error:
        if isinstance(error, MujigaeError):
            raise
        raise failure(f"{path}: cannot be read ({reason_of(error)})") from error


def _cells(path: Path, number: int, line: bytes, failure: Failure) -> list[str]:
    if len(line) > MAX_LINE_BYTES:
        raise failure(f"{path}, line {number}: expected at most {MAX_LINE_BYTES:,} bytes, got more")
    try:
        text = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise failure(f"{path}: cannot be read as text (line {number})") from None
    if not text.isprintable() or '"' in text:
        raise failure(f"{path}, line {number}: expected numbers and commas, got {text[:40]!r}")
    return text.split(",") if text else []


def _check_depth(text: str) -> None:
    """Before the parser, which recurses."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += (found[0] in "[{") - (found[0] in "]}")
        if depth > MAX_JSON_DEPTH:
            raise ValueError(f"nested deeper than {MAX_JSON_DEPTH}")


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits")
    return int(digits)


def reason_of(error: BaseException) -> str:
    """The system's words for an OSError, else the message, which may quote a file: short and on one line."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split())[:200] or type(error).__name__
