"""Drivers of effects: blocking, awaiting, in threads, in executors."""
