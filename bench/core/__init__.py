"""What the measurements share: the work, the processes that do it, their environments."""
