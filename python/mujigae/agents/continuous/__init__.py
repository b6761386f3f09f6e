"""What agents with continuous actions share; none of it is an agent.

config.py    their options, without torch
presets.py   what suits which environment
spaces.py    actions in [-1, 1] and in the bounds of a Box
agent.py     ContinuousAgent: acts, explores, is saved and restored
noisy.py     the same for agents that explore by noise on their best action
learner.py   a critic's update, and a step of Adam
"""
