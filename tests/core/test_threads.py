"""Any thread may call anything."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from streams import (
    good_arguments,
    stacked_buffer,
)

import mujigae


def test_many_threads_may_add_sample_and_update_at_once() -> None:
    buffer = stacked_buffer(mujigae, capacity=200, num_envs=2)
    for _ in range(20):
        buffer.add(**good_arguments())
    errors: list[Exception] = []

    def repeat(work: Any) -> None:
        try:
            for _ in range(300):
                work()
        except Exception as error:
            errors.append(error)

    def learn() -> None:
        batch = buffer.sample(32)
        assert not batch.obs.any()
        buffer.update_priorities(batch.key, np.ones(32))

    works = [lambda: buffer.add(**good_arguments()), learn, learn, lambda: len(buffer)]
    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert buffer.check_valid()
