"""Context manager around the body of a cell: one execution of its run."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from nbtasks.core import callsite, tracebacks
from nbtasks.core.model import Status
from nbtasks.engine.options import Policy, TaskOptions
from nbtasks.errors import Interrupt, NbtasksError, TaskFailed
from nbtasks.io.io import SyncIO
from nbtasks.jobs.claims import make_claim
from nbtasks.jobs.runtime import runtime
from nbtasks.notebook import interrupt
from nbtasks.notebook.body_names import BodyNames
from nbtasks.notebook.cell_options import GIVEN, CellRefusedError, Options, find_engine, parse
from nbtasks.notebook.scopes import ENTRY, refuse_star

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.jobs.session import Session
    from nbtasks.journal.protocol import Claim

__all__ = ["Cell", "Entry"]

_MISSING = object()
_STOP_ERRORS = (KeyboardInterrupt, asyncio.CancelledError)
_NO_TASKS = (
    "No task was recorded, so the whole cell runs again next time. Give a step a key: "
    'x = io.run_task("load", load, path)'
)
_NAME_ERRORS = (NameError, AttributeError)
_NO_NAME = re.compile(
    rf"name '(?P<name>{'|'.join(GIVEN)})' is not defined"
    r"|module 'io' has no attribute '(?P<method>\w+)'"
)
#: The cell whose body runs in this context, and the value of the cell that ended last.
_running: ContextVar[Cell | None] = ContextVar("nbtasks_cell", default=None)
_last_value: ContextVar[Any] = ContextVar("nbtasks_cell_value", default=None)
#: Run and payload of the next cell in this context, in place of those of its first line.
_given: ContextVar[tuple[Claim, Any] | None] = ContextVar("nbtasks_cell_given", default=None)

_WITHIN = (
    "{} must be the first line of a cell of its own. It does not go inside other cell magics that "
    "compile their body themselves."
)


class Entry:
    """Entry point of rewritten cells, which find it in the builtins: it enters a cell and holds
    its value.

    Attributes:
        inside: False: the code is not executing as a body.

    Args:
        shell: Shell that the cells run in.
        kinds: Classes of the cells by their magics.
    """

    inside = False

    def __init__(self, shell: InteractiveShell, kinds: Mapping[str, type[Cell]]) -> None:
        self._shell = shell
        self._kinds = kinds

    @contextlib.contextmanager
    def executing(self, claim: Claim, payload: Any) -> Iterator[None]:
        """Make the next cell of this context execute this run with this payload, whatever its first
        line says."""
        token = _given.set((claim, payload))
        try:
            yield
        finally:
            _given.reset(token)

    def __call__(self, magic: str, line: str, source: str) -> None:
        """Raise `CellRefusedError`: the cell was rewritten as text but not as a syntax tree, so its
        body would run as ordinary code."""
        del line, source
        raise CellRefusedError(_WITHIN.format(magic))

    def cell(self, magic: str, line: str, source: str, text: str = "") -> Cell:
        """Return the context manager around the body, whose normalized code is `text`."""
        given = _given.get()
        _given.set(None)  # it does not apply to cells nested in this one
        caller = sys._getframe(1)  # noqa: SLF001 - the documented way to a caller's file
        if caller.f_code.co_name != "<module>":  # `%%timeit` has made a function of the cell
            raise CellRefusedError(_WITHIN.format(magic))
        cell = self._kinds[magic].make(self._shell, line, source, text)
        cell.prepare(source, given, caller)
        _restore_first_line(caller, f"{magic} {line}")
        return cell

    def run(self) -> Any:
        """Execute the body: the caller's own code, in the namespace of the body.

        Returns:
            The coroutine of a body that awaits, else None.
        """
        cell = _running.get()
        assert cell is not None  # noqa: S101 - it has just been entered
        return cell.execute(callsite.capture(1))

    @property
    def value(self) -> Any:
        """Value of the last expression of the cell that ended last. Reading it clears it."""
        value = _last_value.get()
        _last_value.set(None)
        return value


class Body:
    """Receiver of a body's value, which the body finds in place of the entry point.

    Attributes:
        inside: True: the code is executing as a body.
        defining: Whether only the definitions of the body are executed.
        given: Names that the body finds beside those of the notebook.
        value: Value of the last expression.
    """

    inside = True
    defining = False

    def __init__(self, names: dict[str, Any], magic: str) -> None:
        self.given: Collection[str] = ()
        self.value: Any = None
        self._names = names
        self._magic = magic

    def check_star(self, module: str, level: int, line: int) -> None:
        """Raise `CellRefusedError` if a star import would bind a given name."""
        try:
            imported = __import__(module, self._names, None, ["*"], level)
        except ImportError:  # the statement itself raises it again
            return
        refuse_star(imported, self.given, self._magic, f"{'.' * level}{module}", line)


class Cell:
    """Context manager around the body: it executes a run and provides the body's names.

    Args:
        shell: Shell that the cell runs in.
        options: Options of the first line.

    Attributes:
        magic: Magic on the first line.
        session: Session that executes the run.
        names: Namespace of the body, while it executes.
    """

    magic = "%%job"
    names: BodyNames
    session: Session

    def __init__(self, shell: InteractiveShell, options: Options) -> None:
        self._shell = shell
        self._options = options
        self._frame: FrameType | None = None
        self._variable: str | None = None
        self._payload: Any = None
        self._outer: Cell | None = None
        self._body = Body(shell.user_ns, self.magic)
        self._free: list[str] = []  # given names that the notebook does not use
        self._interrupt: interrupt.CtrlC | None = None

    @classmethod
    def make(cls, shell: InteractiveShell, line: str, source: str, text: str) -> Self:
        """Return the cell with this first line, after its magic."""
        del source, text
        return cls(shell, parse(line))

    def prepare(self, source: str, given: tuple[Claim, Any] | None, frame: FrameType) -> None:
        """Make the session of the cell.

        Args:
            source: Text of the cell, as it is recorded.
            given: Claim of the run to execute and its payload, in place of those of the first line.
            frame: Frame that enters the cell; tracebacks leave it out.
        """
        options = self._options
        self._frame = frame
        # With `given`, a method of a run executes its cell: the cell's variable keeps naming that
        # run. The new run of a fork is what the method returns.
        self._variable = None if given else options.variable
        claim, self._payload = given or _make_claim_and_payload(options, source, self._shell)
        engine = find_engine(options.on, self._shell.user_ns)
        chosen = TaskOptions(on_change=options.on_change, on=engine, resources=options.resources)
        self.session = runtime.session(
            claim,
            policy=Policy(options=chosen),
            tree=options.tree,
            keep_output=False,
            budget=options.budget,
            only=options.replay == "only",
            echo=options.echo,
        )
        self.session.integrations = self._shell.user_ns  # looked up in the notebook's variables

    def execute(self, site: callsite.Site) -> Any:
        """Execute the body, whose code called from this site, in its namespace.

        Returns:
            The coroutine of a body that awaits, else None.
        """
        return eval(site[0], self._shell.user_global_ns, self.names)  # noqa: S307 - the cell

    def _give(self) -> dict[str, Any]:
        """Return the names that the cell gives to its body."""
        session = self.session
        return {"io": session.io, "ctx": session.ctx, "payload": self._payload}

    def __enter__(self) -> Self:
        try:
            self.session.__enter__()
            self._open()
            return self  # noqa: TRY300 - a Stop may come on any line up to here
        except BaseException as stopped:
            self.session.release(stopped)
            raise

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            try:
                self._leave_body(error)
            finally:
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
                f"{self.magic} awaits on asyncio only: execute `%autoawait asyncio` first."
            )
        try:
            await self.session.__aenter__()
            if getattr(self._shell, "kernel", None) is None:  # in a kernel, Stop cancels the task
                self._interrupt = interrupt.CtrlC(task)
            self._open()
            return self  # noqa: TRY300 - as above
        except BaseException as stopped:
            if self._interrupt is not None:
                self._interrupt.restore()
            self.session.release(stopped)
            raise

    async def __aexit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            try:
                self._leave_body(error)
                if self._interrupt is not None:  # first: the session has its own handler below
                    self._interrupt.restore()
            finally:
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
        names = self._shell.user_ns
        given = self._give()
        self._body.given = given.keys()
        self.names = BodyNames({**given, ENTRY: self._body}, names, self.magic)
        self._free = [name for name in given if name not in names]
        self._bind()
        self._outer = _running.get()
        _running.set(self)

    def _leave_body(self, error: BaseException | None) -> None:
        """Take over the body's value, and leave the frame that entered the cell out of an error."""
        self.session.value = self._output()
        frame, self._frame = self._frame, None
        for link in tracebacks.iter_errors(error):
            link.__traceback__ = tracebacks.select_frames(
                link.__traceback__, lambda found, _: found is not frame
            )

    def _output(self) -> Any:
        """Return the output of the run."""
        return self._body.value

    def _close(self) -> None:
        names = self._shell.user_ns
        for name in self._free:  # `%timeit` copies the names of a body into the notebook's
            if names.get(name, _MISSING) is self.names[name]:
                del names[name]
        self._bind()
        _running.set(self._outer)
        _last_value.set(self._body.value)

    def _bind(self) -> None:
        if self._variable is not None:
            self._shell.user_ns[self._variable] = runtime.run_of(self.session)

    def _tell(self) -> None:
        """Print one line if the run has no task: executed again, the cell reuses nothing."""
        execution = self.session.execution
        if execution.replay_only is None and not execution.run_state.has():
            print(_NO_TASKS)  # noqa: T201 - a line of the cell's output

    def _explain(self, error: BaseException | None) -> None:
        """Trim the error's tracebacks to the user's own frames, and note how to resume the run."""
        for link in tracebacks.iter_errors(error):
            link.__traceback__ = tracebacks.own_frames(link.__traceback__)
        if error is None:
            self._tell()
        elif note := _explain_name(error, self.magic):
            error.add_note(note)
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


def _explain_name(error: BaseException, magic: str) -> str | None:
    """Return what to do about a function outside the body that reads a given name as a global."""
    for link in tracebacks.iter_errors(error):
        # A failed task has the message of its error, but not the error itself.
        found = _NO_NAME.search(str(link)) if isinstance(link, _NAME_ERRORS) else None
        if found is None or (found["method"] and not hasattr(SyncIO, found["method"])):
            continue
        name = found["name"] or "io"
        give = f"give it {name} as an argument, or let it call nb.current_io()"
        if name != "io":
            give = f"or give it {name} as an argument"
        return (
            f"{magic} gives {name} only to the body of its cell. Define the function in the cell, "
            f"{give}."
        )
    return None


def _make_claim_and_payload(
    options: Options, source: str, shell: InteractiveShell
) -> tuple[Claim, Any]:
    """Return the claim and the payload that the first line asks for."""
    payload = _evaluate(options.payload, shell) if options.payload else None
    claim = make_claim(
        options.job, options.name or options.job, options.version, key=options.key,
        payload=payload, identity=payload, new=options.new, source=source,
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
        lines[frame.f_lineno - 1] = f"# {line}\n"  # the cache's own list
