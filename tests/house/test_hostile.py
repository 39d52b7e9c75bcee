"""Hostile homes and shared files, as a stranger may have made them.

To open, list, draw, export and query them runs nothing, reads nothing beside them, and says what
was refused.
"""

from __future__ import annotations

import base64
import builtins
import contextlib
import importlib
import json
import json.tool
import os
import random
import shutil
import struct
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pytest

import nbtasks as nb
from nbtasks.core.model import DisplayRow, LogRow, RunRow, TaskRow, WakeRow, columns, values
from nbtasks.core.model import record as record_of
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.protocol import RecordedOutputs
from nbtasks.journal.wal import FORMAT, encode_line
from nbtasks.notebook.objects import process_settings
from nbtasks.notebook.task_cells.restoring import Known, Restorer, as_record
from nbtasks.values import codec, pickles, signing
from nbtasks.values.content import LazyBytes
from nbtasks.views.echo import Echo, recorded
from tests.thorough import only_thorough, variants

TRAPS: list[str] = []
CANARY = "the canary sings"


def spring(what: str) -> str:
    """Note that a trap was sprung."""
    TRAPS.append(what)
    return what


class Trap:
    """Its pickle runs code where it is loaded."""

    def __reduce__(self) -> Any:
        return spring, ("a pickle was loaded",)


@pytest.fixture(autouse=True)
def _traps() -> Any:
    TRAPS.clear()
    yield
    nb.configure(home=None)
    assert TRAPS == []


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that nobody has to do with."""
    path = tmp_path / "canary.txt"
    path.write_text(CANARY)
    return path


HTML = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
SQL = "'; drop table run; select read_text('/etc/passwd'); --"
ODD = "\x1b[2J\u202eevil\ud800"


def pickled() -> str:
    import cloudpickle

    data = base64.b64encode(cloudpickle.dumps(Trap())).decode()
    return f"{'0' * 64}:{data}"


def nasty_rows() -> list[Any]:
    """A run whose every text is meant to do harm."""
    text = HTML + SQL
    failure = json.dumps({"type": text, "module": "os", "message": text, "traceback": text})
    run = RunRow(
        "01hostile", text, text, text, text, status="FAILED", started_us=1, finished_us=2,
        executions=1, payload=json.dumps(text), payload_kind="json", output=pickled(),
        output_kind="pickle", error=failure, source=text, notebook=text, host=text, pid=1,
        trigger=text,
    )  # fmt: skip
    task = TaskRow(
        "01hostile", text.replace("/", "%2F"), 1, text, status="FAILED", attempts=1, attempt=1,
        started_us=1, finished_us=2, attempt_us=1, params=json.dumps([text]), error=failure,
        output=pickled(), output_kind="pickle", stale=text, icon=text,
        metrics=json.dumps({text: 1}), properties=json.dumps({text: text}),
    )  # fmt: skip
    done = TaskRow(
        "01hostile", "done", 2, status="COMPLETED", attempts=1, attempt=1, started_us=1,
        finished_us=2, output=pickled(), output_kind="pickle",
    )  # fmt: skip
    log = LogRow("01hostile", "done", 1, 1, text, text, json.dumps({text: text}))
    printed = LogRow("01hostile", "done", 1, 1, "print", text)
    shown = dict.fromkeys(("text/html", "text/plain", "image/png", "image/svg+xml", text), text)
    display = json.dumps([shown, {"image/png": {"width": text}}, "0" * 64])
    displays = [
        DisplayRow("01hostile", "done", 1, number, record)
        for number, record in enumerate([display, '{"a": [', "[[], 3]", None, display])
    ]
    return [run, task, done, log, printed, *displays]


def look_at_all() -> str:
    """Opens, lists, draws, exports and queries; gives what is seen."""
    run = nb.last_run()
    seen = [frame.to_csv() for frame in (nb.runs(), nb.tasks(), nb.attempts(), nb.logs())]
    tree = run.tree()
    html = tree._repr_mimebundle_()["text/html"]
    assert "<script" not in html
    assert "<img" not in html
    seen += [str(tree), repr(run), repr(run.error), str(nb.sql("select * from tasks"))]
    row = runtime.journal.runs(run_id=run.id)[0]
    shown = recorded(runtime.journal, row, RecordedOutputs(), ["done"], lambda _: [])
    echo = Echo(runtime.journal, run.id, shown, 9)
    assert "<script" not in echo.html()
    assert echo.html().count("<img") == echo.html().count('<img src="data:image/') == 1
    assert echo.apart == []
    seen += [echo.text(), echo.html()]
    nb.export_run(run, "copy.nbrun")
    nb.trust(run, dry_run=True)
    return "".join(seen)


# -- homes -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with that run in its DuckDB file."""
    path = tmp_path_factory.mktemp("made") / "hostile"
    journal = HomeJournal(path)
    journal.transact(lambda _: [WakeRow("01hostile", 1)])
    assert journal.runs() == []
    journal.close()
    with duckdb.connect(str(path / "journal.duckdb")) as con:
        for row in nasty_rows():
            places = ", ".join("?" * len(columns(row.kind)))
            con.execute(f"insert into {row.kind} values ({places})", values(row))
    shutil.rmtree(path / "wal")
    return path


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that home, in force."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "hostile")
    nb.configure(home=tmp_path / "hostile")
    return tmp_path / "hostile"


