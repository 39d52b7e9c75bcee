"""Calls of io that make HTTP requests."""
