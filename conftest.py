"""What holds for every test: those in tests/, and the examples in the docs and docstrings."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nbtasks import signing
from nbtasks.kit import kit

# The same examples each time, and no verdict from a busy machine's clock. To look for new
# ones: pytest --hypothesis-profile=explore
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("steady")

PACKAGE = Path(__file__).parent / "nbtasks"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """For all tests one more than there are processors, since many of them wait for a process. For
    tests in files that are named none, as those would only begin later."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    if config.args_source != pytest.Config.ArgsSource.ARGS:
        return (os.cpu_count() or 1) + 1
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path,
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Looks for examples in the docstrings of nbtasks only. In a test they would be data."""
    collectors = yield
    if file_path.suffix != ".py" or file_path.is_relative_to(PACKAGE):
        return collectors
    return [c for c in collectors if type(c) is pytest.Module]


@pytest.fixture(autouse=True)
def _own_home(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Gives each test a home and jobs of its own, and each example a folder as well."""
    monkeypatch.setenv("NBTASKS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))  # where the signing key is made
    monkeypatch.setattr(kit, "jobs", dict(kit.jobs))  # of one id the job defined last counts
    signing._key.cache_clear()
    if not isinstance(request.node, pytest.Function):
        monkeypatch.chdir(tmp_path)
    given = dict(kit.settings._given)
    yield
    kit.settings._given.clear()  # no test's settings are those of the next
    kit.settings._given.update(given)
