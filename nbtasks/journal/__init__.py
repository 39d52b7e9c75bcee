"""Where runs are kept: the port, and the two journals behind it."""
