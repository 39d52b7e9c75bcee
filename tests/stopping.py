"""Stop at a line of one's choice, as somebody may press it who is unlucky."""

from __future__ import annotations

import signal
import sys
from collections.abc import Collection
from types import FrameType, ModuleType
from typing import Any, Self

from tests.thorough import THOROUGH

__all__ = ["EVERY", "StopAt"]

#: Which lines a test steps through: a prime, so that no loop of the code hides some of its lines.
EVERY = 1 if THOROUGH else 5


class StopAt:
    """Presses Stop at one of the lines of some functions, counted from 0 as they are executed.

    Args:
        line: Number of the line.
        modules: Modules of the functions.
        functions: Names of the functions.
    """

    def __init__(
        self, line: int, modules: Collection[ModuleType], functions: Collection[str]
    ) -> None:
        self._left = line
        self._files = {module.__file__ for module in modules}
        self._functions = functions
        self.pressed = False

    def begin(self) -> None:
        """Counts from now on."""
        sys.settrace(self._called)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, *_: object) -> Any:
        code = frame.f_code
        here = code.co_filename in self._files and code.co_name in self._functions
        return self._reached if here else None

    def _reached(self, frame: FrameType, event: str, _: object) -> Any:
        del frame
        if event == "line":
            self._left -= 1
        if self._left < 0 and not self.pressed:
            self.pressed = True
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return self._reached
