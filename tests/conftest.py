"""Fixtures of the tests. What examples in the docs need too is in ../conftest.py."""

from __future__ import annotations

collect_ignore = ["typing"]  # read by mypy, never run
