"""Run each kind of job on a small disk that becomes full at moments spread over it; make room, run it again, and compare.

``python full_disk.py DISK TIMES`` prints, as JSON, job -> for each time that the disk became full what was said of it, what was lost and
what was left behind. DISK is a file system of a few MB, such as a tmpfs.
"""

import errno
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import matplotlib
from kill_jobs import JOBS, content, small
from matplotlib.figure import Figure
from toys import toy_trajectory

from mlcgmd.data.export import export
from mlcgmd.paper import provenance

FORMER = b"{}"
"""What lies in place of the files that a job replaces."""
RUN = toy_trajectory(frames=200)


def pictured(folder: Path) -> list[Path]:
    figure = Figure()
    figure.subplots().plot(range(4000), [k % 7 for k in range(4000)])
    provenance.save(figure, "a", notebook="a", parameters={}, inputs=[], folder=folder)
    return [folder / name for name in ("a.svg", "a.png", "a.json")]


def exported(folder: Path) -> list[Path]:
    return [file for ending in ("xtc", "gro") for file in export(RUN, folder / f"a.{ending}")]


def outcome(job: Callable[[Path], list[Path]], folder: Path) -> str:
    """What the job says in a process of its own: nothing, the error of a full disk, or how else it ended."""
    receive, send = os.pipe()
    if not (process := os.fork()):
        said = ""
        try:
            (folder / "made").write_text("\n".join(str(path.relative_to(folder)) for path in job(folder)))
        except BaseException as error:
            said = str(error) if isinstance(error, OSError) and error.errno == errno.ENOSPC else traceback.format_exc()
        os.write(send, said.encode()[-4000:])
        os._exit(0)
    os.close(send)
    status = os.waitpid(process, 0)[1]
    with open(receive, encoding="utf-8") as file:
        return file.read() if status == 0 else f"ended with {status}"


def fill(disk: Path, room: int) -> Path:
    """Leave so many bytes on the disk."""
    free = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - room))
    return disk / "filler"


def crowd(name: str, job: Callable[[Path], list[Path]], disk: Path, times: int) -> list[dict]:
    folder = disk / name
    folder.mkdir()
    if said := outcome(job, folder):
        raise SystemExit(f"{name}: {said}")
    expected, used = content(folder), sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))
    replaces = name in ("training", "saved", "recorded", "pictured", "exported")
    shutil.rmtree(folder)
    found = []
    for k in range(times):
        folder.mkdir()
        for file in expected if replaces else ():
            (folder / file).write_bytes(FORMER)
        filler = fill(disk, used * k // times)
        said = outcome(job, folder)
        filler.unlink()
        there = {file: (folder / file).read_bytes() for file in expected if (folder / file).exists()}
        lost = [file for file, text in there.items() if text not in (expected[file], FORMER)]
        again = outcome(job, folder)
        lost += [again] if again else [file for file in expected if content(folder).get(file) != expected[file]]
        found.append({"said": said, "lost": lost, "left": [str(path) for path in folder.rglob("*.partial")]})
        shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    small()
    matplotlib.rcParams["svg.hashsalt"] = "a"
    jobs = JOBS | {"pictured": pictured, "exported": exported}
    print(json.dumps({name: crowd(name, job, Path(sys.argv[1]), int(sys.argv[2])) for name, job in jobs.items()}))
