"""Preview of a value: a frame as a table, an image as an image, anything else as text."""

from __future__ import annotations

import base64
import pprint
import sys
from collections.abc import Iterable
from html import escape
from typing import Any

from nbtasks.values.libraries import matplotlib_figures

__all__ = ["preview"]

_ROWS, _COLUMNS = 10, 12
_CELL = 80  # characters
_LONG = 4_000  # characters


def preview(value: Any) -> str:
    """Return HTML for a value. Its text is escaped; HTML made by the value itself is not used."""
    if (table := _table(value)) is not None:
        return table
    if (picture := _picture(value)) is not None:
        data = base64.b64encode(picture).decode()
        return f'<img alt="the output" src="data:image/png;base64,{data}">'
    try:
        text = value if isinstance(value, str) else pprint.pformat(value, width=100, compact=True)
    except Exception as error:  # noqa: BLE001 - the user's `__repr__` may raise anything
        text = f"it cannot be shown: {type(error).__name__}: {error}"
    return f"<pre>{escape(text if len(text) <= _LONG else text[:_LONG] + '…')}</pre>"


def _table(value: Any) -> str | None:
    """Return the first rows of a frame as a table; None for any other value."""
    pd, pl = sys.modules.get("pandas"), sys.modules.get("polars")
    if pd is not None and isinstance(value, pd.Series | pd.DataFrame):
        frame = value.to_frame() if isinstance(value, pd.Series) else value
        table = frame.head(_ROWS).to_html(max_cols=_COLUMNS, border=0, notebook=True)
    elif pl is not None and isinstance(value, pl.Series | pl.DataFrame):
        frame = value.to_frame() if isinstance(value, pl.Series) else value
        first = frame.head(_ROWS)[:, :_COLUMNS]
        cells = [_row("th", first.columns), *(_row("td", row) for row in first.iter_rows())]
        table = f"<table>{''.join(cells)}</table>"
    else:
        return None
    size = " x ".join(f"{count:,}" for count in value.shape)
    what = f"{type(value).__name__} {size}"
    if len(value) > _ROWS:
        what += f", its first {_ROWS} rows"
    return f'<p class="nbt-facts">{what}</p><div class="nbt-frame">{table}</div>'


def _row(element: str, cells: Iterable[object]) -> str:
    written = "".join(f"<{element}>{escape(str(cell)[:_CELL])}</{element}>" for cell in cells)
    return f"<tr>{written}</tr>"


def _picture(value: Any) -> bytes | None:
    """Return an image or a figure as PNG; None for any other value."""
    module = type(value).__module__.partition(".")[0]
    if isinstance(value, bytes) and value.startswith(b"\x89PNG\r\n"):
        return value
    if module == "matplotlib" and hasattr(value, "savefig"):
        return matplotlib_figures.png(value)
    if module in ("PIL", "nbtasks") and hasattr(value, "_repr_png_"):
        png = value._repr_png_()
        return png if isinstance(png, bytes) else None
    return None
