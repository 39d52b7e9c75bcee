"""The first line of a `%%job` cell."""

from __future__ import annotations

import ast
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.engine.waiting.budget import TimeBudget
from nbtasks.notebook.cell_options import CellRefusedError, Options, parse

plain = st.text(st.characters(codec="ascii", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x00"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | plain,
    lambda inner: st.lists(inner) | st.dictionaries(plain, inner) | st.tuples(inner, inner),
    max_leaves=5,
)


def test_an_id_alone_is_enough() -> None:
    assert parse("delays") == Options("delays")


def test_every_option_is_read() -> None:
    line = (
        "delays --name 'All delays' --version 1.2.0 --payload {'a': [1, 2]} --key k1 --new "
        "--on-change rerun --as run --no-tree"
    )

    assert parse(line) == Options(
        "delays",
        "All delays",
        "1.2.0",
        "{'a': [1, 2]}",
        "k1",
        new=True,
        on_change="rerun",
        variable="run",
        tree=False,
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("GPU=1", {"GPU": 1}),
        ("GPU=0.5,memory=2e9", {"GPU": 0.5, "memory": 2_000_000_000}),
        ('"GPU = 1, disk = 2"', {"GPU": 1, "disk": 2}),
    ],
)
def test_resources_are_names_and_numbers(written: str, meant: dict[str, float]) -> None:
    assert parse(f"j --on cluster --resources {written}") == Options(
        "j", on="cluster", resources=meant
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"My job"', "My job"),
        ("'My job'", "My job"),
        ('"say \\"hi\\""', 'say "hi"'),
        ("2013-07", "2013-07"),
        ("a'b c'd", "ab cd"),
        ('"--new"', "--new"),
    ],
)
def test_words_are_quoted_as_in_a_shell(written: str, meant: str) -> None:
    assert parse(f"j --key {written} --new") == Options("j", key=meant, new=True)
    assert parse(f"j --key={written} --new") == Options("j", key=meant, new=True)


def test_a_replay_is_read() -> None:
    assert parse("j --replay only").replay == parse("j --replay=only").replay == "only"
    assert parse("j").replay is None


def test_an_id_with_blanks_is_quoted() -> None:
    assert parse('"my job" --new').job == "my job"


@pytest.mark.parametrize(
    "expression",
    [
        '{"a": 1}',
        '"x y"',
        "x + 1",
        "f(1, [2, 3])[0]",
        '"a --new b"',
        "{'--key': '--new'}",
        "[x for x in y if x --1]",
        '"an escaped \\" --new quote"',
        "payload",
        "-1",
        "not x",
        "'''it's --new'''",
    ],
)
def test_a_payload_is_taken_as_it_stands_up_to_the_next_option(expression: str) -> None:
    options = parse(f"j --payload {expression} --new")

    assert (options.payload, options.new) == (expression, True)


@pytest.mark.slow
@given(values)
def test_any_value_written_as_python_comes_back(value: object) -> None:
    expression = repr(value)

    options = parse(f"j --version 2 --payload {expression} --key k")

    assert (options.payload, options.key) == (expression.strip(), "k")
    assert ast.literal_eval(options.payload or "") == value


@given(st.text())
def test_any_line_is_read_or_refused(line: str) -> None:
    with contextlib.suppress(CellRefusedError):
        assert parse(line).version


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("50m", 3000),
        ("2h", 7200),
        ("1d", 86_400),
        ("0.5h", 1800),
        ("0", 0),
    ],
)
def test_a_time_may_have_a_unit(text: str, seconds: int) -> None:
    options = parse(f"j --max-time {text} --suspend-after 5m")

    assert options.budget == TimeBudget(seconds * 1_000_000, 300_000_000)


def test_without_a_time_there_is_no_budget() -> None:
    assert parse("j").budget is None
    assert parse("j --suspend-after 1s").budget == TimeBudget(None, 1_000_000)


@pytest.mark.parametrize("line", ["", "   ", "--new", "--key k delays"])
def test_the_id_comes_first(line: str) -> None:
    with pytest.raises(
        CellRefusedError, match=r"needs the id of the job first, as in %%job delays"
    ):
        parse(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("j --bogus", "has no option --bogus. It takes --name, --version, --payload,"),
        ("j --verison 2", "has no option --verison. Is it --version? It takes"),
        ("j --ver 2", "has no option --ver. Is it --version? It takes"),
        ("j -x", "cannot read '-x'. Quote a value with blanks"),
        ("j --", "has no option --."),
        ("j --on-change never", "--on-change: invalid choice: 'never'"),
        ("j --on-change never", "Write --on-change warn|rerun|error|ignore."),
        ("j --replay all", "Write --replay only."),
        ("j --replay", "--replay: expected one argument. Write --replay only."),
        ("j --replay only --new", "--replay only never does. Leave one out"),
        ("j --max-time soon", "--max-time: 'soon' is not a time such as 90 (seconds), 50m,"),
        ("j --suspend-after -1", "--suspend-after: '-1' is not a time such as"),
        ("j --payload a --bogus", "has no option --bogus"),
        ("j --payload a --bogus b", "has no option --bogus"),
        ("j --key", "--key: expected one argument. Write --key K."),
        ("j --key --new", "--key: expected one argument"),
        ("j --payload --new", "--payload: expected one argument. Write --payload EXPR."),
        ("j --new k", "--new: ignored explicit argument 'k'. Write --new."),
        ("j --new --new", "was given --new twice"),
        ("j --name my job", "cannot read 'job'. Quote a value with blanks"),
        ("my sweep", "cannot read 'sweep'. If it is part of the ID, quote that: \"my sweep\"."),
        ("my sweep --new", "If it is part of the ID, quote that:"),
        ('j --name "my job', "cannot read the line: No closing quotation."),
        (
            "j --resources GPU",
            "--resources: 'GPU' is not a name and a positive number",
        ),
        ("j --resources GPU=0", "'GPU=0' is not a name and a positive number"),
        ("j --resources GPU=1,GPU=2", "'GPU=2' is not a name"),
        ("j --resources =1", "Write --resources NAME=N."),
        ("j --resources GPU=nan", "'GPU=nan' is not a name"),
        ("j --resources GPU=1,", "'' is not a name and a positive number"),
        ("j --as 2x", "--as: '2x' cannot be the name of a variable. Write --as VAR."),
        ("j --as class", "--as: 'class' cannot be the name of a variable"),
        ("j --as io", "is given io, ctx, payload. Use another name"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(line: str, message: str) -> None:
    with pytest.raises(CellRefusedError) as refused:
        parse(line)

    assert message in str(refused.value)
    shown = refused.value._render_traceback_()
    assert shown == [f"CellRefusedError: {refused.value}"]
    assert "\n" not in shown[0]