def in_file(home: Path, *statements: str) -> None:
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        for statement in statements:
            con.execute(statement)


def test_texts_of_a_home_are_texts(home):
    seen = look_at_all()

    assert "drop table run" in seen
    assert len(nb.runs()) == 1


def test_a_pickle_of_a_home_is_not_loaded(home):
    run = nb.last_run()

    for ask in (lambda: run.output, lambda: run["done"]):
        with pytest.raises(nb.UntrustedValueError, match=r"test_hostile\.spring"):
            ask()


@pytest.mark.slow
@pytest.mark.parametrize("column", ["error", "params", "metrics", "properties"])
@pytest.mark.parametrize("text", ["{", "[]", "null", '{"type": 1, "message": [1]}', "\x00"])
def test_json_of_a_home_that_is_none_does_no_harm(home, column, text):
    in_file(home, f"update task set {column} = '{text}'".replace("\x00", "chr(0)"))
    if column == "error":
        in_file(home, f"update run set {column} = '{text}'")

    run = nb.last_run()
    assert len(nb.tasks()) == 2
    assert "done" in str(run.tree())
    assert run.tree()._repr_mimebundle_()["text/html"]
    assert len(nb.attempts()) >= 1


@pytest.mark.slow
def test_macros_in_the_place_of_functions_read_nothing(home, canary):
    names = ("list_contains", "coalesce", "count_star", "make_timestamptz", "contains", "unnest",
             "regexp_replace", "split_part", "json_valid", "to_microseconds")  # fmt: skip
    reads = f"(select content from read_text('{canary}'))"
    for name in names:
        for arguments in ("", "a", "a, b", "a, b, c"):
            with duckdb.connect(str(home / "journal.duckdb")) as con:
                try:
                    con.execute(f"create macro {name}({arguments}) as {reads}")
                except duckdb.Error:
                    continue
                break

    def read(ask: Callable[[], Any]) -> str:
        try:
            return str(ask())
        except nb.JournalError as error:
            return str(error)

    run = nb.last_run()
    for ask in (nb.runs, nb.tasks, nb.logs, run.tree, lambda: run.status, nb.doctor):
        assert CANARY not in read(ask)

    # And to take a run of it.
    @nb.job("mine")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("answer", int, "42")

    assert body.run().output == 42
    assert CANARY not in "".join(str(row) for row in runtime.journal.tasks(nb.last_run().id))
    assert "macro" in nb.doctor().query("state == 'problem'").detail.iloc[0]
    mended = nb.doctor(repair=True)
    assert "repaired" in set(mended.state)
    assert set(nb.doctor().state) == {"ok"}
    assert len(nb.runs()) == 2
    assert list(home.glob("*.bak"))


