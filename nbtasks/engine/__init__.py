"""One execution of a run: the replay of its tasks, and the drivers that carry out their effects."""
