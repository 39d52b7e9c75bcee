"""Model, in plain Python, of everything that must be recorded: it follows the notes alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Acked", "Model", "differences", "matches"]

#: A task: the id of its run, and its path.
Task = tuple[str, str]


@dataclass(frozen=True)
class Acked:
    """Acknowledgement of a task.

    Attributes:
        code: Version of its code, with that of all below it.
        value: Its value.
    """

    code: int
    value: Any


def matches(value: Any, expected: Any, *, exact: bool) -> bool:
    """Return True if a value may be the one of a program.

    A leaf gives its number and the version of its code. A task that is not rerun when its code
    changes keeps the value of an earlier version.
    """
    if isinstance(expected, list):
        if not isinstance(value, list) or len(value) != len(expected):
            return False
        if len(expected) == 2 and all(type(each) is int for each in expected):
            earlier = type(value[1]) is int and 0 <= value[1] <= expected[1]
            return value == expected if exact else value[0] == expected[0] and earlier
        pairs = zip(value, expected, strict=True)
        return all(matches(one, other, exact=exact) for one, other in pairs)
    return expected == "any" or bool(value == expected)


@dataclass
class Model:
    """Tasks of a home, as the notes report them.

    Attributes:
        acked: Tasks that are acknowledged, and not called again for a good reason.
        count: Number of acknowledgements of other tasks.
        repeated: Calls of functions whose task was acknowledged.
        wrong: Values that are not the ones of the program, or not the ones acknowledged before.
        errors: Errors that nothing explains.
        sent: Events that were sent, by id.
        ended: Runs whose cell has ended.
        reads: Number of times that the file was opened as by any DuckDB tool.
        touched: Tasks that were called, reset or edited since this was cleared.
        modes: Treatment of stale tasks, by run.
        jobs: The notebook of each run.
        called: Version of the code of each call that must not be made again.
        children: Number of each run that was invoked.
        doubts: Number of times that a task was in doubt.
    """

    acked: dict[Task, Acked] = field(default_factory=dict)
    count: int = 0
    repeated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    reads: int = 0
    touched: set[Task] = field(default_factory=set)
    rerun: set[str] = field(default_factory=set)
    modes: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    called: dict[Task, int] = field(default_factory=dict)
    children: dict[str, int] = field(default_factory=dict)
    doubts: int = 0

    @property
    def is_good(self) -> bool:
        return not (self.repeated or self.wrong or self.errors)

    def add(self, lines: Iterable[list[Any]]) -> None:
        """Add notes, in their order."""
        for kind, *words in lines:
            getattr(self, f"_{kind}")(*words)

    def edited(self, job: str, codes: Mapping[str, int]) -> None:
        """Take the tasks of a notebook as stale whose code is another one from now on.

        A kernel may be killed when it has begun to run one again, before its function can note it.
        """
        for (run_id, path), known in [*self.acked.items()]:
            is_rerun = self.modes.get(run_id) == "rerun" and self.jobs[run_id] == job
            if is_rerun and codes.get(path, known.code) != known.code:
                self.touched.add((run_id, path))
                del self.acked[run_id, path]

    def _mode(self, run_id: str, mode: str, job: str) -> None:
        self.modes[run_id], self.jobs[run_id] = mode, job

    def _begun(self, run_id: str, path: str, code: int) -> None:
        self.touched.add((run_id, path))
        known = self.acked.get((run_id, path))
        if known is None:
            return
        if self.modes.get(run_id) == "rerun" and known.code != code:
            del self.acked[run_id, path]  # its code was edited
        else:
            self.repeated.append(f"{path} of {run_id}, code {code}, acknowledged with {known.code}")

    def _once(self, run_id: str, path: str, code: int) -> None:
        task, is_known = (run_id, path), (run_id, path) in self.acked
        self._begun(run_id, path, code)
        before = self.called.get(task)
        is_edited = self.modes.get(run_id) == "rerun" and before != code
        if before is not None and not is_edited and not is_known:
            self.repeated.append(f"{path} of {run_id}, which may be called once, code {code}")
        self.called[task] = code

    def _doubt(self, run_id: str, path: str) -> None:
        self.doubts += 1
        if (run_id, path) in self.acked:
            self.wrong.append(f"{path} of {run_id} is in doubt, acknowledged before")

    def _invoked(self, run_id: str, number: int) -> None:
        self.children[run_id] = number

    def _child(self, run_id: str, number: int, how: str, output: Any) -> None:
        self._invoked(run_id, number)
        # A run under which three workers have died in a row is left alone: docs/limits.md
        if (how, output) != ("COMPLETED", 3 * number) and how != "WorkerLostError":
            self.wrong.append(f"invoked run {run_id}: {how} {output!r}, not {3 * number}")

    def _acked(self, run_id: str, path: str, code: int, value: Any, expected: Any) -> None:
        exact = self.modes.get(run_id) == "rerun"
        known = self.acked.get((run_id, path))
        if known is None:
            self.count += 1
        elif (known.code == code or not exact) and known.value != value:
            self.wrong.append(f"{path} of {run_id}: {value!r}, before {known.value!r}")
        if not matches(value, expected, exact=exact):
            self.wrong.append(f"{path} of {run_id}: {value!r}, not {expected!r}")
        self.acked[run_id, path] = Acked(code, value)

    def _reset(self, run_id: str, path: str) -> None:
        for task in [task for task in self.acked if task[0] == run_id]:
            if task[1] == path or task[1].startswith(f"{path}/"):
                self.touched.add(task)
                del self.acked[task]
        for task in [task for task in self.called if task[0] == run_id]:
            if task[1] == path or task[1].startswith(f"{path}/"):
                del self.called[task]

    def _ended(self, run_id: str) -> None:
        self.ended.add(run_id)

    def _sent(self, event_id: str, number: int) -> None:
        self.sent[event_id] = number

    def _error(self, where: str, text: str) -> None:
        self.errors.append(f"{where}: {text}")

    def _read(self) -> None:
        self.reads += 1


def differences(
    acked: dict[Task, Acked], recorded: Iterable[tuple[str, str, str, Any, Any]]
) -> tuple[list[str], list[str]]:
    """Return what is lost, and what is recorded with another value.

    Args:
        acked: What must be recorded.
        recorded: Run, path, status, kind of output and output of each task in the journal.
    """
    missing = dict(acked)
    wrong = []
    for run_id, path, status, kind, output in recorded:
        known = missing.get((run_id, path))
        if known is None or status != "COMPLETED":
            continue
        del missing[run_id, path]
        if kind == "json" and output is not None and json.loads(output) != known.value:
            wrong.append(f"{path} of {run_id}: {output}, acknowledged was {known.value!r}")
    return [f"{path} of {run_id}" for run_id, path in missing], wrong
