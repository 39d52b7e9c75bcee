"""Kernels, workers and readers that are killed on one home, and what must be recorded.

`python -m tests.endurance --minutes 5` runs it. It prints totals each minute, and ends with 1 if
anything acknowledged was lost, repeated or wrong, with the seed and the folder of that home.
"""
