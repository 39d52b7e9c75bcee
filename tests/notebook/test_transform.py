"""A `%%job` cell as text and as a syntax tree: what it becomes, and what it may not hold."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.notebook.cell_options import GIVEN
from nbtasks.notebook.scopes import ENTRY
from nbtasks.notebook.transform import awaits, rebindings, to_call


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


# -- the text -------------------------------------------------------------------------------------


def test_the_first_line_becomes_a_call_and_the_others_stay() -> None:
    cell = "%%job delays --new\nx = 1\nx\n"

    first, *rest = to_call(lines(cell))

    assert ast.literal_eval(first.removeprefix(ENTRY)) == ("%%job", "delays --new", cell)
    assert rest == ["x = 1\n", "x\n"]


@pytest.mark.slow
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=5))
def test_rewriting_keeps_the_number_of_lines_and_twice_is_once(body: list[str]) -> None:
    cell = ["%%job j\n", *(f"{line}\n" for line in body)]

    once = to_call(cell)

    assert len(once) == len(cell)
    assert once[1:] == cell[1:]
    assert to_call(once) == once


@pytest.mark.parametrize(
    "cell",
    ["", "x = 1\n", "%%time\n%%job j\n", "%%jobs j\n", "%%job? \n", "x = 1\n%%job j\n", "%job j\n"],
)
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert to_call(lines(cell)) == lines(cell)


def test_comments_and_blank_lines_may_stand_above() -> None:
    rewritten = to_call(lines("# %%\n\n%%job j\nx\n"))

    assert rewritten[:2] == ["# %%\n", "\n"]
    assert rewritten[2].startswith(f"{ENTRY}('%%job', 'j', ")


def test_a_terminal_is_told_not_to_judge_the_rewritten_cell() -> None:
    assert vars(to_call)["has_side_effects"] is True


# -- does it await? -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "await f()",
        "x = 1\nif x:\n    y = [await f()]",
        "async for x in y: pass",
        "async with x: pass",
        "[x async for x in y]",
        "[await x for x in y]",
        "print(await x)",
    ],
)
def test_a_body_awaits_at_its_top_level(body: str) -> None:
    assert awaits(ast.parse(body).body)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "f()",
        "async def f(): await g()",
        "lambda: (yield)",
        "'await f()'",
        "return await f()",  # no cell at all: IPython shows the SyntaxError
    ],
)
def test_a_body_does_not_await(body: str) -> None:
    assert not awaits(ast.parse(body).body)


# -- names that a body may not bind ---------------------------------------------------------------


def found(body: str) -> list[tuple[int, str]]:
    return [(f.line, f.name) for f in rebindings(ast.parse(body).body, GIVEN)]


@pytest.mark.parametrize(
    "body",
    [
        "import io",
        "import io.other",
        "import other as io",
        "from x import io",
        "from x import y as io",
        "io = 1",
        "a = b, (io, *c) = d",
        "*io, a = b",
        "io += 1",
        "io: int = 1",
        "del io",
        "for io in x: pass",
        "for a, (b, io) in x: pass",
        "with x as io: pass",
        "with x as (a, io): pass",
        "async with x as io: pass",
        "def io(): pass",
        "async def io(): pass",
        "class io: pass",
        "try: pass\nexcept E as io: pass",
        "(io := 1)",
        "[(io := x) for x in y]",
        "f(lambda a=(io := 1): a)",
        "match x:\n    case io: pass",
        "match x:\n    case [a, *io]: pass",
        "match x:\n    case {'a': 1, **io}: pass",
        "match x:\n    case int() as io: pass",
        "def f():\n    global io\n    io = 1",
        "def f():\n    def g():\n        global io\n        import io",
        "class A:\n    global io\n    io = 1",
        "@(io := d)\ndef f(): pass",
        "def f(a=(io := 1)): pass",
        "if x:\n    while y:\n        io = 1",
    ],
)
def test_a_body_that_binds_a_given_name_is_found(body: str) -> None:
    assert [name for _, name in found(body)] == ["io"]


@pytest.mark.parametrize(
    "body",
    [
        "io.run_task('a', f)",
        "io.x = 1",
        "io['x'] = 1",
        "del io.x",
        "x = io",
        "import other.io",
        "from io import StringIO",
        "import io as stdio",
        "def f(io): io = 1",
        "def f():\n    io = 1\n    import io\n    for io in x: pass",
        "def f():\n    io = 1\n    def g():\n        nonlocal io\n        io = 2",
        "def f():\n    global io\n    print(io)",
        "def f():\n    io = 1\n    def g():\n        global io\n        print(io)",
        "lambda io: io",
        "lambda: (io := 1)",
        "[io for io in x]",
        "{io: ctx for io, ctx in x}",
        "class A:\n    io = 1\n    def payload(self): pass",
        "f(io=1)",
        "match x:\n    case io.y: pass",
        "payload: dict",
        "io == 1",
    ],
)
def test_other_uses_of_a_given_name_are_fine(body: str) -> None:
    assert found(body) == []


def test_each_place_is_told_with_its_line() -> None:
    assert found("x = 1\nimport io\nctx = payload = 2") == [
        (2, "io"),
        (3, "ctx"),
        (3, "payload"),
    ]


@pytest.mark.parametrize(
    ("body", "what", "instead"),
    [
        ("import io", "`import io`", "Write `import io as other_io`."),
        ("from . import io", "`from . import io`", "Write `from . import io as other_io`."),
        ("from a.b import c as io", "`from a.b import c as io`", "Write `from a.b import c as"),
        ("payload = 1", "`payload` as a target", "as in `my_payload = ...`"),
        ("def ctx(): pass", "`def ctx`", "another name"),
        ("del io", "`del io`", "Leave it out"),
    ],
)
def test_the_message_says_what_to_write_instead(body: str, what: str, instead: str) -> None:
    (rebinding,) = rebindings(ast.parse(body).body, GIVEN)

    assert rebinding.what == what
    assert instead in rebinding.instead
