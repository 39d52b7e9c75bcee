"""Export of runs to a shared file, import from it, and trust in its pickles."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from nbtasks.core import disk
from nbtasks.core.disk import RemotePath
from nbtasks.core.model import RunRow
from nbtasks.core.settings import SHARED
from nbtasks.errors import NotFoundError
from nbtasks.jobs.run import Run
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.bundle import export
from nbtasks.journal.bundle.trust import pickles_of, trust
from nbtasks.journal.lookup import require_last_run, require_run
from nbtasks.views import frames
from nbtasks.views.history import History, locate_run

if TYPE_CHECKING:
    from nbtasks.core.model import Row
    from nbtasks.journal.protocol import AnyRun, JobHandle, Journal
    from nbtasks.views.frames import DataFrame

__all__ = [
    "Shared",
    "export_run",
    "import_run",
    "open_shared",
    "read_import",
    "trust_run",
    "write_export",
]


@overload
def export_run(run: AnyRun | Sequence[AnyRun], file: os.PathLike[str]) -> Path: ...
@overload
def export_run(run: AnyRun | Sequence[AnyRun], file: str) -> Path | Any: ...
def export_run(run: AnyRun | Sequence[AnyRun], file: str | os.PathLike[str]) -> Path | str:
    """Write runs with everything that is recorded of them to a file for `nb.open`.

    The file holds the rows of the runs and of their tasks, logs and attempts, large values,
    displayed output, and the source of cells and functions. `nb.import_run` reads it, too. Hidden
    values are left out: for the output of a task with `redact=`, for a `SecretStr`, and for a
    payload with the names of secrets, the file holds only the visible preview. The runs of other
    jobs that a run has started are written, too.

    A line is printed with the size of the file, and with the number of values in it that are
    pickles: whoever opens the file has to trust you to load those.

    Args:
        run: The run, its id, or a list of runs and ids.
        file: The file to write, a path or a URL that fsspec opens, such as `s3://team/a.nbrun`; the
            suffix `.nbrun` is appended if it is missing.

    Returns:
        The path of the file, or its URL as a text.

    Raises:
        NotFoundError: There is no such run.
        UnreadableValueError: A large value of the run is missing or damaged.
        JournalWriteError: The file cannot be written.
        InvalidOptionError: No library here opens such a URL.

    ```python
    import nbtasks as nb


    @nb.job("export-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    file = nb.export_run(body.run(), "answer.nbrun")
    assert nb.open(file).tasks().output.tolist() == ["42"]
    ```
    """
    path, summary = write_export(run, file)
    print(f"{path}: {summary}")  # noqa: T201 - to whoever is about to send the file
    return path


def write_export(
    run: AnyRun | Sequence[AnyRun], file: str | os.PathLike[str]
) -> tuple[Path | str, str]:
    """Write a shared file like `export_run`. Return its path, and its size and pickles as a text.

    Raises:
        NotFoundError: There is no such run.
        UnreadableValueError: A large value of the run is missing or damaged.
        JournalWriteError: The file cannot be written.
    """
    from nbtasks.journal.bundle import file_format

    selection = [run] if isinstance(run, str) or hasattr(run, "id") else list(run)
    if not selection:
        raise NotFoundError("nb.export_run takes a run or a list of runs, and the list is empty.")
    place = disk.place_of(file)
    if place.suffix != SHARED:
        place = place.with_name(place.name + SHARED)
    rows: list[Row] = []
    blobs: dict[str, Journal] = {}
    runs = [source for one in selection for source in _with_children(*locate_run(one))]
    for journal, run_row in runs:
        for row in export.rows(journal, run_row):
            rows.append(row)
            blobs |= dict.fromkeys(export.files(row, _reading(journal)), journal)
    manifest = export.manifest([run_row for _, run_row in runs])
    size = file_format.write(
        place, manifest, rows, sorted(blobs), lambda name: blobs[name].get_blob(name).data
    )
    values = list(export.pickled(rows, lambda name: blobs[name].get_blob(name).data))
    path = place.url if isinstance(place, RemotePath) else place
    return path, _summary(size, len(values), sum(values))


def _reading(journal: Journal) -> Callable[[str], memoryview]:
    return lambda name: journal.get_blob(name).data


def _summary(size: int, values: int, pickled: int) -> str:
    """Return the size of a shared file, and how many of its values others have to trust."""
    if not pickled:
        return f"{size:,} bytes; none of its {values} values is a pickle"
    verb = "is a pickle" if pickled == 1 else "are pickles"
    return (
        f"{size:,} bytes; {pickled} of its {values} values {verb}, which others can load only "
        "after nb.trust(run)"
    )


def import_run(file: str | os.PathLike[str]) -> list[Run]:
    """Import the runs of a shared file into the home, and say what became of each.

    A run that the home has already continues here if it has gone further in the file: it gets the
    executions, tasks, attempts and logs that it lacks, and no task of the file runs again. If the
    run here is the same or has gone further, it stays unchanged.

    No content of the file is executed or unpickled; `nb.trust` lets pickled values be loaded.

    Args:
        file: A file that `nb.export_run` has written, as a path or a URL that fsspec opens.

    Returns:
        The runs of the file, in the home.

    Raises:
        SharedFileError: The file is no shared file, or cannot be read safely. Nothing was
            imported.
        RunBusyError: One of the runs is being executed here. Nothing was imported.
        RunDivergedError: One of the runs has gone further both here and in the file. Nothing was
            imported.
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
    runs = []
    for run, what in read_import(file):
        print(f"run {run.id} of job {run.job}: {what}")  # noqa: T201 - a person has asked for it
        runs.append(run)
    return runs


