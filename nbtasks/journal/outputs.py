"""Storage of recorded values, in their rows or in blobs, with the environment of pickles."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import orjson

from nbtasks.core import clock
from nbtasks.core.model import EnvironmentRow, RunRow, TaskRow
from nbtasks.core.settings import is_shared
from nbtasks.errors import UnreadableValueError, UntrustedValueError
from nbtasks.values import codec
from nbtasks.values.large import parts
from nbtasks.values.redaction import REDACTED_JSON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbtasks.journal.protocol import Journal

__all__ = [
    "differences",
    "environment_row",
    "explain",
    "files",
    "installed",
    "load",
    "output",
    "preview",
    "python",
    "recorded",
    "shared_file",
    "store",
    "versions",
]

_MOST_SHOWN = 8
#: The most files of parts in a value. They may refer to one another, so a few could make millions.
_MOST_PARTS = 100_000


def python() -> str:
    """Return the version of Python in this process, as `3.11.9`."""
    return ".".join(map(str, sys.version_info[:3]))


def versions() -> dict[str, str]:
    """Return the versions of the libraries loaded in this process, by their import names.

    >>> "pydantic" in versions()
    True
    """
    by_name = {}
    for name, module in list(sys.modules.items()):
        if "." not in name and name[:1] != "_":
            version = vars(module).get("__version__") if hasattr(module, "__dict__") else None
            if isinstance(version, str):
                by_name[name] = version
    return dict(sorted(by_name.items()))


def differences(recorded_python: str, recorded: dict[str, str]) -> str:
    """Return how this process differs from a recorded one, in words.

    >>> differences("2.7.18", {"numpy": "1.0"}).startswith("Python 2.7.18 then and ")
    True
    """
    loaded, parts = versions(), []
    if recorded_python != python():
        parts.append(f"Python {recorded_python} then and {python()} now")
    for name, version in recorded.items():
        current = loaded.get(name) or installed(name)
        if current != version:
            parts.append(f"{name} {version} then and {current or 'not installed'} now")
    more = len(parts) - _MOST_SHOWN
    return "; ".join(parts[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def installed(name: str) -> str | None:
    """Return the version of a package that is installed here, loaded or not; None if it is not."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def store(journal: Journal, encoded: codec.Encoded) -> str | None:
    """Store the blob of an encoded value, if it has one, and return its name."""
    return None if encoded.blob is None else journal.put_blob(encoded.blob)


def load(
    journal: Journal,
    kind: str | None,
    text: str | None,
    blob: str | None,
    numbers: Iterator[int] | None = None,
) -> Any:
    """Return the decoded value of an output, a payload or an entry.

    Args:
        journal: The journal that holds the blobs.
        kind: The kind of the record.
        text: The text of the row.
        blob: The name of the blob, if there is one.
        numbers: The numbers of the parts of the value that this is a part of, as many as there may
            be.

    Raises:
        UnreadableValueError: The value cannot be decoded here.
    """
    if kind is None:
        return None
    refer = None
    if kind in codec.COMPOSED:
        refer = functools.partial(_load_part, journal, numbers or iter(range(_MOST_PARTS)))
    if blob is None:
        return codec.decode(kind, text, refer)
    content = journal.get_blob(blob)
    if kind == "pickle":
        return codec.decode_blob(kind, text, content.data)
    try:
        result = codec.decode_blob(kind, text, content.unchecked, refer)
    except UnreadableValueError:
        content.check()  # its error says more
        raise
    content.check()
    return result


def _load_part(journal: Journal, numbers: Iterator[int], content: Any) -> Any:
    """Return the value of a part, from the content of its reference."""
    part = parts.read(content)
    if next(numbers, None) is None:
        raise UnreadableValueError(f"The recorded value has more than {_MOST_PARTS:,} parts.")
    return load(journal, part.kind, part.signature, part.blob, numbers)


def files(journal: Journal, kind: str | None, text: str | None, blob: str | None) -> set[str]:
    """Return the names of the files that an output refers to, and those of its parts.

    Raises:
        UnreadableValueError: The record is damaged, or the file of one with parts is missing.
    """
    return codec.files(kind, text, blob, lambda name: journal.get_blob(name).data)


def output(journal: Journal, row: RunRow | TaskRow) -> Any:
    """Return the output of a run or a task.

    Raises:
        UnreadableValueError: The output cannot be decoded here; the message names its run or task,
            and what to do.
    """
    path = row.path if isinstance(row, TaskRow) else ""
    return recorded(journal, row.run_id, path, row.output_kind, row.output, row.blob)


def recorded(
    journal: Journal, run_id: str, path: str, kind: str | None, text: str | None, blob: str | None
) -> Any:
    """Return the output of a run, for an empty path, or of its task at a path; see `output`.

    Raises:
        UnreadableValueError: The output cannot be decoded here; the message names its run or task,
            and what to do.
    """
    try:
        return load(journal, kind, text, blob)
    except UnreadableValueError as error:
        raise explain(journal, error, run_id, path) from None


def preview(kind: str | None, text: str | None) -> str:
    """Return the public preview of a hidden output, as JSON.

    The row of a pickle has only the signature, so the preview is a placeholder.
    """
    return REDACTED_JSON if kind == "pickle" else text or REDACTED_JSON


def environment_row(run_id: str) -> EnvironmentRow:
    """Return the current Python and libraries, on which a run's pickles may depend, as a row."""
    modules = orjson.dumps(versions()).decode()
    return EnvironmentRow(run_id, clock.micros(), python(), modules)


def explain(
    journal: Journal, error: UnreadableValueError, run_id: str, path: str
) -> UnreadableValueError:
    """Return the error with the run or task of the output, and what to do about it."""
    task = f"task {path!r} of " if path else ""
    sentences = [f"{error} It is the output of {task}run {run_id}."]
    file = shared_file(journal)
    if isinstance(error, UntrustedValueError):
        run = repr(run_id) if file is None else f"nb.open({str(file)!r}).get_run({run_id!r})"
        sentences.append(f"If you trust whoever made it, nb.trust({run}) lets it be loaded.")
    elif differences := _describe_differences(journal, run_id):
        sentences.append(f"It was recorded with {differences}.")
    if file is not None:
        sentences.append(
            f"To compute it again, choose a home of your own, nb.import_run({str(file)!r}), and"
        )
    reset = f"reset the task with nb.get_run({run_id!r}).reset({path!r}), or " if path else ""
    start = f"{reset}start a new run (new=True, or --new)."
    sentences.append(start if file is not None else f"To compute it again, {start}")
    return type(error)(" ".join(sentences))


def shared_file(journal: Journal) -> Path | None:
    """Return the shared file that a journal reads; None if it is that of a home, or in memory."""
    home: Path | None = getattr(journal, "home", None)  # not in the protocol
    return home if home is not None and is_shared(home) else None


def _describe_differences(journal: Journal, run_id: str) -> str:
    """Return how this process differs from the one that recorded a run; empty if it does not."""
    rows = journal.find("environment", run_id=run_id)
    if not rows:
        return ""

    latest = max(rows, key=lambda row: row.recorded_us)
    return differences(latest.python, orjson.loads(latest.modules))
