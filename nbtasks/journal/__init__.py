"""The journal of runs: its protocol, and the journals behind it."""
