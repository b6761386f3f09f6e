"""Where the curves of a run go beside its own tables: TensorBoard always, and another tracker with `train --track`.

contract.py     `Tracker`, which every one of them is, and `TrackedRun`, what it is told of the run
opening.py      the trackers by name, the file that says which one a run has, and what happens when one fails
<name>.py       one tracker each, imported only when it is asked for
"""

from __future__ import annotations
