"""The notebooks of results show what there is and say what is missing: their cells are run on smoke sets, MD in the place of models."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mlcgmd.analysis.ensemble import starts
from mlcgmd.data import simulation
from mlcgmd.model.system import coarse_grain
from mlcgmd.model.training import TrainConfig, build_model, in_common_terms
from mlcgmd.model.windows import Windows
from mlcgmd.paper import datasets
from mlcgmd.paths import CHECKOUT, SHIPPED

CHAIN = TrainConfig(time_step=20, steps=1, width=16, layers=1, refiner_layers=1)
SETS = {"05_chain": ("chain-smoke", 6, CHAIN), "06_electrolyte": ("spe-smoke", 7, replace(CHAIN, time_step=4, radius=7.0, radial=4))}
"""Data set, level and an untrained model of a notebook."""

CELLS = """
import dataclasses, json, sys, warnings
path, dataset, chains = sys.argv[1:]
from mlcgmd.paper import datasets as sets
sets.DATASETS["chain-smoke"] = dataclasses.replace(sets.DATASETS["chain-smoke"], chains=(6, 1, int(chains)))
for cell in json.load(open(path))["cells"]:
    if cell["cell_type"] == "code":
        given = {"dataset": dataset, "model": "smoke"} if "parameters" in cell["metadata"].get("tags", []) else {}
        exec(compile("".join(cell["source"]), cell["id"], "exec"), globals())
        globals().update(given)
"""


def simulated(system: xr.Dataset, alive: bool) -> xr.Dataset:
    """Two replicas, the halves of ``system``; or ones that fail in their first step."""
    half = system.sizes["frame"] // 2
    position, size = (np.stack([x[:half], x[half : 2 * half]]) for x in (system.position.values, system.bead_rg2.values))
    if not alive:
        position[:, 1:], size[:, 1:] = np.nan, np.nan
    failure = [""] * 2 if alive else ["a bond broke at time 20"] * 2
    return simulation.make(system, position, size, float(system.time[1] - system.time[0]), failure, "{}")


def ran(notebook: str, root: Path, made: Mapping[str, bool | list[bool]], chains: int = 2) -> tuple[str, list[str]]:
    """What the cells say and the ids of what they measure, with simulations by name, and whether these live, all or each."""
    name, level, config = SETS[notebook]
    data = root / "data"
    data.mkdir()
    (data / name).symlink_to(SHIPPED / name)
    training = [coarse_grain(run, level) for run in datasets.load(name, "train", SHIPPED)]
    weights = data / "models" / "smoke.safetensors"
    build_model(Windows(in_common_terms(training), config.time_step, config.history), config).save(weights)
    datasets.register([weights], "a test", data)
    test = starts([coarse_grain(run, level) for run in datasets.load(name, "test", SHIPPED)])[:chains]
    for label, alive in made.items():
        path = data / "simulations" / f"{name}.{label}.nc"
        lives = alive if isinstance(alive, list) else [alive] * len(test)
        simulation.save([simulated(system.coarse, one) for system, one in zip(test, lives, strict=True)], path)
        path.with_suffix(".json").write_text(json.dumps({"learned": 1e5, "openmm": 250.0, "copies": 2}))
        datasets.register([path], "a test", data)
    command = [sys.executable, "-W", "error::FutureWarning", "-c", CELLS, CHECKOUT / "notebooks" / f"{notebook}.ipynb", name, str(chains)]
    environment = os.environ | {"MLCGMD_ROOT": str(root), "MPLBACKEND": "agg", "TQDM_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=root)
    results = root / "data" / "results" / f"{notebook}.json"
    assert done.returncode == 0 or not results.exists(), done.stderr
    return done.stdout + done.stderr, [row["id"] for row in json.loads(results.read_text())] if results.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("notebook", SETS)
def test_without_the_unrefined_run_the_rest_is_shown(notebook: str, tmp_path: Path) -> None:
    said, measured = ran(notebook, tmp_path, {"refined": True})
    assert f"there is no simulation {SETS[notebook][0]}.unrefined: notebook 4 makes it" in said and "Traceback" not in said
    assert any(name.endswith(".bond.emd") for name in measured) and not any("unrefined" in name for name in measured)
    assert len(list((tmp_path / "figures").glob("*.svg"))) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("notebook", SETS)
def test_unrefined_replicas_that_all_failed_are_shown_as_that(notebook: str, tmp_path: Path) -> None:
    said, measured = ran(notebook, tmp_path, {"refined": True, "unrefined": False})
    words = {"05_chain": "all unrefined replicas failed: they have no scores", "06_electrolyte": "unrefined: 2 of 2 replicas failed"}
    assert words[notebook] in said and "Traceback" not in said
    assert any(name.endswith(".bond.emd") for name in measured)
    assert ("spe.failed_unrefined" in measured) == (notebook == "06_electrolyte")


@pytest.mark.slow
def test_one_chain_has_its_figures_and_no_means_over_chains(tmp_path: Path) -> None:
    said, measured = ran("05_chain", tmp_path, {"refined": True, "unrefined": True}, chains=1)
    assert "one chain: what is a mean or a correlation over chains is left out" in said and "Traceback" not in said
    assert "chain.stable_fraction" in measured and "chain.rg2.r2" not in measured
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert drawn == {f"chain-smoke_{kind}" for kind in ("parity", "rg2", "rg2_four", "bonds", "acf", "tica", "contacts")}


@pytest.mark.slow
def test_a_chain_of_which_all_replicas_failed_is_left_out(tmp_path: Path) -> None:
    said, measured = ran("05_chain", tmp_path, {"refined": [True, False]})
    assert "all refined replicas of chain-smoke/test-001 failed: left out" in said and "Traceback" not in said
    assert "chain.stable_fraction" in measured and "chain.rg2.regression_r2" not in measured


@pytest.mark.parametrize("notebook", SETS)
@pytest.mark.parametrize("made", [{}, {"refined": False}])
def test_without_a_refined_run_that_lived_there_is_nothing_to_show(notebook: str, made: dict[str, bool], tmp_path: Path) -> None:
    said, measured = ran(notebook, tmp_path, made)
    assert not measured and "Traceback" not in said
    assert ("no refined replica lived to the end" if made else "without the refined simulation there is nothing to compare") in said
