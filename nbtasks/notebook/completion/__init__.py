"""Completion and help in the cells of the extension."""
