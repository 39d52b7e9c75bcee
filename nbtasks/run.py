"""A run, as a person holds it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from nbtasks import clock, codec, failures, frames, keys, stale
from nbtasks.errors import NotFoundError
from nbtasks.model import Failure, RunRow, Status, TaskRow

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal
    from nbtasks.render import RunTree

__all__ = ["Run", "draw"]


class Keeper(Protocol):
    """Who knows the journal."""

    @property
    def journal(self) -> Journal: ...


class Run:
    """One run of a job. What it says is read from the journal at the moment it is asked.

    ```python
    import nbtasks as nb


    @nb.job("run-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    run = body.run()
    assert (run.status, run.output, run["answer"]) == ("COMPLETED", 42, 42)
    assert run.tasks().path.tolist() == ["answer"]
    print(run.tree())
    ```
    """

    def __init__(self, run_id: str, keeper: Keeper) -> None:
        self.id = run_id
        self._keeper = keeper

    def _row(self) -> RunRow:
        rows = self._keeper.journal.runs(run_id=self.id)
        if not rows:
            raise NotFoundError(f"There is no run {self.id!r} in this home.")
        return rows[0]

    @property
    def job(self) -> str:
        """The id of its job."""
        return self._row().job

    @property
    def key(self) -> str:
        """Its key: what continues it, together with the job's id and version."""
        return self._row().key

    @property
    def status(self) -> str:
        """RUNNING, WAITING, COMPLETED, FAILED, CANCELED, INTERRUPTED or INVALID."""
        return Status(self._row().status)

    @property
    def output(self) -> Any:
        """What its body returned, or the value of the cell's last expression."""
        row = self._row()
        return _value(self._keeper.journal, row)

    @property
    def error(self) -> Failure | None:
        """What ended it, if it failed: `.type`, `.message`, `.traceback`, `.path`."""
        text = self._row().error
        return failures.loads(text) if text else None

    @property
    def executions(self) -> int:
        """How many times its body was executed."""
        return self._row().executions

    @property
    def started_at(self) -> datetime:
        """When its first execution began."""
        return clock.at(self._row().started_us)

    @property
    def finished_at(self) -> datetime | None:
        """When its latest execution ended; None while it goes on."""
        us = self._row().finished_us
        return None if us is None else clock.at(us)

    def tasks(self) -> frames.DataFrame:
        """Its tasks, a row each; the columns are those of `nb.tasks`."""
        return frames.tasks(self._keeper.journal, self.id)

    def logs(self) -> frames.DataFrame:
        """Its log, a row a line."""
        return frames.logs(self._keeper.journal, self.id)

    def diff(self, path: keys.KeyPath) -> str:
        """How the code and the inputs of a task differ from what is recorded of them, as the
        latest execution in this process found them.

        Raises:
            NotFoundError: It found no difference, or there was none in this process.
        """
        text = keys.path_of(path)
        found = stale.last_diff(self.id, text)
        if found is None:
            raise NotFoundError(
                f"No execution in this process has found task {text!r} of run {self.id} changed. "
                "Execute the run, and ask again."
            )
        return found

    def tree(self) -> RunTree:
        """Its tasks as a tree, to look at."""
        return draw(self._keeper.journal, self._row())

    def __getitem__(self, path: keys.KeyPath) -> Any:
        """The recorded output of the task at a path.

        Raises:
            NotFoundError: There is no such task, or it has no output.
        """
        text = keys.path_of(path)
        for values in self._keeper.journal.tasks(self.id):
            row = TaskRow(*values)
            if row.path == text:
                if row.status not in (Status.COMPLETED, Status.SKIPPED):
                    raise NotFoundError(
                        f"Task {text!r} of run {self.id} is {row.status}: it has no output yet."
                    )
                return _value(self._keeper.journal, row)
        raise NotFoundError(
            f"Run {self.id} has no task {text!r}. run.tasks().path lists what it has."
        )

    def __repr__(self) -> str:
        row = self._row()
        return f"<Run {self.id} of job {row.job!r}: {row.status}, execution {row.executions}>"


def draw(journal: Journal, row: RunRow) -> RunTree:
    """The tree of a run as it stands now."""
    from nbtasks.render import RunTree  # lazily: most runs are never drawn by hand
    from nbtasks.tree import build

    tasks = [TaskRow(*values) for values in journal.tasks(row.run_id)]
    return RunTree(build(row, tasks), clock.micros())


def _value(journal: Journal, row: RunRow | TaskRow) -> Any:
    if row.output_kind is None:
        return None
    if row.blob is not None:
        return codec.decode_blob(row.output_kind, row.output, journal.get_blob(row.blob))
    return codec.decode(row.output_kind, row.output)
