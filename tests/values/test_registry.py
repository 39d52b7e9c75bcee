"""Codecs of the user's own."""

from __future__ import annotations

import numpy as np
import pytest

import nbtasks as nb
from nbtasks.errors import UnreadableValueError
from nbtasks.values import codec


class Point:
    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = x, y


@pytest.fixture
def codecs(monkeypatch):
    from nbtasks.values import registry

    monkeypatch.setattr(registry, "by_type", {})
    monkeypatch.setattr(registry, "by_name", {})
    return registry


def test_a_class_is_recorded_as_its_codec_says(codecs):
    nb.register_codec(
        Point, name="point", encode=lambda p: np.array([p.x, p.y]), decode=lambda xy: Point(*xy)
    )

    encoded = codec.encode([Point(1, 2.5)])

    assert encoded.kind == "parts"
    (point,) = codec.decode(encoded.kind, encoded.text)
    assert (type(point), point.x, point.y) == (Point, 1, 2.5)


def test_without_its_codec_a_value_says_which_is_missing(codecs):
    nb.register_codec(
        Point, name="point", encode=lambda p: [p.x, p.y], decode=lambda xy: Point(*xy)
    )
    encoded = codec.encode(Point(1, 2))
    codecs.by_name.clear()

    with pytest.raises(UnreadableValueError, match="no codec 'point' is registered"):
        codec.decode(encoded.kind, encoded.text)


@pytest.mark.parametrize(
    "given",
    [
        {"cls": "Point", "encode": str, "decode": str},
        {"cls": Point, "encode": None, "decode": str},
        {"cls": Point, "encode": str, "decode": str, "name": ""},
    ],
)
def test_a_codec_that_is_none_is_refused(codecs, given):
    with pytest.raises(nb.InvalidOptionError, match="register_codec"):
        nb.register_codec(given.pop("cls"), **given)
