"""Echo of reused tasks: one block, folded, dated, bounded, and nothing of a stranger's runs."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

import pytest

from nbtasks.journal.memory import MemoryJournal
from nbtasks.values import displays, signing
from nbtasks.views import echo as echo_module
from nbtasks.views.display_html import clean_text
from nbtasks.views.echo import Echo, Shown

DAY = 86_400_000_000
HTML = '<b onclick="alert(1)">bold</b>'
PNG = base64.b64encode(b"\x89PNG a picture").decode()


def line(text: str, path: str = "load", us: int = 0, level: str = "print") -> Shown:
    return Shown(us, path, level, text)


def display(*, signed: bool = True, path: str = "load", us: int = 0, **data: object) -> Shown:
    by_type = {kind.replace("_", "/", 1).replace("__", "+"): value for kind, value in data.items()}
    record = displays.dumps((by_type, {"image/png": {"width": 30, "height": '"><script>'}}))
    assert record is not None
    text = record.decode()
    if not signed and text.endswith('"]'):
        text = text.rpartition(",")[0] + ',"' + "0" * 64 + '"]'
    return Shown(us, path, None, text)


def echo(outputs: Iterable[Shown], *, now_us: int = 2 * DAY, unfolded: bool = False) -> Echo:
    return Echo(MemoryJournal(), "the-run", list(outputs), now_us, unfolded=unfolded)


def test_the_block_is_folded_and_says_how_much_it_has_and_when_it_was_recorded():
    html = echo([line("a"), line("b", "fit/AA", DAY), display(text_plain="c", us=DAY)]).html()

    assert '<details><summary title="1970-01-01 00:00:00 UTC to 1970-01-02 00:00:00 UTC">' in html
    title = "2 lines and 1 display of 2 reused tasks, recorded 2 days ago to 1 day ago"
    assert f"↺ {title}</summary>" in html
    assert "<details open>" in echo([line("a")], unfolded=True).html()


def test_outputs_stand_in_their_order_below_the_task_that_showed_them():
    html = echo(
        [line("one"), line("two"), display(image_png=PNG), line("three", level="stderr"),
         line("inner", "load/part"), line("four")]
    ).html()  # fmt: skip

    order = [
        ">load<", "<pre>one\ntwo</pre>", f"data:image/png;base64,{PNG}",
        '<pre class="stderr">three</pre>', ">load/part<", "inner", ">load<", "four",
    ]  # fmt: skip
    assert [place for place in map(html.find, order[:-2]) if place < 0] == []
    assert sorted(map(html.find, order[:-2])) == list(map(html.find, order[:-2]))
    assert html.rindex(">load<") < html.index("four")


def test_all_text_is_escaped_and_shows_no_codes_of_a_terminal():
    evil = '</pre></details><script>alert(1)</script>\x1b[31mred\x1b[0m\x1b]0;title\x07 "\u202e'
    outputs = [line(evil, path=evil.replace("/", "")), display(text_plain=evil, image_png=evil)]
    block = echo(outputs, unfolded=True)

    assert "<script" not in block.html()
    assert block.html().count("</details>") == 1
    assert "<pre>&lt;/pre&gt;&lt;/details&gt;&lt;script&gt;alert(1)" in block.html()
    assert "red\\x1b]0;title" in block.html()
    assert "\x1b" not in block.text()
    assert "\u202e" not in block.text()


def test_html_of_the_user_stands_as_it_is_and_that_of_somebody_else_does_not():
    own, foreign = (
        echo([display(text_html=HTML, text_plain="bold", signed=signed)])
        for signed in (True, False)
    )

    assert HTML in own.html()
    html = foreign.html()
    assert HTML not in html
    assert "<pre>bold</pre>" in html
    assert "Somebody else recorded this run, so its HTML is not shown." in html
    assert "nb.trust(&#x27;the-run&#x27;)" in html
    assert own.apart == foreign.apart == []


def test_what_the_user_trusts_is_shown():
    one = display(text_html="<i>trusted</i>", signed=False)
    signing.trust([displays.loads(one.text or "").hash])

    assert "<i>trusted</i>" in echo([one]).html()


@pytest.mark.parametrize(
    "data",
    [
        {"text_html": "<div id=a></div><script>draw()</script>"},
        {"text_html": "</div></details>"},
        {"text_html": "<table><tr><td>open"},
        {"text_html": "<iframe src=https://example.com></iframe>"},
        {"application_javascript": "draw()", "text_plain": "x"},
        {"application_vnd.plotly.v1__json": {"data": []}, "text_plain": "x"},
    ],
)
def test_what_cannot_stand_in_the_block_stands_below_it_if_it_is_the_users(data):
    own, foreign = (echo([display(signed=signed, **data)]) for signed in (True, False))

    assert "(shown below)" in own.html()
    ((title, shown),) = own.apart
    assert title == "↺ load: reused, recorded 2 days ago"
    assert shown.trusted
    assert "draw()" not in foreign.html()
    assert foreign.apart == []


def test_an_svg_becomes_an_image_in_which_no_script_runs():
    html = echo([display(image_svg__xml="<svg onload='alert(1)'></svg>")]).html()

    assert "alert" not in html
    assert '<img src="data:image/svg+xml;base64,' in html


def test_images_show_without_trust_and_only_as_images():
    html = echo([display(image_png=PNG, signed=False)]).html()
    assert f'<img src="data:image/png;base64,{PNG}" width="30"' in html
    assert 'base64,"' in echo([display(image_png='"><script>')]).html()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1, 2]", "nonsense", '[{"text/plain": 1}, {}]'])
def test_a_record_that_is_damaged_is_a_line(text):
    html = echo([Shown(0, "load", None, text)]).html()
    assert "cannot be read" in html or "without a text" in html
    assert "load" in echo([Shown(0, "load", None, text)]).text()


def test_ten_thousand_lines_are_one_short_block(monkeypatch):
    cleaned: list[str] = []

    def noting(text: str) -> str:
        cleaned.append(text)
        return clean_text(text)

    monkeypatch.setattr(echo_module, "clean_text", noting)
    block = echo([line(f"line {number}", f"each/{number}", number) for number in range(10_000)])
    html = block.html()

    assert len(cleaned) == 1000
    assert html.count("<pre>") == 1000
    assert "… and 9,000 more outputs; nb.logs(&#x27;the-run&#x27;) has all lines" in html
    assert len(html) < 200_000
    assert block.html() == html
    assert len(block.text().splitlines()) == 12
    assert len(cleaned) < 2100


ALL_OF_IT = '  … nb.configure(echo="show") shows all of it'
REST_IN_LOGS = "  … nb.logs('the-run') has all lines"


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ([1, 1, 1], 3), ([5], 5), ([1] * 5, 5), ([4, 1], 5), ([1] * 6, 5), ([12], 5),
        ([12, 1, 1, 1], 5), ([5, 1], 5), ([3, 3], 5), ([1, 1, 1, 1, 2], 5), ([0], 1),
        ([0, 5], 5), ([0] * 6, 5), ([2, 0, 2, 0], 5), ([2000], 5),
    ],
)  # fmt: skip
def test_the_text_says_that_it_is_cut_and_nothing_else(sizes: list[int], shown: int) -> None:
    outputs = [
        line("a", f"t{number}") if size == 1 else
        display(path=f"t{number}", text_plain="\n".join(f"row {row}" for row in range(size)))
        for number, size in enumerate(sizes)
    ]  # fmt: skip
    total = sum(max(size, 1) for size in sizes)

    for unfolded, limit, note in [(False, 5, ALL_OF_IT), (True, 1000, REST_IN_LOGS)]:
        _, *lines = echo(outputs, unfolded=unfolded).text().splitlines()
        is_cut = total > limit
        assert lines[-1:] == [note] if is_cut else note not in lines
        assert sum(text.startswith("    ") for text in lines) == min(total, limit)
    assert shown == min(total, 5)


@pytest.mark.slow
def test_large_displays_are_bounded_in_number_and_size():
    large = [display(image_png="A" * (4 << 20)) for _ in range(10)]
    many = [display(text_plain=str(number)) for number in range(300)]

    assert len(echo(large).html()) < 21_000_000
    assert "(too large to be shown here)" in echo(large).html()
    assert "… and 200 more outputs" in echo(many).html()


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [([9, 2, 1], "101"), ([11, 5, 5], "011"), ([3, 8, 3, 8, 3], "10101"), ([10, 1], "10")],
)
def test_a_display_that_is_too_large_takes_no_room_from_the_others(
    sizes: list[int], kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo_module, "_MAX_CHARS", 1000)
    html = echo([display(text_html=f"<i>{'a' * (100 * size - 7)}</i>") for size in sizes]).html()

    places = re.findall("<i>a+</i>|too large to be shown", html)
    assert "".join("1" if place[0] == "<" else "0" for place in places) == kept
