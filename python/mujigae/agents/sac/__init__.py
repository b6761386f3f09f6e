"""SAC, the soft actor-critic (Haarnoja et al. 2018, 2018b): a stochastic actor, two critics, a learned temperature.

config.py    its options, without torch
learner.py   the losses of one update as functions of tensors
agent.py     SAC: acts, learns, is saved and restored
"""
