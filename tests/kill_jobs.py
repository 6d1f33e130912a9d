"""Kill each kind of job at moments spread over it, run it again, and compare what it made with what one that was left alone makes.

``python kill_jobs.py FOLDER KILLS`` prints, as JSON, job -> for each kill whether the job was killed and what was lost.
Jobs are forked from this process, which has imported everything: what is killed is the work, not the imports.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from toys import toy_systems, toy_trajectory

from mlcgmd.data import trajectory
from mlcgmd.md import run as md
from mlcgmd.md.chain import ChainSpec
from mlcgmd.model import batches, rollout
from mlcgmd.model.samplers import Gaussian
from mlcgmd.model.training import TrainConfig, build_model, in_common_terms, train
from mlcgmd.model.windows import Windows
from mlcgmd.paper import datasets, results

SYSTEMS = toy_systems(2)
LARGE = toy_trajectory("abcd" * 30, frames=400)
CONFIG = TrainConfig(time_step=10, steps=16, width=8, layers=1, refiner_layers=1, save_every=2, windows_per_system=4)
MODEL = build_model(Windows(in_common_terms(SYSTEMS), 10, 1), CONFIG).eval()


def chain(folder: Path) -> list[Path]:
    spec = ChainSpec("x", "abcd" * 5, 1, length=40.0, frame_interval=1.0, equilibration=1.0)
    return [md.run_md(spec, folder / "a.nc")]


def training(folder: Path) -> list[Path]:
    model, _ = train(SYSTEMS, [], CONFIG, folder / "run", progress=False)
    return [model.save(folder / "a.safetensors")]


def simulated(folder: Path) -> list[Path]:
    rollout.simulate(MODEL, SYSTEMS, folder / "a.nc", steps=40, replicas=2, sampler=Gaussian(), max_stretch=1e6, progress=False)
    return [folder / "a.nc"]


def saved(folder: Path) -> list[Path]:
    return [trajectory.save(LARGE, folder / "a.nc", 0.001)]


def built(folder: Path) -> list[Path]:
    paths = datasets.build("chain-smoke", ("train",), 1, folder)
    return [*paths, paths[0].with_name("registry.json")]


def drawn(jobs: list[tuple[Any, Path]], *_: object) -> list[Path]:
    """Trajectories in place of those of MD, which :func:`chain` kills."""
    for spec, path in jobs:
        if not path.exists():
            trajectory.save(toy_trajectory(seed=spec.seed % 1000), path)
    return [path for _, path in jobs]


def recorded(folder: Path) -> list[Path]:
    row = {"quantity": "a" * 500, "value": 1.0, "error": None, "unit": "", "n": 1, "target": ""}
    results.record([{**row, "id": f"a{k}"} for k in range(4000)], "a", folder)  # type: ignore[typeddict-item]
    return [folder / "a.json"]


JOBS: dict[str, Callable[[Path], list[Path]]] = {f.__name__: f for f in (chain, training, simulated, saved, built, recorded)}


def started(job: Callable[[Path], list[Path]], folder: Path) -> int:
    """Its process, begun."""
    folder.mkdir(exist_ok=True)
    if process := os.fork():
        return process
    try:
        (folder / "made").write_text("\n".join(str(path.relative_to(folder)) for path in job(folder)))
        os._exit(0)
    except BaseException as error:
        print(f"{job.__name__}: {error!r}", file=sys.stderr)
        os._exit(1)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (folder / "made").read_text().split("\n")}


def kill(job: Callable[[Path], list[Path]], folder: Path, kills: int) -> list[dict]:
    begun = time.monotonic()
    assert os.waitpid(started(job, folder / "whole"), 0)[1] == 0
    duration, expected = time.monotonic() - begun, content(folder / "whole")
    found = []
    for k in range(kills):
        delay, killed = duration * (k + 0.5) / kills, False
        for attempt in range(8):  # durations vary: what was done before the kill is begun anew, and killed sooner
            here = folder / f"{k}-{attempt}"
            process = started(job, here)
            time.sleep(delay)
            os.kill(process, signal.SIGKILL)
            killed, delay = os.WIFSIGNALED(os.waitpid(process, 0)[1]), delay / 2
            if killed:
                break
        status = os.waitpid(started(job, here), 0)[1]
        lost = [name for name in expected if status or content(here).get(name) != expected[name]]
        left = [str(path.relative_to(here)) for path in here.rglob("*.partial")]
        found.append({"killed": killed, "lost": lost, "left": left})
    return found


def small() -> None:
    """Make the jobs of this process short, and what they write small."""
    md.SEGMENT = batches.BLOCK = 5
    datasets.run_many = drawn
    np.seterr(all="ignore")


if __name__ == "__main__":
    small()
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({name: kill(job, folder / name, kills) for name, job in JOBS.items() if not (folder / name).mkdir()}))
