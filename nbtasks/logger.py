"""Lines that are recorded with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nbtasks.engine import Execution

__all__ = ["LEVELS", "Logger"]

LEVELS: Final = ("debug", "info", "warn", "error")


class Logger:
    """`io.logger`: lines that are recorded with the run. Not tasks; a message may repeat.

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
        """Logs a line that only matters when something is looked for."""
        self._log("debug", message, data)

    def info(self, message: str, **data: Any) -> None:
        """Logs a line."""
        self._log("info", message, data)

    def warn(self, message: str, **data: Any) -> None:
        """Logs a line about something odd."""
        self._log("warn", message, data)

    def error(self, message: str, **data: Any) -> None:
        """Logs a line about something wrong."""
        self._log("error", message, data)

    def _log(self, level: str, message: str, data: dict[str, Any]) -> None:
        if LEVELS.index(level) >= self._least:
            scope = self._execution.scope()
            self._execution.ledger.log(level, str(message), data, scope.row)
