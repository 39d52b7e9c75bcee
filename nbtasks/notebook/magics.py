"""Magics that `%load_ext nbtasks` adds to a shell: `%%job`, `%%runs_sql`, `%runs` and others."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Coroutine, Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)

from nbtasks.core import clock, event_loop, front_end, tracebacks
from nbtasks.core.model import UNDER_WAY, RunRow
from nbtasks.core.settings import config
from nbtasks.errors import InvalidOptionError, JournalError
from nbtasks.jobs import runtime
from nbtasks.jobs.run import Run
from nbtasks.journal import current
from nbtasks.journal.database.user_query import placeholders
from nbtasks.notebook import cell_options
from nbtasks.notebook.cell import Cell, Entry
from nbtasks.notebook.completion.completer import Completer
from nbtasks.notebook.completion.inspection import Inspection
from nbtasks.notebook.front_end import ShellFrontEnd
from nbtasks.notebook.line_parser import LineParser, variable
from nbtasks.notebook.scopes import ENTRY
from nbtasks.notebook.task_cells import notebook, randomness
from nbtasks.notebook.task_cells import options as task_options
from nbtasks.notebook.task_cells.task_cell import TaskCell
from nbtasks.notebook.transform import Wrapper, to_call
from nbtasks.views import frames, history

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from nbtasks.journal.protocol import Claim
    from nbtasks.views.frames import DataFrame
    from nbtasks.views.tree.run_tree import RunTree

__all__ = ["SQL_PARSER", "JobMagics", "load", "unload"]

#: Parser for the line of `%%runs_sql`.
SQL_PARSER: Final = LineParser(
    "%%runs_sql", InvalidOptionError, epilog="Write the query in the lines below."
)
SQL_PARSER.add_argument("--as", metavar="VAR", type=variable, help="Also bind the result to VAR.")

_PARSERS: Final = {
    "%%job": cell_options.PARSER, "%%task": task_options.PARSER, "%%runs_sql": SQL_PARSER,
}  # fmt: skip

#: Extension loaded into each shell.
_loaded: WeakKeyDictionary[InteractiveShell, _Extension] = WeakKeyDictionary()


def load(shell: InteractiveShell) -> None:
    """Load the extension into a shell; further calls change nothing."""
    if shell not in _loaded:
        _loaded[shell] = _Extension(shell)


def unload(shell: InteractiveShell) -> None:
    """Remove the extension from a shell."""
    if extension := _loaded.pop(shell, None):
        extension.close()


class _Extension:
    """Everything the extension adds to one shell, and the magics that it replaces."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.entry = Entry(shell, {cell.magic: cell for cell in (Cell, TaskCell)})
        self._magics = JobMagics(shell)
        tables = shell.magics_manager.magics
        self._covered = {
            kind: {name: tables[kind][name] for name in ours if name in tables[kind]}
            for kind, ours in self._magics.magics.items()
        }
        shell.register_magics(self._magics)
        self._wrapper = Wrapper(shell)
        shell.input_transformers_cleanup.append(to_call)
        shell.ast_transformers.append(self._wrapper)
        self._completer = Completer(shell, _PARSERS)
        shell.Completer.custom_matchers.append(self._completer.match)
        self._inspection = Inspection(shell)
        self._add_entry()
        randomness.begin(shell.history_manager.input_hist_raw if shell.history_manager else ())
        shell.events.register("pre_run_cell", self._settle)
        shell.events.register("post_run_cell", self._end_cell)
        self._front_end = ShellFrontEnd(self.execute_again)
        self._front_end_before = front_end.install(self._front_end)

    def execute_again(self, claim: Claim, payload: Any) -> Coroutine[Any, Any, None] | None:
        """Execute the recorded cell of a run for this claim, with this payload.

        Returns:
            The coroutine that executes a cell that awaits, else None.
        """
        # No cell may be running: a button's callback calls this, too.
        with self._shell.builtin_trap:
            code = _compile(self._shell, claim.make.source or "")
        if code.co_flags & inspect.CO_COROUTINE:
            return self._await_again(code, claim, payload)
        with self._shell.builtin_trap, self.entry.executing(claim, payload):
            exec(code, self._shell.user_global_ns, self._shell.user_ns)  # noqa: S102 - the cell
        return None

    async def _await_again(self, code: CodeType, claim: Claim, payload: Any) -> None:
        with self._shell.builtin_trap, self.entry.executing(claim, payload):
            await eval(code, self._shell.user_global_ns, self._shell.user_ns)  # noqa: S307 - the cell

    def _settle(self, info: ExecutionInfo) -> None:
        """Let a cell that may open the journal with DuckDB itself see all executions, and observe
        the random numbers."""
        randomness.observe()
        if not re.match(r"\s*%%(job|task)\b", info.raw_cell or ""):
            current.settle()

    def _end_cell(self, result: ExecutionResult) -> None:
        """Observe the random numbers, and forget the objects that are gone."""
        executed = (result.info.raw_cell if result.info else "") or ""
        is_task = "%%task" in executed  # it has observed them itself
        randomness.observe("" if is_task else executed, self._shell.user_ns)
        notebook.forget_gone(self._shell)

    def _add_entry(self) -> None:
        # Into the builtins, and only while this shell runs a cell: `%reset` empties the user's
        # namespace, and the name is not the user's.
        trap = self._shell.builtin_trap
        trap.auto_builtins[ENTRY] = self.entry
        if vars(builtins).get("get_ipython") == self._shell.get_ipython:  # a cell is running now
            trap.add_builtin(ENTRY, self.entry)

    def close(self) -> None:
        """Remove everything from the shell, and restore the replaced magics."""
        shell = self._shell
        shell.events.unregister("pre_run_cell", self._settle)
        shell.events.unregister("post_run_cell", self._end_cell)
        notebook.forget_gone(shell, every=True)
        if front_end.current() is self._front_end:  # else another shell's is in force
            front_end.install(self._front_end_before)
        shell.builtin_trap.auto_builtins.pop(ENTRY, None)
        if to_call in shell.input_transformers_cleanup:
            shell.input_transformers_cleanup.remove(to_call)
        if self._wrapper in shell.ast_transformers:
            shell.ast_transformers.remove(self._wrapper)
        if self._completer.match in shell.Completer.custom_matchers:
            shell.Completer.custom_matchers.remove(self._completer.match)
        self._inspection.close()
        for kind, ours in self._magics.magics.items():
            table = shell.magics_manager.magics[kind]
            for name in ours:
                if getattr(table.get(name), "__self__", None) is self._magics:
                    del table[name]  # otherwise another extension has replaced it
                    table.update({n: f for n, f in self._covered[kind].items() if n == name})
        shell.magics_manager.registry.pop(type(self._magics).__name__, None)


