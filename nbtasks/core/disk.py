"""Places of files: where a disk refuses, network file systems, and URLs, which fsspec opens."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from nbtasks.errors import InvalidOptionError

__all__ = [
    "FAILING",
    "FULL",
    "MOUNTS",
    "READ_ONLY",
    "RemotePath",
    "as_url",
    "discard",
    "is_left",
    "make_folder",
    "network",
    "place_of",
    "remedy",
    "sync_folder",
    "without_password",
]

#: Error numbers of a disk that is full, or that has no room for this user, or for this file.
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: Error numbers of a place that may only be read.
READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
#: A file younger than this, in seconds, may still be in the middle of being written.
_LEFT_SECONDS: Final = 3600
#: Error numbers of a disk, or of the network to it, that does not work.
FAILING: Final = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ETIMEDOUT}
)
#: What to do about an error number: the first row that has it counts.
_REMEDIES: Final = (
    ({errno.EFBIG}, "Make room, or raise the limit of the size of a file (ulimit -f)"),
    (FULL, "Make room"),
    ({errno.EROFS}, "Mount the file system so that it can be written, to give write access"),
    (READ_ONLY, "Change the permissions, to give write access"),
    (FAILING, "Check that the disk or the network file system works, and mount it again"),
)


def remedy(error: OSError, place: Path | RemotePath | None = None) -> str:
    """Return what to do about a refused write to a place, as the beginning of a sentence.

    >>> remedy(OSError(errno.ENOSPC, "No space left on device"))
    'Make room'
    """
    if isinstance(place, RemotePath):
        return "Check the address, the connection and the credentials"
    for numbers, advice in _REMEDIES:
        if error.errno in numbers:
            return advice
    return "Make room or give write access"


def discard(path: Path) -> None:
    """Remove a file if that is possible. A read-only place refuses it even if there is no file."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


#: The table of mounts that Linux keeps. Other systems have none, and then nothing is found.
MOUNTS: Final = Path("/proc/mounts")
#: Types of file systems that several machines may have mounted at once. Not 9p and virtiofs, by
#: which a virtual machine sees the disk of its host.
_NETWORK: Final = frozenset({
    "nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre",
    "gpfs", "beegfs", "panfs", "pvfs2", "wekafs", "gfs2", "ocfs2", "davfs", "davfs2", "sshfs",
    "s3fs", "s3ql", "goofys", "gcsfuse", "blobfuse", "blobfuse2", "mountpoint-s3", "mount-s3",
    "rclone", "juicefs", "cephfs", "ceph-fuse", "moosefs", "mfs", "lizardfs", "hdfs",
})  # fmt: skip
#: A character that stands for a blank and the like in the table, as octal digits.
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def is_left(path: Path, now_us: int) -> bool:
    """Return True for an unfinished file that nobody has changed for an hour: its writer is dead.

    >>> is_left(Path(__file__).parent / "not there", 0)
    False
    """
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime < now_us / 1e6 - _LEFT_SECONDS
    return False


