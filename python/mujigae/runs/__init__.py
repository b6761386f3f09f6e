"""A run around the loop: its folder, its logs and checkpoints, what a person sees of it, and how it is stopped and resumed."""