@magics_class
class JobMagics(Magics):
    """Magics of the extension."""

    @no_var_expand
    @output_can_be_silenced
    @cell_magic
    @cell_options.PARSER.document
    def job(self, line: str, cell: str) -> Any:
        """Make the cell durable: executing it again resumes its run where it stopped.

        The cell stays an ordinary cell. Its body finds `io`, whose tasks are recorded and run
        once, `payload`, and `ctx`, which describes the run. With a top-level `await`, io is
        asynchronous and its calls are awaited; without one they block.

            %%job delays --version 1.0.0
            flights = await io.run_task("load", load_flights)
            models = [await io.run_task(["fit", c], fit_carrier, flights, c) for c in carriers]
            len(models)
        """
        # Cells are rewritten before IPython looks up their magic, so they never get here. Only
        # `get_ipython().run_cell_magic("job", line, cell)` does.
        __tracebackhide__ = True  # IPython omits such frames
        return _execute(self._shell, _loaded[self._shell].entry, f"%%job {line}\n{cell}")

    @no_var_expand
    @output_can_be_silenced
    @cell_magic
    @task_options.PARSER.document
    def task(self, line: str, cell: str) -> Any:
        """Make the cell a task, as it stands: executed again, it gives what it gave.

        Its variables, its output and its last value are recorded. As long as neither its code nor
        the variables that it reads have changed, it does not run again, in whatever kernel. KEY
        names the task in the run of the notebook.

            %%task features
            X = slow_features(flights)
        """
        # As in `job`.
        __tracebackhide__ = True
        return _execute(self._shell, _loaded[self._shell].entry, f"%%task {line}\n{cell}")

    @line_magic
    def runs(self, line: str) -> DataFrame:
        """Return the runs of this home, or of one job, like `nb.runs()`, and print the home's size:
        %runs [JOB]."""
        from nbtasks.jobs import maintenance  # lazily: it is seldom needed

        home = config.home
        print(f"{home}: {maintenance.size_of(home):,} bytes")  # noqa: T201 - as asked
        return history.runs(line.strip() or None)

    @line_magic
    def tasks(self, line: str) -> DataFrame:
        """Return the tasks of this home, or of one run, like `nb.tasks()`: %tasks [RUN].

        RUN is the id of a run, or a variable that holds a run, such as one made by `--as VAR`.
        """
        return history.tasks(self._run(line))

    @line_magic
    def tree(self, line: str) -> RunTree:
        """Return the task tree of a run, by default the latest, like `nb.tree()`: %tree [RUN].

        RUN is as for %tasks.
        """
        return history.tree(self._run(line))

    @no_var_expand
    @output_can_be_silenced
    @cell_magic
    @SQL_PARSER.document
    def runs_sql(self, line: str, cell: str) -> DataFrame:
        """Query the journal with the SQL of the cell, like `nb.sql`.

        The query may use the views `runs`, `tasks`, `attempts`, `logs`, `events`, `statuses`,
        `edits` and `due`, and DataFrames of the notebook. A placeholder such as `$month` takes the
        value of the variable `month`.

            %%runs_sql --as slow
            select path, seconds from tasks where seconds > $least order by seconds desc
        """
        name = SQL_PARSER.parse(line).get("as")
        names = self._shell.user_ns
        frame = frames.sql(runtime.runtime.journal, cell, _query_values(cell, names), names)
        if name is not None:
            names[name] = frame
        return frame

    @line_magic
    def job_status(self, line: str) -> None:
        """Print the running and waiting runs of this home, one per line."""
        del line
        rows = [row for row in runtime.runtime.journal.runs() if row.status in UNDER_WAY]
        for row in rows:
            print(_status_line(row))  # noqa: T201 - as asked
        if not rows:
            print(f"Nothing is running or waiting in {config.home}.")  # noqa: T201 - as above

    @line_magic
    def explain(self, line: str) -> None:
        """Explain an error, with an example: %explain RunBusyError."""
        from nbtasks.views.explanations import explain  # lazily: it is seldom needed

        print(explain(line.strip()))  # noqa: T201 - as asked

    @property
    def _shell(self) -> InteractiveShell:
        assert self.shell is not None  # noqa: S101 - it was made with one
        return self.shell

    def _run(self, line: str) -> Run | str | None:
        value = self._shell.user_ns.get(line.strip())
        return value if isinstance(value, Run | str) else line.strip() or None


