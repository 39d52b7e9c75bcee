"""Benchmarks of nbtasks against the bare disk, side by side: `python -m benchmarks [--quick]`."""
