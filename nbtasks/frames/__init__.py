"""Recorded runs and maintenance reports as pandas DataFrames."""

from __future__ import annotations

from nbtasks.frames.analysis import compare, history, summary
from nbtasks.frames.kind import DataFrame
from nbtasks.frames.reports import ended, findings, pickles
from nbtasks.frames.views import attempts, due, events, logs, runs, sql, tasks

__all__ = [
    "DataFrame",
    "attempts",
    "compare",
    "due",
    "ended",
    "events",
    "findings",
    "history",
    "logs",
    "pickles",
    "runs",
    "sql",
    "summary",
    "tasks",
]