def _status_line(row: RunRow) -> str:
    since = clock.at(row.execution_us or row.started_us).astimezone()
    where = f"process {row.pid} on {row.host}" + (f", {row.notebook}" if row.notebook else "")
    return (
        f"{row.status:<8} {row.job} {row.version}  since {since:%d %b %H:%M:%S}  "
        f"run {row.run_id}  key {row.key}  ({where})"
    )


def _query_values(query: str, names: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the variables that the placeholders of a query name.

    >>> _query_values("select $least, '$no', $$ $no $$ -- $none", {"least": 3})
    {'least': 3}

    Raises:
        JournalError: There is no variable of that name, or a placeholder has no name.
    """
    needed = sorted(placeholders(query))
    for name in needed:
        if not name.isidentifier():
            raise JournalError(
                "In a cell, a placeholder must name a variable, as $month does; ? does not."
            )
        if name not in names:
            raise JournalError(
                f"The query uses ${name}, but there is no variable {name!r}. Define it first."
            )
    return {name: names[name] for name in needed} or None


def _compile(shell: InteractiveShell, source: str) -> CodeType:
    """Return the code of the text of a `%%job` cell."""
    text = shell.transform_cell(source)
    name = shell.compile.cache(text, shell.execution_count - 1, raw_code=source)
    block, *_ = shell.transform_ast(shell.compile.ast_parse(text, filename=name)).body
    flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(ast.Module([block], []), name, "exec", flags, dont_inherit=True)
    return code


def _execute(shell: InteractiveShell, entry: Entry, source: str) -> Any:
    """Run the text of a `%%job` cell outside a cell; return the value of its last expression.

    A body that awaits runs on this thread's event loop, even if the loop is already running.
    """
    code = _compile(shell, source)

    async def wait() -> Any:
        await eval(code, shell.user_global_ns, shell.user_ns)  # noqa: S307 - the cell
        return entry.value  # read here, in the context of the cell

    with tracebacks.HidingEngine():
        if code.co_flags & inspect.CO_COROUTINE:
            return event_loop.run_awaitable(wait())
        exec(code, shell.user_global_ns, shell.user_ns)  # noqa: S102 - the cell
    return entry.value
