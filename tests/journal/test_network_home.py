"""Homes on network file systems: how they are found, and the warning."""

from __future__ import annotations

import warnings

import pytest

import nbtasks as nb
from nbtasks.core import disk


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("srv:/export HERE nfs4 rw 0 0", "nfs4 from srv:/export"),
        ("//srv/share HERE cifs rw 0 0", "cifs from //srv/share"),
        ("ada@srv: HERE fuse.sshfs rw 0 0", "sshfs from ada@srv:"),
        ("s3fs HERE/a fuse.s3fs rw 0 0", "s3fs from s3fs"),
        ("10.0.0.1@tcp:/fs HERE lustre rw 0 0", "lustre from 10.0.0.1@tcp:/fs"),
        ("srv:/export HERE nfs4 rw 0 0\n/dev/vdb HERE/a ext4 rw 0 0", None),
        ("/dev/vdb HERE ext4 rw 0 0\nsrv:/export HERE nfs rw 0 0", "nfs from srv:/export"),
        ("srv:/export HERE nfs rw 0 0\n/dev/vdb HERE ext4 rw 0 0", None),
        ("srv:/export HERE-more nfs rw 0 0", None),
        ("srv:/export HERE/a\\040b nfs rw 0 0", None),
        ("host HERE 9p rw 0 0", None),
        ("overlay HERE overlay rw 0 0", None),
        ("nonsense", None),
    ],
)
def test_the_file_system_of_a_home_is_found(mounted, tmp_path, line, found) -> None:
    mounted(line)
    assert disk.network(tmp_path / "a" / ".nbtasks") == found


def test_a_place_with_a_blank_and_a_link_to_it_are_found(mounted, tmp_path) -> None:
    mounted("srv:/export HERE/a\\040b nfs rw 0 0")
    (tmp_path / "a b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a b")

    assert disk.network(tmp_path / "link" / ".nbtasks") == "nfs from srv:/export"


@pytest.mark.slow
def test_a_home_on_a_network_is_named_once_with_the_remedy(mounted, tmp_path) -> None:
    @nb.job("networked")
    def body(io: nb.SyncIO) -> None: ...

    mounted("srv:/export HERE nfs4 rw 0 0")
    nb.configure(home=tmp_path / "home")
    with pytest.warns(nb.NetworkHomeWarning, match=r"nfs4 from srv:/export.*nb\.publish"):
        body.run()
    body.run()  # a second warning would be an error here
    nb.runs()
    finding = nb.doctor().query("what == 'home'")
    assert finding.detail.tolist() == ["on a network file system, nfs4 from srv:/export"]
    nb.configure(home=None)


def test_a_home_on_a_disk_is_not_named(mounted, tmp_path, monkeypatch) -> None:
    mounted("/dev/vdb HERE ext4 rw 0 0")
    nb.configure(home=tmp_path / "home")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nb.runs().empty
        monkeypatch.setattr(disk, "MOUNTS", tmp_path / "none")  # as on a Mac
        nb.configure(home=tmp_path / "another")
        assert nb.runs().empty
    nb.configure(home=None)
