"""Stores of large values: a folder at any URL that this process and the workers reach."""
