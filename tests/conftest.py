"""What many tests share. One thread each: files of tests run in parallel processes (``pytest -n auto --dist loadfile``)."""

from jaxtyping import install_import_hook

# Shapes and types of these modules are checked in every test; the hook must come before they are imported.
install_import_hook([f"mlcgmd.model.{name}" for name in ("graph", "networks", "simulator", "refiner", "windows")], "typecheck.checker")

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from mlcgmd.data import trajectory


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Keep MD that runs in the process of the tests on one core: OpenMM hands work between two threads, which is slow across cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = sorted(os.sched_getaffinity(0))
    # Each process of pytest-xdist another one.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {before[worker % len(before)]})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def small() -> xr.Dataset:
    """20 frames of two chains of 4 beads, not periodic, LJ units, bonds about 1 long."""
    rng = np.random.default_rng(0)
    start = np.array([[i % 4, 0.4 * (i % 2), 6.0 * (i // 4)] for i in range(8)])
    position = start + rng.normal(0, 0.05, (20, 8, 3)) + rng.normal(0, 0.2, (20, 1, 3)).cumsum(axis=0)
    return trajectory.make(
        position,
        time=2.0 * np.arange(1, 21),
        particle_type=np.array([0, 1, 0, 2] * 2),
        type_name=["a", "b", "c"],
        mass=np.array([1.0, 2.0, 1.0, 3.0] * 2),
        bond=np.array([[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 7]]),
        system="small",
        units="lj",
    )


@pytest.fixture
def polymer_folder(tmp_path: Path) -> Path:
    """One polymer in the published h5 layout: 6 beads, 5 frames, bonds in both directions."""
    rng = np.random.default_rng(1)
    position = np.cumsum(np.tile([0.9, 0.3, 0.1], (5, 6, 1)), axis=1) + rng.normal(0, 0.05, (5, 6, 3)) + 50.0
    centred = position - position.mean(axis=1, keepdims=True)
    chain = np.array([[i, i + 1] for i in range(5)])
    folder = tmp_path / "poly00951"
    folder.mkdir()
    contents = {
        ("position.h5", "position"): position.astype(np.float32),
        ("ptype.h5", "particle_type"): np.array([0, 1, 3, 0, 1, 3]),
        ("bond.h5", "bond_indices"): np.concatenate([chain, chain[:, ::-1]]),
        ("rgs.h5", "rgs"): np.sqrt((centred**2).sum(axis=2).mean(axis=1)),
        ("lattice.h5", "lattice"): np.full((5, 3), 100.0),
    }
    for (name, key), values in contents.items():
        with h5py.File(folder / name, "w") as handle:
            handle[key] = values
    return folder
