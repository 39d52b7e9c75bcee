"""What frames hold as JSON text, as values: by request, since it takes time and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from nbtasks import kept
from nbtasks.frames.arrow import NULLABLE, framed

if TYPE_CHECKING:
    from nbtasks.frames.kind import DataFrame
    from nbtasks.journal.port import Journal

__all__ = ["RUN", "TASK", "metric_columns", "runs", "tasks", "with_metrics"]

#: What the views do not have of an output and of a payload, by the names that they get beside it.
TASK = "raw.output as raw_output, raw.output_kind as raw_kind, raw.blob, raw.hidden"
RUN = f"{TASK}, raw.payload as raw_payload, raw.payload_kind, raw.payload_shown"
#: Columns of JSON that is only shown, and stands for no value.
_PLAIN = ("params", "properties", "metrics")


def tasks(journal: Journal, table: Any) -> DataFrame:
    """A frame of tasks with values in place of text: what they returned, as it was; and what is
    shown of their arguments, properties and metrics, as plain data.

    Args:
        journal: Where their large values are.
        table: The rows, with `TASK` at the end.

    Raises:
        UnreadableValueError: An output cannot be read back here.
    """
    rows, frame = _split(table, "raw_output")
    for name in _PLAIN:
        frame[name] = _objects([_loaded(text) for text in frame[name]])
    places = zip(frame.run_id, frame.path, rows, strict=True)
    frame["output"] = _objects([_output(journal, *place) for place in places])
    return frame


def runs(journal: Journal, table: Any) -> DataFrame:
    """A frame of runs with values in place of text: their payloads and outputs.

    Args:
        journal: Where their large values are.
        table: The rows, with `RUN` at the end.

    Raises:
        UnreadableValueError: One cannot be read back here.
    """
    rows, frame = _split(table, "raw_output")
    frame["payload"] = _objects([_payload(journal, row) for row in rows])
    places = zip(frame.run_id, rows, strict=True)
    frame["output"] = _objects([_output(journal, run_id, "", row) for run_id, row in places])
    return frame


def with_metrics(frame: DataFrame) -> DataFrame:
    """The same tasks with a column for each metric that one of them has, `metrics.NAME`."""
    columns = metric_columns(frame)
    return frame.join(columns.add_prefix("metrics."))


def metric_columns(frame: DataFrame) -> DataFrame:
    """The metrics of tasks, a column each; NaN where a task has none of that name."""
    import pandas as pd

    texts = frame.metrics.dropna()
    rows = [orjson.loads(text) if isinstance(text, str) else text for text in texts]
    found = pd.DataFrame(rows, index=texts.index, dtype="float64")
    return found.reindex(frame.index)


def _split(table: Any, first: str) -> tuple[list[dict[str, Any]], DataFrame]:
    """The columns from `first` on as rows, and the others as a frame."""
    place = table.column_names.index(first)
    rows: list[dict[str, Any]] = table.select(table.column_names[place:]).to_pylist()
    return rows, framed(table.select(table.column_names[:place]), NULLABLE)


def _objects(values: list[Any]) -> Any:
    """Values as they are: pandas would look into lists and make one column of them."""
    import numpy as np

    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value
    return column


def _loaded(text: Any) -> Any:
    return orjson.loads(text) if isinstance(text, str) else None


def _output(journal: Journal, run_id: str, path: str, row: dict[str, Any]) -> Any:
    kind, text = row["raw_kind"], row["raw_output"]
    if kind == "expired":
        return None
    if row["hidden"] or kind == "hidden":  # so it is wherever people look
        return orjson.loads(kept.seen(kind, text))
    return kept.recorded(journal, run_id, path, kind, text, row["blob"])


def _payload(journal: Journal, row: dict[str, Any]) -> Any:
    if row["payload_shown"] is not None:
        return _loaded(row["payload_shown"])
    return kept.value(journal, row["payload_kind"], row["raw_payload"], None)
