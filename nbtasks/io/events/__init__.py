"""Calls of io that send events and wait for them."""
