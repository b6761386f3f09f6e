"""NAF (Gu et al. 2016): Q-learning with values that are quadratic in the action, so that the best action is known.

config.py    its options, without torch
agent.py     NAF: acts, learns, is saved and restored
"""
