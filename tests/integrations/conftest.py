"""One torch thread: the networks of these tests are small, and a second thread costs more than it brings."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
