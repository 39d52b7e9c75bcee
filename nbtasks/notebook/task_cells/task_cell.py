"""Context manager around the body of a `%%task` cell: an execution with the cell as its task."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from IPython.core.displayhook import DisplayHook

from nbtasks.core import callsite, keys
from nbtasks.core.settings import config
from nbtasks.engine.effects import Call, current
from nbtasks.engine.fingerprint import arguments
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.engine.fingerprint.calls import Examined
from nbtasks.engine.options import Policy, TaskOptions
from nbtasks.engine.retries import Retry
from nbtasks.errors import UnreadableValueError
from nbtasks.io import io as run_io
from nbtasks.journal import outputs
from nbtasks.journal.protocol import ANSWER
from nbtasks.notebook.cell import Body, Cell
from nbtasks.notebook.cell_options import Options
from nbtasks.notebook.objects import attributes, process_settings
from nbtasks.notebook.objects.attributes import Attributes
from nbtasks.notebook.output import run_view
from nbtasks.notebook.task_cells import definitions, notebook, randomness, showing
from nbtasks.notebook.task_cells import inputs as cell_inputs
from nbtasks.notebook.task_cells.changes import Before
from nbtasks.notebook.task_cells.inputs import ABSENT, Inputs
from nbtasks.notebook.task_cells.names import Names, analyse
from nbtasks.notebook.task_cells.notes import Notes
from nbtasks.notebook.task_cells.options import TaskCellOptions, check_outputs, parse
from nbtasks.notebook.task_cells.reach import Reach
from nbtasks.notebook.task_cells.recording import CELL, RANDOM, VALUE, Left, record
from nbtasks.notebook.task_cells.restoring import Known, Restorer, as_record
from nbtasks.values import displays
from nbtasks.values.libraries.bindings import Bindings

if TYPE_CHECKING:
    from types import FrameType

    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.journal.protocol import Claim

__all__ = ["TaskCell"]

_DIGEST, _FINGERPRINT = map(ANSWER.index, ("digest", "fingerprint"))


class TaskBody(Body):
    """Receiver of a body's value, which also chooses the definitions to execute.

    Attributes:
        marked: Keys of the nested definitions, and of the classes, that have been executed.
        attributes: Attributes of functions and classes, before the cell and when it defined them.
        notes: Notes of what the definitions have read.
        restorer: Restorer of the recorded cell, while its definitions are executed.
    """

    def __init__(self, names: dict[str, Any], magic: str) -> None:
        super().__init__(names, magic)
        self.marked: set[str] = set()
        self._classes: list[Any] = []
        self.attributes = Attributes()
        self.notes = Notes()
        self.restorer: Restorer | None = None

    def mark(self, key: str) -> None:
        """Note that a definition has been executed."""
        self.marked.add(key)
        kind, name = key.split()[:2]
        if kind == "class":
            self._classes.append(self._names.get(name))
        if kind in ("class", "def"):
            self.attributes.note([name], self._names, new=True)

    def begin(self, names: Iterable[str]) -> None:
        """Forget an earlier execution, and note the functions and classes among some names."""
        self.marked.clear()
        self.notes.clear()
        self._classes.clear()
        self.attributes = Attributes()
        self.attributes.note(names, self._names, new=False)

    def superseded(self) -> list[type]:
        """Return the classes that have been made and whose names stand for others since."""
        made = [each for each in self._classes if isinstance(each, type)]
        return [each for each in made if self._names.get(each.__name__) is not each]

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
        text: Code of the cell, normalized.
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
        check_outputs(options.outputs, self._names)
        self._inputs: Inputs
        self._own: set[str] = set()
        self._seeds: dict[str, Digest] = {}
        self._before: Before
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
                params=self._inputs.shown(self._shell.user_ns),
                inline=True,
            ),
        )
        checked_as = Examined(self._inputs.code, self._inputs.digest(), self._explain_change)
        return Call(options.task, fn, (), site, policy, checked_as)

    def _examine(self) -> None:
        """Examine the inputs of the cell, and take those that it left itself as they were before.

        Raises:
            NameError: An input is missing that the recorded cell had.
        """
        self._inputs = self._examine_inputs()
        self._inputs.code = notebook.restore_code(self._place(), self._inputs.code)
        self._own = notebook.restore_own(self._place(), self._inputs.data, self._inputs.values)
        randomness.observe()
        found = randomness.inputs(randomness.snapshot(), self._place()[1:])
        recorded = cell_inputs.recorded_names(self._recorded_digest())
        self._inputs.data |= {label: found[label] for label in found if label in recorded}
        answer = self.session.execution.run_state.completed(self._path)
        if answer is not None and answer[_FINGERPRINT] == self._inputs.code.digest:
            self._inputs.leave_out_new(answer[_DIGEST])
        if answer is not None and self._task_options.on_change in ("rerun", "error"):
            self._inputs.check_missing(answer[_DIGEST], self._names, self._task_options.task)
        if self.session.execution.replay_only is None:
            self._forget_subtasks()

    def _examine_inputs(self) -> Inputs:
        shell, key = self._shell, self._task_options.task
        return cell_inputs.examine(
            self._text, self._names, shell.user_ns, shell.user_ns_hidden, key
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
        """Reset the task if its data has changed: subtasks may depend on it, whatever they get."""
        recorded = self._recorded_digest()
        if self._task_options.on_change != "rerun" or recorded is None:
            return
        known = cell_inputs.recorded_names(recorded) & {*self._inputs.data}
        if known.intersection(self._inputs.differences(recorded)):
            self.session.execution.run_state.reset(self._path)

    def _place(self) -> notebook.Place:
        return notebook.Place(self._shell, self.session.execution.run.run_id, self._path)

    # -- an execution of the body -----------------------------------------------------------------

    def _begin(self) -> None:
        self._has_run = True
        self._body.begin(self._inputs.reached)
        self._before = Before(self._shell.user_ns, self._inputs, self._names)
        self._seeds = randomness.inputs(self._before.random, self._place()[1:])

    def _record(self) -> Bindings:
        """Return the record of what the body has done."""
        body, before = self._body, self._before
        namespace = before.with_held(self._shell.user_ns)
        changed, mutated = before.changes(namespace)
        more = {**self._draw(), **body.attributes.changed(namespace)}
        more |= process_settings.changed(before.settings, self._text, self._place()[1:])
        more |= {f"{CELL}{label}": value for label, value in before.bound_in_cells().items()}
        executed = [one for one in self._definitions if not one.nested or one.key in body.marked]
        left = Left(
            self._names, executed, namespace, before.namespace, changed, mutated, before.snapshot,
            self._task_options.outputs, None if self._quiet else body.value, more,
            self._inputs.data, body.notes, showing.count_open(), body.superseded(),
            {**self._shell.user_ns_hidden, **self._give()},
            attributes=body.attributes.deleted(namespace),
        )  # fmt: skip
        found = record(left)
        for line in left.lost.values():
            print(line)  # noqa: T201 - a line of the cell's output
        if left.value is not None and VALUE not in found and not found.facts["value"]:
            formatter: Any = self._shell.display_formatter
            shown = displays.dumps(formatter.format(left.value))
            if shown is not None:
                found.facts["shown"] = shown.decode()
        return found

    def _draw(self) -> dict[str, Any]:
        """Return the states of shared random numbers to record; those that the cell has found are
        inputs of it if it has drawn."""
        data = self._inputs.data
        states = randomness.changed(self._before.random, randomness.snapshot(), self._text)
        drawn = {label for name, label in randomness.LABELS.items() if name in states}
        if drawn != data.keys() & randomness.LABELS.values():
            for label in randomness.LABELS.values():
                data.pop(label, None)
            data |= {label: self._seeds[label] for label in sorted(drawn)}
            context = current.get()
            if context is not None and context.row is not None:
                context.row.digest = self._inputs.digest().text
        return {RANDOM: states} if states else {}

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
            values = self._before.with_held(namespace)
            for name, digests in found.facts["contents"].items():
                arguments.recall(values.get(name), digests, self._before.given)
            randomness.observe(self._text, namespace)
            self._note(found)
            return None
        if config.echo != "hide":
            dated = not (self._options.tree and config.tree)
            later = showing.show_again(
                self.session.execution, self._path, dated=dated, plots=found.facts["plots"] or 0
            )
            showing.after_cell(self._shell, later)
        self._inputs.tell_uncompared(self._task_options.task)
        self._body.restorer = restorer = Restorer(
            found, namespace, self._known(known), self._explain_unreadable
        )
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

    def _known(self, names: set[str]) -> Known:
        namespace = self._shell.user_ns
        differences = self._inputs.differences(self._recorded_digest())
        reach = partial(Reach, self._names.read, namespace)
        held, reached = self._inputs.values, self._inputs.reached
        left = notebook.find_left(self._place(), self._ended(), namespace, self._definitions)
        return Known(names, differences, self._own, held, reach, reached, left, self._place()[1:])

    def _known_names(self) -> set[str]:
        """Return the names that the cell may bind or change, or reads."""
        names, inputs = self._names, self._inputs
        return {*names.bound, *names.read, *names.deleted, *inputs.data, *inputs.assigned}

    def _note(self, found: Bindings) -> None:
        """Remember what the cell left behind, for its next execution in this process."""
        data, names, namespace = self._inputs.data, self._names, self._shell.user_ns
        new = {*filter(str.isidentifier, found)} - self._known_names()
        data = dict.fromkeys(new, ABSENT) | data
        absent = {name for name, digest in data.items() if digest is ABSENT}
        held = Reach(names.read, namespace).held
        lost = (*found.facts.get("left out", ()), *found.facts["positions"])
        touched = {*names.bound, *names.deleted, *found, *absent, *held, *lost} & data.keys()
        own = {name: names.read.get(name, False) or name in absent for name in touched}
        notebook.note_own(self._place(), data, {**namespace, **held}, own)
        left = {name: namespace[name] for name in {*found, *names.bound} if name in namespace}
        read = {name: namespace[name] for name in self._inputs.reached if name in namespace}
        notebook.note_left(self._place(), self._ended(), left, read)
        has_code = notebook.has_code(absent, namespace)
        if has_code or found.facts["attributes"] or any(map(attributes.path_of, found)):
            notebook.note_code(self._place(), self._inputs.code, self._examine_inputs().code)
        randomness.leave(self._place()[1:], data)
        notebook.tell_twin(self._place(), self._text)

    def _ended(self) -> int | None:
        return self.session.execution.run_state.rows([self._path])[0].finished_us

    def _explain_unreadable(self, name: str, error: UnreadableValueError) -> UnreadableValueError:
        execution = self.session.execution
        explained = outputs.explain(execution.journal, error, execution.run.run_id, self._path)
        return type(error)(f"{name}: {explained}")
