"""Switch between thorough tests, for CI, and quick ones, for developers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

__all__ = ["THOROUGH", "only_thorough", "some", "variants"]

#: What differs by it has the mark `thorough`.
THOROUGH = os.environ.get("NBTASKS_THOROUGH") == "1"


def only_thorough(test: Any) -> Any:
    """Mark a test that is run only by CI, since it takes long and others show nearly the same."""
    skipped = pytest.mark.skipif(not THOROUGH, reason="NBTASKS_THOROUGH=1 runs it")
    return pytest.mark.thorough(skipped(test))


def variants(usual: Any, *others: Any) -> list[Any]:
    """Return the parameters of a test that only CI tries with more than the usual one."""
    values = (usual, *others) if THOROUGH else (usual,)
    return [pytest.param(value, marks=pytest.mark.thorough) for value in values]


def some(cases: Mapping[str, Any], *usual: str) -> Any:
    """Return all cases, by their ids, as parameters of a test; only CI tries the unusual ones."""
    chosen = cases if THOROUGH else usual
    return [
        pytest.param(
            *(cases[name] if isinstance(cases[name], tuple) else (cases[name],)),
            id=name,
            marks=() if name in usual else pytest.mark.thorough,
        )
        for name in chosen
    ]
