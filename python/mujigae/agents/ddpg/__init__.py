"""DDPG (Lillicrap et al. 2016) and what TD3 (Fujimoto et al. 2018) changes in it: one agent whose parts are switches.

config.py    its options, without torch
presets.py   ddpg, td3
learner.py   the target and the actor's loss as functions of tensors
agent.py     DDPG: acts, learns, is saved and restored
"""
