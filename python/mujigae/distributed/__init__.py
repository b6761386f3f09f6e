"""Training on many processes or machines: actors that collect, shards that hold, one learner (Horgan et al. 2018, Ape-X).

    chunk.py    transitions on their way, every frame once
    sender.py   an actor's side: each chunk is stored once, in order, whatever becomes of a call
    shard.py    one replay buffer with a file; ledger.py: what keeps a chunk from being stored twice after a kill
    shares.py   several shards as one buffer: which is drawn from, importance weights
    sharded.py  the same in one process, for the conformance suite

None of these knows how calls travel:

    calls.py             how processes call each other, whoever carries the calls
    local_processes.py   processes of this machine; local_calls.py: the caller's side
    ray_processes.py     Ray, on one machine or many; nothing else knows of it
    carriers.py          which of the two a run has; session_folder.py: their files
    shared_memory.py     memory without a name; shared_batches.py: batches in it

    shard_server.py, actor_server.py    what runs in the processes; collector.py: the environments of an actor
    plan.py     what each process is made of     cluster.py   starts and ends them
    puller.py   batches as they come             workers.py   the learner's loop; replay.py: what its run knows of the rows
"""

from __future__ import annotations