@only_thorough
@pytest.mark.slow
def test_what_executes_runs_calls_no_function_that_may_be_a_macro(home):
    """Of DuckDB's own functions all whose names a macro can take raise an error when called."""
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        found = con.execute("select distinct function_name from duckdb_functions()").fetchall()
        taken = set()
        for (name,) in found:
            if name.isidentifier() and name != "error":
                with contextlib.suppress(duckdb.Error):
                    con.execute(f"create macro \"{name}\"(a, b) as error('called')")
                    taken.add(name)
        with pytest.raises(duckdb.Error, match="called"):
            con.execute("select list_contains([1], 2)")
    assert {"count_star", "list_contains", "make_timestamptz", "json_valid", "min"} <= taken

    @nb.job("mine")
    def body(io: nb.SyncIO) -> int:
        io.store.job.set("keep", "last", 7)
        return sum(io.map("double", lambda n: 2 * n, range(3)))

    assert body.run().output == 6
    run = body.run()
    assert (run.executions, run.status) == (2, "COMPLETED")
    assert run["double"] == [0, 2, 4]
    run.reset("double")
    assert body.run().output == 6
    str(run.tree())
    nb.export_run(run, "copy.nbrun")
    assert "macro" in nb.doctor().detail.str.cat()
    assert len(nb.gc()) == 0
    nb.doctor(repair=True)
    assert len(nb.runs()) == 2


def test_views_that_read_other_files_read_nothing(home, canary):
    in_file(
        home,
        "drop view runs",
        f"create view runs as select content as run_id, now() as started_at, 'x' as job "
        f"from read_text('{canary}')",
    )

    with pytest.raises(nb.JournalError, match=r"disabled by configuration"):
        nb.runs()
    assert "another view runs" in nb.doctor().detail.str.cat()
    nb.doctor(repair=True)
    assert nb.runs().run_id.tolist() == ["01hostile"]


@pytest.mark.parametrize("table", ["run", "task", "meta", "segment", "log"])
def test_views_in_the_place_of_tables_are_asked_nothing(home, canary, table):
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        for (view,) in con.execute(
            "select view_name from duckdb_views() where not internal"
        ).fetchall():
            con.execute(f"drop view if exists {view}")
        con.execute(f"alter table {table} rename to hidden")
        con.execute(f"create view {table} as select content from read_text('{canary}')")

    for ask in (nb.runs, runtime.journal.runs, nb.last_run):
        with pytest.raises(nb.JournalError) as caught:
            ask()
        assert CANARY not in str(caught.value)
    assert "problem" in set(nb.doctor().state)


def test_a_query_reads_nothing_beside_the_journal(home, canary, tmp_path):
    for query in (
        f"select * from read_text('{canary}')",
        f"select * from '{canary}'",
        f"select * from read_csv('{canary}')",
        f"select * from glob('{tmp_path}/*')",
        "select * from read_parquet('http://127.0.0.1:9/x')",
    ):
        with pytest.raises(nb.JournalError) as caught:
            nb.sql(query)
        assert CANARY not in str(caught.value)
    for statement in (
        f"attach '{tmp_path}/other.db'",
        f"copy run to '{tmp_path}/out.csv'",
        "set enable_external_access = true",
        "install httpfs",
    ):
        with pytest.raises(nb.JournalError):
            nb.sql(statement)
    assert not list(tmp_path.glob("o*.*"))


@pytest.mark.parametrize("name", ["../../canary.txt", "/etc/passwd", "", "0" * 39, "G" * 40])
def test_a_value_that_names_another_file_is_refused(home, canary, name):
    in_file(home, f"update task set output_kind = 'json', blob = '{name}'")

    with pytest.raises(nb.UnreadableValueError, match="names an impossible file"):
        nb.last_run()["done"]


def test_a_value_that_links_elsewhere_is_not_read(home, canary):
    name = LazyBytes.of(b'"mine"').hash()
    folder = home / "blobs" / name[:2]
    folder.mkdir(parents=True)
    (folder / name).symlink_to(canary)
    in_file(home, f"update task set output_kind = 'json', output = null, blob = '{name}'")

    with pytest.raises(nb.UnreadableValueError, match="was changed"):
        nb.last_run()["done"]


