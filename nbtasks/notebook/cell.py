"""Context manager around the body of a `%%job` cell: one execution of its run."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from nbtasks.core import tracebacks
from nbtasks.core.model import Status
from nbtasks.engine.options import Policy, TaskOptions
from nbtasks.errors import Interrupt, NbtasksError, TaskFailed
from nbtasks.jobs.claims import make_claim
from nbtasks.jobs.runtime import runtime
from nbtasks.notebook import interrupt
from nbtasks.notebook.cell_options import GIVEN, CellRefusedError, Options, parse

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.jobs.session import Session
    from nbtasks.journal.protocol import Claim

__all__ = ["Cell", "Entry"]

_MISSING = object()
_STOP_ERRORS = (KeyboardInterrupt, asyncio.CancelledError)
#: The cell whose body runs in this context, and the value of the cell that ended last.
_running: ContextVar[Cell | None] = ContextVar("nbtasks_cell", default=None)
_last_value: ContextVar[Any] = ContextVar("nbtasks_cell_value", default=None)


class Entry:
    """Entry point of rewritten cells, which find it in the builtins: it enters a cell and holds
    its value."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._given: tuple[Claim, Any] | None = None

    @contextlib.contextmanager
    def executing(self, claim: Claim, payload: Any) -> Iterator[None]:
        """Make the next cell execute this run with this payload, whatever its first line says."""
        self._given = claim, payload
        try:
            yield
        finally:
            self._given = None

    def __call__(self, line: str, source: str) -> None:
        """Raise `CellRefusedError`: the cell was rewritten as text but not as a syntax tree, so its
        body would run as ordinary code."""
        del line, source
        raise CellRefusedError(
            "%%job must be the first line of a cell of its own. It does not go inside other cell "
            "magics that compile their body themselves."
        )

    def cell(self, line: str, source: str) -> Cell:
        """Return the context manager around the body."""
        options = parse(line)
        claim, self._given = self._given, None  # it does not apply to cells nested in this one
        cell = Cell(self._shell, options, source, claim)
        caller = sys._getframe(1)  # noqa: SLF001 - the documented way to a caller's file
        _restore_first_line(caller, line)
        return cell

    @property
    def value(self) -> Any:
        """Value of the last expression of the cell that ended last. Reading it clears it."""
        value = _last_value.get()
        _last_value.set(None)
        return value

    @value.setter
    def value(self, value: Any) -> None:
        cell = _running.get()
        assert cell is not None  # noqa: S101 - only the rewritten body of a cell assigns it
        cell.session.value = value


class Cell:
    """Context manager around the body: it executes a run and provides the body's names.

    Args:
        shell: Shell that the cell runs in.
        options: Options of the first line.
        source: Text of the cell, as it is recorded.
        given: Claim of the run to execute and its payload, in place of those of the first line.

    Attributes:
        session: Session that executes the run.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        options: Options,
        source: str,
        given: tuple[Claim, Any] | None = None,
    ) -> None:
        self._shell = shell
        # With `given`, a method of a run executes its cell: the cell's variable keeps naming that
        # run. The new run of a fork is what the method returns.
        self._variable = None if given else options.variable
        claim, self._payload = given or _make_claim_and_payload(options, source, shell)
        self.session: Session = runtime.session(
            claim,
            policy=Policy(options=TaskOptions(on_change=options.on_change)),
            tree=options.tree,
            keep_output=False,
            budget=options.budget,
            only=options.replay == "only",
        )
        self.session.integrations = shell.user_ns  # looked up in the notebook's variables
        self._outer: Cell | None = None
        self._covered: dict[str, Any] = {}
        self._interrupt: interrupt.CtrlC | None = None

    def __enter__(self) -> Self:
        self.session.__enter__()
        self._open()
        return self

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            self.session.__exit__(kind, error, tb)
        except BaseException as failure:  # for example: the end could not be recorded
            self._explain(failure)
            raise
        finally:
            self._close()
        self._explain(error)

    async def __aenter__(self) -> Self:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is None:
            raise CellRefusedError(
                "%%job awaits on asyncio only: execute `%autoawait asyncio` first."
            )
        await self.session.__aenter__()
        if getattr(self._shell, "kernel", None) is None:  # in a kernel, Stop cancels the task
            self._interrupt = interrupt.CtrlC(task)
        self._open()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            await self.session.__aexit__(kind, error, tb)
        except BaseException as failure:  # for example: the end could not be recorded
            self._explain(failure)
            raise
        finally:
            interrupted = self._interrupt is not None and self._interrupt.end()
            self._close()
        self._explain(error)
        if interrupted and (error is None or isinstance(error, asyncio.CancelledError)):
            raise interrupt.as_keyboard_interrupt(error, self._shell) from None

    def _open(self) -> None:
        session, names = self.session, self._shell.user_ns
        self._covered = {name: names.get(name, _MISSING) for name in GIVEN}
        names.update(io=session.io, ctx=session.ctx, payload=self._payload)
        self._bind()
        self._outer = _running.get()
        _running.set(self)

    def _close(self) -> None:
        names = self._shell.user_ns
        for name, value in self._covered.items():
            if value is _MISSING:
                names.pop(name, None)
            else:
                names[name] = value
        self._covered.clear()
        self._bind()
        _running.set(self._outer)
        _last_value.set(self.session.value)

    def _bind(self) -> None:
        if self._variable is not None:
            self._shell.user_ns[self._variable] = runtime.run_of(self.session)

    def _explain(self, error: BaseException | None) -> None:
        """Trim the error's tracebacks to the user's own frames, and note how to resume the run."""
        for link in tracebacks.iter_errors(error):
            link.__traceback__ = tracebacks.own_frames(link.__traceback__)
        if isinstance(error, _STOP_ERRORS):
            error.__traceback__ = interrupt.without_libraries(error.__traceback__)
            execution = self.session.execution
            run = execution.run
            if (
                run.status == Status.CANCELED and not execution.replay_only
            ):  # otherwise the run had just ended
                error.add_note(
                    f"Run {run.run_id} is CANCELED. Execute the cell again to resume it."
                )
        elif isinstance(error, NbtasksError | Interrupt) and not isinstance(error, TaskFailed):
            error.__context__ = None  # its message is enough: do not show earlier errors


def _make_claim_and_payload(
    options: Options, source: str, shell: InteractiveShell
) -> tuple[Claim, Any]:
    """Return the claim and the payload that the first line asks for."""
    payload = _evaluate(options.payload, shell) if options.payload else None
    claim = make_claim(
        options.job, options.name or options.job, options.version, key=options.key,
        payload=payload, new=options.new, source=source,
    )  # fmt: skip
    return claim, payload


def _evaluate(expression: str, shell: InteractiveShell) -> Any:
    try:
        code = compile(expression, "<%%job --payload>", "eval", dont_inherit=True)
        return eval(code, shell.user_global_ns, shell.user_ns)  # noqa: S307 - the user's own code
    except Exception as error:  # noqa: BLE001 - the user's expression may raise anything
        reason = error.msg if isinstance(error, SyntaxError) else error
        refused = CellRefusedError(
            f"%%job --payload {expression}: {type(error).__name__}: {reason}"
        )
    raise refused


def _restore_first_line(frame: FrameType, line: str) -> None:
    """Make tracebacks show the first line as the user wrote it, not the call it became.

    The line becomes a comment, because traceback renderers parse the lines.
    """
    lines: list[str] = linecache.getlines(frame.f_code.co_filename)
    if len(lines) >= frame.f_lineno:
        lines[frame.f_lineno - 1] = f"# %%job {line}\n"  # the cache's own list
