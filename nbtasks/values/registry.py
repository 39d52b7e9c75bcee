"""Codecs of the user's own: how values of a class are recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from nbtasks.errors import InvalidOptionError

__all__ = ["Codec", "by_name", "by_type", "register_codec"]

_T = TypeVar("_T")


class Codec(NamedTuple):
    """How values of a class are recorded, and read back."""

    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


by_type: dict[type, Codec] = {}
by_name: dict[str, Codec] = {}


def register_codec(
    cls: type[_T],
    *,
    encode: Callable[[_T], Any],
    decode: Callable[[Any], _T],
    name: str | None = None,
) -> None:
    """Says how values of a class are recorded, in place of a pickle.

    They are plain data then: they need no signature, anybody who has registered the same name can
    read them in a run that was shared, and `nb.sql` sees them. Registering a class again, as
    running a cell again does, replaces what was said of it. A subclass is a class of its own.

    Args:
        cls: The class.
        encode: Makes of a value what can be recorded: plain data, arrays, frames.
        decode: Makes the value of that.
        name: What it is recorded by, for good; by default the class's module and name.

    Raises:
        InvalidOptionError: Something given is not what it has to be.

    ```python
    from fractions import Fraction

    import nbtasks as nb

    nb.register_codec(
        Fraction,
        encode=lambda value: [value.numerator, value.denominator],
        decode=lambda parts: Fraction(*parts),
    )


    @nb.job("codec-example")
    def body(io: nb.SyncIO) -> Fraction:
        return io.run_task("half", Fraction, 1, 2)


    assert body.run()["half"] == Fraction(1, 2)
    assert nb.tasks().output_kind.tolist() == ["tagged"]
    ```
    """
    given: tuple[Any, ...] = (cls, encode, decode, name)
    if not isinstance(given[0], type) or not callable(given[1]) or not callable(given[2]):
        raise InvalidOptionError(
            f"nb.register_codec({cls!r}): it takes a class, and with encode= and decode= two "
            "functions."
        )
    if name is not None and not (isinstance(given[3], str) and name):
        raise InvalidOptionError(f"nb.register_codec: name is a non-empty string, not {name!r}.")
    codec = Codec(name or f"{cls.__module__}.{cls.__qualname__}", encode, decode)
    by_type[cls] = by_name[codec.name] = codec
