"""The one place that knows folders."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """The place in :data:`OWN` of a file of :data:`ROOT`; a file that is in OWN already, or elsewhere, stays there.

    >>> own(FIGURES / "speed.svg") == OWN / "figures" / "speed.svg"
    True
    """
    return OWN / path.relative_to(ROOT) if path.is_relative_to(ROOT) and not path.is_relative_to(OWN) else path


def place(path: Path) -> Path:
    """Where a file of :data:`ROOT` is, and where it is to be made if it is not there: one's own comes first."""
    mine = own(path)
    return path if path.exists() and not mine.exists() else mine


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` if the block succeeds.

    A crash or a full disk leaves the old file (or none), never half of a new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == 28:
            raise OSError(28, f"the disk is full: {path} was not written, nothing was lost") from error
        raise
