"""The card of a task: what is recorded of it, as HTML."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nbtasks.core.model import AttemptRow, LogRow, RunRow, TaskRow
from nbtasks.views.tree.card import Recorded, card, code_for, log_lines
from nbtasks.views.tree.nodes import make_node

EVIL = '<img src=x onerror="alert(1)">'
RUN = RunRow("r1", "delays", "delays", "1.0.0", "2013", status="RUNNING", executions=1)
FAILURE = {"type": "ValueError", "module": "builtins", "message": EVIL, "traceback": f"at {EVIL}"}
ROW = TaskRow(
    "r1", f"fit/{EVIL}", 1, status="FAILED", execution=1, name=EVIL, attempts=2, started_us=1,
    finished_us=2_000_001, error=json.dumps(FAILURE), params=json.dumps({"x": EVIL}),
    properties=json.dumps({EVIL: EVIL}), metrics=json.dumps({"loss": 0.5}),
)  # fmt: skip
TRIED = AttemptRow("r1", ROW.path, 1, 1, "FAILED", 1, 5_001, json.dumps(FAILURE), 1_000_000)
DIFF = f"""--- fit (recorded)
+++ fit (now)
@@ -1,2 +1,2 @@
 def fit(n):
-    return {EVIL}
+    return n"""


def drawn(row: TaskRow = ROW, now_us: int = 9_000_000, **recorded: Any) -> str:
    node = make_node(row, RUN, under_way=True)
    return card(row, node, Recorded(**{"attempts": [TRIED]} | recorded), now_us)


def test_the_card_says_all_that_is_recorded_and_escapes_it() -> None:
    shown = drawn(code=EVIL, diff=DIFF)

    assert "<img" not in shown
    for part in ("2.00 s", "Attempts", "Inputs", "Properties", "Metrics", "0.5", "Traceback",
                 "Code as recorded"):  # fmt: skip
        assert part in shown


def test_an_input_has_its_name_and_is_shown_as_it_is_or_by_kind_and_size() -> None:
    params = {"df": "<DataFrame 336,776 x 19>", "alpha": 0.1, "carrier": "AA", "fn": "<function f>"}

    shown = drawn(replace(ROW, params=json.dumps(params)))

    assert "<th><code>df</code></th><td>DataFrame 336,776 x 19</td>" in shown
    assert "<th><code>alpha</code></th><td>0.1</td>" in shown
    assert "<th><code>carrier</code></th><td>&quot;AA&quot;</td>" in shown
    assert "<td>function f</td>" in shown
    assert "&quot;&lt;b x=1&gt;&quot;" in drawn(replace(ROW, params='{"html":"<b x=1>"}'))


def test_the_card_says_where_a_function_ran_and_what_it_waits_for() -> None:
    there = replace(ROW, host=EVIL, pid=7, worker="tcp://there:1")
    assert "on &lt;img src=x" in drawn(there)
    assert ", process 7 (worker tcp://there:1)" in drawn(there)
    assert "process" not in drawn()

    waiting: dict[str, Any] = {
        "status": "RUNNING",
        "queued_on": "Dask",
        "finished_us": None,
        "error": None,
    }
    assert "waiting for 8 s" in drawn(replace(ROW, **waiting))


@pytest.mark.parametrize("params", ["[1,2]", "no JSON", '"text"'])
def test_inputs_that_are_no_object_are_shown_as_they_are(params: str) -> None:
    assert f"<h5>Inputs</h5><pre>{params}</pre>".replace('"', "&quot;") in drawn(
        replace(ROW, params=params)
    ).replace('"', "&quot;")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "FAILED"}, "<th>2</th><td>failed</td><td>2.00 s</td>"),
        (
            {"status": "RUNNING", "attempt_us": 2_000_000, "finished_us": None, "error": None},
            "<th>2</th><td>running</td><td>7 s</td><td></td>",
        ),
        (
            {"status": "COMPLETED", "attempt_us": 1_500_001, "error": None},
            "<th>2</th><td>completed</td><td>500 ms</td><td></td>",
        ),
        (
            {"status": "WAITING", "attempts": 1, "due_us": 12_000_000, "finished_us": None},
            "<th>2</th><td>waiting</td><td>due in 3 s</td><td></td>",
        ),
    ],
)
def test_all_attempts_are_listed_also_the_current_one(
    changes: dict[str, Any], expected: str
) -> None:
    shown = drawn(replace(ROW, **changes))

    assert "<th>1</th><td>failed</td><td>5.0 ms</td><td>ValueError: &lt;img" in shown
    assert expected in shown


def test_a_single_attempt_needs_no_list() -> None:
    running = replace(ROW, status="RUNNING", attempts=1, finished_us=None, error=None)

    assert "Attempts" not in drawn(running, attempts=())
    assert "running for 8 s" in drawn(running, attempts=())


def test_what_is_stale_says_why_and_how_the_code_differs() -> None:
    stale = replace(ROW, status="COMPLETED", error=None, reused=True, stale="its code changed")

    shown = drawn(stale, diff=DIFF)

    assert "its code changed. The recorded output is in use" in shown
    assert "<b>--- fit (recorded)</b>" in shown
    assert "<del>-    return &lt;img src=x" in shown
    assert "<ins>+    return n</ins>" in shown
    assert "<span> def fit(n):</span>" in shown
    assert "nbt-diff" not in drawn(stale)
    long = drawn(stale, diff="--- a\n" + "+x\n" * 100_000)
    assert "… 99,801 more lines" in long
    assert len(long) < 10_000


def test_an_instant_can_be_written_in_the_zone_of_the_page() -> None:
    assert '<time data-nbt-ms="2000" title="1970-01-01 00:00:02 UTC">' in drawn()


def test_of_a_long_log_the_latest_lines_are_sent_and_the_rest_is_counted() -> None:
    lines = [LogRow("r1", "fit", 1, n * 1000, "info", f"line {n}\t") for n in range(3000)]

    earlier, latest = log_lines(lines)

    assert earlier == 2000
    assert len(latest) == 1000
    assert latest[-1] == [2999, "info", "line 2999\\t"]
    said = LogRow("r1", "fit", 1, 7_000, "info", "a", json.dumps({"b": 1}))
    assert log_lines([said]) == (0, [[7, "info", 'a  {"b": 1}']])


def test_the_code_for_a_value_can_be_executed() -> None:
    assert eval(code_for(RUN, "it's/'x'"), {"nb": Runs}) == "it's/'x'"


class Runs:
    @staticmethod
    def get_run(run_id: str) -> Any:
        assert run_id == "r1"
        return type("Run", (), {"__getitem__": lambda _, path: path})()
