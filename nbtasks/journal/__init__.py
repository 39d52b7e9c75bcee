"""Storage of runs: the journal protocol and the two journals that implement it."""