@pytest.mark.parametrize(
    "value",
    [
        {"$dataclass": ["antigravity", "x", {}]},
        {"$enum": ["this", "s", "x"]},
        {"$model": ["os", "system", [{}, None, []]]},
        {"$dataclass": ["os", "system", {}]},
        {"$flag": ["subprocess", "Popen", 1]},
        {"$path": ["os", "x"]},
        {"$path": ["_getuid", "x"]},
        {"$secret": ["BaseModel", {}]},
        {"$npy": base64.b64encode(b"\x93NUMPY\x01\x00").decode()},
        {"$pandas": [{"of": "frame"}, ""]},
        {"$codec": ["builtins.eval", "1"]},
        {"$scalar": ["O", "x"]},
        {"$unknown": 1},
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_a_tagged_value_imports_and_calls_nothing(home, value, monkeypatch):
    text = orjson.dumps(value).decode().replace("'", "''")
    in_file(home, f"update task set output_kind = 'tagged', output = '{text}'")
    run = nb.last_run()
    imported: list[str] = []
    real = builtins.__import__

    def watching(name: str, *rest: Any) -> Any:
        imported.append(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", watching)
    with pytest.raises(nb.UnreadableValueError):
        run["done"]
    assert not {"antigravity", "this"} & set(imported)


def test_an_error_of_a_home_imports_nothing(home, monkeypatch):
    import sys

    failure = json.dumps({"type": "X", "module": "antigravity", "message": "m", "traceback": ""})
    in_file(home, f"update task set error = '{failure}', status = 'FAILED', fatal = false")
    monkeypatch.delitem(sys.modules, "antigravity", raising=False)

    str(nb.last_run().tree())
    nb.export_run(nb.last_run(), "copy")

    assert "antigravity" not in sys.modules


def test_segments_of_a_home_may_hold_anything(home):
    header = {"format": FORMAT, "host": "x", "pid": 1, "columns": {}}
    rows = [encode_line(record_of(row)) for row in nasty_rows()]
    garbage = [
        b"\x00\xff" * 50 + b"\n",
        b"deadbeef []\n",
        encode_line(["task", 1]),
        encode_line(["macro", HTML]),
    ]
    (home / "wal").mkdir()
    (home / "wal" / "01evil.log").write_bytes(
        b"".join([encode_line(["segment", header]), *rows[:2]])
    )
    (home / "wal" / "02evil.log").write_bytes(
        b"".join([encode_line(["segment", header]), *garbage])
    )
    for path in (home / "wal").iterdir():
        os.utime(path, (1, 1))  # their owner on another machine has not been heard of for long

    with pytest.warns(nb.JournalDamaged) as told:
        frame = nb.runs()

    assert frame.run_id.tolist() == ["01hostile"]
    assert len(told) == 3  # two lines of garbage, and a task that is none
    assert [path.name for path in (home / "wal").glob("*.damaged")] == ["02evil.damaged"]


@pytest.mark.parametrize(
    "record",
    [
        ["task", ["no", "text"], "path"],
        ["run", "01x"],
        ["run", "01x", *[None] * 26],
        ["task", "01x", "path", "no number", *[None] * 30],
        ["event", "id", "no number", "name"],
        [["no", "kind"], 1],
        [{"no": "kind"}],
        ["log", "01x", "", 2**63, 1, "info", "message", None],
    ],
    ids=str,
)
def test_a_record_that_is_no_row_is_damage_and_the_others_are_taken(home, record):
    rows = [encode_line(record_of(row)) for row in nasty_rows()]
    lines = [encode_line(["segment", {"format": FORMAT}]), *rows[:2], encode_line(record), rows[3]]
    (home / "wal").mkdir()
    (home / "wal" / "01evil.log").write_bytes(b"".join(lines))

    with pytest.warns(nb.JournalDamaged, match=f"{len(lines[3])} unreadable bytes"):
        frame = nb.logs()

    assert len(frame) == 3  # those of the file, and that of the segment
    assert [path.name for path in (home / "wal").iterdir()] == ["01evil.damaged"]


# -- shared files ----------------------------------------------------------------------------------


def shared(
    path: Path,
    rows: list[Any] | None = None,
    blobs: dict[str, bytes] | None = None,
    manifest: Any = None,
    journal: bytes | None = None,
) -> Path:
    """A shared file, as somebody may have made it."""
    header = {"format": FORMAT, "columns": {row.kind: columns(row.kind) for row in nasty_rows()}}
    lines = [encode_line(["segment", header]), *(encode_line(record_of(row)) for row in rows or [])]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", orjson.dumps(manifest or {"format": FORMAT, "runs": []}))
        file.writestr("journal.log", b"".join(lines) if journal is None else journal)
        for name, data in (blobs or {}).items():
            file.writestr(name, data)
    return path


def good() -> RunRow:
    return RunRow("01good", "job", "job", "1", "k", status="COMPLETED", started_us=1, executions=1)


def test_texts_of_a_shared_file_are_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = shared(tmp_path / "hostile.nbrun", nasty_rows())

    opened = nb.open(file)
    assert "drop table run" in opened.tasks().to_csv()
    html = opened.tree()._repr_mimebundle_()["text/html"]
    assert "<script" not in html
    assert "<img" not in html
    with pytest.raises(nb.UntrustedValueError):
        opened.last_run()["done"]
    nb.import_run(file)
    look_at_all()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "path traversal": ({"blobs": {"blobs/../../evil": b"x"}}, "not part of a shared run"),
    "an absolute path": ({"blobs": {"/etc/cron.d/evil": b"x"}}, "not part of a shared run"),
    "a drive": ({"blobs": {"C:\\evil": b"x"}}, "not part of a shared run"),
    "another file": ({"blobs": {"setup.py": b"x"}}, "not part of a shared run"),
    "a folder": ({"blobs": {"blobs/": b""}}, "not part of a shared run"),
    "a blob of no hash": ({"blobs": {"blobs/" + "z" * 40: b"x"}}, "not part of a shared run"),
    "no manifest": ({"manifest": "text"}, "manifest is invalid"),
    "no header": ({"journal": b""}, "has no header"),
    "garbage for rows": ({"journal": b"garbage\n"}, "has no header"),
    "a row of no kind": ({"journal": b"", "kinds": ["macro", 1]}, "'macro'"),
    "a row that is too short": ({"journal": b"", "kinds": ["run", "x"]}, "of 1 values"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_shared_file_is_refused_as_a_whole(tmp_path, what):
    given, why = REFUSED[what]
    given = dict(given)
    if (odd := given.pop("kinds", None)) is not None:
        given["journal"] = encode_line(["segment", {"format": FORMAT}]) + encode_line(odd)
    file = shared(tmp_path / "hostile.nbrun", [good()], **given)

    for read in (nb.open, nb.import_run):
        with pytest.raises(nb.SharedFileError, match="is refused") as caught:
            read(file)
        assert why in str(caught.value)
    assert nb.runs().empty
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["hostile.nbrun"]


WRONG: dict[str, dict[str, Any]] = {
    "a status that is none": {"status": "EVIL"},
    "a number that is text": {"started_us": "1"},
    "a text that is a number": {"job": 1},
    "a number without end": {"executions": 2**40},
    "an id with a path": {"run_id": "../../x"},
    "a blob with a path": {"output_kind": "json", "blob": "../../canary.txt"},
    "an error that is no JSON": {"error": "{"},
    "an error that is no failure": {"error": "[]"},
    "a truth that is none": {"hidden": 1},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_row_that_cannot_be_is_refused(tmp_path, what):
    row = good()
    for name, value in WRONG[what].items():
        setattr(row, name, value)
    file = shared(tmp_path / "hostile.nbrun", [row])

    with pytest.raises(nb.SharedFileError, match=r"line 2 of its journal: the \w+ of a run"):
        nb.open(file)


def test_rows_of_runs_that_are_not_there_are_refused(tmp_path):
    file = shared(tmp_path / "hostile.nbrun", [good(), TaskRow("another", "x", 1)])

    with pytest.raises(nb.SharedFileError, match="a task of a run that it does not contain"):
        nb.open(file)


def test_a_link_in_a_shared_file_is_no_link(tmp_path, canary):
    name = LazyBytes.of(b'"mine"').hash()
    file = tmp_path / "hostile.nbrun"
    done = nasty_rows()[2]
    done.run_id, done.output, done.output_kind, done.blob = "01good", None, "json", name
    shared(file, [good(), done])
    with zipfile.ZipFile(file, "a") as members:
        about = zipfile.ZipInfo(f"blobs/{name}")
        about.external_attr = 0o120777 << 16  # a symbolic link
        members.writestr(about, str(canary))

    for read in (nb.open(file).last_run().__getitem__, lambda _: nb.import_run(file)):
        with pytest.raises(nb.UnreadableValueError, match="does not match its name"):
            read("done")
    assert nb.runs().empty
    assert not any(path.is_symlink() for path in nb.config.home.rglob("*"))


def test_a_bomb_is_not_unpacked(tmp_path):
    file = tmp_path / "bomb.nbrun"
    shared(file, [good()])
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as members,
        members.open("blobs/" + "0" * 40, "w", force_zip64=True) as part,
    ):
        for _ in range(100):
            part.write(bytes(1 << 20))
    assert file.stat().st_size < 200_000

    with pytest.raises(nb.SharedFileError, match="would unpack to 104,857,600 bytes"):
        nb.open(file)


def test_a_member_that_lies_about_its_size_is_refused(tmp_path):
    file = tmp_path / "lie.nbrun"
    shared(file, [good()])
    data = bytearray(file.read_bytes())
    place = data.rindex(b"PK\x01\x02")  # the last entry of the directory: journal.log
    data[place + 24 : place + 28] = struct.pack("<I", 5)
    file.write_bytes(data)

    with pytest.raises(nb.SharedFileError):
        nb.open(file)


def test_two_members_of_one_name_are_refused(tmp_path):
    file = shared(tmp_path / "twice.nbrun", [good()])
    with zipfile.ZipFile(file, "a") as members, pytest.warns(UserWarning, match="Duplicate"):
        members.writestr("journal.log", "")

    with pytest.raises(nb.SharedFileError, match="twice"):
        nb.open(file)


@pytest.mark.parametrize("content", [b"", b"PK", b"text", os.urandom(5000)], ids=len)
def test_what_is_no_shared_file_says_so(tmp_path, content):
    file = tmp_path / "none.nbrun"
    file.write_bytes(content)

    with pytest.raises(nb.SharedFileError, match="not a readable ZIP file"):
        nb.open(file)
    with pytest.raises(nb.SharedFileError, match="There is no file"):
        nb.open(tmp_path / "missing.nbrun")


def test_a_newer_shared_file_asks_for_a_newer_nbtasks(tmp_path):
    file = shared(tmp_path / "new.nbrun", [good()], manifest={"format": FORMAT + 1})

    with pytest.raises(nb.JournalFormatError, match="Upgrade"):
        nb.open(file)


# -- signatures ------------------------------------------------------------------------------------


def test_a_signature_of_another_value_is_no_signature_of_this_one(tmp_path):
    """It may have been seen in a run that was shared."""

    @nb.job("signed")
    def body(io: nb.SyncIO) -> None:
        io.run_task("mine", lambda: np.array([{1}], dtype=object))

    body.run()
    signature = str(nb.sql("select output from task").output[0]).partition(":")[0]
    row = nasty_rows()[2]
    row.output = f"{signature}:{pickled().partition(':')[2]}"
    file = shared(tmp_path / "forged.nbrun", [nasty_rows()[0], row])

    with pytest.raises(nb.UntrustedValueError):
        nb.open(file).last_run()["done"]


@pytest.mark.parametrize("key", [b"", bytes(32), b"k" * 32], ids=["none", "zeros", "another"])
def test_a_signature_by_another_key_is_none(tmp_path, key, monkeypatch):
    import hashlib

    data = base64.b64decode(pickled().partition(":")[2])
    name = LazyBytes.of(data).hash()
    forged = hashlib.blake2b(name.encode(), key=key, digest_size=32).hexdigest()
    row = nasty_rows()[2]
    row.output = f"{forged}:{base64.b64encode(data).decode()}"
    file = shared(tmp_path / "forged.nbrun", [nasty_rows()[0], row])

    assert not signing.verify(name, forged)
    with pytest.raises(nb.UntrustedValueError):
        nb.open(file).last_run()["done"]


# -- at random -------------------------------------------------------------------------------------


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The same with some bytes changed, cut out, doubled, or put elsewhere."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(changed))
        upto = min(len(changed), at + chance.randint(1, 40))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at:upto]
            case 2:
                changed[at:at] = changed[at:upto]
            case _:
                changed[at:upto] = bytes(chance.randrange(256) for _ in range(upto - at))
        if not changed:
            return b""
    return bytes(changed)


@pytest.mark.parametrize("seed", variants(0, 1))
def test_shared_files_with_any_damage_are_read_or_refused(tmp_path, seed):
    chance = random.Random(seed)
    blob = LazyBytes.of(b'"large"')
    done = nasty_rows()[2]
    done.output, done.output_kind, done.blob = None, "json", blob.hash()
    whole = shared(
        tmp_path / "whole.nbrun",
        [*nasty_rows()[:2], done, nasty_rows()[3]],
        {f"blobs/{blob.hash()}": bytes(blob)},
    ).read_bytes()
    file = tmp_path / "damaged.nbrun"
    for _ in range(60):
        file.write_bytes(mutated(whole, chance))
        try:
            opened = nb.open(file)
            opened.tasks().to_csv()
            str(opened.tree())
            opened.last_run()["done"]
        except nb.NbtasksError:
            pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::nbtasks.JournalDamaged")
@pytest.mark.parametrize("seed", variants(0, 1))
@only_thorough
def test_segments_with_any_damage_are_read_or_refused(tmp_path, seed):
    chance = random.Random(seed)
    header = {"format": FORMAT, "host": "x", "pid": 1, "process_start": None,
              "columns": {row.kind: columns(row.kind) for row in nasty_rows()}}  # fmt: skip
    whole = b"".join(
        [encode_line(["segment", header]), *(encode_line(record_of(row)) for row in nasty_rows())]
    )
    for number in range(12):
        home = tmp_path / str(number)
        (home / "wal").mkdir(parents=True)
        (home / "wal" / "01.log").write_bytes(mutated(whole, chance))
        nb.configure(home=home)
        try:
            nb.tasks().to_csv()
            nb.doctor()
        except nb.NbtasksError:
            pass


# -- %%task cells ----------------------------------------------------------------------------------

NO_FACTS: dict[str, Any] = {
    "definitions": [], "reads": {}, "inputs": {}, "aliases": {}, "changed": [], "moved": {},
    "positions": {}, "deleted": [], "value": None, "plots": None, "contents": {}, "attributes": [],
}  # fmt: skip


@pytest.fixture
def trapped_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of a loaded package that springs a trap when it is imported."""
    folder = tmp_path / "trapped"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "inner.py").write_text(f"from {__name__} import spring\nspring('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("trapped")
    return "trapped.inner"


def restored(groups: list[Any], namespace: dict[str, Any], known: set[str], **facts: Any) -> Any:
    """The last value of a record that is restored into a namespace."""
    text = orjson.dumps({"$bindings": [groups, NO_FACTS | facts]}).decode()
    record = as_record(codec.decode("bindings", text), "t", known, [])
    restorer = Restorer(record, namespace, Known(known), lambda _, error: error)
    if restorer.wants("def f", ["report", "params", "keep"]):
        assert namespace.keys() >= {"report", "params", "keep"}
        assert namespace["keep"] == 1
    return restorer.finish()


@pytest.mark.parametrize(
    ("groups", "facts"),
    [
        ([], {"modules": {"report": "subprocess", "x": "subprocess"}}),
        ([], {"modules": {"x": "trapped.inner"}}),
        ([], {"aliases": {"report": "params"}}),
        ([], {"aliases": {"x": "report"}}),
        ([], {"deleted": ["report", "keep", "__builtins__"]}),
        ([], {"value": "report"}),
        ([[["params"], ["echo", "pwned"]]], {}),
        ([[["params"], ["echo", "pwned"]]], {"changed": ["params"]}),
        ([[["params", "report"], [1, 2]]], {"changed": ["params", "report"]}),
        ([[["get_ipython"], 1], [["__name__"], "x"]], {}),
        ([[["params"], 1], [["names of executed code"], ["params"]]], {}),
        ([[["settings of the process"], {"sys.path": {"sys.path": ["pwned"]}}]], {}),
        ([[["attribute report.n"], 5], [["attribute x.__class__"], 5]], {}),
        ([], {"attributes": ["attribute report.n", "attribute x.__class__", "attribute", "x"]}),
        (
            [[["part of an input: 0"], {"echo": "pwned"}]],
            {
                "inputs": {"part of an input: 0": ["params", []]},
                "moved": {"part of an input: 0": []},
            },
        ),
        ([], {"positions": {"report": ["end"], "x": ["index", 3], "y": ["closed"]}}),
        (
            [[["def f: params", "def f: keep"], [["echo", "pwned"], 2]]],
            {
                "definitions": ["def f"],
                "reads": {"def f: report": ["before", None], "def f: params": ["changed", "0"]},
            },
        ),
    ],
)
def test_a_record_of_a_cell_reaches_no_name_that_the_cell_does_not_have(
    trapped_package, groups, facts
):
    report, params = Trap(), {"a": 1}
    namespace = {"report": report, "params": params, "keep": 1, "__builtins__": builtins}
    before = dict(namespace)

    value = restored([*groups, [["x"], 1]], namespace, {"x"}, **facts)

    assert value is None
    assert namespace == before | {"x": 1}
    assert namespace["report"] is report
    assert params == {"a": 1}
    assert trapped_package not in sys.modules
    assert "pwned" not in sys.path


def test_a_record_of_a_cell_changes_no_object_of_another_name() -> None:
    params: dict[str, Any] = {"a": 1}
    own: dict[str, Any] = {"p": {}}
    namespace: dict[str, Any] = {"params": params, "x": own}
    moved = {"x": [[[["item", "p"]], ["params", []]]]}

    restored([[["x"], {"p": {"a": "pwned"}}]], namespace, {"x"}, changed=["x"], moved=moved)

    assert namespace["x"] is own
    assert own == {"p": {"a": "pwned"}}
    assert params == {"a": 1}


def test_a_record_of_a_cell_imports_a_module_only_if_it_is_ones_own(trapped_package, monkeypatch):
    import cloudpickle

    def pickled(module: types.ModuleType, sign: Callable[[bytes], str]) -> Any:
        data = cloudpickle.dumps(module)
        return {"$pickle": [sign(data), base64.b64encode(data).decode()]}

    namespace: dict[str, Any] = {}
    restored([[["x"], pickled(json.tool, pickles.sign)]], namespace, {"x"})
    assert namespace["x"] is json.tool

    monkeypatch.setitem(sys.modules, trapped_package, types.ModuleType(trapped_package))
    strange = pickled(sys.modules[trapped_package], lambda _: "0" * 64)
    monkeypatch.delitem(sys.modules, trapped_package)
    with pytest.raises(nb.UntrustedValueError, match=r"subimport"):
        restored([[["x"], strange]], namespace, {"x"})
    assert namespace["x"] is json.tool


def test_settings_of_somebody_else_are_not_set_and_the_cell_says_so(monkeypatch, capsys):
    import cloudpickle

    monkeypatch.setattr(sys, "path", [*sys.path])
    settings = process_settings.Settings(
        {"sys.path": {"sys.path": {"front": ["pwned"], "end": []}}}
    )
    data = cloudpickle.dumps(settings)
    for sign in (lambda _: "0" * 64, pickles.sign):
        assert "pwned" not in sys.path
        pickled = {"$pickle": [sign(data), base64.b64encode(data).decode()]}
        namespace: dict[str, Any] = {}

        restored([[[process_settings.NAME], pickled], [["x"], 1]], namespace, {"x"})

        assert namespace == {"x": 1}
        said = capsys.readouterr().out
        assert ("a setting of a library (it cannot be read here)" in said) is (
            "pwned" not in sys.path
        )
    assert "pwned" in sys.path


@pytest.mark.parametrize(
    "facts",
    [
        None, 5, [], {}, {"definitions": 5}, {"definitions": [[]]}, {"aliases": []},
        {"aliases": {"x": []}}, {"deleted": [{}]}, {"changed": "x"}, {"changed": [None]},
        {"reads": []}, {"inputs": {"x": ["x"]}}, {"inputs": {"x": ["x", [["item"]]]}},
        {"reads": {"def f: x": "own"}}, {"reads": {"def f: x": ["own", 5]}},
        {"value": {}}, {"value": 5}, {"plots": "1"}, {"plots": [1]}, {"contents": []},
        {"contents": {"x": "a"}}, {"shown": {}}, {"attributes": {}}, {"attributes": [5]},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_of_a_cell_that_is_none_says_so(facts):
    whole = NO_FACTS | facts if facts and type(facts) is dict else facts
    text = orjson.dumps({"$bindings": [[[["x"], 1]], whole]}).decode()

    with pytest.raises(nb.UnreadableValueError, match=r"%%task t is damaged.*run\.reset"):
        as_record(codec.decode("bindings", text), "t", {"x"}, [])


@pytest.mark.parametrize(
    "content",
    [5, [], [[]], [5, NO_FACTS], [[5], NO_FACTS], [[[5, 1]], NO_FACTS], [[[[["x"]], 1]], NO_FACTS],
     [[[["x", "y"], [1]]], NO_FACTS], [[[["x"], {"$no": 1}]], NO_FACTS]],
    ids=str,
)  # fmt: skip
def test_values_of_a_cell_that_are_none_say_so(content):
    text = orjson.dumps({"$bindings": content}).decode()

    with pytest.raises(nb.UnreadableValueError, match="cannot be rebuilt"):
        dict(codec.decode("bindings", text))
