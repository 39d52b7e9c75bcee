"""Update of a claimed run by rows that were recorded after it was read."""

from __future__ import annotations

from collections.abc import Collection
from operator import itemgetter
from typing import Any

from nbtasks.core.model import Status, columns, row_type
from nbtasks.journal.database.merge import Batch
from nbtasks.journal.protocol import ANSWER, PRINTED, ClaimedRun, TaskTuple, answer_of

__all__ = ["update"]

_TASK = {name: position for position, name in enumerate(columns("task"))}
_seq_of_task, _seq_of_answer = itemgetter(_TASK["seq"]), itemgetter(ANSWER.index("seq"))
_LOG_KEY = slice(4, 7)  # level, message, data


def update(claimed: ClaimedRun, batch: Batch, run_ids: Collection[str]) -> None:
    """Bring a claimed run up to date, as reading its tasks and their output after a merge of the
    batch would.

    Args:
        claimed: The run; it is changed.
        batch: The rows.
        run_ids: The ids of the run and of those that it was forked from: what their tasks have
            displayed, and their code, count as the run's.
    """
    own = claimed.run.run_id
    _update_tasks(claimed, [row for (run_id, _), row in batch.tasks.items() if run_id == own])
    for run_id, execution, ranges in batch.added["reuse"]:
        if run_id == own:
            _mark_reused(claimed.tasks, execution, ranges)
            _mark_reused(claimed.rows or {}, execution, ranges)
    for row in batch.added["log"]:
        if row[0] == own and row[1] == "":
            claimed.logs[row[_LOG_KEY]] = claimed.logs.get(row[_LOG_KEY], 0) + 1
    for run_id, fingerprint, source in batch.added["code"]:
        if run_id in run_ids:
            claimed.codes[fingerprint] = source
    _update_shown(claimed, batch, run_ids)


def _update_tasks(claimed: ClaimedRun, rows: list[TaskTuple]) -> None:
    for row in rows:
        path = row[_TASK["path"]]
        claimed.tasks.pop(path, None)
        claimed.answers.pop(path, None)
        if claimed.rows is not None:
            claimed.rows.pop(path, None)
        if row[_TASK["status"]] == Status.COMPLETED:
            claimed.answers[path] = answer_of(row)
            if claimed.rows is not None:
                claimed.rows[path] = row
        else:
            claimed.tasks[path] = row
    if rows:
        by_seq = sorted(claimed.tasks.items(), key=lambda item: _seq_of_task(item[1]))
        claimed.tasks = dict(by_seq)
        in_order = sorted(claimed.answers.items(), key=lambda item: _seq_of_answer(item[1]))
        claimed.answers = dict(in_order)


def _mark_reused(tasks: dict[str, TaskTuple], execution: int, ranges: Any) -> None:
    for path, row in tasks.items():
        seq = _seq_of_task(row)
        if row[_TASK["execution"]] < execution and any(a <= seq <= b for a, b in ranges):
            changed = list(row)
            changed[_TASK["execution"]], changed[_TASK["reused"]] = execution, True
            tasks[path] = tuple(changed)


def _update_shown(claimed: ClaimedRun, batch: Batch, run_ids: Collection[str]) -> None:
    log_type, display_type = row_type("log"), row_type("display")
    rows: list[Any] = [log_type(*row) for row in batch.added["log"] if row[0] in run_ids]
    rows = [row for row in rows if row.path and row.level in PRINTED]
    rows += [display_type(*row) for row in batch.added["display"] if row[0] in run_ids]
    retried = {row[1] for row in batch.added["attempt"] if row[0] in run_ids}
    shown = claimed.shown
    shown.paths = {*shown.paths, *(row.path for row in rows)}
    shown.retried = {*shown.retried, *retried}
    shown.rows = None if shown.rows is None else [*shown.rows, *rows]
