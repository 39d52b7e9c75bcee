"""The two forms of a tree that need nothing but a page or a terminal."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core import keys
from nbtasks.core.model import RunRow, Status, TaskRow
from nbtasks.views.tree import render, style, words
from nbtasks.views.tree.nodes import build
from tests.thorough import only_thorough
from tests.views.drawing import NOW, Page, S, run, task

ANY_TEXT = st.text(max_size=12) | st.sampled_from(
    ["<b>&amp;\"'", "</style><script>alert(1)</script>", "\x1b[31m", "a\nb", "\u202e", "\ud800"]
)
ANY_KEY = ANY_TEXT.filter(lambda text: text and text != "\ud800")


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A time zone two hours east of Greenwich."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EET-2")
        time.tzset()
        yield "EET-2"
    time.tzset()


def failure(message: str = "no rows", **fields: Any) -> str:
    return json.dumps({"type": "ValueError", "module": "builtins", "message": message} | fields)


def text(run_row: RunRow, *rows: TaskRow, limit: int = 200) -> str:
    return render.text(build(run_row, rows), NOW, limit=limit)


def lines(run_row: RunRow, *rows: TaskRow) -> list[str]:
    """The lines of the tasks, without their branches and with single spaces."""
    body = [line for line in text(run_row, *rows).splitlines() if re.match("[├└│ ]", line)]
    return [" ".join(re.sub("^[├└│─ ]+", "", line).split()) for line in body]


def page(run_row: RunRow, *rows: TaskRow, limit: int = 500) -> Page:
    return Page(render.html(build(run_row, rows), NOW, limit=limit))


@st.composite
def runs(draw: st.DrawFn) -> tuple[RunRow, list[TaskRow]]:
    paths: list[str] = []
    for seq, key in enumerate(draw(st.lists(ANY_KEY, max_size=25, unique=True))):
        above = draw(st.sampled_from(["", *paths[max(0, seq - 5) :]]))
        paths.append(keys.join(above, key))
    times = st.none() | st.integers(NOW - 10**13, NOW)
    rows = [
        task(
            path,
            seq,
            name=draw(st.none() | ANY_TEXT),
            status=draw(st.sampled_from(sorted(set(Status) - {Status.INVALID}))),
            execution=draw(st.integers(1, 2)),
            reused=draw(st.booleans()),
            attempts=draw(st.integers(0, 3)),
            started_us=draw(times),
            finished_us=draw(times),
            due_us=draw(times),
            error=draw(st.none() | ANY_TEXT | ANY_TEXT.map(failure)),
        )
        for seq, path in enumerate(paths)
    ]
    row = run(
        draw(st.sampled_from(sorted(Status))),
        executions=2,
        key=draw(ANY_TEXT),
        resume_us=draw(times),
        execution_us=NOW - S,
        error=draw(st.none() | ANY_TEXT | ANY_TEXT.map(failure)),
    )
    row.job = row.name = draw(ANY_TEXT)
    return row, rows


def printable(value: str) -> str:
    return "".join(
        c if c.isprintable() or c in "\u200c\u200d" else c.encode("unicode_escape").decode()
        for c in value
    )


# ---------------------------------------------------------------- whatever the journal holds


@pytest.mark.slow
@given(runs())
def test_nothing_that_was_supplied_becomes_html(case: tuple[RunRow, list[TaskRow]]) -> None:
    row, rows = case
    drawn = page(row, *rows)  # refuses any element or attribute that is not the tree's own

    assert printable(row.job)[:80] in "".join(drawn.words)


@pytest.mark.slow
@given(runs())
@only_thorough
def test_every_path_is_drawn_once(case: tuple[RunRow, list[TaskRow]]) -> None:
    row, rows = case
    expected = [printable(node.path) for node in build(row, rows).walk()]

    assert page(row, *rows).paths == expected
    assert len(lines(row, *rows)) >= len(expected)


@pytest.mark.slow
@given(runs())
def test_every_character_prints_and_every_line_is_one_line(
    case: tuple[RunRow, list[TaskRow]],
) -> None:
    row, rows = case
    for form in (text(row, *rows), render.html(build(row, rows), NOW)):
        assert all(c.isprintable() or c in "\n\u200c\u200d" for c in form)
        form.encode()
    assert render.html(build(row, rows), NOW).count("\n") == 0


@pytest.mark.slow
@given(runs(), st.integers(1, 10))
def test_what_is_not_drawn_is_counted(case: tuple[RunRow, list[TaskRow]], limit: int) -> None:
    row, rows = case
    drawn = page(row, *rows, limit=limit)
    folded = re.findall(r"^… (\d+) ", "\n".join(drawn.words), re.MULTILINE)

    assert len(drawn.paths) <= limit
    assert len(drawn.paths) + sum(map(int, folded)) == len(rows)
    lines_of_text = text(row, *rows, limit=limit)
    assert folded == re.findall(r"^[├└│─ ]*… (\d+) ", lines_of_text, re.MULTILINE)


# ---------------------------------------------------------------- the title


def test_the_head_is_two_lines_and_below_them_is_what_identifies_the_run() -> None:
    row = run(finished_us=NOW, key="2013")
    title, counts, facts = text(row, task("a"), task("b", 1)).splitlines()[:3]

    assert title == "delays · key 2013 · ✔ completed · 2 tasks · 1 min"
    assert counts == "2 completed · started 1 min ago"
    assert facts == (
        "run r1 · version 1.0.0 · 1 execution · key 2013 · started 2023-11-14 22:12:20 UTC"
    )


def test_a_page_opens_its_head_to_what_identifies_the_run() -> None:
    drawn = page(run(finished_us=NOW), task("a"))

    assert drawn.opened[0] is False
    assert drawn.words[: drawn.words.index("1 min")].count("completed") == 0
    assert "run r1 · version 1.0.0" in drawn.words[drawn.words.index("1 min") + 1]


def test_a_key_that_nobody_chose_is_not_shown() -> None:
    assert "key" not in text(run())


def test_a_run_of_several_executions_tells_the_time_of_the_latest() -> None:
    row = run(executions=2, execution_us=NOW - 2 * S, finished_us=NOW)

    assert text(row).splitlines()[0].endswith("completed · 2.00 s")


def test_a_run_under_way_counts_in_whole_seconds() -> None:
    row = run(Status.RUNNING, started_us=NOW - 12_345_678)

    assert text(row).splitlines()[0] == "delays · ▶ running · 12 s"


def test_the_head_says_why_the_run_failed_and_where() -> None:
    row = run(Status.FAILED, error=failure("no rows\nin the file", path="fit/AA"))

    assert "ValueError: no rows (in fit/AA)" in text(row).splitlines()
    assert "ValueError: no rows (in fit/AA)" in page(row).words


def test_a_suspended_run_says_when_it_resumes(zone: str) -> None:
    row = run(Status.WAITING, resume_us=NOW + 3600 * S)

    assert "resumes 15 Nov, 01:13 (due in 1 h)" in text(row).splitlines()
    assert "resumes 15 Nov 2023, 01:13" in page(row).words


def test_times_are_local_and_in_what_is_saved_neither_relative_nor_without_a_year(
    zone: str,
) -> None:
    rows = [task("a", finished_us=NOW - 7200 * S, reused=True), task("b", 1)]
    source = render.html(build(run(), rows), NOW)

    assert "1 reused (recorded 2 h ago) · started 1 min ago" in text(run(), *rows)
    assert "1 reused (recorded 14 Nov 2023, 22:13) · started 15 Nov 2023, 00:12" in source
    assert 'title="recorded 2023-11-14 20:13:20 UTC, started 2023-11-14 22:12:20 UTC"' in source


def test_when_the_reused_tasks_were_recorded_stands_once_in_the_head() -> None:
    rows = [task(f"{n}", n, reused=True, finished_us=NOW - n * 3600 * S) for n in (2, 3, 5)]
    drawn = text(run(), *rows)

    assert drawn.count("recorded") == 1
    assert "3 reused (recorded 5 h ago to 2 h ago)" in drawn


def test_the_counts_add_up_to_the_tasks() -> None:
    rows = [
        task("a", 1, execution=2, reused=True),
        task("b", 2, execution=2),
        task("c", 3, execution=2, status="FAILED"),
        task("d", 4, execution=1),
    ]
    title, counts = text(run(Status.FAILED, executions=2), *rows).splitlines()[:2]

    assert "3 of 4" in title
    assert counts.startswith("1 completed, 1 reused, 1 failed, 1 kept, not reached this time · ")


def test_a_run_under_way_says_what_is_to_come_and_how_long_that_takes() -> None:
    rows = map_of(5, 16, seconds=10)
    rows += [task(f"fit/{n}", 9 + n, status="COMPLETED") for n in range(5)]
    title, counts = text(run(Status.RUNNING), *rows).splitlines()[:2]

    assert "▶ running · 5 of 17" in title
    assert (
        counts == "5 completed, 1 running, 11 to come · about 22 s left in fit · started 1 min ago"
    )


# ---------------------------------------------------------------- a task's line


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"started_us": NOW - 2 * S, "finished_us": NOW - S}, "✔ a completed 1.00 s"),
        ({"name": "Load it"}, "✔ a (Load it) completed"),
        ({"attempts": 3}, "✔ a completed attempt 3"),
        ({"status": "SKIPPED"}, "↷ a skipped"),
        ({"status": "CANCELED"}, "⊘ a canceled"),
        ({"status": "INTERRUPTED", "started_us": NOW - S}, "⚠ a interrupted"),
        (
            {"reused": True, "started_us": NOW - 90 * S, "finished_us": NOW - 80 * S},
            "↺ a reused 10.0 s",
        ),
        (
            # A failure that the body caught fails again from the journal.
            {"reused": True, "status": "FAILED", "finished_us": NOW},
            "✖ a failed reused",
        ),
        (
            # The first attempt lies before the kernel died.
            {"started_us": NOW - 9000 * S, "attempt_us": NOW - 2 * S, "finished_us": NOW},
            "✔ a completed 2.00 s",
        ),
        ({"execution": 0}, "✔ a completed kept, not reached this time"),
    ],
)
def test_the_line_of_a_task_that_ended(fields: dict[str, Any], line: str) -> None:
    assert lines(run(), task("a", **fields)) == [line]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"started_us": NOW - 12_900_000}, "▶ a running 12 s"),
        ({"status": "WAITING", "due_us": NOW + 24_000_001}, "◔ a waiting due in 25 s"),
        ({"status": "WAITING", "due_us": NOW + 90 * S}, "◔ a waiting due in 1 min 30 s"),
        ({"status": "WAITING", "due_us": NOW}, "◔ a waiting due now"),
        ({"status": "WAITING", "attempt_us": NOW - 9 * S}, "◔ a waiting 9 s"),
        ({"status": "COMPLETED", "execution": 0}, "✔ a completed not reached yet"),
    ],
)
def test_the_line_of_a_task_of_a_run_under_way(fields: dict[str, Any], line: str) -> None:
    row = task("a", **({"status": "RUNNING"} | fields))

    assert lines(run(Status.RUNNING), row) == [line]


def test_an_interrupted_run_says_which_tasks_it_did_not_reach() -> None:
    row = run(Status.INTERRUPTED, executions=2)

    assert lines(row, task("a", execution=1)) == ["✔ a completed kept, not reached this time"]


def test_an_error_is_told_where_it_happened_and_referred_to_above() -> None:
    rows = [
        task("fit", 1, status="FAILED", error=failure(path="fit/AA/x", cause="fit/AA")),
        task("fit/AA", 2, status="FAILED", error=failure(path="fit/AA/x", cause="fit/AA/x")),
        task("fit/AA/x", 3, status="FAILED", error=failure("no rows\nmore", path="fit/AA/x")),
    ]
    expected = ["ValueError in fit/AA/x", "ValueError in fit/AA/x", "ValueError: no rows"]

    assert lines(run(Status.FAILED), *rows)[1::2] == expected
    assert [line.split()[2] for line in lines(run(Status.FAILED), *rows)[::2]] == ["failed"] * 3
    drawn = page(run(Status.FAILED), *rows).words
    assert [word for word in drawn if word in expected] == expected


def test_a_task_that_waits_for_its_next_attempt_says_why() -> None:
    row = task("a", status="WAITING", due_us=NOW + S, attempts=2, error=failure("503"))

    assert lines(run(Status.RUNNING), row) == [
        "◔ a waiting due in 1 s attempt 2",
        "ValueError: 503",
    ]


def test_long_keys_and_messages_are_cut() -> None:
    row = task("k" * 500, status="FAILED", error=failure("m" * 5000))
    drawn = page(run(Status.FAILED), row)

    assert "k" * 79 + "…" in drawn.words
    assert max(map(len, text(run(Status.FAILED), row).splitlines())) < 250
    assert drawn.paths == ["k" * 500], "hovering shows the whole path"


# ---------------------------------------------------------------- the forms


def test_the_text_is_a_picture_of_the_tree() -> None:
    rows = [
        task("load", 1, started_us=0, finished_us=1_240_000),
        task("fit", 2, status="FAILED", error=failure(), started_us=0, finished_us=12 * S),
        task("fit/AA", 3, started_us=0, finished_us=812_000),
        task("fit/AA/train", 4),
        task("fit/B6", 5),
        task("日本", 6),
    ]
    body = text(run(Status.FAILED), *rows).splitlines()[3:]

    assert body == [
        "├─ ✔ load         completed    1.24 s",
        "├─ ✖ fit          failed       12.0 s  2 subtasks",
        "│  │  ValueError: no rows",
        "│  ├─ ✔ AA        completed    812 ms  1 subtask",
        "│  │  └─ ✔ train  completed",
        "│  └─ ✔ B6        completed",
        "└─ ✔ 日本         completed",
    ]


def test_many_tasks_are_folded_into_a_count() -> None:
    rows = [task(f"{n:04}", n) for n in range(1000)]
    rows[700].status = "FAILED"
    body = text(run(Status.FAILED), *rows, limit=50).splitlines()[3:]

    assert [line.split()[2] for line in body[:-1]] == [
        "0000",
        "0001",
        "0002",
        "0003",
        "0004",
        "0700",
    ]
    assert body[-1] == "└─ … 994 completed"
    assert "… 994 completed" in page(run(Status.FAILED), *rows, limit=50).words


def test_a_fold_of_several_states_names_each() -> None:
    rows = [task(f"{n:04}", n, status=["COMPLETED", "SKIPPED"][n % 2]) for n in range(100)]

    assert text(run(), *rows, limit=10).endswith("… 99 tasks: 49 completed, 50 skipped")


def test_a_small_tree_is_open_and_of_a_large_one_only_what_needs_eyes() -> None:
    few = [task(f"{a}{b}", 10 * a + n) for a in range(4) for n, b in enumerate(["", "/x", "/y"])]
    many = [task(f"{a}{b}", 10 * a + n) for a in range(30) for n, b in enumerate(["", "/x", "/y"])]
    many[8].status = "FAILED"

    assert page(run(), *few).opened[1:] == [True] * 4  # after that of the head
    assert page(run(), *many).opened[1:] == [a == 2 for a in range(30)]


def test_without_its_style_the_page_still_reads_as_words() -> None:
    row = task("fit", status="FAILED", attempts=3, error=failure(), started_us=0, finished_us=S)
    drawn = " ".join("".join(page(run(Status.FAILED), row).words[-12:]).split())

    assert drawn.endswith("✖ fit attempt 3 failed 1.00 s ValueError: no rows")


def test_a_run_without_tasks_is_its_title() -> None:
    assert page(run()).paths == []
    assert len(text(run()).splitlines()) == 3


def test_fifty_levels_and_more_are_drawn() -> None:
    path = "/".join("abc"[n % 3] for n in range(400))
    rows = [task(path[: 2 * n + 1], n) for n in range(400)]

    assert len(page(run(), *rows).paths) == 400
    assert len(text(run(), *rows, limit=400).splitlines()) == 403


# ---------------------------------------------------------------- colours


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("colours", "pages"),
    [
        (style.LIGHT, ["#ffffff", "#f7f7f7"]),  # the page, and below the pointer
        (style.DARK, ["#111111", "#191919"]),
    ],
)
def test_every_colour_is_readable_on_its_page(colours: dict[str, str], pages: list[str]) -> None:
    for name, colour in colours.items():
        for behind in pages:
            dark, light = sorted([luminance(colour), luminance(behind)])
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, behind)


def test_the_style_touches_nothing_outside_the_tree() -> None:
    for selector in re.findall(r"([^{}]+)\{", style.STYLE):
        for part in re.split(r",(?![^(]*\))", selector.strip()):
            assert ".nbtasks-tree" in part


def test_every_state_has_a_shape_of_its_own_one_cell_wide() -> None:
    states = {status.lower() for status in Status} | {"reused", "not reached"}

    assert set(words.SHAPES) == states
    assert max(Counter(words.SHAPES.values()).values()) == 1
    assert all(render._width(shape) == 1 for shape in words.SHAPES.values())


# -- progress -------------------------------------------------------------------------------------


def map_of(done: int, total: int, *, seconds: int, reused: int = 0, **fields: Any) -> list[TaskRow]:
    """A map's row and those of the items that it reused."""
    row = task(
        "fit", 1, done=done, total=total, attempt_us=NOW - seconds * S,
        **({"status": "RUNNING"} | fields),
    )  # fmt: skip
    return [row, *(task(f"fit/{n}", 2 + n, reused=True) for n in range(reused))]


