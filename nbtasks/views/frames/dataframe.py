"""Type of a frame for annotations, without loading pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = "pandas.DataFrame"

__all__ = ["DataFrame"]
