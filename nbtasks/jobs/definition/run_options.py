"""Options of a call of `job.run`, and which of them the caller gives: not the payload's fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from nbtasks.engine.waiting.budget import TimeBudget
from nbtasks.errors import InvalidOptionError

__all__ = ["FALSE", "HOUR", "NONE", "OPTIONS", "TRUE", "RunOptions", "given"]


class _Default:
    """Default of an option, distinct from the same value when a caller gives it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


#: Names of the options of `job.run`.
OPTIONS: Final = ("key", "new", "replay", "max_time", "suspend_after", "tree")
NONE: Final[Any] = _Default(None)
FALSE: Final[Any] = _Default(False)  # noqa: FBT003 - it is the value
HOUR: Final[Any] = _Default(3600)
TRUE: Final[Any] = _Default(True)  # noqa: FBT003 - as above


def given(options: dict[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the values of options, and the names of those that the caller has given."""
    names = frozenset(name for name, value in options.items() if not isinstance(value, _Default))
    values = {
        name: value.value if isinstance(value, _Default) else value
        for name, value in options.items()
    }
    return values, names


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a call of `job.run`.

    Attributes:
        key: The key of the run; None for a digest of the payload.
        new: Whether to start a new run.
        only: Whether the execution only replays.
        budget: Time budget of the execution.
        tree: Whether to show the tree.
        names: The names of the options that the caller has given.
    """

    key: str | None
    new: bool
    only: bool
    budget: TimeBudget | None
    tree: bool
    names: frozenset[str]

    @classmethod
    def of(cls, job: str, **options: Any) -> Self:
        """Return the options of a call, checked.

        Args:
            job: The id of the job.
            **options: The arguments of the call by name, with the defaults of this module.

        Raises:
            InvalidOptionError: A value is not valid.
        """
        values, names = given(options)
        new = values["new"]
        return cls(
            values["key"],
            new,
            _check_replay(job, values["replay"], new=new),
            TimeBudget.of(values["max_time"], values["suspend_after"]),
            values["tree"],
            names,
        )


def _check_replay(job: str, replay: object, *, new: bool) -> bool:
    """Check the `replay` option. Return True if the execution only replays."""
    if replay is None:
        return False
    if replay != "only":
        raise InvalidOptionError(
            f'Job {job!r}: replay={replay!r}: it is "only", or None to run what is not recorded.'
        )
    if new:
        raise InvalidOptionError(
            f'Job {job!r}: new=True starts a new run, and replay="only" never does. Leave one out.'
        )
    return True
