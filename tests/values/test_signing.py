"""The user's signing key."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.values import signing

SIGN = """
import sys
from nbtasks.values import signing
sys.stdin.readline()
print(signing.sign("content"))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Yield the folder of the key, which is still empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    signing._key.cache_clear()
    yield tmp_path / "nbtasks"
    signing._key.cache_clear()


def forget() -> None:
    """Forget the key, like a new process."""
    signing._key.cache_clear()


def test_what_this_user_signed_is_verified_and_nothing_else(folder: Path):
    signature = signing.sign("content")

    assert signing.verify("content", signature)
    assert not signing.verify("other content", signature)
    assert not signing.verify("content", signature[:-1] + "?")
    assert not signing.verify("content", "")
    assert not signing.verify("content", "é")


def test_the_key_is_made_when_it_is_first_needed_and_read_by_its_owner_alone(folder: Path):
    assert not folder.exists()

    signing.sign("content")

    (key,) = folder.iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(key.read_bytes()) == 32


def test_the_key_stays(folder: Path):
    signature = signing.sign("content")
    forget()

    assert signing.verify("content", signature)


def test_another_users_key_is_another_one(folder: Path, monkeypatch: pytest.MonkeyPatch):
    signature = signing.sign("content")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "of somebody else"))
    forget()

    assert not signing.verify("content", signature)


@pytest.mark.slow
def test_processes_that_start_together_make_one_key(folder: Path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SIGN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:  # all of them stand ready
        assert process.stdin
        process.stdin.write("now\n")
        process.stdin.flush()

    signatures = {process.communicate(timeout=60)[0] for process in processes}

    assert signatures == {signing.sign("content") + "\n"}
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("torn", [b"", b"half of it"])
def test_a_key_whose_writing_was_cut_short_is_made_anew(folder: Path, torn: bytes):
    folder.mkdir()
    (folder / "signing.key").write_bytes(torn)

    signature = signing.sign("content")
    forget()

    assert signing.verify("content", signature)
    assert len(list(folder.iterdir())) == 1


def test_a_folder_without_hard_links_gets_a_key_too(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Some network and memory-card file systems have none."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    signature = signing.sign("content")
    forget()

    assert signing.verify("content", signature)
    assert len(list(folder.iterdir())) == 1


# -- where the user's data folder cannot be made ---------------------------------------------------


@pytest.fixture
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Yield the folder that stands in for a data folder that cannot be made."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file" / "data"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    signing._key.cache_clear()
    yield tmp_path / f"nbtasks-{os.getuid()}"
    signing._key.cache_clear()


def test_the_key_is_beside_temporary_files_where_the_data_folder_cannot_be_made(spare: Path):
    with pytest.warns(RuntimeWarning, match="XDG_DATA_HOME") as warned:
        signature = signing.sign("content")

    assert str(spare) in str(warned[0].message)
    assert spare.stat().st_mode & 0o777 == 0o700
    assert (spare / "signing.key").stat().st_mode & 0o777 == 0o600
    assert signing.verify("content", signature)
    assert not signing.verify("other content", signature)


def test_what_the_spare_key_signed_is_read_when_there_is_a_data_folder(
    spare: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.warns(RuntimeWarning):
        signature = signing.sign("content")
    monkeypatch.setenv("XDG_DATA_HOME", str(spare.parent / "data"))
    forget()

    assert signing.sign("content") != signature
    assert signing.verify("content", signature)


def test_trust_is_kept_beside_temporary_files_too(spare: Path):
    signing.trust(["content"])

    with pytest.warns(RuntimeWarning):
        assert signing.verify("content", "signature of somebody else")


def test_a_key_that_cannot_be_read_is_not_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Something that root made in a user's folder, for example."""
    monkeypatch.setenv("TMPDIR", str(folder.parent))
    (folder / "signing.key").mkdir(parents=True)

    with pytest.warns(RuntimeWarning, match=r"signing\.key"):
        signature = signing.sign("content")

    assert signing.verify("content", signature)
    assert (folder / "signing.key").is_dir()


@pytest.mark.parametrize("made", ["link", "open to others", "file"])
def test_a_spare_folder_that_others_could_have_made_is_not_used(spare: Path, made: str):
    if made == "link":
        (spare.parent / "of somebody else").mkdir(mode=0o700)
        spare.symlink_to(spare.parent / "of somebody else")
    elif made == "file":
        spare.write_text("")
    else:
        spare.mkdir()
        spare.chmod(0o777)

    with pytest.raises(nb.ValueNotKeptError, match="XDG_DATA_HOME"):
        signing.sign("content")
    with pytest.raises(nb.JournalWriteError, match="XDG_DATA_HOME"):
        signing.trust(["content"])
    assert not signing.verify("content", "signature")


def test_a_user_without_a_home_has_no_key_in_the_working_directory(
    spare: Path, monkeypatch: pytest.MonkeyPatch
):
    """A foreign uid in a container has neither $HOME nor an entry in the list of users."""
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: "~/.local/share/nbtasks")
    monkeypatch.chdir(spare.parent)

    with pytest.warns(RuntimeWarning, match="The user has no home"):
        signature = signing.sign("content")

    assert signing.verify("content", signature)
    assert not (spare.parent / "~").exists()


def test_a_task_whose_value_needs_the_key_is_kept_where_the_data_folder_cannot_be_made(spare: Path):
    @nb.job("count")
    def body(io: nb.SyncIO) -> Counter[str]:
        return io.run_task("count", Counter, "aab")

    with pytest.warns(RuntimeWarning, match="XDG_DATA_HOME"):
        body.run()

    assert body.run().output == Counter("aab")
