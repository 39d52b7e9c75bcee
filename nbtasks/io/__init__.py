"""The io object of a body: one module for each group of calls."""
