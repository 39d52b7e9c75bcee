"""Options of public functions: a slip in a name is answered with the nearest one."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb
from nbtasks.errors import NbtasksError

of: Any = nb  # whose calls a type checker refuses
CALLS: dict[str, Any] = {
    "nb.task(...) has no option retri=. Is it retry=?": lambda: of.task(retri=3),
    "nb.job(...) has no option versions=. Is it version=?": lambda: of.job("x", versions="1"),
    "nb.TaskOptions(...) has no option timeou=. Is it timeout=?": (
        lambda: of.TaskOptions(timeou=3)
    ),
    "nb.Retry(...) has no option max_attempts=. Is it attempts=?": lambda: of.Retry(max_attempts=3),
    "nb.gc(...) has no option dryrun=. Is it dry_run=?": lambda: of.gc(dryrun=True),
    "nb.tasks(...) has no option state=. Is it status=?": lambda: of.tasks(state="FAILED"),
    "nb.send_event(...) has no option after=. Its options are: name, payload, id,": (
        lambda: of.send_event("x", after=3)
    ),
    "nb.interval_trigger(...) has no option second=. Is it seconds=?": (
        lambda: of.interval_trigger(second=3)
    ),
    "There is no setting 'hom'. Is it home?": lambda: of.configure(hom="x"),
    "There is no setting 'xyz'. There are: home,": lambda: of.configure(xyz="x"),
}


@pytest.mark.parametrize("said", CALLS)
def test_an_option_that_is_none_is_answered_with_the_nearest(said: str) -> None:
    with pytest.raises((TypeError, NbtasksError)) as refused:
        CALLS[said]()

    assert str(refused.value).startswith(said)


def test_a_field_named_key_of_an_invoked_job_goes_into_the_payload() -> None:
    @nb.job
    def child(key: str) -> str:
        return key

    @nb.job("parent")
    def parent(io: nb.SyncIO) -> str:
        return str(child.invoke_and_wait("k", {"key": "z"}).output)

    fields: Any = {"key": "z"}  # which a type checker refuses, too

    @nb.job("wrong")
    def wrong(io: nb.SyncIO) -> None:
        child.invoke_and_wait("k", **fields)

    assert parent.run().output == "z"
    with pytest.raises(nb.InvalidPayloadError, match=r"child\.invoke_and_wait\('k', payload="):
        wrong.run()
