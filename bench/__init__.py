"""Measurements: what the engine and the agents cost beside other libraries, and what they learn."""
