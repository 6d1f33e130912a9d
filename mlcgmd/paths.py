"""The one place that knows folders."""

import errno
import glob
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from .errors import MlcgmdError

CHECKOUT = Path(__file__).resolve().parents[1]
ROOT = Path(os.environ.get("MLCGMD_ROOT", CHECKOUT))
OWN = ROOT if "MLCGMD_ROOT" in os.environ else CHECKOUT / "runs" / "own"
"""Where notebooks put what they make. The workflow says with ``MLCGMD_ROOT``: beside what they read. Who runs a notebook by hand changes
nothing of the repository."""
SHIPPED = CHECKOUT / "data"
"""What the repository ships, wherever ROOT is."""
DATA = ROOT / "data"
FIGURES = ROOT / "figures"
RUNS = ROOT / "runs"
"""Scratch of training and simulation; not in git."""
MODELS = DATA / "models"
SIMULATIONS = DATA / "simulations"
RESULTS = DATA / "results"


def own(path: Path) -> Path:
    """The place in :data:`OWN` of a file of ``ROOT``; a file that is in OWN already, or elsewhere, stays there.

    >>> own(FIGURES / "speed.svg") == OWN / "figures" / "speed.svg"
    True
    """
    return OWN / path.relative_to(ROOT) if path.is_relative_to(ROOT) and not path.is_relative_to(OWN) else path


def place(path: Path) -> Path:
    """Where a file of ``ROOT`` is, and where it is to be made if it is not there: one's own comes first."""
    mine = own(path)
    return path if path.exists() and not mine.exists() else mine


@contextmanager
def writing(path: Path, kept: str = "nothing was lost") -> Iterator[None]:
    """Write ``path`` in the block: what the system says of a full disk or a folder of others gets the remedy; ``kept`` says what is left.

    Raises:
        OSError: as the block, with its number.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, f"the disk is full: {path} was not written, {kept}; make room and run it again") from error
        if error.errno in (errno.EROFS, errno.EACCES):
            remedy = f"give a path where you may write; with MLCGMD_ROOT=FOLDER all that lies in {ROOT} is sought and made in FOLDER"
            raise OSError(error.errno, f"{path} was not written ({error.strerror}): {remedy}") from error
        raise


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` if the block succeeds.

    A crash or a full disk leaves the old file (or none), never half of a new one. What a killed process left is removed by the next.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            if not _runs(left.name.split(".")[-2]):
                _remove(left)
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            _remove(temporary)
            raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _runs(process: str) -> bool:
    """Whether there is a process of that number; a name that holds none is left alone."""
    if os.name == "nt":  # where the call below would end it
        return True
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (OSError, ValueError):
        pass
    return True


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Hold ``folder``, which is made, for this process. The lock ends with the process, however that ends.

    Args:
        folder: of a run that can be resumed.
        what: the run is, for the message.

    Raises:
        MlcgmdError: another process holds it.
    """
    lock = FileLock(folder / ".lock")
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout:
        raise MlcgmdError(f"{folder} is in use by another {what} that runs now; wait until it ends, or give another path") from None
    try:
        yield
    finally:
        lock.release()


def read_npz(path: Path) -> dict[str, np.ndarray] | None:
    """All arrays of an .npz, or None if it is not there or damaged: who made it makes it again."""
    try:
        with np.load(path) as saved:
            return {name: saved[name] for name in saved.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error):
        return None