def progress(*rows: TaskRow, status: str = "RUNNING") -> str:
    return lines(run(status), *rows)[0]


def test_a_map_that_runs_says_how_far_and_how_fast_it_is_and_what_is_left() -> None:
    assert "312 of 1,000, 45/s, 15 s left" in progress(*map_of(312, 1000, seconds=7))
    assert "2 of 10, 12/min, 40 s left" in progress(*map_of(2, 10, seconds=10))
    assert "1 of 3, 1.0/h, 2 h left" in progress(*map_of(1, 3, seconds=3600))
    html = render.html(build(run("RUNNING"), map_of(312, 1000, seconds=7)), NOW)
    assert "312 of 1,000, 45/s, 15 s left" in html


def test_what_was_reused_tells_nothing_of_the_speed() -> None:
    assert "30 of 40, 1.0/s, 10 s left" in progress(*map_of(30, 40, seconds=10, reused=20))
    assert "20 of 40 · 20 subtasks" in progress(*map_of(20, 40, seconds=10, reused=20))


def test_a_map_that_ended_early_says_how_far_it_came_and_a_complete_one_nothing() -> None:
    failed = map_of(312, 1000, seconds=7, status="FAILED", error=failure())
    assert "312 of 1,000" in progress(*failed, status="FAILED")
    assert "/s" not in progress(*failed, status="FAILED")
    done = map_of(1000, 1000, seconds=7, status="COMPLETED")
    assert "1000" not in progress(*done, status="COMPLETED")


