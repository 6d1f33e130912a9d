"""Archives from elsewhere: looked through before anything of them is written.

>>> plain_name("../chains.zip")
Traceback (most recent call last):
mlcgmd.errors.MlcgmdError: '../chains.zip' is no plain file name; give one without folders, as in 'chains.zip'
"""

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import MlcgmdError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
RATIO = 100
"""An archive that grows by more than this is no data: positions in single precision grow by 2 to 5."""
SMALL = 2**20
"""Bytes that an archive may grow to whatever its own size: HDF5 files of a few numbers are mostly zeros."""
MEMBERS = 1_000_000
"""The most files of an archive."""


def plain_name(name: str) -> str:
    """``name`` if it is that of a file in a folder and leads nowhere else.

    Raises:
        MlcgmdError: it has folders, a drive or begins with a dot.
    """
    if not isinstance(name, str) or not name or name.startswith(".") or set(name) & set("/\\:\0"):
        last = str(name).replace("\\", "/").rsplit("/", 1)[-1].strip(".:\0") or "chains.zip"
        raise MlcgmdError(f"{name!r} is no plain file name; give one without folders, as in {last!r}")
    return name


def unpack(archive: Path, folder: Path) -> None:
    """Unpack all of ``archive``, with one of ``ENDINGS``, into ``folder``, which is made.

    Raises:
        MlcgmdError: a member would be written elsewhere, is a link or a device, or is there twice; the members are too many or grow
            by more than :data:`RATIO`; or the archive is damaged. Then nothing was written, but by an archive that is damaged inside.
        OSError: the disk has no room for it.
    """
    with _damage_explained(archive):
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as file:
                _check(archive, ((m.filename, m.file_size, _kind(m)) for m in file.infolist()), folder)
                file.extractall(folder)
        else:
            with tarfile.open(archive) as file:
                _check(archive, ((m.name, m.size, "" if m.isfile() or m.isdir() else "link or device") for m in file), folder)
                file.extractall(folder, filter="data")


def _kind(member: zipfile.ZipInfo) -> str:
    """What a member of a zip is, empty if a plain file or folder."""
    mode = stat.S_IFMT(member.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "link or device"
    return "encrypted file" if member.flag_bits & 1 else ""


def _check(archive: Path, members: Iterator[tuple[str, int, str]], folder: Path) -> None:
    """Refuse what :func:`unpack` says, of members (name, bytes, what it is if no plain file)."""
    limit, total, seen = max(SMALL, RATIO * archive.stat().st_size), 0, set()
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    for name, size, kind in members:
        path = PurePosixPath(name)
        if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or set(name) & set("\\\0"):
            raise MlcgmdError(f"{archive.name} holds {name!r}, which leads out of its folder; do not trust this archive")
        if kind:
            raise MlcgmdError(f"{archive.name} holds {name!r}, a {kind}; only plain files and folders are unpacked")
        if path in seen and not name.endswith("/"):
            raise MlcgmdError(f"{archive.name} holds {name!r} twice; do not trust this archive")
        seen.add(path)
        total += size
        if total > limit or len(seen) > MEMBERS:
            raise MlcgmdError(
                f"{archive.name} would grow from {archive.stat().st_size} to {total} bytes or more, above {RATIO} times, in {len(seen)}"
                " files or more; do not trust this archive"
            )
        if total > free:
            raise OSError(28, f"the disk is full: {archive.name} needs {total} bytes or more, {free} are free; nothing was unpacked")


@contextmanager
def _damage_explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError) as error:
        raise MlcgmdError(f"{archive} is corrupted ({error}); delete it and run it again") from error
    except OSError as error:
        if error.errno is not None:  # of the disk; bz2 has no error of its own
            raise
        raise MlcgmdError(f"{archive} is corrupted ({error}); delete it and run it again") from error