def read_import(file: str | os.PathLike[str]) -> list[tuple[Run, str]]:
    """Import the runs of a shared file like `import_run`. Return each with what became of it."""
    from nbtasks.journal.bundle.bundle_journal import rows_of
    from nbtasks.journal.bundle.file_format import Bundle
    from nbtasks.values.content import LazyBytes

    bundle = Bundle(disk.place_of(file))
    rows = rows_of(bundle)
    before = {row.run_id: row for row in runtime.journal.runs()}
    ids = [row.run_id for row in rows if isinstance(row, RunRow)]
    # Large values first: a row must not name a missing blob.
    files = _files(rows, lambda name: bundle.blob(name).data)
    for name in files - _files_of(runtime.journal, before.keys() & {*ids}):
        runtime.journal.put_blob(LazyBytes.of(bundle.blob(name).data))
    results = runtime.journal.import_rows(rows)
    runs = [runtime.get_run(run_id) for run_id in ids]
    return [(run, _describe(results[run.id], before.get(run.id), run)) for run in runs]


def _files(rows: Iterable[Any], read: Callable[[str], memoryview]) -> set[str]:
    return {name for row in rows for name in export.files(row, read)}


def _files_of(journal: Journal, run_ids: Iterable[str]) -> set[str]:
    """Return the files that rows of these runs name already."""
    kinds = ("run", "task", "display")
    rows = (
        row for run_id in run_ids for kind in kinds for row in journal.find(kind, run_id=run_id)
    )
    return _files(rows, _reading(journal))


def _describe(result: str, before: RunRow | None, run: Run) -> str:
    """Return what became of an imported run."""
    if result == "new" or before is None:
        return run.status
    if result == "continued":
        steps = f"{before.executions} to {run.executions} executions"
        return f"{run.status}, continued here from {before.status}: from {steps}"
    reason = "it is here as it is in the file" if result == "same" else "it has gone further here"
    return f"{run.status}, unchanged: {reason}"


class Shared(History):
    """Shared file, open for reading; made by `nb.open`.

    The file stays unchanged, and no content of it is executed or unpickled.

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

    _live_view = False

    def __init__(self, path: Path | RemotePath) -> None:
        from nbtasks.journal.bundle.bundle_journal import SharedJournal

        journal = SharedJournal(path)
        super().__init__(journal)
        self.path = path
        self._manifest = journal.manifest

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the file: its runs, the time of the export, and the package versions."""
        return self._manifest

    def get_run(self, id: str) -> Run:  # noqa: A002 - the name of the contract
        """Return the run with this id, like `nb.get_run`."""
        return self._run_of(require_run(self._journal, id))

    def last_run(self, job: JobHandle | str | None = None) -> Run:
        """Return the run that started last, like `nb.last_run`."""
        return self._run_of(require_last_run(self._journal, job))

    def _run_of(self, row: RunRow) -> Run:
        return Run(row.run_id, runtime.starter, self._journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the block; no file stays open."""

    def __repr__(self) -> str:
        runs = self._journal.runs()
        return f"<Shared {self.path}: {', '.join(f'{run.job} {run.status}' for run in runs)}>"


def open_shared(file: str | os.PathLike[str]) -> Shared:
    """Open a shared file for reading: it has the same frames and trees as a home.

    To replay cells and jobs from the file without running tasks, choose it as the home:
    `nb.configure(home="study.nbrun")`, or `nbtasks run notebook.ipynb --home study.nbrun`.

    Args:
        file: A file that `nb.export_run` has written, as a path or a URL that fsspec opens.

    Raises:
        SharedFileError: The file is no shared file, or cannot be read safely.

    ```python
    import nbtasks as nb


    @nb.job("open-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")


    file = nb.export_run(body.run(), "answer.nbrun")
    assert nb.open(file).runs().status.tolist() == ["COMPLETED"]
    nb.configure(home=file)
    assert body.run().output == 42  # replayed: a shared file runs no tasks
    ```
    """
    return Shared(disk.place_of(file))


def trust_run(run: AnyRun, *, dry_run: bool = False) -> DataFrame:
    """Trust the pickles of a run: they are loaded as if you had made them. What its tasks have
    displayed as HTML or by scripts is then shown, too, where they are reused.

    Loading a pickle executes code of its author with your rights, and showing HTML executes its
    scripts in your page.

    Args:
        run: The run or its id; a job or its id stands for its latest run.
        dry_run: Only show what there is to trust.

    Returns:
        A row for each pickle and each such display: the `path` of its task, its size in `bytes`,
        the names that a pickle `imports` when it is loaded, or the types that are displayed, and
        `trusted`, True if it may now be loaded or shown.

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
    pickles = pickles_of(*locate_run(run))
    return frames.pickles(pickles if dry_run else trust(pickles))


def _with_children(journal: Journal, run: RunRow) -> list[tuple[Journal, RunRow]]:
    """Return a run and the runs that it has started, which outputs of its tasks refer to."""
    runs = {run.run_id: run}
    todo = [run]
    while todo:
        for child in journal.find("run", parent_run=todo.pop().run_id):
            if child.run_id not in runs and child.trigger != "fork":
                runs[child.run_id] = child
                todo.append(child)
    return [(journal, row) for row in runs.values()]
