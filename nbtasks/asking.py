"""`io.ask`: a run that waits for a person's answer."""

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

#: Says what is wrong with an answer, or takes it and gives None.
Submit = Callable[[dict[str, Any]], str | None]


class Present(Protocol):
    """Puts a question to who is in front of the screen."""

    def __call__(self, title: str, question: Question, submit: Submit) -> bool:
        """Shows it, if there is a screen; says whether what is answered there is only heard when
        the caller does not block."""


def _nobody(title: str, question: Question, submit: Submit) -> bool:
    del title, question, submit
    return False


_present: Present = _nobody


def use(present: Present) -> None:
    """Puts questions by this from now on."""
    global _present  # noqa: PLW0603 - a process has one screen
    _present = present


class _Ask(Face):
    """What both faces say."""

    def _ask(self, key: keys.Key, fields: Any, timeout: Duration) -> Effects:
        from nbtasks.questions import Question  # lazily: most runs ask nothing

        seconds = seconds_of("timeout", timeout)
        question, title = Question(fields), key if isinstance(key, str) else keys.join("", key)
        journal = self._execution.journal
        awaiting, blocks = self._execution.scope().asynchronous, False

        def look(row: TaskRow) -> tuple[Any] | None:
            for said in answers.find_answers(journal.find, row.run_id, row.path):
                try:
                    return (question.plain(said),)
                except ValueError:  # it came by a command that could not know
                    continue
            return None

        def put(row: TaskRow) -> Effects:
            """Shows the question, unless it is answered."""
            nonlocal blocks
            if look(row) is None:
                blocks = _present(title, question, lambda said: submit(row, said))
            yield from ()

        def submit(row: TaskRow, said: dict[str, Any]) -> str | None:
            try:
                plain = question.plain(said)
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
    """A question, by a call that blocks."""

    def ask(self, key: keys.Key, fields: Any, *, timeout: Duration = 24 * 3600) -> Any:
        """Asks a person, and waits for the answer. In a notebook a form shows; anywhere else, and
        there too, `nbtasks answer` tells it, and so does `run.set` while nothing is executed.

        A cell that blocks cannot hear of its form. So its run is suspended while the form stands:
        fill it in, and execute the cell again. A cell that awaits goes on at once.

        Args:
            key: As in `run_task`.
            fields: What is asked for: a pydantic model; or a dict of names, with a type, a list of
                choices or a default each.
            timeout: The longest that it waits, in seconds or as a timedelta.

        Returns:
            The answer: an object of the model, or a dict.

        Raises:
            WaitTimeout: Nobody answered in time.
            InvalidOptionError: The fields cannot be asked for.

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
    """A question, by a call that is awaited."""

    def ask(
        self, key: keys.Key, fields: Any, *, timeout: Duration = 24 * 3600
    ) -> Coroutine[Any, Any, Any]:
        """As `SyncIO.ask`, awaited."""
        needs_loop("ask")
        return self._drive(self._ask(key, fields, timeout))
