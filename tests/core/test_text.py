"""Texts that are not valid Unicode, such as the name of a file in another encoding."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import text

NAME = os.fsdecode(b"caf\xe9.csv")


def in_run(call: Callable[[nb.SyncIO], Any]) -> Callable[[], Any]:
    """Return a function that makes a call of io in a run of its own."""
    return lambda: nb.job("calls")(call).run()


def in_last_run(call: Callable[[nb.Run], Any]) -> Callable[[], Any]:
    return lambda: call(nb.last_run())


ENTRANCES: dict[str, Callable[[], Any]] = {
    "key": lambda: nb.job("j")(lambda io: 1).run(key=NAME),
    "id of a job": lambda: nb.job(NAME)(lambda io: 1),
    "version": lambda: nb.job("j", version=NAME)(lambda io: 1),
    "name of a job": lambda: nb.job("j", name=NAME)(lambda io: 1),
    "name of an event": lambda: nb.send_event(NAME),
    "id of an event": lambda: nb.send_event("e", 1, id=NAME),
    "source of an event": lambda: nb.send_event("e", 1, source=NAME),
    "event_trigger": lambda: nb.event_trigger(NAME),
    "event_trigger of several": lambda: nb.event_trigger(["e", NAME]),
    "event_trigger source": lambda: nb.event_trigger("e", source=NAME),
    "get_run": lambda: nb.get_run(NAME),
    "last_run": lambda: nb.last_run(NAME),
    "cancel": lambda: nb.cancel(NAME),
    "tree": lambda: nb.tree(NAME),
    "watch": lambda: nb.watch(NAME),
    "runs": lambda: nb.runs(NAME),
    "tasks": lambda: nb.tasks(NAME),
    "attempts": lambda: nb.attempts(NAME),
    "logs": lambda: nb.logs(NAME),
    "compare": lambda: nb.compare(nb.last_run(), NAME),
    "export_run": lambda: nb.export_run(NAME, "a.nbrun"),
    "trust": lambda: nb.trust(NAME),
    "sql": lambda: nb.sql(f"select '{NAME}'"),
    "sql params": lambda: nb.sql("select $1", [NAME]),
    "sql named params": lambda: nb.sql("select $name", {"name": NAME}),
    "path": in_last_run(lambda run: run[NAME]),
    "set": in_last_run(lambda run: run.set(NAME, 1)),
    "skip": in_last_run(lambda run: run.skip(f"a/{NAME}")),
    "reset": in_last_run(lambda run: run.reset(NAME)),
    "rerun": in_last_run(lambda run: run.rerun(from_=NAME)),
    "fork": in_last_run(lambda run: run.fork(from_=[NAME])),
    "diff": in_last_run(lambda run: run.diff(NAME)),
    "key of a task": in_run(lambda io: io.run_task(NAME, int)),
    "key of an item": in_run(lambda io: io.map("m", str, [NAME], key_of=str)),
    "store.get": in_run(lambda io: io.store.env.get("s", NAME)),
    "store.set": in_run(lambda io: io.store.job.set("s", NAME, 1)),
    "store.has": in_run(lambda io: io.store.run.has("s", NAME)),
    "store.delete": in_run(lambda io: io.store.run.delete("s", NAME)),
    "wait_for_event": in_run(lambda io: io.wait_for_event("w", NAME, timeout=0.1)),
    "wait_for_event source": in_run(lambda io: io.wait_for_event("w", "e", source=NAME)),
    "io.send_event": in_run(lambda io: io.send_event("s", NAME)),
    "io.send_events": in_run(lambda io: io.send_events("s", [("e", 1), (NAME, 1)])),
    "io.get_event": in_run(lambda io: io.get_event("g", NAME)),
    "io.cancel_event": in_run(lambda io: io.cancel_event("c", NAME)),
    "key of a status": in_run(lambda io: io.create_status(NAME, "label")),
    "label of a status": in_run(lambda io: io.create_status("s", NAME)),
    "new label of a status": in_run(lambda io: io.create_status("s", "a").update("u", label=NAME)),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_text_that_is_no_unicode_is_refused_as_such(entrance: str) -> None:
    nb.job("before")(lambda io: io.run_task("a", int, "1")).run()

    with pytest.raises(nb.NbtasksError, match="is not valid Unicode") as refused:
        ENTRANCES[entrance]()

    assert "journal.duckdb" not in str(refused.value)
    assert nb.last_run("before")["a"] == 1


def test_a_home_whose_name_is_no_unicode_is_refused_as_such() -> None:
    nb.configure(home=f"homes/{NAME}")
    with pytest.raises(nb.JournalError, match=r"path of the home, .* is not valid Unicode"):
        nb.runs()


@pytest.mark.slow
def test_values_and_lines_of_the_log_may_hold_any_text() -> None:
    @nb.job("values")
    def body(io: nb.SyncIO) -> str:
        io.logger.info(NAME, name=NAME)
        return io.run_task("name", lambda: NAME)

    assert body.run().output == body.run().output == NAME
    assert nb.logs().message.tolist() == ["caf\\udce9.csv"]


@pytest.mark.parametrize("valid", ["", "café", "日本", "\U0001f600", "a\x00b"])
def test_valid_texts_pass(valid: str) -> None:
    assert text.is_valid(valid)
    text.check("It", valid, nb.NbtasksError)
    text.check("It", 5, nb.NbtasksError)
