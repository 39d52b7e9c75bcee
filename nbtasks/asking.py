"""`io.ask`: a task that waits for a person's answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from nbtasks import answers, keys, params, sites
from nbtasks.calls import Awaited, Effects, mapped
from nbtasks.driver import needs_loop
from nbtasks.face import AsyncFace, Face
from nbtasks.model import TaskRow
from nbtasks.options import Duration, seconds_of

if TYPE_CHECKING:
    from nbtasks.questions import Question

__all__ = ["AsyncAsk", "Present", "SyncAsk", "use"]

#: Takes an answer and returns None, or refuses it and returns the reason.
Submit = Callable[[dict[str, Any]], str | None]


class Present(Protocol):
    """Front end that shows a question to the person at the screen."""

    def __call__(self, title: str, question: Question, submit: Submit) -> bool:
        """Show the question, if there is a screen.

        Returns:
            True if an answer given there can only be received while the caller does not block.
        """


def _show_nothing(title: str, question: Question, submit: Submit) -> bool:
    del title, question, submit
    return False


_present: Present = _show_nothing


def use(present: Present) -> None:
    """Show questions through this front end from now on."""
    global _present  # noqa: PLW0603 - a process has one screen
    _present = present


class _Ask(Face):
    """The part of `ask` that both io classes share."""

    def _ask(self, key: keys.Key, fields: Any, timeout: Duration) -> Effects:
        from nbtasks.questions import Question  # lazily: most runs ask nothing

        seconds = seconds_of("timeout", timeout)
        question, title = Question(fields), key if isinstance(key, str) else keys.join("", key)
        journal = self._execution.journal
        awaiting, blocks = self._execution.scope().asynchronous, False

        def look(row: TaskRow) -> tuple[Any] | None:
            for raw in answers.find_answers(journal.find, row.run_id, row.path):
                try:
                    return (question.plain(raw),)
                except ValueError:  # from a command, which does not know the model
                    continue
            return None

        def put(row: TaskRow) -> Effects:
            """Show the question, unless it has been answered already."""
            nonlocal blocks
            if look(row) is None:
                blocks = _present(title, question, lambda raw: submit(row, raw))
            yield from ()

        def submit(row: TaskRow, raw: dict[str, Any]) -> str | None:
            try:
                plain = question.plain(raw)
            except ValueError as error:
                return str(error)
            answers.give(journal, row.run_id, row.path, plain, "form")
            return None

        wait = Awaited(
            key,
            sites.here(2),
            round(seconds * 1e6),
            params.shown({"fields": [field.name for field in question.fields]}),
            json.dumps({"ask": question.shown()}),
            look,
            f"nobody answered within {seconds:g} seconds",
            "question",
            put,
            lambda: blocks and not awaiting,
        )
        return mapped(self._until(wait), question.answer)


class SyncAsk(_Ask):
    """Questions as blocking calls."""

    def ask(self, key: keys.Key, fields: Any, *, timeout: Duration = 24 * 3600) -> Any:
        """Ask a person, and wait for the answer.

        A notebook shows a form. There and anywhere else, `nbtasks answer` in a terminal answers,
        too, and so does `run.set` while the run is not executed.

        A blocking cell cannot receive the answer of its form, so its run is suspended while the
        form is open: fill it in, and execute the cell again. A cell that awaits continues at once.

        Args:
            key: Key of the task, as in `run_task`.
            fields: Fields to ask for: a pydantic model; or a dict that maps each name to a type, a
                list of choices or a default.
            timeout: Longest time to wait, in seconds or as a timedelta.

        Returns:
            The answer: an instance of the model, or a dict.

        Raises:
            WaitTimeout: Nobody answered in time.
            InvalidOptionError: `fields` does not describe a question.

        ```python
        import nbtasks as nb


        @nb.job("ask-example")
        def body(io: nb.SyncIO) -> str:
            answer = io.ask("choose a model", {"model": ["linear", "forest"], "depth": 3})
            return f"{answer['model']} {answer['depth']}"


        run = body.run(suspend_after=1)  # nobody is there
        run.set("choose a model", {"model": "forest", "depth": 5})
        assert body.run().output == "forest 5"
        ```
        """
        return self._drive(self._ask(key, fields, timeout))


class AsyncAsk(_Ask, AsyncFace):
    """Questions as awaitable calls."""

    def ask(
        self, key: keys.Key, fields: Any, *, timeout: Duration = 24 * 3600
    ) -> Coroutine[Any, Any, Any]:
        """Ask a person, and await the answer. Awaitable form of `SyncIO.ask`."""
        needs_loop("ask")
        return self._drive(self._ask(key, fields, timeout))
