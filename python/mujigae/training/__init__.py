"""Training: the loop, its schedules, and whole games to evaluate an agent by. It needs the train extra."""
