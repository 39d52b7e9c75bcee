"""Current settings, and the origin of each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from nbtasks.core import front_end
from nbtasks.core.disk import as_url
from nbtasks.core.parameters import nearest_name
from nbtasks.errors import InvalidOptionError, NbtasksError

__all__ = [
    "CHOICES",
    "ECHO",
    "ON_CHANGE",
    "SHARED",
    "Durability",
    "Echo",
    "OnChange",
    "Settings",
    "config",
    "is_shared",
]

Durability = Literal["task", "relaxed"]
OnChange = Literal["warn", "rerun", "error", "ignore"]
Echo = Literal["fold", "show", "hide"]

_FOLDER = ".nbtasks"
#: Suffix of a shared file.
SHARED = ".nbrun"
ON_CHANGE = ("warn", "rerun", "error", "ignore")
ECHO = ("fold", "show", "hide")
#: Values of the settings that have a few.
CHOICES: dict[str, tuple[str, ...]] = {
    "durability": ("task", "relaxed"),
    "on_change": ON_CHANGE,
    "echo": ECHO,
    "replay": ("only",),
}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_VARIABLE = "NBTASKS_HOME"


class _Home(NamedTuple):
    """Home, how it was chosen, and whether that is worth a line."""

    path: Path
    origin: str
    is_told: bool = False


@dataclass
class Settings:
    """Current settings.

    An argument of `nb.configure` takes precedence over the environment, which takes precedence over
    the default.

    ```python
    import nbtasks as nb

    assert nb.config.durability in ("task", "relaxed")
    print(nb.config)  # each setting, its value, and where it comes from
    ```
    """

    _overrides: dict[str, Any] = field(default_factory=dict)
    #: Homes by the text of `NBTASKS_HOME`, as they were first used.
    _homes: dict[str, _Home] = field(default_factory=dict)
    _is_origin_told: bool = False

    def __post_init__(self) -> None:
        # Set outside the process, a relative one counts from where the process began.
        if text := os.environ.get(_VARIABLE):
            with contextlib.suppress(InvalidOptionError):  # raised by its first use
                self._homes[text] = _named_home(text)

    @property
    def home(self) -> Path:
        """Folder that holds the journal, or a shared file that is replayed.

        `NBTASKS_HOME`, else the nearest `.nbtasks` upward from the notebook's folder, where the
        front end names the notebook, else upward from the working directory. Else a new one in the
        working directory or, if the notebook is neither in it nor below, beside the notebook. The
        first use decides: later changes of the working directory do not move the home.
        `nb.configure(home=None)` looks for it again.
        """
        return cast("Path", self._resolve("home")[0])

    @property
    def durability(self) -> Durability:
        """Durability of a task's outcome when its call returns.

        `task`: the outcome is on the disk. `relaxed`: the operating system has it, so it survives a
        killed process but not a power cut.
        """
        return cast("Durability", self._resolve("durability")[0])

    @property
    def on_change(self) -> OnChange:
        """Policy for recorded tasks whose code or inputs have changed.

        It applies where neither the call nor the function nor the job sets one. `warn` answers from
        the journal with a warning, `rerun` runs the task again, `error` refuses, `ignore` skips the
        check.
        """
        return cast("OnChange", self._resolve("on_change")[0])

    @property
    def echo(self) -> Echo:
        """Treatment of what reused tasks printed and displayed when they ran.

        `fold` shows it again, folded below the tree; `show` shows it unfolded; `hide` leaves it
        out.
        """
        return cast("Echo", self._resolve("echo")[0])

    @property
    def replay(self) -> str | None:
        """Replay mode: `only` if recorded runs are replayed and nothing is executed, else None.

        `only` overrides cells and jobs. It always applies if the home is a shared file.
        """
        return self.replay_of(self.home)

    def replay_of(self, home: Path) -> str | None:
        """Return the replay mode of runs in a home, which may not be the one in force."""
        value = self._resolve("replay")[0]
        return "only" if is_shared(home) else cast("str | None", value)

    @property
    def on(self) -> Any:
        """Engine of the tasks of jobs that say none: an executor, a `distributed.Client`, or the
        name of one that `nb.register_engine` knows; None for this process."""
        return self._resolve("on")[0]

    @property
    def store(self) -> str | None:
        """URL of the folder into which workers write large values; None if these come through this
        process. Any URL that fsspec opens, such as `s3://bucket/nbtasks`, here and on the workers.
        """
        return cast("str | None", self._resolve("store")[0])

    @property
    def tree(self) -> bool:
        """True if a run shows its tree in the notebook."""
        return bool(self._resolve("tree")[0])

    def configure(self, **changes: object) -> None:
        """Set the given settings; `None` resets one to the environment or the default.

        Raises:
            NbtasksError: A name is unknown, or a value is not allowed.
        """
        checked: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in _NAMES:
                nearest = nearest_name(name, [*_NAMES])
                hint = f"Is it {nearest}?" if nearest else f"There are: {', '.join(_NAMES)}."
                raise NbtasksError(f"There is no setting {name!r}. {hint}")
            checked[name] = None if value is None else _parse(name, value, "nb.configure")
        for name, value in checked.items():
            if value is None:
                self._overrides.pop(name, None)
                if name == "home":
                    self._homes.clear()
            else:
                self._overrides[name] = value

    def look_from(self, notebook: Path) -> None:
        """Look for the home as kernels of notebooks in a folder do, unless it is named."""
        if "home" not in self._overrides and not os.environ.get(_VARIABLE):
            self._homes.setdefault("", _found_home(notebook.resolve()))

    def take_origin(self) -> str | None:
        """Return, the first time, how a home was chosen that nobody named.

        None if it was named, or is where the user expects it: in the working directory, or beside
        the notebook if it is the only one.
        """
        told, self._is_origin_told = self._is_origin_told, True
        if "home" in self._overrides or told:
            return None
        home = self._home()
        return home.origin if home.is_told else None

    @contextlib.contextmanager
    def overridden(self, **changes: object) -> Iterator[None]:
        """Set the given settings, as `configure` does, until the block ends."""
        previous = dict(self._overrides)
        self.configure(**changes)
        try:
            yield
        finally:
            self._overrides.clear()
            self._overrides.update(previous)

    def _resolve(self, name: str) -> tuple[Any, str]:
        if name in self._overrides:
            return self._overrides[name], "nb.configure"
        variable = f"NBTASKS_{name.upper()}"
        if name == "home":
            return self._home()[:2]
        if text := os.environ.get(variable, ""):
            return _parse(name, text, variable), variable
        return _DEFAULTS[name], "default"

    def _home(self) -> _Home:
        text = os.environ.get(_VARIABLE, "")
        home = self._homes.get(text)
        if home is None:
            home = _named_home(text) if text else _found_home(_notebook_folder())
            self._homes[text] = home
        return home

    def __repr__(self) -> str:
        lines = []
        for name in _NAMES:
            value, origin = self._resolve(name)
            lines.append(f"{name:<11} {value!s:<40} {origin}")
        return "\n".join(lines)


_DEFAULTS: dict[str, Any] = {
    "durability": "task", "on_change": "warn", "tree": True, "echo": "fold",
    "replay": None, "on": None, "store": None,
}  # fmt: skip
_NAMES = ("home", *_DEFAULTS)


def is_shared(home: Path) -> bool:
    """Return True if a home is a shared file rather than a folder."""
    return home.suffix == SHARED and not home.is_dir()


def _parse(name: str, value: object, origin: str) -> object:
    if name == "home":
        if (url := as_url(str(value))) is not None:
            raise _remote_home_error(url, origin)
        return Path(str(value)).expanduser().absolute()
    if name == "store":
        text = str(value)
        return text if "://" in text else Path(text).expanduser().absolute().as_uri()
    if (choices := CHOICES.get(name)) is not None:
        if value in choices:
            return value
        allowed = " or ".join(filter(None, [", ".join(map(repr, choices[:-1])), repr(choices[-1])]))
        raise NbtasksError(f"{name} is {allowed}, not {value!r} (from {origin}).")
    if name == "on":
        return value
    text = str(value).lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise NbtasksError(f"{name} is True or False, not {value!r} (from {origin}).")


def _remote_home_error(url: str, origin: str) -> InvalidOptionError:
    """Return the error for a home at a URL, which would be a folder of that odd name."""
    advice = f"nb.open({url!r}) opens that file, and nb.import_run({url!r}) takes its runs"
    if not url.endswith(SHARED):
        advice = (
            f"Keep it local, and share what it holds: large values by nb.configure(store={url!r}), "
            f"its history by nb.publish({url!r}), a run by nb.export_run(run, {url + '/a.nbrun'!r})"
        )
    return InvalidOptionError(
        f"A home is a folder of this machine, since a journal needs its locks and syncs, and {url} "
        f"is a URL (from {origin}). {advice}."
    )


def _named_home(text: str) -> _Home:
    """Return the home for a value of `NBTASKS_HOME`."""
    return _Home(cast("Path", _parse("home", text, _VARIABLE)), _VARIABLE)


def _notebook_folder() -> Path | None:
    notebook = front_end.current().notebook()
    return None if notebook is None else notebook.folder


def _found_home(notebook: Path | None) -> _Home:
    """Return the home that nobody named, of a notebook in this folder."""
    current = Path.cwd()
    around = _nearest_home(current)
    beside = None if notebook is None else _nearest_home(notebook)
    if beside is not None and beside != around:
        is_above = beside.parent != notebook
        origin = f"found {'above' if is_above else 'beside'} the notebook"
        if around is None:
            return _Home(beside, origin, is_told=is_above)
        return _Home(beside, f"{origin}; not {around}, which is nearest to {current}", is_told=True)
    place = current if notebook is None or notebook.is_relative_to(current) else notebook
    if around is None:
        return _Home(place / _FOLDER, "new", is_told=True)
    if around.parent == current:
        is_told = beside is None and place != current
        return _Home(around, "found in the working directory", is_told)
    return _Home(around, "found above the working directory", is_told=True)


def _nearest_home(folder: Path) -> Path | None:
    """Return the nearest home upward from a folder."""
    homes = (place / _FOLDER for place in (folder, *folder.parents))
    return next((home for home in homes if home.is_dir()), None)


#: The settings of this process.
config = Settings()
