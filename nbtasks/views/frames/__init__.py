"""Recorded runs and maintenance reports as pandas DataFrames."""

from __future__ import annotations

from nbtasks.views.frames.comparison import compare, history, summary
from nbtasks.views.frames.dataframe import DataFrame
from nbtasks.views.frames.queries import Where, attempts, due, events, logs, runs, sql, tasks
from nbtasks.views.frames.reports import ended, findings, pickles, published

__all__ = [
    "DataFrame",
    "Where",
    "attempts",
    "compare",
    "due",
    "ended",
    "events",
    "findings",
    "history",
    "logs",
    "pickles",
    "published",
    "runs",
    "sql",
    "summary",
    "tasks",
]
