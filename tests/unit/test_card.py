"""What there is to know of one task, and its page and its value as HTML."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nbtasks.card import card, code_for
from nbtasks.model import AttemptRow, LogRow, RunRow, TaskRow
from nbtasks.notebook.preview import preview
from nbtasks.page import page
from nbtasks.tree import build, make_node
from nbtasks.values.figures import Picture

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
    for part in ("failed", "2.00 s", "Attempts", "00:00:01 UTC", "Inputs", "Properties", "Metrics",
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


def test_a_frame_shows_as_a_table_with_its_text_escaped():
    import pandas as pd

    shown = preview(pd.DataFrame({"carrier": ["AA", EVIL]}))

    assert "<td>AA</td>" in shown
    assert "<img" not in shown


def test_a_figure_shows_as_an_image_and_text_as_text():
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    assert 'src="data:image/png;base64,iVBOR' in preview(Figure())
    assert 'src="data:image/png;base64,aGVsbG8=' in preview(Picture(b"hello"))
    assert preview(EVIL) == "<pre>&lt;img src=x onerror=&quot;alert(1)&quot;&gt;</pre>"
    assert len(preview("x" * 1_000_000)) < 5000


def test_a_value_that_cannot_be_shown_says_why():
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert preview(Broken()) == "<pre>it cannot be shown: RuntimeError: no</pre>"


@pytest.mark.parametrize("path", ["load", EVIL])
def test_the_page_is_one_document_that_refers_to_nothing_else(path: str):
    shown = page(build(RUN, [TaskRow("r1", path, 1, status="COMPLETED", execution=1)]), 1)

    assert shown.startswith("<!doctype html>")
    assert shown.endswith("</html>")
    for outside in ("<script", "<link", "<img", "src=http", "url("):
        assert outside not in shown
    assert "prefers-color-scheme:dark" in shown
