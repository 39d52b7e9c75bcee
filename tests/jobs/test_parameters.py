"""Parameters of a job's function: filled by name, whoever starts the run."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pydantic
import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from nbtasks.jobs.worker import Worker
from nbtasks.testing import FakeClock, always_replay, run_job

if TYPE_CHECKING:
    from decimal import Decimal  # so that this annotation cannot be evaluated


class Region(enum.Enum):
    EU = "eu"
    US = "us"


class Order(pydantic.BaseModel):
    item: str
    count: int = pydantic.Field(gt=0)


@dataclass
class Window:
    first: int
    last: int = 12


def report() -> nb.Job:
    @nb.job
    def report(month: int, region: str = "EU", *, io: nb.SyncIO) -> str:
        return io.run_task("write", "{} {}".format, month, region)

    return report


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_payload_io_and_ctx_are_filled_in_any_order_and_only_where_they_are() -> None:
    def last(ctx: nb.Context, io: nb.SyncIO, payload: int) -> Any:
        return [ctx.job.id, io.run_task("one", int, "1"), payload]

    def only_ctx(*, ctx: nb.Context) -> Any:
        return ctx.run.execution

    def only_payload(payload: int) -> Any:
        return payload

    async def nothing() -> str:
        return "nothing"

    assert nb.job(last).run(3).output == ["last", 1, 3]
    assert nb.job(only_ctx).run().output == 1
    assert nb.job(only_payload).run("3").output == 3
    assert nb.job(nothing).run().output == "nothing"


@pytest.mark.slow
def test_every_other_parameter_is_a_field_of_the_payload() -> None:
    job = report()

    assert job.run(month=3).output == "3 EU"
    assert job.run({"month": 4}).output == "4 EU"
    assert job.run(payload={"month": 5}, region="US").output == "5 US"
    assert nb.runs().payload.tolist() == [
        '{"month":5,"region":"US"}', '{"month":4}', '{"month":3}',
    ]  # fmt: skip
    assert 'month=5, region="US"' in str(nb.tree())


def test_a_payload_beside_fields_is_the_whole_of_it() -> None:
    @nb.job
    def both(payload: dict[str, Any], month: int, region: str = "EU") -> Any:
        return [payload, month, region]

    assert both.run(month="3").output == [{"month": "3"}, 3, "EU"]
    assert both.run({"month": 3, "more": 4}).output == [{"month": 3, "more": 4}, 3, "EU"]
    with pytest.raises(nb.InvalidPayloadError, match=r"'regions' \(did you mean region\?\)"):
        both.run(month=3, regions="US")


def test_a_payload_with_a_default_has_it() -> None:
    @nb.job
    def body(payload: dict[str, int] = {"a": 1}) -> Any:  # noqa: B006 - never changed
        return payload

    assert body.run().output == {"a": 1}
    assert body.run({"b": "2"}).output == {"b": 2}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def f(month, /, io): ...", "month is positional-only. Remove the /"),
        ("def f(month=3, /): ...", "month is positional-only"),
        ("def f(io, *months): ...", r"\*months has no names. List the parameters"),
        ("async def f(io, **months: int): ...", r"\*\*months has no names"),
        ("def f(self, io): ...", r"a method.*nb\.job\('x'\)\(object\.method\)"),
        ("def f(io): yield 1", "has a yield"),
        ("async def f(io): yield 1", "has a yield"),
        ("f = 3", "made of a function, not of 3"),
        ("f = dict", "does not reveal its parameters"),
    ],
)
def test_a_function_whose_parameters_cannot_be_filled_is_refused_in_words(
    source: str, problem: str
) -> None:
    names: dict[str, Any] = {}
    exec(source, names)

    with pytest.raises(nb.InvalidJobError, match=f"^Job 'x': .*{problem}"):
        nb.job("x")(names["f"])


class Bound:
    def method(self, month: int) -> int:
        return month

    async def __call__(self, month: int, *, io: nb.AsyncIO) -> int:
        return await io.run_task("double", lambda: month * 2)


@pytest.mark.parametrize(
    ("fn", "output"),
    [
        (Bound().method, 3),
        (Bound(), 6),
        (functools.partial(Bound().method, month=4), 3),
        (functools.partial(lambda factor, month: factor * month, 5), 15),
    ],
    ids=["bound method", "object", "partial with a default", "partial with a given argument"],
)
def test_other_callables_take_fields_too(fn: Callable[..., Any], output: int) -> None:
    assert nb.job("callable")(fn).run(month="3" if isinstance(fn, Bound) else 3).output == output


# -- what does not fit ----------------------------------------------------------------------------

TAKES = r"It takes month: int, region: str = 'EU'\."


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda job: job.run(), "parameter month is missing. " + TAKES),
        (lambda job: job.run(mnth=3), r"no parameter 'mnth' \(did you mean month\?\)\. " + TAKES),
        (
            lambda job: job.run({"month": 3, "regions": 4}),
            r"no parameter 'regions' \(did you mean reg",
        ),
        (lambda job: job.run(month=3, colour="red"), r"no parameter 'colour'\. " + TAKES),
        (lambda job: job.run(month=3, sufend_after=3), "did you mean suspend_after"),
        (lambda job: job.run(month="May"), r"parameter month: .*integer.*\(got 'May'\)\. " + TAKES),
        (lambda job: job.run(region=3), r"parameter month is missing; parameter region: .*string"),
        (lambda job: job.run(3), r"its payload has fields, and 3 has none\."),
        (lambda job: job.run(3, region="EU"), r"payload has fields, and 3 has none\."),
        (
            lambda job: job.run({"month": 3}, month=4),
            r"month is given twice, in the payload and as",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line_before_anything_is_recorded(
    call: Callable[[nb.Job], Any], problem: str
) -> None:
    with pytest.raises(nb.InvalidPayloadError, match=f"^Job 'report': .*{problem}") as refused:
        call(report())

    assert "\n" not in str(refused.value)
    assert nb.runs().empty


def test_a_frame_is_in_one_line_of_a_message() -> None:
    with pytest.raises(nb.InvalidPayloadError, match="and a 0 1 1 2 has none") as refused:
        report().run(pd.DataFrame({"a": [1, 2]}))

    assert "\n" not in str(refused.value)


def test_a_part_of_a_field_is_named_with_its_place() -> None:
    @nb.job
    def buys(orders: list[Order], days: Window) -> Any:
        return [orders[0].count, days.last]

    assert buys.run(orders=[{"item": "pen", "count": "2"}], days={"first": 1}).output == [2, 12]
    with pytest.raises(nb.InvalidPayloadError) as refused:
        buys.run(orders=[Order(item="pen", count=1), {"item": "pen", "count": 0}], days={})
    assert str(refused.value).startswith(
        "Job 'buys': parameter orders.1.count: Input should be greater than 0 (got 0); "
        "parameter days.first: Field required"
    )


def test_an_annotation_that_cannot_be_evaluated_here_leaves_the_others_checked() -> None:
    @nb.job
    def pays(amount: Decimal, times: int) -> Any:
        return [amount, times]

    assert pays.run(amount="1.5", times="2").output == ["1.5", 2]
    with pytest.raises(nb.InvalidPayloadError, match="parameter times: "):
        pays.run(amount="1.5", times="two")


def test_a_job_that_takes_its_payload_as_a_whole_says_so_of_a_keyword() -> None:
    @nb.job
    def whole(payload: dict[str, int]) -> Any:
        return payload

    with pytest.raises(nb.InvalidPayloadError, match=r"as in whole\.run\({'month': 3}\)"):
        whole.run(month=3)
    with pytest.raises(nb.InvalidPayloadError, match=r"'kye' \(did you mean key\?\)"):
        whole.run(kye="today")


def test_a_job_without_a_payload_says_so() -> None:
    @nb.job
    def none(io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidPayloadError, match=r"no payload, and 3 is given.*def f\(mon"):
        none.run(3)
    with pytest.raises(nb.InvalidPayloadError, match=r"'month': its function takes no"):
        none.run(month=3)


# -- fields with the name of an option ------------------------------------------------------------


def test_a_field_with_the_name_of_an_option_goes_into_the_payload() -> None:
    @nb.job
    def opens(key: str, tree: bool = False, new: int = 0) -> Any:
        return [key, tree, new]

    run = opens.run({"key": "door", "tree": True}, key="mine")
    assert (run.key, run.output) == ("mine", ["door", True, 0])
    assert opens.run(payload={"key": "gate"}).output == ["gate", False, 0]
    for wrong in (
        lambda: opens.run(key="door"),
        lambda: opens.run({"key": "door"}, tree=True),  # the default, and said
        lambda: opens.run({"key": "door"}, new=False),
    ):
        with pytest.raises(nb.InvalidPayloadError, match=r"is an option of the call, and the name"):
            wrong()
    with pytest.raises(nb.InvalidPayloadError, match=r"opens\.run\(payload={'key': \.\.\.}\)"):
        opens.run(key="door")
    assert len(nb.runs()) == 2


# -- which run ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_neither_the_order_of_fields_nor_those_at_their_default_make_another_run() -> None:
    job = report()
    first = job.run(month=3)
    same = [
        job.run(month=3, region="EU"),
        job.run(region="EU", month=3),
        job.run({"region": "EU", "month": 3}),
        job.run({"month": 3}, region="EU"),
    ]

    assert {run.id for run in same} == {first.id}
    assert first.executions == 5
    assert job.run(month=3, region="US").id != first.id
    assert job.run(month=4).id != first.id


def test_a_scalar_of_numpy_counts_as_what_it_holds() -> None:
    job = report()
    first = job.run(month=3)
    months = pd.Series([3, 4]).unique()

    assert [job.run(month=month).id == first.id for month in months] == [True, False]
    assert job.run(month=3, region=np.str_("EU")).id == first.id
    assert "month=4" in str(nb.tree(job.run(month=months[1])))


def test_a_default_that_is_converted_is_a_default() -> None:
    @nb.job
    def body(region: Region = Region.EU, folder: Path = Path("a"), rate: float = 1) -> Any:
        return [region, folder, rate]

    first = body.run()
    same = [body.run(region="eu"), body.run(folder="a"), body.run(rate=1.0), body.run({})]

    assert {run.id for run in same} == {first.id}
    assert body.run(region="us").id != first.id


def test_a_parameter_with_a_default_that_is_added_later_changes_no_key() -> None:
    first = report().run(month=3)

    @nb.job("report")
    def more(month: int, region: str = "EU", currency: str = "EUR", *, io: nb.SyncIO) -> str:
        return io.run_task("write", "{} {}".format, month, region)

    assert more.run(month=3).id == first.id

    @nb.job("plain")
    def plain() -> None: ...

    @nb.job("plain")
    def with_option(limit: int = 3) -> None: ...

    run = plain.run()
    assert with_option.run().id == run.id


# -- whoever starts the run -----------------------------------------------------------------------


async def test_arun_takes_fields_in_both_kinds_of_body() -> None:
    @nb.job
    async def awaits(month: int, *, io: nb.AsyncIO) -> int:
        return await io.run_task("double", lambda: month * 2)

    assert (await awaits.arun(month="3")).output == 6
    assert (await report().arun({"month": 3}, region="US")).output == "3 US"
    with pytest.raises(nb.InvalidPayloadError, match=r"did you mean month"):
        await awaits.arun(mnth=3)


@pytest.mark.slow
def test_invocations_pass_fields() -> None:
    child = report()

    @nb.job
    def parent() -> list[Any]:
        begun = child.invoke("begun", month=1)
        ended = child.invoke_and_wait("ended", month=2, region="US")
        many = child.batch_invoke_and_wait("many", [{"month": 3}, {"month": "x"}, {"mnth": 4}])
        return [begun.job, ended.output, *[run.status for run in many], many[2].error.message]

    job, ended, *statuses, message = parent.run().output
    assert (job, ended) == ("report", "2 US")
    assert statuses == ["COMPLETED", "INVALID", "INVALID"]
    assert (
        "parameter month is missing; there is no parameter 'mnth' (did you mean month?)" in message
    )
    assert nb.runs("report").payload.tolist()[-2:] == ['{"month":2,"region":"US"}', '{"month":1}']


@pytest.mark.slow
def test_an_invocation_with_a_wrong_keyword_fails_at_once() -> None:
    @nb.job
    def child(timeout: int, month: int = 1) -> list[int]:
        return [timeout, month]

    @nb.job
    def parent(how: str) -> Any:
        match how:
            case "misspelled":
                return child.invoke("child", {"timeout": 1}, mnth=3)
            case "option":
                return child.invoke_and_wait("child", timeout=3)
            case "both":
                return child.invoke_and_wait("child", {"timeout": 3}, timeout="1m").output

    with pytest.raises(nb.InvalidPayloadError, match=r"did you mean month"):
        parent.run(how="misspelled")
    with pytest.raises(nb.InvalidPayloadError, match=r"invoke_and_wait\(key, payload={'timeout"):
        parent.run(how="option")
    assert nb.runs("child").empty
    assert parent.run(how="both").output == [3, 1]


def test_an_events_payload_fills_the_parameters_and_may_hold_more() -> None:
    @nb.job(trigger=nb.event_trigger("paid"))
    def thanks(amount: float, currency: str = "EUR", *, io: nb.SyncIO) -> str:
        return io.run_task("thank", "{} {}".format, amount, currency)

    @nb.job(trigger=nb.event_trigger("paid"))
    def counts() -> int:
        return 1

    (thank, count) = nb.send_event("paid", {"amount": "5", "customer": 7}).runs
    assert (thank.output, count.output) == ("5.0 EUR", 1)
    (wrong, _) = nb.send_event("paid", {"sum": 5}).runs
    assert wrong.status == "INVALID"
    assert wrong.error is not None
    assert "parameter amount is missing" in wrong.error.message
    assert thanks.run(amount=5).output == "5.0 EUR"
    with pytest.raises(nb.InvalidPayloadError, match="no parameter 'amuont'"):
        thanks.run(amuont=5)


def test_a_schema_of_a_trigger_gives_its_fields() -> None:
    @nb.job(trigger=nb.event_trigger("order", schema=Order))
    def buys(item: str, count: int) -> Any:
        return [item, count]

    (run,) = nb.send_event("order", {"item": "pen", "count": "2"}).runs
    assert run.output == ["pen", 2]
    (refused,) = nb.send_event("order", {"item": "pen", "count": 0}).runs
    assert refused.status == "INVALID"
    assert buys.run(Order(item="ink", count=1)).output == ["ink", 1]


def test_a_schedule_fills_the_parameters_that_are_there() -> None:
    at: list[Any] = []

    @nb.job(trigger=nb.interval_trigger(60))
    def ticks(ts: datetime, factor: int = 2) -> None:
        at.append((ts, factor))

    @nb.job(trigger=nb.cron_trigger("* * * * *"))
    def plain(io: nb.SyncIO) -> None:
        at.append("plain")

    with FakeClock() as clock:
        worker = Worker(runtime)
        worker.turn()
        clock.advance(61)
        worker.turn()
        worker.suspend_runs()

    assert "plain" in at
    ((ts, factor),) = [found for found in at if found != "plain"]
    assert (ts.tzinfo, factor) == (UTC, 2)
    assert nb.runs().status.tolist() == ["COMPLETED", "COMPLETED"]


@pytest.mark.slow
def test_a_run_is_executed_again_with_the_fields_that_it_was_given() -> None:
    run = report().run(month=3, region="US")

    assert run.rerun().output == "3 US"
    assert run.fork(payload={"month": 4}).output == "4 EU"
    with pytest.raises(nb.InvalidPayloadError, match="parameter month is missing"):
        run.fork(payload={})


def test_run_job_takes_fields() -> None:
    job = report()

    assert run_job(job, month=3, tasks={"write": "written"}).output == "written"
    assert run_job(job, {"month": 3}, region="US").output == "3 US"

    @nb.job
    def lists(tasks: list[int]) -> int:
        return len(tasks)

    with pytest.raises(nb.InvalidPayloadError, match=r"run_job\(lists, payload={'tasks'"):
        run_job(lists, tasks={})
    assert run_job(lists, {"tasks": [1]}).output == 1


def test_a_job_replays_with_fields_as_a_new_process_would_have_them() -> None:
    @nb.job
    def pops(items: list[int], *, io: nb.SyncIO) -> list[int]:
        return [io.run_task(["n", items.pop()], abs, -1) for _ in range(2)]

    with always_replay():
        assert pops.run(items=[1, 2]).output == [1, 1]
