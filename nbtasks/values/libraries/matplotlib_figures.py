"""Codec of matplotlib's figures: a picture that anybody can see, and a signed pickle."""

from __future__ import annotations

import io
from typing import Any

from nbtasks.errors import UnreadableValueError
from nbtasks.values import pickles
from nbtasks.values.content import Find, LazyBytes, NotTaggable

__all__ = ["Picture", "png", "read", "write"]


class Picture:
    """Picture of a recorded figure that cannot be loaded here.

    A figure is recorded as a PNG and as a pickle. In a run that somebody else has shared, the
    pickle is not loaded, so that the figure comes back as a `Picture`.

    Attributes:
        png: The image, as the bytes of a PNG file.

    ```python
    import nbtasks as nb

    picture = nb.Picture(b"...")
    assert picture.png == b"..."  # a notebook shows it
    ```
    """

    def __init__(self, png: bytes) -> None:
        self.png = png

    def _repr_png_(self) -> bytes:
        return self.png

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and other.png == self.png

    def __hash__(self) -> int:
        return hash(self.png)

    def __repr__(self) -> str:
        return f"<Picture of {len(self.png):,} bytes>"


def write(value: Any) -> dict[str, Any]:
    """Return the tag of a figure.

    Raises:
        NotTaggable: The value is no figure.
    """
    if type(value) is Picture:
        return {"$figure": [LazyBytes.of(value.png)]}
    if type(value).__module__ != "matplotlib.figure" or type(value).__name__ != "Figure":
        raise NotTaggable(type(value))
    data = pickles.dump(value)  # before drawing, which changes the figure
    return {"$figure": [LazyBytes.of(png(value)), pickles.sign(data), LazyBytes.of(data)]}


def png(figure: Any) -> bytes:
    """Return the bytes of a PNG file of a figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return file.getvalue()


def read(content: list[Any], find: Find) -> Any:
    """Return the figure; its picture if somebody else recorded it or it cannot be loaded."""
    png, *pickled = content
    if pickled:
        signature, data = pickled
        try:
            return pickles.load(find(data), signature)
        except UnreadableValueError:
            pass
    return Picture(bytes(find(png)))
