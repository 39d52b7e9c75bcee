"""Parser for the line of a magic, which also gives the help and the completions of its options."""

from __future__ import annotations

import argparse
import itertools
import keyword
import re
import shlex
from typing import Any, Final, NoReturn, TypeVar

from IPython.core.magic_arguments import MagicArgumentParser

from nbtasks.core.parameters import nearest_name
from nbtasks.errors import NbtasksError

__all__ = ["QUOTED", "LineParser", "variable"]

_Magic = TypeVar("_Magic")

#: Pattern of what a shell takes literally.
QUOTED: Final = r"""\\.|"(?:\\.|[^"\\])*"|'[^']*'"""
#: An option and the blanks before its value.
_SPACED = re.compile(rf"{QUOTED}|(?<!\S)(--[A-Za-z][\w-]*)\s+(?=\S)(?!--[A-Za-z])")


def variable(text: str) -> str:
    """Return `text`: the argparse type of a name of a variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the name of a variable")
    return text


class LineParser(MagicArgumentParser):
    """Parser for the line of one magic, whose words may be quoted as in a shell.

    Args:
        magic: Name of the magic, with its `%%`.
        refusal: Class of the errors.
        kwds: Further arguments of argparse. `epilog` tells what to do about a stray word.
    """

    def __init__(self, magic: str, refusal: type[NbtasksError], **kwds: str) -> None:
        super().__init__(magic[1:], argument_default=argparse.SUPPRESS, **kwds)
        self.allow_abbrev = False
        self.color = False  # Python 3.14 otherwise writes escape codes into the docstring
        self._refusal = refusal

    def document(self, magic: _Magic) -> _Magic:
        """Append the options to the docstring of the magic's function: a decorator."""
        self.description = magic.__doc__
        magic.__doc__ = self.format_help()
        return magic

    def parse(self, line: str) -> dict[str, Any]:
        """Return the values that the line gives, by destination.

        Raises:
            NbtasksError: The line cannot be parsed. The message tells what to write instead.
        """
        # Joined by `=`, because argparse takes a value that starts with a dash for an option.
        joined = _SPACED.sub(lambda found: f"{found[1]}=" if found[1] else found[0], line)
        try:
            words = shlex.split(joined)
        except ValueError as error:
            self.error(f"cannot read the line: {error}")
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        for option in options:
            if option not in self._option_string_actions:
                self._refuse(option)
            if options.count(option) > 1:
                self.error(f"was given {option} twice")
        given, stray = self.parse_known_args(words)
        if stray:
            hint = self._quoted(words) or self.epilog
            self.error(f"cannot read {stray[0]!r}. {hint} %{self.prog}? shows the options")
        return vars(given)

    def _quoted(self, words: list[str]) -> str:
        """Return how the first argument is written, if it may be meant to have several words."""
        positional = [action for action in self._actions if not action.option_strings]
        first = list(itertools.takewhile(lambda word: word[:1] != "-", words))
        if not positional or len(first) == len(positional):
            return ""
        return f'If it is part of the {positional[0].metavar}, quote that: "{" ".join(first)}".'

    def complete(self, text: str) -> tuple[str, list[str], str]:
        """Return how `text`, the line up to the cursor, may be completed.

        Returns:
            The last word of it; the words that it may become, which are options that the line does
            not have yet, or the choices of an option; and the name of the argument that the word
            is a value of, empty if it is none.
        """
        *before, word = re.split(r"[\s=]+", text)
        action = self._option_string_actions.get(before[-1]) if before else None
        if action is not None and action.nargs != 0:
            offered, dest = set(action.choices or ()), action.dest
        elif word.startswith("-"):
            offered, dest = self._option_string_actions.keys() - before, ""
        else:
            offered, dest = set(), self._positional(before)
        return word, sorted(option for option in offered if option.startswith(word)), dest

    def _positional(self, before: list[str]) -> str:
        """Return the name of the positional argument that follows the magic; empty if it has none,
        or if the line already has one."""
        positional = [action.dest for action in self._actions if not action.option_strings]
        return positional[0] if positional and len(before) == 1 else ""

    def error(self, message: str) -> NoReturn:
        """Raise the refusal; a message about one option also tells how it is written."""
        message = message.removeprefix("argument ")
        if action := self._option_string_actions.get(message.partition(":")[0]):
            message += f". Write {action.option_strings[0]} {action.metavar or ''}"
        raise self._refusal(f"%{self.prog} {message.rstrip(' .')}.") from None

    def _refuse(self, option: str) -> NoReturn:
        names = [each.lstrip("-") for each in self._option_string_actions]
        nearest = nearest_name(option.lstrip("-"), names)
        hint = f"Is it --{nearest}? " if nearest else ""
        self.error(
            f"has no option {option}. {hint}It takes {', '.join(self._option_string_actions)}"
        )
