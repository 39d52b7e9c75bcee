"""Log lines recorded with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nbtasks.engine import Execution

__all__ = ["LEVELS", "Logger"]

LEVELS: Final = ("debug", "info", "warn", "error")


class Logger:
    """Logger of a run, `io.logger`.

    Log lines are recorded with the run. They are not tasks, so a message may repeat.

    ```python
    import nbtasks as nb


    @nb.job("logger-example")
    def body(io: nb.SyncIO) -> None:
        io.logger.info("fitted", carrier="AA", r2=0.93)


    assert body.run().logs().message.tolist() == ["fitted"]
    ```
    """

    def __init__(self, execution: Execution, level: str) -> None:
        self._execution = execution
        self._least = LEVELS.index(level)

    def debug(self, message: str, **data: Any) -> None:
        """Log a line that only matters while you search for a fault."""
        self._log("debug", message, data)

    def info(self, message: str, **data: Any) -> None:
        """Log a line."""
        self._log("info", message, data)

    def warn(self, message: str, **data: Any) -> None:
        """Log a line about something unusual."""
        self._log("warn", message, data)

    def error(self, message: str, **data: Any) -> None:
        """Log a line about something that went wrong."""
        self._log("error", message, data)

    def _log(self, level: str, message: str, data: dict[str, Any]) -> None:
        if LEVELS.index(level) >= self._least:
            scope = self._execution.scope()
            self._execution.ledger.log(level, str(message), data, scope.row)
