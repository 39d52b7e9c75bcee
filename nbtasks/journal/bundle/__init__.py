"""Shared files: runs exported with all that belongs to them."""
