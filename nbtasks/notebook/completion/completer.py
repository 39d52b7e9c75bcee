"""Completer of the extension: offers what IPython cannot know, and leaves the rest to it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher

from nbtasks.core.model import Status
from nbtasks.core.settings import CHOICES
from nbtasks.jobs.run import Run
from nbtasks.notebook.completion import recorded, sql_words
from nbtasks.notebook.completion.code_before import (
    Before,
    Call,
    analyse,
    body_start,
    magics_above,
)
from nbtasks.notebook.completion.given import Given

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.notebook.line_parser import LineParser

__all__ = ["Completer"]

#: Line magics, and what their argument is.
_LINE_MAGICS: Final = {"tasks": "run", "tree": "run", "runs": "job"}
_LINE_MAGIC: Final = re.compile(r"(?:^|=)\s*%(\w+)\s+(\S*)$")
#: Functions of the module, and what their first argument is.
_FUNCTIONS: Final = {
    "runs": "job", "history": "job", "summary": "job", "plot_history": "job", "watch": "job",
    "last_run": "run", "get_run": "run", "tasks": "run", "attempts": "run", "logs": "run",
    "tree": "run", "cancel": "run", "compare": "run", "export_run": "run", "trust": "run",
    "sql": "sql",
}  # fmt: skip
#: Arguments that are runs in any place.
_RUN_PLACES: Final = {"compare": 2}
#: Methods of a run that take a path, and the keyword for it.
_PATH_METHODS: Final = {
    "reset": "path", "set": "path", "skip": "path", "diff": "path", "rerun": "from_",
    "fork": "from_",
}  # fmt: skip
_RUN_CALL: Final = re.compile(r"(\w+)\.(last_run|get_run)\((.*)\)", re.DOTALL)
_MAX_WORDS: Final = 1_000


class _Offer(NamedTuple):
    """Words that may stand in place of the last characters before the cursor.

    Attributes:
        fragment: These characters.
        words: The words.
        type: Kind of the words, as front ends show it.
        alone: True to offer nothing else.
        any_case: True if the fragment may be in another case than the words.
    """

    fragment: str
    words: Iterable[str]
    type: str
    alone: bool = True
    any_case: bool = False

    def matches(self, word: str) -> bool:
        """Return True if a word may stand in place of the fragment."""
        if self.any_case:
            return word.lower().startswith(self.fragment.lower())
        return word.startswith(self.fragment)


_NOTHING: Final = _Offer("", (), "")


class Completer:
    """Completer of one shell.

    Args:
        shell: The shell.
        parsers: Parsers of the lines of cell magics, by magic.
    """

    def __init__(self, shell: InteractiveShell, parsers: Mapping[str, LineParser]) -> None:
        self._shell = shell
        self._parsers = parsers

    @context_matcher()
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what the extension knows to complete at the cursor."""
        try:
            offer = self._offer(context)
            words = [word for word in offer.words if offer.matches(word)][:_MAX_WORDS]
        except Exception:  # noqa: BLE001 - a completion must never fail, whatever a cell holds
            offer, words = _NOTHING, []
        if not words:
            return {"completions": []}
        return {
            "completions": [SimpleCompletion(word, type=offer.type) for word in words],
            "matched_fragment": offer.fragment,
            "suppress": offer.alone,
        }

    def _offer(self, context: CompletionContext) -> _Offer:
        cell, line = context.full_text, context.text_until_cursor
        lines = cell.split("\n")[: context.cursor_line]
        cursor = sum(len(above) + 1 for above in lines) + context.cursor_position
        start = body_start(cell)
        if cursor < start or (cursor == start and line.startswith("%%")):
            return self._magic_line(line)
        if (found := _LINE_MAGIC.search(line)) and found[1] in _LINE_MAGICS:
            variables = self._runs_in_variables() if _LINE_MAGICS[found[1]] == "run" else []
            return _Offer(found[2], [*variables, *_named(_LINE_MAGICS[found[1]])], "statement")
        magics = magics_above(cell)
        if "runs_sql" in magics:
            return self._sql(cell[start:cursor], cell[start:])
        before = analyse(cell[start:cursor])
        if before.in_comment:
            return _NOTHING
        given = Given(cell, self._shell.user_ns)
        if before.string is not None:
            rest = cell[cursor:].partition(before.quote)[0]
            return self._string(before, before.string, rest, given)
        return self._name(before, given) if given.heads else _NOTHING

    # -- lines of magics --------------------------------------------------------------------------

    def _magic_line(self, line: str) -> _Offer:
        magic, blank, rest = line.partition(" ")
        parser = self._parsers.get(magic)
        if parser is None or not blank:
            return _NOTHING
        word, words, dest = parser.complete(line)
        if not words and dest == "job":
            words = recorded.job_ids()
        elif not words and magic == "%%job" and dest in ("key", "version"):
            words = recorded.values_of(dest, rest.split(" ")[0])
        return _Offer(word, words, "param")

    def _sql(self, before: str, query: str) -> _Offer:
        fragment, words = sql_words.words(before, query, self._shell.user_ns)
        return _Offer(fragment, words, "statement", any_case=True)

    # -- code -------------------------------------------------------------------------------------

    def _name(self, before: Before, given: Given) -> _Offer:
        """Complete a name outside strings, in the body of a cell."""
        owner, dot, prefix = before.name.rpartition(".")
        if dot:
            if owner.partition(".")[0] not in given.heads:
                return _NOTHING
            return _Offer(prefix, given.members(owner), "function")
        words = list(given.heads) if prefix else []
        if before.call is not None and before.call.bracket == "(":
            words += _parameters(before.call.callee, given)
        return _Offer(prefix, words, "param", alone=False)

    def _string(self, before: Before, text: str, rest: str, given: Given) -> _Offer:
        """Complete the text of a string, which has the rest behind the cursor."""
        call = before.call
        if call is None or before.quote in text:
            return _NOTHING
        if call.bracket == "[":
            words = self._keys(call.callee, given)
        elif call.bracket == "(":
            function = self._function_of(call)
            if function == "sql":
                return self._sql(text, text + rest)
            words = list(_named(function) if function else self._argument(call))
        else:
            return _NOTHING
        words = [word for word in words if before.quote not in word and "\\" not in word]
        return _Offer(text, words, "statement", alone=bool(words))

    def _keys(self, owner: str, given: Given) -> list[str]:
        if owner.partition(".")[0] == "payload" and "payload" in given.heads:
            value = given.find(owner)
            return [key for key in value if isinstance(key, str)] if type(value) is dict else []
        run = self._run(owner)
        return [] if run is None else recorded.paths(run)

    def _function_of(self, call: Call) -> str:
        """Return what the argument at the cursor is, if a function of the module takes it."""
        module, _, name = call.callee.rpartition(".")
        if not self._is_nbtasks(module):
            return ""
        if call.keyword in ("run", "job", "status"):
            return call.keyword
        is_first = not call.keyword and call.position < _RUN_PLACES.get(name, 1)
        return _FUNCTIONS.get(name, "") if is_first else ""

    def _argument(self, call: Call) -> Iterable[str]:
        """Return the values of an argument that says by its name what it is, and paths."""
        owner, _, method = call.callee.rpartition(".")
        keyword = _PATH_METHODS.get(method)
        if keyword and (call.keyword == keyword or (not call.keyword and not call.position)):
            run = self._run(owner)
            return [] if run is None else recorded.paths(run)
        return CHOICES.get(call.keyword, ())

    def _run(self, expression: str) -> Run | None:
        """Return the run that an expression stands for, without calling anything of the user's."""
        value = self._shell.user_ns.get(expression)
        if isinstance(value, Run):
            return value
        found = _RUN_CALL.fullmatch(expression)
        if found is None or not self._is_nbtasks(found[1]):
            return None
        argument = ast.literal_eval(found[3]) if found[3].strip() else None
        return recorded.run_of(found[2], argument)

    def _is_nbtasks(self, name: str) -> bool:
        value = self._shell.user_ns.get(name)
        return isinstance(value, ModuleType) and value.__name__ == "nbtasks"

    def _runs_in_variables(self) -> list[str]:
        names = dict(self._shell.user_ns)  # a thread may add some meanwhile
        return [
            name
            for name, value in names.items()
            if isinstance(value, Run) and not name.startswith("_")
        ]


def _named(what: str) -> Iterable[str]:
    """Return what may stand for a run, for a job, or for a status."""
    if what == "status":
        return [status.value for status in Status]
    return [*recorded.job_ids(), *(recorded.run_ids() if what == "run" else ())]


def _parameters(callee: str, given: Given) -> list[str]:
    """Return the parameters of a call of a given name that can be written with their names."""
    if callee.partition(".")[0] not in given.heads:
        return []
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(given.find(callee)).parameters.values()
    return [f"{one.name}=" for one in parameters if one.kind in kinds]
