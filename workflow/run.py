"""Run the workflow, one run at a time in a folder; what a run that was killed left locked is unlocked.

``python workflow/run.py OPTIONS`` takes the options of ``snakemake``.
"""

import shutil
import socket
import sys
from pathlib import Path

from snakemake.cli import main

from mlcgmd.errors import MlcgmdError
from mlcgmd.paths import alone

FOLDER = Path(".snakemake")


def run(options: list[str]) -> None:
    """Run Snakemake in this process, so that the lock ends with it.

    Raises:
        MlcgmdError: another run goes on in this folder.
    """
    with alone(FOLDER, "run of the workflow"):
        host = FOLDER / "host"  # of the run that holds Snakemake's own locks; left behind where it was killed
        if host.exists() and host.read_text(encoding="utf-8") == socket.gethostname():
            shutil.rmtree(FOLDER / "locks", ignore_errors=True)
        host.write_text(socket.gethostname(), encoding="utf-8")
        try:
            main(options)
        finally:
            host.unlink()


if __name__ == "__main__":
    try:
        run(sys.argv[1:])
    except MlcgmdError as error:
        raise SystemExit(f"workflow: {error}") from error
