"""What a run is configured by.

run.py       Run and its parts (env, agent, replay, budget, hardware), each a small frozen dataclass
checks.py    types and bounds of their fields
saved.py     config.json: written, and read with every field checked
options.py   the fields as options of the command line

An agent brings its own part: a dataclass derived from `run.AgentConfig` (see `mujigae.agents`).
"""
