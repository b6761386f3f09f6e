"""Training on many processes or machines: actors that collect, shards that hold, one learner (Horgan et al. 2018, Ape-X).

    chunk.py    transitions on their way, every frame once
    sender.py   an actor's side: each chunk is stored once, in order, whatever becomes of a call
    shard.py    one replay buffer with a file; ledger.py: what keeps a chunk from being stored twice after a kill
    shares.py   several shards as one buffer: which is drawn from, importance weights
    sharded.py  the same in one process, for the conformance suite

None of these knows how calls travel. The others are about Ray, which they ask for when a run begins:

    shard_server.py, actor_server.py    what runs in the processes; collector.py: the environments of an actor
    plan.py     what each process is made of     cluster.py   starts and ends them, Ray's files in session_folder.py
    puller.py   batches as they come             workers.py   the learner's loop; replay.py: what its run knows of the rows
"""

from __future__ import annotations
