"""Registry of user-defined codecs, and what others have registered for pickles."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from nbtasks.errors import InvalidOptionError

__all__ = ["Codec", "by_name", "by_type", "reducer_of", "register_codec", "without_traceback"]

_T = TypeVar("_T")


class Codec(NamedTuple):
    """Codec of a class: functions that encode its values as recordable data, and decode it."""

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
    """Register a codec for values of a class, to be used in place of a pickle.

    The values are then recorded as plain data: they need no signature, anybody who has registered
    the same name can read them in a shared run, and `nb.sql` sees them. Registering a class again,
    for example by running a cell again, replaces its codec. A codec does not apply to subclasses.

    Args:
        cls: The class.
        encode: Function that turns a value into recordable data: plain data, arrays, frames.
        decode: Function that turns such data into the value.
        name: The permanent name of the codec in records; by default the class's module and name.

    Raises:
        InvalidOptionError: An argument has the wrong type.

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
    args: tuple[Any, ...] = (cls, encode, decode, name)
    if not isinstance(args[0], type) or not callable(args[1]) or not callable(args[2]):
        raise InvalidOptionError(
            f"nb.register_codec({cls!r}): it takes a class and two functions, encode= and decode=."
        )
    if name is not None and not (isinstance(args[3], str) and name):
        raise InvalidOptionError(f"nb.register_codec: name is a non-empty string, not {name!r}.")
    codec = Codec(name or f"{cls.__module__}.{cls.__qualname__}", encode, decode)
    by_type[cls] = by_name[codec.name] = codec


def reducer_of(kind: type) -> Callable[[Any], Any] | None:
    """Return the function that somebody has registered to pickle the instances of a class.

    Dask registers some for exceptions, which add the traceback: those do not count, or an error
    would be another value once Dask is imported, and after each time it was raised.
    """
    reducer = copyreg.dispatch_table.get(kind)
    if reducer is None or str(reducer.__module__).partition(".")[0] == "tblib":
        return None
    return reducer


def without_traceback(kind: type) -> Callable[[Any], Any] | None:
    """Return the function to pickle the instances of a class by instead of one that does not count
    in `reducer_of`; None if there is no such one."""
    is_passed_over = kind in copyreg.dispatch_table and reducer_of(kind) is None
    return _reduce if is_passed_over else None


def _reduce(value: Any) -> Any:
    return value.__reduce_ex__(4)
