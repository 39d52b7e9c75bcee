"""Texts that every part of a journal can hold: valid Unicode."""

from __future__ import annotations

from nbtasks.errors import NbtasksError

__all__ = ["check", "is_valid"]


def is_valid(text: str) -> bool:
    r"""Return True if a text is valid Unicode: it holds no lone surrogate.

    >>> is_valid("café"), is_valid("caf\udce9")
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check(what: str, text: object, error: type[NbtasksError]) -> None:
    """Raise an error for a text that is not valid Unicode. Values of other types pass.

    Args:
        what: Description of the text, as the beginning of the message.
        text: The text.
        error: Class of the error.
    """
    if isinstance(text, str) and not is_valid(text):
        raise error(
            f"{what} {text!r} is not valid Unicode: it holds a lone surrogate, as the name of a "
            "file in another encoding does. Replace it, for instance by "
            'text.encode("utf-8", "backslashreplace").decode().'
        )
