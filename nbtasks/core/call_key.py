"""Key of a call of a task function: by default its name and its short arguments."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from nbtasks.core import keys
from nbtasks.core import text as texts
from nbtasks.core.parameters import Parameters, is_default, to_python
from nbtasks.errors import InvalidKeyError, InvalidOptionError

__all__ = ["CallKey", "KeyOption", "scalar_text"]

#: `key=` of a task function: a format of its arguments, or a function of them.
KeyOption = keys.Key | Callable[..., keys.Key]

_LONGEST: Final = 64
_LONGEST_BITS: Final = 220  # of an int of 64 digits, and some more
#: A format such as `fit[{carrier},{year}]`, with its fields replaced by single letters.
_LIST = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")
_FIRST_LETTER: Final = 0xF0000  # of an area for private use


class CallKey:
    """Maker of the keys of a task function's calls.

    Args:
        name: The name of the function.
        parameters: Its parameters; None if they are not known.
        option: The `key=` of the function, if it has one.

    Raises:
        InvalidOptionError: `option` cannot make a key.
    """

    def __init__(self, name: str, parameters: Parameters | None, option: KeyOption | None) -> None:
        self._name = name
        self._parameters = parameters
        self._option = option
        self._formats: list[str] | str | None = None
        self._named: tuple[str, ...] | None = None
        if isinstance(option, str) and type(option) is not keys.Numbered:
            self._formats = _split(option)
            self._check_fields(option)
        elif isinstance(option, list | tuple):
            keys.segment(option)
            self._formats = [part if isinstance(part, str) else _escape(part) for part in option]
            self._check_fields("".join(self._formats))
        elif callable(option):
            self._named = _names_of(option, parameters)
        elif option is not None:
            keys.segment(option)

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> keys.Key:
        """Return the key of a call.

        Raises:
            TypeError: The call does not fit the signature of the function.
            InvalidKeyError: A format asks an argument for something that it does not have.
        """
        option = self._option
        if option is None:
            return self._by_arguments(args, kwargs)
        if self._formats is not None:
            values = self._values(args, kwargs) if "{" in "".join(self._formats) else {}
            if isinstance(self._formats, str):
                return self._write(self._formats, values)
            return [self._write(part, values) for part in self._formats]
        if not callable(option):
            return option
        if self._named is None:
            return option(*args, **kwargs)
        values = self._values(args, kwargs)
        return option(**{name: values[name] for name in self._named if name in values})

    def _by_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> keys.Key:
        parts: list[str] = [self._name]
        for name, value, default in _passed(self._parameters, args, kwargs):
            if name is not None and is_default(value, default):
                continue
            if (text := scalar_text(value)) is not None:
                parts.append(text if name is None else f"{name}={text}")
        return parts if len(parts) > 1 else self._name

    def _write(self, text: str, values: Mapping[str, Any]) -> str:
        try:
            return _formatter.vformat(text, (), values)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            raise InvalidKeyError(
                f"key={self._option!r} of task function {self._name} does not fit the arguments of "
                f"this call: {type(error).__name__}: {error}."
            ) from error

    def _values(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._parameters is None:
            return kwargs
        return self._parameters.by_name(args, kwargs)

    def _check_fields(self, text: str) -> None:
        parameters = self._parameters
        try:
            fields = [
                field for _, field, _, _ in string.Formatter().parse(text) if field is not None
            ]
        except ValueError as error:
            raise InvalidOptionError(
                f"key={text!r} of task function {self._name} is not a format: {error}. Write the "
                'names of parameters in braces, as in key="fit {carrier}".'
            ) from None
        for field in fields:
            name = re.split(r"[.\[]", field, maxsplit=1)[0]
            if parameters is None or name in parameters.names or (name and parameters.takes_any):
                continue
            known = ", ".join(parameters.names) or "none"
            raise InvalidOptionError(
                f"key={text!r} of task function {self._name} names {field!r}, which is not a "
                f"parameter of it: those are {known}."
            )


class _Formatter(string.Formatter):
    """Formatter that writes a scalar as its text in a key."""

    def format_field(self, value: Any, format_spec: str) -> str:
        text = None if format_spec else scalar_text(value)
        return format(value, format_spec) if text is None else text


_formatter = _Formatter()


class _Unnamed(NamedTuple):
    name: str | None
    value: Any
    default: Any = None


def _passed(
    parameters: Parameters | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[Any]:
    if parameters is not None:
        return parameters.passed(args, kwargs)
    return [*(_Unnamed(None, arg) for arg in args),
            *(_Unnamed(name, kwargs[name], _Unnamed) for name in sorted(kwargs))]  # fmt: skip


def _names_of(option: Callable[..., Any], parameters: Parameters | None) -> tuple[str, ...] | None:
    """Return the names that a function of the arguments takes; None to call it as the call is."""
    taken = Parameters.of(option)
    if taken is None or parameters is None or taken.takes_any:
        return None
    same = set(taken.names) <= set(parameters.names) and taken.names == taken.keywords
    return taken.keywords if same else None


def _split(option: str) -> str | list[str]:
    """Return the formats of the elements of a key, if a format reads like a path: `fit[{n}]`."""
    try:
        parts = list(string.Formatter().parse(option))
    except ValueError:
        return option  # refused in a moment
    fields: dict[str, str] = {}
    text = ""
    for literal, field, spec, conversion in parts:
        text += literal.replace("{", "{{").replace("}", "}}")
        if field is not None:
            letter = chr(_FIRST_LETTER + len(fields))
            written = f"{field}!{conversion}" if conversion else field
            fields[letter] = f"{{{written}:{spec}}}" if spec else f"{{{written}}}"
            text += letter
    if (match := _LIST.fullmatch(text)) is None:
        return option
    elements = [match[1], *match[2].split(",")]
    return ["".join(fields.get(letter, letter) for letter in element) for element in elements]


def _escape(part: Any) -> str:
    return keys.text_of(part).replace("{", "{{").replace("}", "}}")


def scalar_text(value: Any) -> str | None:
    """Return the text of an argument in a key; None for one that is no short scalar.

    >>> scalar_text("AA"), scalar_text(0.1), scalar_text(True), scalar_text([1])
    ('AA', '0.1', 'True', None)
    """
    kind = type(value)
    text = value if kind is str else _text(value)
    if text is None or len(text) > _LONGEST:
        return None
    return str(text) if texts.is_valid(text) else None


def _text(value: Any) -> str | None:  # noqa: C901, PLR0911 - one for each kind
    value = to_python(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return int.__repr__(value) if int.bit_length(value) <= _LONGEST_BITS else None
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, Enum):
        return str(value.name)
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, date) or type(value).__name__ in ("datetime64", "Period"):
        try:
            return keys.text_of(value)
        except InvalidKeyError:  # not a time
            return None
    return None
