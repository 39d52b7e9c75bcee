"""Fixtures of the tests. What examples in the docs need too is in ../conftest.py."""

from __future__ import annotations

import pytest

# So that a scenario that fails shows what it came to, not only that it did.
pytest.register_assert_rewrite("tests.scenarios.harness")

collect_ignore = ["typing"]  # read by mypy, never run
