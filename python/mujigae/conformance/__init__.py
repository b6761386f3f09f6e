"""What a replay buffer must do, as cases that run against anybody's buffer.

    python -m mujigae.conformance                               mujigae's own
    python -m mujigae.conformance --adapter my_module:MyBuffer  yours
    python -m mujigae.conformance --list                        what the cases are, and where each comes from

Prints a line for each case and a summary; exits with 1 when a case failed. `--json FILE` writes the results with versions,
`--isolate` runs each case in a process of its own, so that a crash or a hang fails that case only.

B1 to B21 are defects seen in released versions of other libraries, T1 to T18 come from threads about them, S1 to S4 are what papers
and manuals say of ways to draw, R1 to R10 what they say of rows by key, of episodes and of sequences. A case fails, passes, or is not offered: it needs an option that the adapter does not list in `offers`,
or calls what it does not define. NumPy is all that is needed. What is expected of a batch is worked out from what was added, by
`Ledger`, not by a buffer of mujigae's.

An adapter derives from `Adapter`; this is one of a list:

```python
import collections
import numpy as np
from mujigae.conformance import Adapter, Batch

class ListBuffer(Adapter):
    name, version = "a list", "1"
    offers = frozenset({"num_envs", "seed"})

    def __init__(self, config):
        self.rows = collections.deque(maxlen=config.capacity)
        self.gamma, self.random = config.gamma, np.random.default_rng(config.seed)

    def add(self, obs, action, reward, next_obs, terminated, truncated, env_ids=None):
        for row in zip(obs, action, reward, next_obs, terminated):
            self.rows.append([np.array(field) for field in row])

    def sample(self, batch_size):
        drawn = [self.rows[i] for i in self.random.integers(len(self.rows), size=batch_size)]
        obs, action, reward, next_obs, terminated = map(np.array, zip(*drawn))
        return Batch(obs, action, reward, next_obs, self.gamma * ~terminated, terminated, np.ones(batch_size), None)
```
"""

from __future__ import annotations

from mujigae.conformance import cases as _registered  # noqa: F401, importing them registers them
from mujigae.conformance.adapter import (
    OPTIONS,
    Adapter,
    Batch,
    Config,
    Episode,
    NotOffered,
    SequenceBatch,
    Tree,
)
from mujigae.conformance.case import CASES, Case, Subject, case
from mujigae.conformance.identity import Identity
from mujigae.conformance.ledger import Failed, Ledger, require
from mujigae.conformance.runner import Result, report, run, run_case

__all__ = [
    "CASES",
    "OPTIONS",
    "Adapter",
    "Batch",
    "Case",
    "Config",
    "Episode",
    "Failed",
    "Identity",
    "Ledger",
    "NotOffered",
    "Result",
    "SequenceBatch",
    "Subject",
    "Tree",
    "case",
    "report",
    "require",
    "run",
    "run_case",
]
