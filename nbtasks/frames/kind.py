"""What pandas calls a frame, for annotations: pandas itself is loaded when one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = "pandas.DataFrame"

__all__ = ["DataFrame"]
