"""The value of a task as HTML."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
import polars as pl

from nbtasks.notebook.widgets.preview import preview
from nbtasks.values.libraries.matplotlib_figures import Picture

EVIL = '<img src=x onerror="alert(1)">'


def test_a_frame_shows_as_a_table_with_its_text_escaped():
    shown = preview(pd.DataFrame({"carrier": ["AA", EVIL]}))

    assert "<td>AA</td>" in shown
    assert "<img" not in shown


def test_of_a_long_frame_the_first_rows_are_shown_with_its_shape():
    for frame in (pd.DataFrame({"n": range(3000)}), pl.DataFrame({"n": range(3000)})):
        shown = preview(frame)

        assert "DataFrame 3,000 x 1, its first 10 rows" in shown
        assert "<td>9</td>" in shown
        assert "<td>10</td>" not in shown
    assert "&lt;img" in preview(pl.DataFrame({EVIL: [EVIL]}))
    assert "<img" not in preview(pl.DataFrame({EVIL: [EVIL]}))


def test_a_figure_shows_as_an_image_and_text_as_text():
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
