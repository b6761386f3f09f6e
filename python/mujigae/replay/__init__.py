"""Replay: `buffer` is the shell, `batch` what it hands out, `reference` the same in plain NumPy, to read and to test with."""
