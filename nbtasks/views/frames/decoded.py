"""Frames with values in place of JSON text; on request only, for time and memory.

A value that cannot be read back here does not hide the others: its cell holds the error. None would
be left out in silence by what pandas computes; the error is shown, raises where it is used as a
value, and can be raised itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from nbtasks.errors import UnreadableValueError
from nbtasks.journal import outputs
from nbtasks.views.frames.from_arrow import NULLABLE, framed

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Journal
    from nbtasks.views.frames.dataframe import DataFrame

__all__ = ["RUN", "TASK", "metric_columns", "runs", "tasks", "with_metrics"]

#: Columns of outputs and payloads that the views lack, under names that do not clash.
TASK = "raw.output as raw_output, raw.output_kind as raw_kind, raw.blob, raw.hidden"
RUN = f"{TASK}, raw.payload as raw_payload, raw.payload_kind, raw.payload_shown"
#: Columns of plain JSON for display, not encoded values.
_PLAIN = ("params", "properties", "metrics")


def tasks(journal: Journal, table: Any) -> DataFrame:
    """Return a frame of tasks with values in place of text.

    Outputs become the values that the tasks returned, or the `UnreadableValueError` of each that
    cannot be read back; arguments, properties and metrics become plain data as displayed.

    Args:
        journal: Journal that holds the blobs.
        table: The rows, with `TASK` at the end.
    """
    rows, frame = _split(table, "raw_output")
    for name in _PLAIN:
        frame[name] = _objects([_loaded(text) for text in frame[name]])
    cells = zip(frame.run_id, frame.path, rows, strict=True)
    frame["output"] = _objects([_output(journal, *cell) for cell in cells])
    return frame


def runs(journal: Journal, table: Any) -> DataFrame:
    """Return a frame of runs with payloads and outputs as values in place of text.

    In place of a value that cannot be read back is its `UnreadableValueError`.

    Args:
        journal: Journal that holds the blobs.
        table: The rows, with `RUN` at the end.
    """
    rows, frame = _split(table, "raw_output")
    pairs = list(zip(frame.run_id, rows, strict=True))
    frame["payload"] = _objects([_payload(journal, *pair) for pair in pairs])
    frame["output"] = _objects([_output(journal, run_id, "", row) for run_id, row in pairs])
    return frame


def with_metrics(frame: DataFrame) -> DataFrame:
    """Return the tasks with a column `metrics.NAME` for each metric among them."""
    columns = metric_columns(frame)
    return frame.join(columns.add_prefix("metrics."))


def metric_columns(frame: DataFrame) -> DataFrame:
    """Return one column per metric; NaN for tasks without a metric of that name."""
    import pandas as pd

    texts = frame.metrics.dropna()
    rows = [orjson.loads(text) if isinstance(text, str) else text for text in texts]
    columns = pd.DataFrame(rows, index=texts.index, dtype="float64")
    return columns.reindex(frame.index)


def _split(table: Any, first: str) -> tuple[list[dict[str, Any]], DataFrame]:
    """Return the columns from `first` on as rows, and the others as a frame."""
    index = table.column_names.index(first)
    rows: list[dict[str, Any]] = table.select(table.column_names[index:]).to_pylist()
    return rows, framed(table.select(table.column_names[:index]), NULLABLE)


def _objects(values: list[Any]) -> Any:
    """Return a column of unchanged values: pandas would unpack lists."""
    import numpy as np

    column = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        column[index] = value
    return column


def _loaded(text: Any) -> Any:
    return orjson.loads(text) if isinstance(text, str) else None


def _output(journal: Journal, run_id: str, path: str, row: dict[str, Any]) -> Any:
    kind, text = row["raw_kind"], row["raw_output"]
    if kind == "expired":
        return None
    if row["hidden"] or kind == "hidden":  # hidden wherever people look
        return orjson.loads(outputs.preview(kind, text))
    try:
        return outputs.recorded(journal, run_id, path, kind, text, row["blob"])
    except UnreadableValueError as error:
        return error.with_traceback(None)


def _payload(journal: Journal, run_id: str, row: dict[str, Any]) -> Any:
    if row["payload_shown"] is not None:
        return _loaded(row["payload_shown"])
    try:
        return outputs.load(journal, row["payload_kind"], row["raw_payload"], None)
    except UnreadableValueError as error:
        return type(error)(f"{error} It is the payload of run {run_id}.")
