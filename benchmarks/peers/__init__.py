"""Benchmarks of nbtasks beside its neighbors: `python -m benchmarks.peers`."""