def test_a_task_that_failed_after_a_subtask_tells_its_own_error() -> None:
    rows = [
        task("a", 1, status="FAILED", error=failure("too many", path="a", cause="a/b")),
        task("a/b", 2, status="FAILED", error=failure("no rows", path="a/b")),
        task("c", 3, status="FAILED", error=failure("no rows", path="c/d", cause="c/d")),
    ]
    drawn = text(run("FAILED"), *rows)

    assert "ValueError: too many" in drawn
    assert "ValueError: no rows" in drawn
    assert "ValueError in c/d" in drawn


# -- what runs is in sight, and what failed -------------------------------------------------------


def test_what_has_ended_is_counted_while_a_run_of_many_tasks_is_under_way() -> None:
    rows = [task(f"load/{n}", n) for n in range(5)]
    rows += [task("load", 20), task("clean", 21), task("fit", 22, status="RUNNING")]
    rows += [task(f"fit/{n}", 30 + n, status="RUNNING" if n > 6 else "COMPLETED") for n in range(9)]

    assert lines(run(Status.RUNNING), *rows) == [
        "… 7 completed",
        "▶ fit running 9 subtasks",
        "… 7 completed",
        "▶ 7 running",
        "▶ 8 running",
    ]
    assert page(run(Status.RUNNING), *rows).paths == ["fit", "fit/7", "fit/8"]
    assert len(page(run(), *rows).paths) == len(rows), "once it has ended, all are drawn"


