"""Figures of matplotlib: as a picture that anybody can look at, and as a signed pickle."""

from __future__ import annotations

import io
from typing import Any

from nbtasks.errors import UnreadableValueError
from nbtasks.values import pickles
from nbtasks.values.content import Content, Find, Untagged

__all__ = ["Picture", "png", "read", "write"]


class Picture:
    """What is left of a figure that cannot be loaded here: what it looked like.

    A figure is recorded as a PNG and as a pickle. In a run that came from somebody else the pickle
    is not loaded, so the figure comes back as this.

    Attributes:
        png: The picture.

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
    """The tag of a figure.

    Raises:
        Untagged: It is none.
    """
    if type(value) is Picture:
        return {"$figure": [Content.of(value.png)]}
    if type(value).__module__ != "matplotlib.figure" or type(value).__name__ != "Figure":
        raise Untagged(type(value))
    data = pickles.dump(value)  # first: to draw it leaves marks on it
    return {"$figure": [Content.of(png(value)), pickles.sign(data), Content.of(data)]}


def png(figure: Any) -> bytes:
    """A picture of a figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return file.getvalue()


def read(content: list[Any], find: Find) -> Any:
    """The figure; its picture, where it is somebody else's or cannot be loaded."""
    png, *rest = content
    if rest:
        signature, data = rest
        try:
            return pickles.load(find(data), signature)
        except UnreadableValueError:
            pass
    return Picture(bytes(find(png)))
