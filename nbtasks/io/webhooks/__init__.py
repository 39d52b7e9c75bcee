"""Calls of io that wait for an HTTP request, and the server that receives it."""
