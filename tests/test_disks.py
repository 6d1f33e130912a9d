"""A disk that becomes full costs nothing but time; where data may not be written, others are made elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlcgmd.paths import CHECKOUT

TIMES = 2
"""That the disk of each job becomes full, spread over it."""
JOBS = ("chain", "training", "simulated", "saved", "built", "recorded", "pictured", "exported")
ALONE = ["unshare", "--user", "--map-root-user", "--mount"]
"""Mounts that only the command sees, and that end with it."""


def mounting() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not mounting(), reason="file systems are mounted")


def mounted(mount: str, *command: str | Path, **environment: str) -> str:
    """What a command says that sees the mount."""
    words = [*ALONE, "sh", "-c", f'{mount} && exec "$@"', "sh", *command]
    done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    disk = tmp_path_factory.mktemp("disk")
    script = Path(__file__).with_name("full_disk.py")
    return json.loads(mounted(f"mount -t tmpfs -o size=8m none '{disk}'", sys.executable, script, disk, str(TIMES)).splitlines()[-1])


@pytest.mark.parametrize("time", range(TIMES))
@pytest.mark.parametrize("job", JOBS)
def test_a_full_disk_is_said_and_loses_nothing(job: str, time: int, found: dict[str, list[dict]]) -> None:
    """The message names the file; the former one stays whole; with room the job goes on, and makes what one makes that had room."""
    said = found[job][time]["said"]
    assert "the disk is full" in said and f"/{job}/" in said and "make room and run it again" in said
    assert found[job][time]["lost"] == [] and found[job][time]["left"] == []


BY_HAND = """
import mlcgmd
from mlcgmd import cli
from mlcgmd.paper import datasets, results
from mlcgmd.paths import MODELS, SIMULATIONS, place

(run,) = datasets.load("chain-smoke", "validation")
model = mlcgmd.Model.load(place(MODELS / "new.safetensors"))
made = mlcgmd.simulate(model, mlcgmd.coarse_grain(run, 6), place(SIMULATIONS / "new.nc"), steps=2, max_stretch=1e6, progress=False)
row = {"id": "a", "quantity": "a", "value": 1.0, "error": None, "unit": "", "n": 1, "target": ""}
results.record([row], "a")
try:
    cli.main(["datasets", "build", "chain-short", "--processes", "1"])
except SystemExit as end:
    print(end)
"""


def test_where_data_may_not_be_written_all_is_made_in_runs(tmp_path: Path) -> None:
    """An installed package: a notebook that trains and a script that simulates; what asks for ``data/`` itself is told of another place."""
    home = tmp_path / "installed"
    for folder in ("mlcgmd", "workflow", "data/chain-smoke"):
        shutil.copytree(CHECKOUT / folder, home / folder, ignore=shutil.ignore_patterns("__pycache__"))
    notebook = home / "workflow" / "templates" / "03_train.ipynb"
    before = sorted((home / "data").rglob("*"))
    options = {"width": 8, "layers": 1, "refiner_layers": 1}
    given = {"system": "chain", "dataset": "chain-smoke", "level": 6, "model": "new", "time_step": 20, "steps": 2, "options": options}
    train = f"import papermill; papermill.execute_notebook({str(notebook)!r}, None, {given!r}, kernel_name='python3', progress_bar=False)"
    read_only = f"mount --bind '{home}/data' '{home}/data' && mount -o remount,bind,ro '{home}/data' && unset MLCGMD_ROOT && cd '{home}'"
    said = mounted(read_only, sys.executable, "-c", f"{train}\n{BY_HAND}", PYTHONPATH=str(home), PYTHONDONTWRITEBYTECODE="1")
    assert sorted((home / "data").rglob("*")) == before
    own = home / "runs" / "own"
    made = {path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert made >= {"data/models/new.safetensors", "data/models/registry.json", "data/simulations/new.nc", "data/results/a.json"}
    refused = said.splitlines()[-1]
    assert f"{home}/data/chain-short" in refused and "Read-only file system" in refused and "with MLCGMD_ROOT=FOLDER" in refused
