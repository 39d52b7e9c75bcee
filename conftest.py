"""Set-up shared by all tests: those in tests/, and the examples in the docs and docstrings."""

from __future__ import annotations

import atexit
import gc
import itertools
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_markdown_docs.plugin import MarkdownDocstringCodeModule

from nbtasks.core.settings import config
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import current
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.protocol import Journal
from nbtasks.values import signing

# The same examples each time, and no failures because a machine is busy. To search for new
# examples: pytest --hypothesis-profile=explore
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("steady")

# Stop is this signal. A shell ignores it for what it starts in the background, and with that for
# all processes of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

PACKAGE = Path(__file__).parent / "nbtasks"
#: Tests that take minutes in one process, or whose results many others wait for.
LONGEST = ("test_task_cell_cases.py", "test_killed_in_every_cell")
_numbers = itertools.count()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """For all tests two more than there are processors, since many of the slow ones wait for other
    processes; without those one more. For tests in files that are named none, as those would only
    begin later."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    if config.args_source != pytest.Config.ArgsSource.ARGS:
        return (os.cpu_count() or 1) + (1 if config.option.markexpr == "not slow" else 2)
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path,
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect examples from docstrings of nbtasks only. In a test they would be data.

    Fences are looked for where there are any: that takes a second for each hundred modules.
    """
    collectors = yield
    if file_path.suffix != ".py":
        return collectors
    if not file_path.is_relative_to(PACKAGE):
        return [c for c in collectors if type(c) is pytest.Module]
    if "```" in file_path.read_text("utf8"):
        return collectors
    return [c for c in collectors if not isinstance(c, MarkdownDocstringCodeModule)]


@pytest.hookimpl(trylast=True)  # after they were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, so that no process is busy with them when all others
    have ended; and with those of the browser side by side, so that few processes start one."""
    items.sort(key=lambda item: "tests/browser/" not in item.nodeid)
    for longest in LONGEST:
        items.sort(key=lambda item: longest not in item.nodeid)


def pytest_collection_finish() -> None:
    """Spare the collection of garbage, a tenth of the time: no look at thousands of tests, and none
    at all for the few objects that one test makes."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


@pytest.fixture(autouse=True)
def _own_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a home and jobs of its own, and each example a folder as well.

    Most tests need no folder, and to make and remove thousands takes longer than some of the tests.
    """
    folder = _folder_of(request)
    monkeypatch.setenv("NBTASKS_HOME", str(folder / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))  # where the signing key is created
    monkeypatch.setattr(runtime, "jobs", dict(runtime.jobs))  # the last job defined for an id wins
    signing._key.cache_clear()
    if not isinstance(request.node, pytest.Function):
        monkeypatch.chdir(folder)
    settings_before = dict(config._overrides)
    monkeypatch.setattr(config, "_homes", {})  # as in a process that begins here
    open_before = set(current._open)
    yield
    for place in set(current._open) - open_before:
        _leave(current._open.pop(place))
    config._overrides.clear()  # no test inherits the settings of another
    config._overrides.update(settings_before)


def _folder_of(request: pytest.FixtureRequest) -> Path:
    """Return the folder of a test; where it asks for none, a path at which nothing is yet."""
    is_example = not isinstance(request.node, pytest.Function)
    if is_example or "tmp_path" in request.fixturenames:
        folder: Path = request.getfixturevalue("tmp_path")
        return folder
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return factory.getbasetemp() / "homes" / str(next(_numbers))


def _leave(journal: Journal) -> None:
    """Release a home as it is, without the merge of a proper close: nobody will open it again. Each
    start of a run looks at all files that the process has open."""
    if isinstance(journal, HomeJournal):
        atexit.unregister(journal.close)
        journal.segments.close_own()