def network(path: Path) -> str | None:
    """Return the type and the source of the file system of a path, if that is one of a network."""
    try:
        table = MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return None
    place = path.resolve()
    found: tuple[int, str] | None = None
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - source, place, type
            continue
        source, mounted, kind = map(_unescape, fields[:3])
        depth = len(Path(mounted).parts)
        if place.is_relative_to(mounted) and (found is None or depth >= found[0]):
            kind = kind.removeprefix("fuse.")  # the last of several mounts at a place counts
            found = depth, f"{kind} from {source}" if kind in _NETWORK else ""
    return found[1] or None if found else None


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: The folder cannot be opened or synced.
    """
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, *, durable: bool, within: Path, mode: int = 0o777) -> None:
    """Create a folder unless it is there, with its parents.

    Args:
        folder: Path of the folder.
        durable: Make its name durable, and those of its parents: a file in it is on the disk only
            if they are. Also where they are there: whoever made them may not have synced them yet.
        within: The parent up to which names are synced although they are there.
        mode: Permissions of the folder, if it is made.

    Raises:
        OSError: It cannot be created.
    """
    made = [folder, *folder.parents]
    made = made[: next(number for number, each in enumerate(made) if each.exists())]
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    if durable:
        known = [each for each in (folder, *folder.parents) if within in (each, *each.parents)]
        for each in dict.fromkeys((*made, *known)):
            with contextlib.suppress(OSError):  # a parent that only others may read
                sync_folder(each.parent)


#: A URL, also a chained one; or what a `Path` made of one, with one slash.
_URL: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*([A-Za-z][A-Za-z0-9+.-]+):/(/?)")
_LOCAL: Final = ("file", "local")
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
#: Protocols that replace a file at once, when all of it has arrived.
_AT_ONCE: Final = frozenset(
    {"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss"}
)


def as_url(place: str | os.PathLike[str]) -> str | None:
    """Return a place as a URL; None if it is a path of this machine.

    >>> [as_url(place) for place in ("s3://team/a", Path("s3://team"), "C:/runs", "a:b")]
    ['s3://team/a', 's3://team', None, None]
    """
    text = os.fspath(place)
    found = _URL.match(text)
    if found is None or found.group(2):
        return text if found else None
    return f"{text[: found.end()]}/{text[found.end() :]}"  # the second slash, which a `Path` drops


def without_password(url: str) -> str:
    """Return a URL as others may see it.

    >>> without_password("sftp://ada:secret@host/runs")
    'sftp://ada:...@host/runs'
    """
    return _PASSWORD.sub(r"\1:...@", url)


def place_of(place: str | os.PathLike[str]) -> Path | RemotePath:
    """Return a place as a path of this machine or, for a URL, as one that fsspec opens.

    Raises:
        InvalidOptionError: No library here opens such a URL.

    >>> place_of("file:///data/a%20study.nbrun")
    PosixPath('/data/a study.nbrun')
    """
    url = as_url(place)
    if url is None:
        return Path(place).expanduser()
    protocol, _, path = url.partition("://")
    if protocol.lower() in _LOCAL:
        from urllib.parse import unquote  # lazily: it takes some milliseconds

        return Path("/" + unquote(path).lstrip("/"))
    return RemotePath(url)


class RemotePath:
    """A file or a folder at a URL.

    Every refusal is an OSError that names the URL without a password.

    Args:
        url: The URL.

    Attributes:
        fs: The file system of fsspec.
        path: The path in it.
        name: The last part of the path.
        suffix: Its suffix.

    Raises:
        InvalidOptionError: No library here opens such a URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            import fsspec.core  # lazily: an extra, and only URLs need it

            self.fs, self.path = fsspec.core.url_to_fs(url)
        except ImportError as error:
            missing = "fsspec" if error.name == "fsspec" else "the library for such URLs"
            detail = "" if error.name == "fsspec" else f" ({error})"
            raise InvalidOptionError(
                f"{self} is a URL, and {missing} is not installed{detail}. Install it with "
                "pip install 'nbtasks[remote]', for s3:// also s3fs, for gs:// gcsfs, for abfs:// "
                "adlfs; or give a path of this machine."
            ) from None
        except Exception as error:  # noqa: BLE001 - any library may refuse, in its own way
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise InvalidOptionError(f"{self} is not a URL that can be opened: {reason}.") from None
        pure = PurePosixPath(self.path)
        self.name, self.suffix = pure.name, pure.suffix

    def __str__(self) -> str:
        return without_password(self._url)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self._url.rstrip('/')}/{name}")

    @property
    def url(self) -> str:
        """The URL, as it was given."""
        return self._url

    @staticmethod
    def is_dir() -> bool:
        """Return False: it is never a folder of this machine."""
        return False

    def absolute(self) -> RemotePath:
        """Return the path itself: a URL depends on no working directory."""
        return self

    def with_name(self, name: str) -> RemotePath:
        """Return the place of this name in the same folder."""
        folder = self._url.rstrip("/")[: -len(self.name)].rstrip("/")
        return RemotePath(f"{folder}/{name}")

    def locate(self, path: str) -> str:
        """Return the whole URL of a file below this folder, for what opens it by `fs`."""
        url: str = self.fs.unstrip_protocol(f"{self.path.rstrip('/')}/{path}")
        return url

    def download(self, target: Path) -> None:
        """Copy the file to this machine.

        Raises:
            FileNotFoundError: There is no such file.
            OSError: It cannot be read.
        """
        with self._explained():
            self.fs.get_file(self.path, str(target))

    def upload(self, source: Path) -> None:
        """Copy a file of this machine there: a reader sees the old content or the new one.

        Raises:
            OSError: It cannot be written.
        """
        protocol = self.fs.protocol
        names = {protocol} if isinstance(protocol, str) else {*protocol}
        with self._explained():
            if names & _AT_ONCE:
                self.fs.put_file(str(source), self.path)
                return
            self.fs.makedirs(self.fs._parent(self.path), exist_ok=True)  # noqa: SLF001 - it has no other name
            draft = f"{self.path}.{os.getpid()}.part"
            self.fs.put_file(str(source), draft)
            self.fs.mv(draft, self.path)

    def files(self) -> list[str]:
        """Return the paths of all files below this folder; none if there is no such folder.

        Raises:
            OSError: They cannot be listed.
        """
        with self._explained():
            self.fs.invalidate_cache()
            try:
                return sorted(self.fs.find(self.path))
            except FileNotFoundError:
                return []

    def remove(self, path: str) -> None:
        """Remove a file below this folder, if it is there.

        Raises:
            OSError: It cannot be removed.
        """
        with self._explained(), contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.path.rstrip('/')}/{path}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the errors of any library into an OSError."""
        try:
            yield
        except OSError as error:
            if error.strerror is None:
                raise type(error)(
                    error.errno or errno.EIO, str(error) or type(error).__name__
                ) from error
            raise
        except Exception as error:
            raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error
