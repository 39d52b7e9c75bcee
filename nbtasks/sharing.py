"""Runs that are given to others: written to a file, and taken from one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nbtasks import exported, frames
from nbtasks.errors import NotFoundError
from nbtasks.kit import kit
from nbtasks.model import RunRow
from nbtasks.pickled import pickles_of, trust
from nbtasks.recorded import draw
from nbtasks.run import Run
from nbtasks.settings import SHARED

if TYPE_CHECKING:
    from nbtasks.drawing import RunTree
    from nbtasks.frames import DataFrame
    from nbtasks.journal.port import Journal
    from nbtasks.model import Row

__all__ = ["Shared", "export_run", "import_run", "open_shared", "trust_run"]


def export_run(run: Run | str | Sequence[Run | str], file: str | Path) -> Path:
    """Writes runs to one file, with all that is recorded of them: what `nb.open` and
    `nb.import_run` read.

    It holds the rows of the runs and their tasks, logs, attempts, large values, what tasks
    displayed, and the source of cells and functions. It does not hold what is hidden: of the output
    of a task with `redact=`, of a `SecretStr`, of a payload with the names of secrets, only what
    people see of it goes along. Runs that it has begun of other jobs go along, too.

    Args:
        run: The run, its id, or a list of some.
        file: Where to; its name ends with `.nbrun`, which is added if it does not.

    Returns:
        The file.

    Raises:
        NotFoundError: There is no such run.
        UnreadableValueError: A large value of it is missing or damaged.
        JournalWriteError: The file cannot be written.

    ```python
    import nbtasks as nb


    @nb.job("export-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    file = nb.export_run(body.run(), "answer.nbrun")
    assert nb.open(file).tasks().output.tolist() == ["42"]
    ```
    """
    from nbtasks.journal import bundle

    given = [run] if isinstance(run, Run | str) else list(run)
    if not given:
        raise NotFoundError("nb.export_run takes a run, or a list of some, and the list is empty.")
    path = Path(file)
    if path.suffix != SHARED:
        path = path.with_name(path.name + SHARED)
    rows: list[Row] = []
    blobs: dict[str, Journal] = {}
    held = [found for one in given for found in _with_children(*_held(one))]
    for journal, row in held:
        for shared in exported.rows(journal, row):
            rows.append(shared)
            if (blob := getattr(shared, "blob", None)) is not None:
                blobs[blob] = journal
    manifest = exported.manifest([row for _, row in held])
    bundle.write(path, manifest, rows, sorted(blobs), lambda name: blobs[name].get_blob(name).data)
    return path


def import_run(file: str | Path) -> list[Run]:
    """Takes the runs of a shared file into the home. Those that are there already stay as they are.

    Nothing of it is executed or unpickled. See `nb.trust` for values that are pickles.

    Args:
        file: A file that `nb.export_run` has written.

    Returns:
        The runs of the file, as they are in the home.

    Raises:
        SharedFileError: It is none, or not one that can be read safely. Nothing was taken.
        JournalWriteError: The home cannot be written.

    ```python
    import nbtasks as nb


    @nb.job("import-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    file = nb.export_run(body.run(), "answer.nbrun")
    nb.configure(home="another-home")
    (run,) = nb.import_run(file)
    assert body.run(replay="only").output == run.output == 42
    ```
    """
    from nbtasks.journal.bundle import Bundle
    from nbtasks.journal.shared import rows_of
    from nbtasks.values.content import Content

    bundle = Bundle(Path(file))
    rows = rows_of(bundle)
    ids = [row.run_id for row in rows if isinstance(row, RunRow)]
    here = {run.run_id for run in kit.journal.runs()}
    taken = [row for row in rows if row.run_id not in here]
    # The values first: a row must not name what is not there. Here a large one may have another
    # name than where it comes from, which may be of an older format.
    holders = [row for row in taken if getattr(row, "blob", None) is not None]
    kept = {
        name: kit.journal.put_blob(Content.of(bundle.blob(name).data))
        for name in {row.blob for row in holders}
    }
    for row in holders:
        row.blob = kept[row.blob]
    if taken:
        kit.journal.adopt(taken)
    return [kit.hold(run_id) for run_id in ids]


class Shared:
    """A shared file, open for reading; made by `nb.open`. It is only read, and nothing of it is
    executed or unpickled.

    ```python
    import nbtasks as nb


    @nb.job("shared-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    shared = nb.open(nb.export_run(body.run(), "answer.nbrun"))
    assert shared.last_run()["answer"] == 42
    print(shared.tree())
    ```
    """

    def __init__(self, path: Path) -> None:
        from nbtasks.journal.shared import SharedJournal

        self.path = path
        self._journal = SharedJournal(path)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the file says of itself: its runs, when it was made and with which packages."""
        return self._journal.manifest

    def get_run(self, id: str) -> Run:  # noqa: A002 - the name of the contract
        """The run with this id; as `nb.get_run`."""
        if not self._journal.runs(run_id=id):
            raise NotFoundError(f"There is no run {id!r} in {self.path}.")
        return Run(id, kit, self._journal)

    def last_run(self, job: str | None = None) -> Run:
        """The run that was begun last; as `nb.last_run`."""
        rows = self._journal.runs(job=job)
        if not rows:
            raise NotFoundError(f"There is no such run in {self.path}.")
        return Run(rows[-1].run_id, kit, self._journal)

    def runs(self, job: str | None = None) -> DataFrame:
        """Its runs; as `nb.runs`."""
        return frames.runs(self._journal, job)

    def tasks(self, run: Run | str | None = None) -> DataFrame:
        """Their tasks; as `nb.tasks`."""
        return frames.tasks(self._journal, _id(run))

    def attempts(self, run: Run | str | None = None) -> DataFrame:
        """The attempts of these; as `nb.attempts`."""
        return frames.attempts(self._journal, _id(run))

    def logs(self, run: Run | str | None = None) -> DataFrame:
        """What they logged; as `nb.logs`."""
        return frames.logs(self._journal, _id(run))

    def sql(self, query: str, params: Any = None) -> DataFrame:
        """One query over its views; as `nb.sql`."""
        return frames.sql(self._journal, query, params)

    def tree(self, run: Run | str | None = None) -> RunTree:
        """The tasks of a run as a tree, by default of the last one; as `nb.tree`."""
        held = self.last_run() if run is None else self.get_run(_id(run) or "")
        (row,) = self._journal.runs(run_id=held.id)
        return draw(self._journal, row, living=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def __repr__(self) -> str:
        runs = self._journal.runs()
        return f"<Shared {self.path}: {', '.join(f'{run.job} {run.status}' for run in runs)}>"


def open_shared(file: str | Path) -> Shared:
    """Opens a shared file for reading: the same frames and trees as of a home.

    To replay cells and jobs on it, where nothing runs, choose it as the home:
    `nb.configure(home="study.nbrun")`, or `nbtasks run notebook.ipynb --home study.nbrun`.

    Args:
        file: A file that `nb.export_run` has written.

    Raises:
        SharedFileError: It is none, or not one that can be read safely.

    ```python
    import nbtasks as nb


    @nb.job("open-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    file = nb.export_run(body.run(), "answer.nbrun")
    assert nb.open(file).runs().status.tolist() == ["COMPLETED"]
    nb.configure(home=file)
    assert body.run().output == 42  # replayed: nothing can run here
    ```
    """
    return Shared(Path(file))


def trust_run(run: Run | str, *, dry_run: bool = False) -> DataFrame:
    """Lets the pickles of a run be loaded, as if you had made them: whoever made them can then run
    code here as you.

    Args:
        run: The run, or its id.
        dry_run: Only show what there is.

    Returns:
        A row for each pickle: the `path` of its task, its `bytes`, what it `imports` when it is
        loaded, and whether it is `trusted` now.

    Raises:
        NotFoundError: There is no such run.

    ```python
    import re

    import nbtasks as nb


    @nb.job("trust-example")
    def body(io: nb.SyncIO) -> bool:
        return bool(io.run_task("compile", re.compile, "[a-z]+").match("a"))


    run = body.run()  # somebody else's, perhaps
    print(nb.trust(run, dry_run=True))
    assert nb.trust(run).trusted.all()
    ```
    """
    found = pickles_of(*_held(run))
    return frames.pickles(found if dry_run else trust(found))


def _id(run: Run | str | None) -> str | None:
    return run.id if isinstance(run, Run) else run


def _with_children(journal: Journal, run: RunRow) -> list[tuple[Journal, RunRow]]:
    """A run and those that it has begun: what its tasks gave are these."""
    found = {run.run_id: run}
    todo = [run]
    while todo:
        for child in journal.find("run", parent_run=todo.pop().run_id):
            if child.run_id not in found and child.trigger != "fork":
                found[child.run_id] = child
                todo.append(child)
    return [(journal, one) for one in found.values()]


def _held(run: Run | str) -> tuple[Journal, RunRow]:
    journal = run.journal if isinstance(run, Run) else kit.journal
    rows = journal.runs(run_id=_id(run))
    if not rows:
        raise NotFoundError(
            f"There is no run {_id(run)!r} in this home; nb.runs() lists what there is. Of a "
            "shared file give the run itself, as nb.open(file).last_run()."
        )
    return journal, rows[0]