def test_of_more_than_forty_siblings_a_terminal_shows_twenty_and_all_that_failed() -> None:
    rows = [task(f"{n}", n, status="FAILED" if n == 60 else "COMPLETED") for n in range(100)]
    drawn = lines(run(Status.FAILED), *rows)

    assert drawn[19].startswith("✖ 60")
    assert drawn[20:] == ["… 80 completed"]


def test_a_task_that_failed_shows_the_last_line_of_the_users_code() -> None:
    traceback = (
        'Traceback (most recent call last):\n  File "/home/me/fit.py", line 12, in fit\n'
        "    return model.fit(<rows>)\n           ^^^^^^^^^\n"
        '  File "/usr/lib/python3.12/json/decoder.py", line 3, in decode\n    raise ValueError\n'
        "ValueError: no rows\n"
    )
    row = task("a", status="FAILED", error=failure(traceback=traceback))
    line = "fit.py, line 12, in fit: return model.fit(<rows>)"

    assert lines(run(Status.FAILED), row)[1:] == ["ValueError: no rows", line]
    assert page(run(Status.FAILED), row).words[-3::2] == ["ValueError: no rows", line]
    many = [task(f"{n}", n, status="FAILED", error=row.error) for n in range(21)]
    assert line not in text(run(Status.FAILED), *many), "twenty are enough for anybody"
