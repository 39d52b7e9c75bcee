"""Settings: what holds, and where from."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbtasks.core import front_end
from nbtasks.core.front_end import Notebook, Terminal
from nbtasks.core.settings import Settings
from nbtasks.errors import InvalidOptionError, NbtasksError


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Fresh ones, in an empty working directory, with nothing in the environment."""
    for name in ("HOME", "DURABILITY", "TREE"):
        monkeypatch.delenv(f"NBTASKS_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    return Settings()


def vars_of(settings: Settings) -> tuple[Path, str]:
    return settings.home, settings.durability


def test_the_home_is_a_new_folder_here_where_there_is_none_above(settings: Settings):
    assert settings.home == Path.cwd() / ".nbtasks"
    assert not settings.home.exists()  # asking makes nothing


def test_the_home_is_the_nearest_one_upward(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    below = tmp_path / "project" / "notebooks" / "drafts"
    below.mkdir(parents=True)
    (tmp_path / ".nbtasks").mkdir()
    (tmp_path / "project" / ".nbtasks").mkdir()
    monkeypatch.chdir(below)

    assert settings.home == tmp_path / "project" / ".nbtasks"


def test_a_file_of_that_name_is_no_home(settings: Settings, tmp_path: Path):
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / ".nbtasks").mkdir()
    (below / ".nbtasks").write_text("")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        assert settings.home == tmp_path / ".nbtasks"


def test_the_environment_wins_over_the_default_and_configure_over_both(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NBTASKS_HOME", str(tmp_path / "from environment"))
    monkeypatch.setenv("NBTASKS_DURABILITY", "relaxed")
    assert vars_of(settings) == (tmp_path / "from environment", "relaxed")

    settings.configure(home=tmp_path / "configured", durability="task")
    assert vars_of(settings) == (tmp_path / "configured", "task")

    settings.configure(home=None, durability=None)
    assert vars_of(settings) == (tmp_path / "from environment", "relaxed")


def test_an_empty_variable_says_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NBTASKS_HOME", "")
    monkeypatch.setenv("NBTASKS_TREE", "")

    assert settings.home == Path.cwd() / ".nbtasks"
    assert settings.tree is True


def test_a_relative_home_stays_where_it_was_when_the_working_directory_changes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings.configure(home="journals")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert settings.home == tmp_path / "journals"


@pytest.mark.parametrize("named", [None, "", "journals"])
def test_the_home_stays_where_it_was_first_used_when_the_working_directory_changes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
):
    (tmp_path / "elsewhere" / ".nbtasks").mkdir(parents=True)
    if named is not None:
        monkeypatch.setenv("NBTASKS_HOME", named)
    first = settings.home
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert settings.home == first == tmp_path / (named or ".nbtasks")
    settings.configure(home=None)  # looks for it again
    assert settings.home == Path.cwd() / (named or ".nbtasks")


@pytest.mark.parametrize(
    "url",
    ["s3://team/nb", Path("s3://team/nb"), "memory://nb", "file:///nb", "simplecache::s3://nb"],
)
def test_a_url_is_no_home(settings: Settings, tmp_path: Path, url: str | Path):
    before = settings.home
    with pytest.raises(InvalidOptionError, match=r"folder of this machine.*nb\.publish\('.*://"):
        settings.configure(home=url)

    assert settings.home == before
    assert not list(tmp_path.iterdir())


def test_a_url_of_a_shared_file_is_no_home_but_can_be_opened(settings: Settings):
    with pytest.raises(InvalidOptionError, match=r"nb\.open\('s3://team/a\.nbrun'\) opens"):
        settings.configure(home="s3://team/a.nbrun")


def test_a_url_in_the_environment_is_refused_when_the_home_is_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NBTASKS_HOME", "s3://team/nb")
    fresh = Settings()  # as an import makes them, which must not fail
    assert fresh.durability == "task"
    with pytest.raises(InvalidOptionError, match=r"s3://team/nb is a URL \(from NBTASKS_HOME\)"):
        _ = fresh.home


def test_a_relative_home_of_the_environment_counts_from_where_the_process_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBTASKS_HOME", "journals")
    settings = Settings()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert settings.home == tmp_path / "journals"


def test_another_home_in_the_environment_is_a_deliberate_choice(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = settings.home
    monkeypatch.setenv("NBTASKS_HOME", str(tmp_path / "another"))
    assert settings.home == tmp_path / "another"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("NBTASKS_HOME")

    assert settings.home == first


@pytest.mark.parametrize(
    ("folder", "origin"), [("new", "new"), ("old", None), ("old/below", "found above")]
)
def test_a_home_that_nobody_named_is_told_once_unless_it_is_right_here(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str,
    origin: str | None,
):  # fmt: skip
    (tmp_path / "old" / ".nbtasks").mkdir(parents=True)
    (tmp_path / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)

    assert (settings.take_origin() or "").startswith(origin or "")
    assert settings.take_origin() is None


@pytest.mark.parametrize("how", ["configure", "environment"])
def test_a_home_that_somebody_named_is_not_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, how: str
):
    if how == "configure":
        settings.configure(home="journals")
    else:
        monkeypatch.setenv("NBTASKS_HOME", "journals")

    assert settings.take_origin() is None


# -- the home of a notebook ------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder of a project, with two folders of notebooks."""
    for name in ("workspace/a", "workspace/b", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "workspace"


def opened(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *, in_: Path, move: Path | None = None
) -> Settings:
    """The settings in a kernel of a notebook of a folder, which starts in one and moves on."""

    class Kernel(Terminal):
        def notebook(self) -> Notebook:
            return Notebook(folder / "study.ipynb", folder)

    monkeypatch.setattr(front_end, "_current", Kernel())
    monkeypatch.chdir(move or in_)
    return Settings()


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    "where",
    [
        "workspace/a, workspace",
        "workspace, workspace/a",
        "elsewhere, workspace/a",
        "workspace/a, elsewhere",
    ],
)
def test_a_notebook_has_one_home_whichever_front_end_opens_it_first(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, where: str
):
    first, second = (workspace.parent / name for name in where.split(", "))
    home = opened(monkeypatch, workspace / "a", in_=first).home
    home.mkdir()

    assert opened(monkeypatch, workspace / "a", in_=second).home == home
    assert opened(monkeypatch, workspace / "a", in_=first).home == home
    assert home == (workspace if first == workspace else workspace / "a") / ".nbtasks"


@pytest.mark.usefixtures("settings")
def test_a_home_beside_the_notebook_is_told_only_where_the_working_directory_has_another(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    (workspace / "a" / ".nbtasks").mkdir()
    assert opened(monkeypatch, workspace / "a", in_=workspace).take_origin() is None
    (workspace / ".nbtasks").mkdir()
    two = opened(monkeypatch, workspace / "a", in_=workspace)

    assert two.home == workspace / "a" / ".nbtasks"
    assert two.take_origin() == (
        f"found beside the notebook; not {workspace / '.nbtasks'}, which is nearest to {workspace}"
    )
    assert opened(monkeypatch, workspace / "a", in_=workspace / "a").take_origin() is None


@pytest.mark.usefixtures("settings")
def test_notebooks_of_one_workspace_share_its_home_unless_they_have_their_own(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    (workspace / ".nbtasks").mkdir()
    (workspace / "a" / ".nbtasks").mkdir()
    homes = [opened(monkeypatch, workspace / name, in_=workspace).home for name in ("a", "b")]

    assert homes == [workspace / "a" / ".nbtasks", workspace / ".nbtasks"]


@pytest.mark.usefixtures("settings")
def test_a_notebook_that_moves_below_its_home_keeps_it(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    home = opened(monkeypatch, workspace / "a", in_=workspace).home
    home.mkdir()

    assert opened(monkeypatch, workspace / "b", in_=workspace / "b").home == home


@pytest.mark.usefixtures("settings")
def test_a_home_that_is_only_in_the_working_directory_of_a_notebook_elsewhere_is_used_and_told(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    (workspace.parent / "elsewhere" / ".nbtasks").mkdir()
    settings = opened(monkeypatch, workspace / "a", in_=workspace.parent / "elsewhere")

    assert settings.home == workspace.parent / "elsewhere" / ".nbtasks"
    assert settings.take_origin() == "found in the working directory"


@pytest.mark.usefixtures("settings")
def test_a_change_of_the_working_directory_before_the_first_use_finds_the_same_home(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    home = opened(monkeypatch, workspace / "a", in_=workspace / "a").home
    home.mkdir()
    for move in (workspace, workspace.parent / "elsewhere"):
        moved = opened(monkeypatch, workspace / "a", in_=workspace / "a", move=move)
        assert moved.home == home


@pytest.mark.usefixtures("settings")
def test_a_home_that_somebody_named_has_nothing_to_do_with_the_notebook(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    (workspace / "a" / ".nbtasks").mkdir()
    monkeypatch.setenv("NBTASKS_HOME", str(workspace / "named"))
    settings = opened(monkeypatch, workspace / "a", in_=workspace)
    settings.look_from(workspace / "a")

    assert settings.home == workspace / "named"
    assert settings.take_origin() is None


def test_a_command_looks_where_a_kernel_of_the_notebook_would(settings: Settings, workspace: Path):
    (workspace / "a" / ".nbtasks").mkdir()
    settings.look_from(Path("workspace/a"))

    assert settings.home == workspace / "a" / ".nbtasks"


def test_a_tilde_is_the_users_folder(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/somebody")

    settings.configure(home="~/journals")

    assert settings.home == Path("/home/somebody/journals")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, True) for text in ("1", "true", "Yes", "on")],
        *[(text, False) for text in ("0", "FALSE", "no", "off")],
    ],
)
def test_a_switch_in_the_environment_is_read_as_people_write_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, text: str, value: bool
):
    monkeypatch.setenv("NBTASKS_TREE", text)

    assert settings.tree is value


def test_a_switch_can_be_given_as_a_bool(settings: Settings):
    settings.configure(tree=False)

    assert settings.tree is False


def test_an_unknown_setting_is_refused_and_the_nearest_is_named(settings: Settings):
    with pytest.raises(NbtasksError, match=r"no setting 'hme'. Is it home\?"):
        settings.configure(hme="somewhere")


@pytest.mark.parametrize(
    ("name", "value"), [("durability", "always"), ("tree", "maybe"), ("durability", 3)]
)
def test_a_value_that_is_none_of_those_allowed_is_refused(
    settings: Settings, name: str, value: object
):
    with pytest.raises(NbtasksError, match=rf"{name} is .*{value!r} \(from nb.configure\)"):
        settings.configure(**{name: value})


def test_a_refused_call_changes_nothing(settings: Settings):
    with pytest.raises(NbtasksError):
        settings.configure(tree=False, durability="always")

    assert settings.tree is True


def test_a_wrong_variable_is_named_when_it_is_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NBTASKS_DURABILITY", "always")

    with pytest.raises(NbtasksError, match="NBTASKS_DURABILITY"):
        _ = settings.durability


def test_each_setting_is_shown_with_its_value_and_where_it_comes_from(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / ".nbtasks").mkdir()
    monkeypatch.setenv("NBTASKS_DURABILITY", "relaxed")
    settings.configure(tree=False)

    home, durability, on_change, tree = (line.split() for line in repr(settings).splitlines()[:4])

    assert home[0] == "home"
    assert str(tmp_path / ".nbtasks") in home
    assert durability == ["durability", "relaxed", "NBTASKS_DURABILITY"]
    assert on_change == ["on_change", "warn", "default"]
    assert tree == ["tree", "False", "nb.configure"]
