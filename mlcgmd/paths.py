"""The one place that knows folders."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
ROOT = Path(os.environ.get("MLCGMD_ROOT", CHECKOUT))
SHIPPED = CHECKOUT / "data"
"""What the repository ships, wherever ROOT is."""
DATA = ROOT / "data"
FIGURES = ROOT / "figures"
RUNS = ROOT / "runs"
"""Scratch of training and simulation; not in git."""
MODELS = DATA / "models"
SIMULATIONS = DATA / "simulations"
RESULTS = DATA / "results"


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
