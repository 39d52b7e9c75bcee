"""Fingerprints: of a function by its code and what that refers to, of arguments by value."""
