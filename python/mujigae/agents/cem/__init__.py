"""Q-learning whose maximum over actions is searched for by the cross-entropy method (Kalashnikov et al. 2018, QT-Opt).

config.py      its options, without torch
presets.py     what suits it in which environment
maximise.py    the cross-entropy method; random shooting is its first iteration
agent.py       CEM: acts, learns, is saved and restored
"""
