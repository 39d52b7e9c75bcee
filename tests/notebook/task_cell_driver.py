"""Process that executes cells for `test_task_cell_cases`: a program of its own, so each is new.

python -m tests.notebook.task_cell_driver FOLDER STAGE [ID ...]
"""

from __future__ import annotations

import builtins
import gc
import io
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbtasks.journal import current
from nbtasks.journal.memory import MemoryJournal
from tests.notebook.task_cell_cases import CASES, Case

HIDDEN = {"In", "Out", "exit", "quit", "get_ipython", "open"}


class Driver:
    """Shell that executes the cells of one case after the other."""

    def __init__(self) -> None:
        self.shell = InteractiveShell.instance()
        self.runs = 0
        self.dies = False
        vars(builtins)["ran"] = self.ran

    def ran(self) -> None:
        self.runs += 1
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)

    def cell(self, text: str) -> str:
        """Execute a cell; return what went wrong."""
        shown = io.StringIO()
        with redirect_stdout(shown), redirect_stderr(shown):
            done = self.shell.run_cell(text, store_history=True)
        return "" if done.success else shown.getvalue()

    def warm_up(self) -> None:
        """Import what cells and journal import, once for all processes that are killed. And spare
        each `reset` of the namespace, which collects garbage, a look at all of it."""
        with current.override(MemoryJournal()):
            self.cell("import duckdb, filelock, pandas, sklearn.pipeline, sklearn.preprocessing")
            self.cell("import matplotlib.pyplot, nbtasks.journal.home.home_journal")
            self.cell("%%task cell --job warm-up\nx = 1")
        self.shell.reset(new_session=False)
        gc.freeze()

    def task(self, case: Case, body: str | None = None) -> str:
        text = case.cell if body is None else body
        return self.cell(f"%%task cell --job {json.dumps(case.id)} {case.options}\n{text}\n")

    def names(self) -> dict[str, str]:
        found = {}
        for name, value in sorted(self.shell.user_ns.items()):
            if name not in HIDDEN and name[:1] != "_":
                found[name] = describe(value)
        return found

    def fresh(self, before: str) -> str:
        self.shell.reset(new_session=False)
        return self.cell(before) if before else ""

    def straight(self, case: Case) -> dict[str, Any]:
        """Execute the case without the magic."""
        wrong = self.fresh(case.before) or self.cell(case.cell) or self.cell(case.after)
        return {"wrong": wrong, "names": self.names()}

    def first(self, case: Case) -> dict[str, Any]:
        wrong = self.fresh(case.before)
        runs = self.runs
        wrong = wrong or self.task(case) or self.cell(case.after)
        return {"wrong": wrong, "runs": self.runs - runs, "names": self.names()}

    def again(self, case: Case) -> dict[str, Any]:
        """Execute it again, twice, and after each change."""
        found = self.first(case)
        self.fresh(case.before)
        twice = self.runs
        wrong = self.task(case) or self.task(case) or self.cell(case.after)
        found["twice"] = {"wrong": wrong, "runs": self.runs - twice, "names": self.names()}
        found["same"] = [self.changed(case, case.before, body) for body in case.same]
        found["changed"] = []
        for before in case.changed:
            found["changed"].append(self.changed(case, before, None))
        for body in case.edited:
            found["changed"].append(self.changed(case, case.before, body))
        return found

    def changed(self, case: Case, before: str, body: str | None) -> dict[str, Any]:
        wrong = self.fresh(before)
        runs = self.runs
        wrong = wrong or self.task(case, body)
        return {"wrong": wrong, "runs": self.runs - runs, "names": self.names()}


def describe(value: Any) -> str:
    kind = type(value)
    text = repr(value)
    if " at 0x" in text or kind.__module__ == "__main__":
        text = kind.__qualname__
        if hasattr(value, "__dict__") and not callable(value):
            text += repr({name: describe(part) for name, part in vars(value).items()})
    return f"{kind.__module__}.{kind.__qualname__}: {text}"


def main() -> None:
    folder, stage, *ids = sys.argv[1:]
    os.chdir(folder)
    driver = Driver()
    driver.cell("%load_ext nbtasks")
    driver.warm_up()
    results = {}
    for case in CASES:
        if ids and case.id not in ids:
            continue
        if stage == "killed":
            if (pid := os.fork()) == 0:
                driver.dies = True
                driver.first(case)
                os._exit(1)
            results[case.id] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            results[case.id] = getattr(driver, stage)(case)
    print("RESULTS", json.dumps(results))


if __name__ == "__main__":
    main()
