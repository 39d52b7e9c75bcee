"""The example that all began with: a new user's event, a look into a database, a welcome mail, a
wait of three hours, a long task of one's own - killed between any two writes of the journal."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.integrations import DuckDB, Resend
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import Crash, CrashingJournal, FakeClock, use_journal
from tests.servers import Answer, Asked, Server, serving
from tests.thorough import only_thorough

_MOST_WRITES = 60


class Mails:
    """A stand-in for Resend: as that does, it delivers what has one idempotency key once."""

    def __init__(self) -> None:
        self.delivered: dict[str, Any] = {}
        self.wrong: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        if (asked.method, asked.path) != ("POST", "/emails"):
            self.wrong.append(f"{asked.method} {asked.path}")
        if asked.headers.get("authorization") != "Bearer re_123":
            self.wrong.append("the key")
        mail = asked.json()
        if set(mail) != {"from", "to", "subject", "html"}:
            self.wrong.append(f"the mail: {mail}")
        self.delivered.setdefault(asked.headers["idempotency-key"], mail)
        return Answer(200, {"id": f"mail-{len(self.delivered)}"})


def define(db: Path, server: Server, long: list[str]) -> nb.Job:
    @nb.job(
        "new-user",
        version="1.0.0",
        trigger=nb.event_trigger("user.created", schema=dict[str, int]),
        integrations={
            "db": DuckDB(db, read_only=True),
            "resend": Resend("re_123", api_url=server.url, retry=2),
        },
    )
    def new_user(payload: dict[str, int], io: Any) -> str:
        def work() -> str:
            for step in ("prepare", "compute"):
                io.run_task(step, long.append, step)
            return "worked"

        users = io.db.query("find user", "select * from users where id = ?", [payload["id"]])
        user = users.to_dict("records")[0]
        mail = {"from": "us@example.org", "to": user["email"], "subject": "Hi", "html": "Welcome"}
        sent = io.resend.emails.send("welcome mail", mail)
        io.wait("three hours", 3 * 3600)
        done = io.run_task("long task", work)
        return f"{done}, {sent['id']}"

    return new_user


@pytest.fixture
def db(tmp_path: Path) -> Path:
    import duckdb

    path = tmp_path / "users.duckdb"
    with duckdb.connect(path) as con:
        con.execute("create table users as select 7 as id, 'ada@example.org' as email")
    return path


@pytest.mark.slow
def test_it_runs_from_the_event_to_the_end(db: Path):
    mails, long = Mails(), list[str]()
    with FakeClock() as clock, serving(mails) as server:
        define(db, server, long)
        began = clock.now()

        (run,) = nb.send_event("user.created", {"id": 7}).runs

        assert run.output == "worked, mail-1"
        assert (clock.now() - began).total_seconds() == 3 * 3600
    assert [mail["to"] for mail in mails.delivered.values()] == ["ada@example.org"]
    assert mails.wrong == []
    assert long == ["prepare", "compute"]
    assert run.tasks().path.tolist() == [
        "find user", "welcome mail", "three hours", "long task", "long task/prepare",
        "long task/compute",
    ]  # fmt: skip
    assert run.tasks().name.tolist()[:2] == ["db.query", "resend.emails.send"]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@only_thorough
def test_killed_at_any_write_it_sends_one_mail(db: Path, when: Any):
    lives = 0
    for at in range(1, _MOST_WRITES):
        mails, long, kept = Mails(), list[str](), MemoryJournal()
        with FakeClock(), serving(mails) as server:
            crashed = _live(kept, partial(define, db, server, long), at=at, when=when)
            acknowledged = kept.find("task", path="welcome mail", status="COMPLETED")
            asked = len(server.asked)
            if crashed:
                lives += 1
                assert not _live(kept, partial(define, db, server, long))

            (run,) = kept.runs()
            assert (run.status, run.output) == ("COMPLETED", '"worked, mail-1"')
            assert len(mails.delivered) == 1
            if acknowledged:
                assert len(server.asked) == asked == 1, "sent again, though that was recorded"
            assert mails.wrong == []
            assert sorted(set(long)) == ["compute", "prepare"]
        if not crashed:
            assert lives > 12  # writes
            return
    raise AssertionError("it has more writes than that")


def _live(kept: MemoryJournal, define: Any, *, at: int = 0, when: Any = "before") -> bool:
    """One life of a process, in which the event is sent; whether it crashed."""
    with use_journal(CrashingJournal(kept, at=at, when=when)):
        define()
        try:
            nb.send_event("user.created", {"id": 7}, id="user-7")
        except Crash:
            return True
    return False
