"""Calls in other processes: how they go there, run there, and are heard."""
