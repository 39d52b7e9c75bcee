"""What frames hold as JSON text, as values: by request, since it takes time and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from nbtasks import kept

if TYPE_CHECKING:
    from nbtasks.frames.kind import DataFrame
    from nbtasks.journal.port import Journal

__all__ = ["metric_columns", "runs", "tasks", "with_metrics"]

#: Columns of JSON that is only shown, and stands for no value.
_PLAIN = ("params", "properties", "metrics")


def tasks(journal: Journal, frame: DataFrame) -> DataFrame:
    """The same tasks with values in place of text: what they returned, as it was; and what is shown
    of their arguments, properties and metrics, as plain data.

    Raises:
        UnreadableValueError: An output cannot be read back here.
    """
    for name in _PLAIN:
        frame[name] = _objects(frame, [_loaded(text) for text in frame[name]])
    query = """
        select run_id, path, output, output_kind as kind, blob, hidden from task
        where run_id = any($runs)
    """
    found = _rows(journal, query, frame)
    outputs = {(row["run_id"], row["path"]): row for row in found}
    frame["output"] = _objects(
        frame,
        [
            _output(journal, run_id, path, outputs[run_id, path])
            for run_id, path in zip(frame.run_id, frame.path, strict=True)
        ],
    )
    return frame


def runs(journal: Journal, frame: DataFrame) -> DataFrame:
    """The same runs with values in place of text: their payloads and outputs.

    Raises:
        UnreadableValueError: One cannot be read back here.
    """
    query = """
        select run_id, output, output_kind as kind, blob, hidden,
            payload, payload_kind, payload_shown
        from run where run_id = any($runs)
    """
    found = {row["run_id"]: row for row in _rows(journal, query, frame)}
    rows = [found[run_id] for run_id in frame.run_id]
    frame["payload"] = _objects(frame, [_payload(journal, row) for row in rows])
    frame["output"] = _objects(frame, [_output(journal, row["run_id"], "", row) for row in rows])
    return frame


def with_metrics(frame: DataFrame) -> DataFrame:
    """The same tasks with a column for each metric that one of them has, `metrics.NAME`."""
    columns = metric_columns(frame)
    return frame.join(columns.add_prefix("metrics."))


def metric_columns(frame: DataFrame) -> DataFrame:
    """The metrics of tasks, a column each; NaN where a task has none of that name."""
    import pandas as pd

    texts = frame.metrics.dropna()
    rows = [orjson.loads(text) for text in texts]
    found = pd.DataFrame(rows, index=texts.index, dtype="float64")
    return found.reindex(frame.index)


def _rows(journal: Journal, query: str, frame: DataFrame) -> list[dict[str, Any]]:
    ids = frame.run_id.unique().tolist()
    rows: list[dict[str, Any]] = journal.query(query, {"runs": ids}).to_pylist() if ids else []
    return rows


def _objects(frame: DataFrame, values: list[Any]) -> Any:
    """Values as they are: pandas would look into lists and make one column of them."""
    import numpy as np
    import pandas as pd

    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value
    return pd.Series(column, index=frame.index, dtype=object)


def _loaded(text: Any) -> Any:
    return orjson.loads(text) if isinstance(text, str) else None


def _output(journal: Journal, run_id: str, path: str, row: dict[str, Any]) -> Any:
    if row["kind"] == "expired":
        return None
    if row["hidden"] or row["kind"] == "hidden":  # so it is wherever people look
        return orjson.loads(kept.seen(row["kind"], row["output"]))
    return kept.recorded(journal, run_id, path, row["kind"], row["output"], row["blob"])


def _payload(journal: Journal, row: dict[str, Any]) -> Any:
    if row["payload_shown"] is not None:
        return _loaded(row["payload_shown"])
    return kept.value(journal, row["payload_kind"], row["payload"], None)
