"""Whether the tests take all the time that they need, as in CI, or as little as a developer has."""

from __future__ import annotations

import os

__all__ = ["THOROUGH"]

#: What differs by it has the mark `thorough`.
THOROUGH = os.environ.get("NBTASKS_THOROUGH") == "1"
