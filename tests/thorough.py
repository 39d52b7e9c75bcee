"""Switch between thorough tests, for CI, and quick ones, for developers."""

from __future__ import annotations

import os

__all__ = ["THOROUGH"]

#: What differs by it has the mark `thorough`.
THOROUGH = os.environ.get("NBTASKS_THOROUGH") == "1"
