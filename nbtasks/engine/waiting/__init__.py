"""Calls that wait: durable waits, suspension, and what the body gave up."""
