"""Values in files of their own: changed, missing, and half written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nbtasks.errors import UnreadableValueError
from nbtasks.values.content import LazyBytes


def flip(path: Path, place: int) -> None:
    """Changes a byte in place, so that whoever has the file open has it too."""
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0xFF]))


def test_a_blob_that_was_changed_is_not_given_out(home, open_home):
    journal = open_home()
    name = journal.put_blob(LazyBytes.of(b"value" * 100))
    (file,) = (path for path in (home / "blobs").rglob("*") if path.is_file())
    flip(file, 7)

    with pytest.raises(UnreadableValueError, match=f"was changed: blobs/{name}"):
        journal.get_blob(name).check()


def test_a_blob_that_is_missing_is_named(home, open_home):
    journal = open_home()
    name = journal.put_blob(LazyBytes.of(b"value" * 100))
    shutil.rmtree(home / "blobs")

    with pytest.raises(UnreadableValueError, match=f"is missing: blobs/{name}"):
        journal.get_blob(name).check()


def test_a_blob_is_written_under_another_name_until_it_is_whole(home, open_home, monkeypatch):
    seen = []
    real = Path.replace

    def replace(draft: Path, target: Path) -> Path:
        seen.append((target.exists(), draft.read_bytes(), home / "blobs" in draft.parents))
        return real(draft, target)

    monkeypatch.setattr(Path, "replace", replace)

    open_home().put_blob(LazyBytes.of(b"value"))

    assert seen == [(False, b"value", True)]
    assert [path.suffix for path in (home / "blobs").rglob("*") if path.is_file()] == [""]
