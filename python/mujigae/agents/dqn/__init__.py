"""The DQN family: one agent whose parts (double, dueling, noisy, categorical ...) are switches.

config.py        its options, without torch
presets.py       dqn, double, ... rainbow, pong, and what suits which family of environments
beyond.py        btr and der, values and sources
protocols.py     --protocol: the values of a paper on Atari, and their sources
agent.py         DQN: acts, learns, is saved and restored
learner.py       one gradient step as functions of tensors
targets.py       what a value should be: greedy and munchausen targets
optimizers.py    adam, and the centred rmsprop of DQN
return_heads.py  which return head a configuration asks for
graphs.py        CUDA graphs, applied to them from outside
spaces.py        which spaces it can handle
"""
