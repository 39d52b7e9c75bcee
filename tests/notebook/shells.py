"""IPython shells for tests, in this process: each cell gives what it left behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import nbtasks as nb

PACKAGE = str(Path(nb.__file__).parent)

#: With a blocking body and with one that awaits.
BOTH = pytest.mark.parametrize("awaits", ["", "await "], ids=["blocking", "awaiting"])

TASKS = """
calls = []
def square(x):
    calls.append(x)
    return x * x
async def double(x):
    calls.append(x)
    return 2 * x
def bad(x):
    return 1 / x
"""


@dataclass
class Seen:
    """Results of one cell."""

    success: bool
    value: Any
    error: BaseException | None
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.strip().splitlines()


class Shell:
    """A shell whose cells give what they left behind."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.names = shell.user_ns

    def run(self, cell: str) -> Seen:
        with capture_output(display=False) as captured:
            done = self.shell.run_cell(cell, store_history=True)
        error = done.error_before_exec or done.error_in_exec
        return Seen(bool(done.success), done.result, error, captured.stdout + captured.stderr)

    def ok(self, cell: str) -> Seen:
        seen = self.run(cell)
        assert seen.success, seen.text
        return seen

    def refused(self, cell: str) -> str:
        """The one line that a refused cell shows, of which nothing ran."""
        before = dict(self.names)
        seen = self.run(cell)
        assert not seen.success
        assert len(seen.lines) == 1, seen.text
        assert {k for k in self.names if not k.startswith("_")} == {
            k for k in before if not k.startswith("_")
        }
        return seen.lines[0]


def frames(text: str) -> list[str]:
    """Return the places of the frames of a shown traceback."""
    return re.findall(r"^(?:Cell|File) (.+)$", text, re.MULTILINE)
