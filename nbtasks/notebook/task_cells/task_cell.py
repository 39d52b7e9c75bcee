"""Context manager around the body of a `%%task` cell: an execution with the cell as its task."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from IPython.core.displayhook import DisplayHook

from nbtasks.core import callsite, keys
from nbtasks.core.parameters import nearest_name
from nbtasks.core.settings import config
from nbtasks.engine.effects import Call
from nbtasks.engine.fingerprint import arguments, calls
from nbtasks.engine.fingerprint.calls import Examined
from nbtasks.engine.options import Policy, TaskOptions
from nbtasks.engine.retries import Retry
from nbtasks.errors import UnreadableValueError
from nbtasks.io import io as run_io
from nbtasks.journal import outputs
from nbtasks.journal.protocol import ANSWER
from nbtasks.notebook.cell import Body, Cell
from nbtasks.notebook.cell_options import CellRefusedError, Options
from nbtasks.notebook.output import run_view
from nbtasks.notebook.task_cells import definitions, notebook, randomness, showing
from nbtasks.notebook.task_cells import inputs as cell_inputs
from nbtasks.notebook.task_cells.inputs import ABSENT, MISSING, Inputs
from nbtasks.notebook.task_cells.names import Names, analyse
from nbtasks.notebook.task_cells.notes import Notes
from nbtasks.notebook.task_cells.options import TaskCellOptions, parse
from nbtasks.notebook.task_cells.reach import Reach
from nbtasks.notebook.task_cells.recording import RANDOM, VALUE, Left, record
from nbtasks.notebook.task_cells.restoring import Restorer, as_record
from nbtasks.values import displays, preview
from nbtasks.values.libraries.bindings import Bindings
from nbtasks.values.redaction import hide_secrets

if TYPE_CHECKING:
    from types import FrameType

    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.journal.protocol import Claim

__all__ = ["TaskCell"]

_DIGEST, _FINGERPRINT = map(ANSWER.index, ("digest", "fingerprint"))


class TaskBody(Body):
    """Receiver of a body's value, which also chooses the definitions to execute.

    Attributes:
        marked: Keys of the nested definitions that have been executed.
        notes: Notes of what the definitions have read.
        restorer: Restorer of the recorded cell, while its definitions are executed.
    """

    def __init__(self, names: dict[str, Any], magic: str) -> None:
        super().__init__(names, magic)
        self.marked: set[str] = set()
        self.notes = Notes()
        self.restorer: Restorer | None = None

    def mark(self, key: str) -> None:
        """Note that a nested definition has been executed."""
        self.marked.add(key)

    def note(self, key: str, reads: str) -> None:
        """Note what a definition is about to read."""
        self.notes.take(key, reads.split(), self._names)

    def wants(self, key: str, reads: str) -> bool:
        """Return True if a definition is to be executed for a reused cell."""
        return self.restorer is not None and self.restorer.wants(key, reads.split())


class TaskCell(Cell):
    """Context manager around the body of a `%%task` cell.

    Args:
        shell: Shell that the cell runs in.
        options: Options of the first line.
        text: Code of the cell, normalised.
        quiet: Whether the last value is not displayed, since a semicolon ends the cell.
    """

    magic = "%%task"

    def __init__(
        self, shell: InteractiveShell, options: TaskCellOptions, text: str, *, quiet: bool
    ) -> None:
        job = options.job or notebook.job_id(shell)
        super().__init__(
            shell,
            Options(
                job, version=options.version, key=options.key, on_change=options.on_change,
                variable=options.variable, tree=options.tree,
            ),
        )  # fmt: skip
        self._body: TaskBody = TaskBody(shell.user_ns, self.magic)
        self._task_options = options
        self._text = text
        self._quiet = quiet
        self._path = keys.join("", options.task)
        tree = ast.parse(text)
        self._names: Names = analyse(tree, shell.user_ns)
        self._definitions = definitions.find(tree.body)
        self._gives_io = "io" not in self._names.bound and notebook.may_give_io(shell.user_ns)
        if self._gives_io:
            self._names.read.pop("io", None)
        self._check_outputs()
        self._inputs: Inputs
        self._own: set[str] = set()
        self._before: dict[str, Any] = {}
        self._random: dict[str, Any] = {}
        self._states: dict[str, str] = {}
        self._given: frozenset[int] = frozenset()
        self._has_run = False

    @classmethod
    def make(cls, shell: InteractiveShell, line: str, source: str, text: str) -> Self:
        """Return the cell with this first line, after its magic."""
        quiet = DisplayHook.semicolon_at_end_of_expression(source)
        return cls(shell, parse(line), text, quiet=quiet)

    def prepare(self, source: str, given: tuple[Claim, Any] | None, frame: FrameType) -> None:
        """Make the session of the cell, whose view shows its task alone."""
        super().prepare(source, given, frame)
        tree = self._options.tree and config.tree
        self.session.watch = partial(run_view.view_of, tree=tree, echo=config.echo, path=self._path)

    def _check_outputs(self) -> None:
        """Raise `CellRefusedError` for an output that the cell cannot have."""
        known = {*self._names.bound, *self._names.read}
        for name in self._task_options.outputs or ():
            if name not in known and not self._names.star:
                nearest = nearest_name(name, [*known])
                hint = f" Is it {nearest}?" if nearest else ""
                raise CellRefusedError(
                    f"%%task --outputs {name}: the cell neither binds nor reads {name}.{hint}"
                )

    def _give(self) -> dict[str, Any]:
        return {"io": self.session.io} if self._gives_io else {}

    def _output(self) -> Any:
        return None  # the task has it

    def _tell(self) -> None:
        """Say nothing: there is a task."""

    # -- the task ---------------------------------------------------------------------------------

    def execute(self, site: callsite.Site) -> Any:
        """Execute the body as a task, or restore what it left behind.

        Returns:
            The coroutine of a body that awaits, else None.
        """
        self._examine()
        self._leave_echo()
        asynchronous = self.session.execution.root.asynchronous

        def body() -> Bindings:
            self._begin()
            super(TaskCell, self).execute(site)
            return self._record()

        async def awaiting_body() -> Bindings:
            self._begin()
            await super(TaskCell, self).execute(site)
            return self._record()

        call = self._call(awaiting_body if asynchronous else body, site)
        if asynchronous:
            return self._wait(call, site)
        self._finish(run_io.call_task(self.session.io, call), site)
        return None

    def _leave_echo(self) -> None:
        """Keep the cell itself out of the block of reused outputs: it shows its own outputs."""
        run_state = self.session.execution.run_state
        add = run_state.echo
        if add is not None:
            run_state.echo = lambda path: None if path == self._path else add(path)

    async def _wait(self, call: Call, site: callsite.Site) -> None:
        found = await run_io.call_task(self.session.io, call)
        if inspect.isawaitable(awaitable := self._finish(found, site)):
            await awaitable

    def _call(self, fn: Callable[[], Any], site: callsite.Site) -> Call:
        options = self._task_options
        policy = Policy(
            retry=Retry.of(options.retry),
            options=TaskOptions(
                on_change=options.on_change,
                ttl=options.ttl,
                params=self._shown_inputs(),
                inline=True,
            ),
        )
        checked_as = Examined(self._inputs.code, self._inputs.digest(), self._explain_change)
        return Call(options.task, fn, (), site, policy, checked_as)

    def _shown_inputs(self) -> dict[str, Any] | None:
        """Return the inputs as people may see them."""
        namespace = self._shell.user_ns
        names = [name for name in self._inputs.data if name in namespace]
        shown = preview.describe(tuple(namespace[name] for name in names))
        return hide_secrets(dict(zip(names, json.loads(shown), strict=True))) if shown else None

    def _examine(self) -> None:
        """Examine the inputs of the cell, and take those that it left itself as they were before.

        Raises:
            NameError: An input is missing that the recorded cell had.
        """
        shell = self._shell
        self._inputs = cell_inputs.examine(
            self._text, self._names, shell.user_ns, shell.user_ns_hidden, self._task_options.task
        )
        self._own = notebook.restore_own(self._place(), self._inputs.data, self._inputs.values)
        answer = self.session.execution.run_state.completed(self._path)
        if answer is not None and answer[_FINGERPRINT] == self._inputs.code.digest:
            self._inputs.leave_out_new(answer[_DIGEST])
        if self._task_options.on_change in ("rerun", "error"):
            self._check_missing()
        if self.session.execution.replay_only is None:
            self._forget_subtasks()

    def _check_missing(self) -> None:
        if not any(digest is ABSENT for digest in self._inputs.data.values()):
            return
        run_state = self.session.execution.run_state
        if run_state.completed(self._path) is None:
            return
        for name in sorted(cell_inputs.recorded_names(self._recorded_digest())):
            if self._inputs.data.get(name) is ABSENT and not self._names.read.get(name):
                raise NameError(
                    f"name {name!r} is not defined, and %%task {self._task_options.task} reads it. "
                    "Run the cells above first; what this cell has recorded stays.",
                    name=name,
                )

    def _recorded_digest(self) -> str | None:
        run_state = self.session.execution.run_state
        if (answer := run_state.completed(self._path)) is not None:
            return answer[_DIGEST]  # type: ignore[no-any-return]  # a text
        return run_state.rows([self._path])[0].digest if run_state.has(self._path) else None

    def _explain_change(self) -> str:
        names = self._inputs.differences(self._recorded_digest())
        return f"{', '.join(names)} changed" if names else ""

    def _forget_subtasks(self) -> None:
        """Reset the task if data that it was started with has changed: its subtasks may depend on
        it, whatever their arguments are."""
        recorded = self._recorded_digest()
        if self._task_options.on_change != "rerun" or recorded is None:
            return
        known = cell_inputs.recorded_names(recorded) & {*self._inputs.data}
        if known.intersection(self._inputs.differences(recorded)):
            self.session.execution.run_state.reset(self._path)

    def _place(self) -> notebook.Place:
        run = self.session.execution.run
        return notebook.Place(self._shell, run.run_id, self._path)

    # -- an execution of the body -----------------------------------------------------------------

    def _begin(self) -> None:
        namespace = self._shell.user_ns
        self._has_run = True
        self._body.marked.clear()
        self._body.notes.clear()
        self._before = dict(namespace)
        self._random = randomness.snapshot()
        data = self._data()
        self._states = randomness.hidden_states(data)
        self._given = calls.members([*data.values()])

    def _data(self) -> dict[str, Any]:
        """Return the data that the cell may have changed, by name."""
        namespace = self._shell.user_ns
        names = (*filter(str.isidentifier, self._inputs.data), *self._inputs.assigned)
        return {name: namespace.get(name, MISSING) for name in names}

    def _record(self) -> Bindings:
        """Return the record of what the body has done."""
        body, namespace = self._body, self._shell.user_ns
        changed, mutated = self._changes()
        more: dict[str, Any] = {}
        if states := randomness.changed(self._random, randomness.snapshot()):
            more[RANDOM] = states
        executed = [
            each for each in self._definitions if not each.nested or each.key in body.marked
        ]
        value = None if self._quiet else body.value
        left = Left(
            self._names, executed, namespace, self._before, changed, mutated,
            self._task_options.outputs, value, more, self._inputs.data, body.notes,
            showing.count_open(),
        )  # fmt: skip
        found = record(left)
        if left.value is not None and VALUE not in found and not found.facts["value"]:
            formatter: Any = self._shell.display_formatter
            shown = displays.dumps(formatter.format(left.value))
            if shown is not None:
                found.facts["shown"] = shown.decode()
        return found

    def _changes(self) -> tuple[set[str], set[str]]:
        """Return the names of inputs that have changed, and those among them whose object is still
        the same one."""
        changed, mutated = set(), set()
        data = self._data()
        after = cell_inputs.digests(data)
        states = randomness.hidden_states(data)
        for name, value in data.items():
            old = self._before.get(name, MISSING)
            before = self._inputs.data.get(name)
            is_same = value is old
            if name in self._inputs.assigned and before is None:
                differs = not is_same
            else:
                differs = not is_same or not arguments.match(
                    (before or ABSENT).text, after[name].text
                )
            if differs or states.get(name) != self._states.get(name):
                changed.add(name)
                if is_same:
                    mutated.add(name)
        return changed, mutated

    # -- afterwards -------------------------------------------------------------------------------

    def _finish(self, output: Any, site: callsite.Site) -> Any:
        """Remember what the body left behind; if it has not run, restore it.

        Returns:
            An awaitable if the definitions of the cell await.
        """
        namespace = self._shell.user_ns
        known = self._known_names()
        found = as_record(output, self._task_options.task, known, self._definitions)
        if self._has_run:
            for name, digests in found.facts["contents"].items():
                arguments.recall(namespace.get(name), digests, self._given)
            self._note(found)
            return None
        if config.echo != "hide":
            dated = not (self._options.tree and config.tree)
            later = showing.show_again(
                self.session.execution, self._path, dated=dated, plots=found.facts["plots"] or 0
            )
            showing.after_cell(self._shell, later)
        self._body.restorer = restorer = Restorer(
            found, namespace, known, self._explain_unreadable,
            self._inputs.differences(self._recorded_digest()), self._own,
        )  # fmt: skip
        self._body.defining = True
        defined = super().execute(site)

        def end() -> None:
            if found.facts["plots"] is not None:
                showing.activate()
            self._body.value = restorer.finish()
            self._note(found)

        async def wait() -> None:
            await defined
            end()

        return wait() if inspect.isawaitable(defined) else end()

    def _known_names(self) -> set[str]:
        """Return the names that the cell may bind or change, or reads."""
        names, inputs = self._names, self._inputs
        return {*names.bound, *names.read, *names.deleted, *inputs.data, *inputs.assigned}

    def _note(self, found: Bindings) -> None:
        """Remember what the cell left behind, for its next execution in this process."""
        data, names = self._inputs.data, self._names
        absent = {name for name, digest in data.items() if digest is ABSENT}
        held = Reach(names.read, self._shell.user_ns).held
        touched = {*names.bound, *names.deleted, *found, *absent, *held}.intersection(data)
        own = {name: names.read.get(name, False) or name in absent for name in touched}
        notebook.note_own(self._place(), data, {**self._shell.user_ns, **held}, own)
        notebook.tell_twin(self._place(), self._text)

    def _explain_unreadable(self, name: str, error: UnreadableValueError) -> UnreadableValueError:
        execution = self.session.execution
        explained = outputs.explain(execution.journal, error, execution.run.run_id, self._path)
        return type(error)(f"{name}: {explained}")
