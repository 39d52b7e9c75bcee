"""The card of a task: its facts as HTML."""

from __future__ import annotations

import json
from typing import Any

from nbtasks.core.model import AttemptRow, LogRow, RunRow, TaskRow
from nbtasks.views.tree.card import card, code_for
from nbtasks.views.tree.nodes import make_node

EVIL = '<img src=x onerror="alert(1)">'
RUN = RunRow("r1", "delays", "delays", "1.0.0", "2013", status="FAILED", executions=1)
FAILURE = {"type": "ValueError", "module": "builtins", "message": EVIL, "traceback": f"at {EVIL}"}
ROW = TaskRow(
    "r1", f"fit/{EVIL}", 1, status="FAILED", execution=1, name=EVIL, attempts=2, started_us=1,
    finished_us=2_000_001, error=json.dumps(FAILURE), params=json.dumps({"x": EVIL}),
    properties=json.dumps({EVIL: EVIL}), metrics=json.dumps({"loss": 0.5}),
)  # fmt: skip


def drawn(**changes: Any) -> str:
    tried = AttemptRow("r1", ROW.path, 1, 1, "FAILED", 1, 5, json.dumps(FAILURE), 1_000_000)
    said = LogRow("r1", ROW.path, 1, 1_000_000, "info", EVIL, json.dumps({"a": 1}))
    parts: dict[str, Any] = {"attempts": [tried], "logs": [said], "preview": ""} | changes
    return card(RUN, ROW, make_node(ROW, RUN, under_way=False), **parts)


def test_the_card_says_all_that_is_recorded_and_escapes_it():
    shown = drawn()

    assert "<img" not in shown
    for part in ("failed", "2.00 s", "Attempts", ":00:01", "Inputs", "Properties", "Metrics",
                 "0.5", "Log", "Traceback", "nb.get_run("):  # fmt: skip
        assert part in shown


def test_of_a_long_log_the_latest_lines_stand_and_the_rest_is_counted():
    lines = [LogRow("r1", "fit", 1, 1, "info", f"line {n}") for n in range(1000)]

    shown = drawn(logs=lines)

    assert "800 earlier lines" in shown
    assert "line 999" in shown
    assert "line 799" not in shown


def test_the_code_for_a_value_can_be_executed():
    assert eval(code_for(RUN, "it's/'x'"), {"nb": Runs}) == "it's/'x'"


class Runs:
    @staticmethod
    def get_run(run_id: str) -> Any:
        assert run_id == "r1"
        return type("Run", (), {"__getitem__": lambda _, path: path})()
