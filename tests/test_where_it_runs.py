"""The same bytes wherever it runs: odd folders, locales and permissions, any number of threads; and what another processor may change."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import toy_systems

from mlcgmd.errors import MlcgmdError
from mlcgmd.md.openmm import _context
from mlcgmd.model.training import TrainConfig, train
from mlcgmd.paper import datasets
from mlcgmd.paths import CHECKOUT, SHIPPED

SCRIPT = CHECKOUT / "tests" / "end_to_end.py"
TINY = TrainConfig(time_step=10, steps=4, width=8, layers=1, refiner_layers=1, save_every=2, systems_per_batch=2, windows_per_system=4)


def started(library: Path, folder: Path, threads: int, **environment: str) -> subprocess.Popen[str]:
    """The script in ``folder``, which is made, with the library that lies in ``library``."""
    folder.mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON", "MLCGMD"))}
    return subprocess.Popen(
        [sys.executable, SCRIPT, folder, str(threads)],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(library)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        umask=0o077 if environment else 0o022,
    )


def test_an_odd_folder_locale_and_umask_and_two_threads_change_nothing(tmp_path: Path) -> None:
    """A copy without git and links, in a folder with spaces and umlauts, where the locale knows neither; files are their owner's alone."""
    home = tmp_path / "Größe & co (2)"
    shutil.copytree(CHECKOUT / "mlcgmd", home / "mlcgmd", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SHIPPED / "chain-smoke", home / "data" / "chain-smoke")
    odd = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    runs = [started(CHECKOUT, tmp_path / "plain", 1), started(home, home / "own runs", 2, **odd)]
    plain, other = (json.loads((run.communicate()[0] or json.dumps({"failed": run.args})).splitlines()[-1]) for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert other["library"].encode("utf-8", "surrogateescape").decode() == str(home / "mlcgmd")  # as the locale C spells it
    assert plain["library"] == str(CHECKOUT / "mlcgmd")
    assert (plain["threads"], other["threads"]) == (1, 2) and plain["made"] == other["made"]
    assert other["modes"] == ["0o600"]


def test_weights_do_not_depend_on_how_many_threads_torch_has_but_on_those_asked_for(tmp_path: Path) -> None:
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        model, _ = train(toy_systems(2), [], TINY, tmp_path / str(threads), progress=False)
        assert torch.get_num_threads() == threads
        found.append(torch.cat([p.flatten() for p in model.parameters()]))
    torch.set_num_threads(before)
    assert torch.equal(*found)
    with pytest.raises(MlcgmdError, match="another config"):  # they are part of the label of a run
        train(toy_systems(2), [], dataclasses.replace(TINY, threads=2), tmp_path / "1", progress=False)


def test_md_of_an_electrolyte_is_the_same_on_this_processor_and_only_alike_on_another(one_core: None) -> None:
    """What data/README.md promises. Processors sum in other orders, as OpenMM's two platforms do: forces agree to six digits, and a motion
    as small as that rounding grows tenfold each half picosecond, until after some of them positions have nothing in common."""
    spec: Any = datasets.specs("spe-smoke", "train")[0]
    state = [
        _context(dataclasses.replace(spec, platform=platform), 0).getState(getEnergy=True, getForces=True)
        for platform in ("CPU", "Reference")
    ]
    fast, exact = (s.getForces(asNumpy=True)._value for s in state)
    assert np.abs(fast - exact).max() < 1e-5 * np.abs(exact).max()
    assert state[0].getPotentialEnergy()._value == pytest.approx(state[1].getPotentialEnergy()._value, abs=0.01)

    def positions(shift: float) -> np.ndarray:
        context, start = _context(spec, 0), spec.start()
        start[0, 0] += shift
        context.setPositions(start)
        context.setVelocitiesToTemperature(spec.temperature, 1)
        context.getIntegrator().step(1000)
        return context.getState(getPositions=True).getPositions(asNumpy=True)._value

    same = positions(0.0)
    assert np.array_equal(same, positions(0.0))
    assert np.abs(same - positions(1e-7)).max() > 0.01  # nm
