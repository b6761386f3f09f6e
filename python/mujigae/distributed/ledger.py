"""Which chunks the rows of a shard's file came from: what keeps a chunk from being stored twice after a kill.

The rows are in the file of the buffer, the sequences of the actors in a small file beside it. The two cannot be written in
one piece, so each record of the ledger says which state of the buffer it belongs to: the number of rows ever added.

    flush   the ledger gets the record of now beside that of the flush before (aside, synced, renamed), then the buffer is
            flushed: whichever of the two states a kill leaves in the buffer's file, its record is there
    open    the record with the buffer's number of rows is believed
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mujigae.errors import CheckpointError
from mujigae.runs.files import replaced, sync_folder, written_to
from mujigae.runs.reading import read_json

__all__ = ["Ledger", "Record", "Standing"]

FORMAT = "mujigae shard ledger"


class Standing(NamedTuple):
    """How far a shard has come with an actor."""

    life: int = 0  # of the actor's newest process; 0: none yet
    sequence: int = 0  # of the newest chunk that is stored, or given up
    num_rows: int = 0  # that the actor sent up to that chunk


class Record(NamedTuple):
    """The actors of a shard when its buffer had so many rows added to it."""

    num_added: int = 0
    actors: Mapping[int, Standing] = {}

    def to_json(self) -> list[Any]:
        return [self.num_added, {str(actor): list(standing) for actor, standing in self.actors.items()}]

    @classmethod
    def from_json(cls, values: Any) -> Record:
        """Raises TypeError or ValueError for anything else."""
        num_added, actors = values
        return cls(int(num_added), {int(actor): Standing(*map(int, s)) for actor, s in actors.items()})


@dataclass
class Ledger:
    """The file; `incarnation` is larger each time that the shard is opened, also on another machine where the file was lost:
    the nanoseconds of the clock, or one more than the last. It is on the disk before anything is served."""

    path: Path
    incarnation: int
    flushed: Record = field(default_factory=Record)
    """The record of the last flush."""

    @classmethod
    def create(cls, path: Path) -> Ledger:
        """A new one, for an empty buffer. Raises MujigaeError where it cannot be written."""
        ledger = cls(path, time.time_ns())
        ledger._write([ledger.flushed])
        return ledger

    @classmethod
    def reopen(cls, path: Path, num_added: int) -> Ledger:
        """That of a buffer to which `num_added` rows had been added; CheckpointError where no record is of that state."""
        values = read_json(path, CheckpointError)
        try:
            if values["format"] != FORMAT:
                raise ValueError(f"expected the format {FORMAT!r}")
            records = [Record.from_json(record) for record in values["records"]]
            ledger = cls(path, max(int(values["incarnation"]) + 1, time.time_ns()))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: is no ledger of a shard ({error})") from error
        matching = [record for record in records if record.num_added == num_added]
        if not matching:
            known = ", ".join(str(record.num_added) for record in records)
            raise CheckpointError(
                f"{path}: expected the record of {num_added} added rows, got those of {known}"
            )
        ledger.flushed = matching[0]
        ledger._write([ledger.flushed])
        return ledger

    def announce(self, record: Record) -> None:
        """Writes what the buffer's next flush will make true; `confirm` follows it."""
        self._write([record, self.flushed])

    def confirm(self, record: Record) -> None:
        """The buffer has been flushed in the state of `record`."""
        self.flushed = record

    def _write(self, records: list[Record]) -> None:
        values = {
            "format": FORMAT,
            "incarnation": self.incarnation,
            "records": [record.to_json() for record in records],
        }
        with (
            written_to(self.path),
            replaced(self.path) as aside,
            aside.open("w", encoding="utf-8") as file,
        ):
            json.dump(values, file)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path.parent)
