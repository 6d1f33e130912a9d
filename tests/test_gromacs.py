"""The optional GROMACS engine is the same model as the OpenMM one."""

import dataclasses
import os
import shutil
import time
from pathlib import Path

import numpy as np
import openmm
import pytest
from stopped import run_until

from mlcgmd.data import trajectory
from mlcgmd.errors import DivergedError, MissingPackageError, MlcgmdError
from mlcgmd.md import gromacs
from mlcgmd.md.engine import State
from mlcgmd.md.gromacs import GromacsElectrolyteSpec
from mlcgmd.md.run import run_md
from mlcgmd.paper import datasets

needs_gromacs = pytest.mark.skipif(shutil.which("gmx") is None, reason="there is no command gmx")

SPEC = GromacsElectrolyteSpec(
    "test/spe",
    4,
    (2, 2),
    6.0,
    5,
    length=1.6,
    frame_interval=0.2,
    equilibration=4.0,
    cutoff=4.5,
    temperature=400.0,
    annealing=2.0,
    friction=5.0,
)


@needs_gromacs
def test_energy_and_forces_of_an_electrolyte_are_those_of_openmm() -> None:
    spec = datasets.specs("spe-smoke", "train")[0]
    run = trajectory.load(datasets.path_of(spec))
    system = spec.openmm_system()
    pairs = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    pairs.setEwaldErrorTolerance(1e-7)
    pairs.setUseDispersionCorrection(False)
    context = openmm.Context(system, spec.integrator(), openmm.Platform.getPlatformByName("Reference"))
    position, box = run.position.values[-1].astype(float) / 10, run.box.values[-1].astype(float) / 10
    context.setPeriodicBoxVectors(*np.diag(box))
    context.setPositions(position)
    state = context.getState(getEnergy=True, getForces=True)
    energy, forces = gromacs.energies_and_forces(system, run.bond.values, position, box)
    # In single precision, of terms that add up to some ten thousand kJ/mol.
    assert energy == pytest.approx(state.getPotentialEnergy()._value, abs=0.05)
    difference = forces - state.getForces(asNumpy=True)._value
    assert np.sqrt((difference**2).mean() / (forces**2).mean()) < 1e-4


@needs_gromacs
def test_trajectory_is_what_the_spec_says_and_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlcgmd.md.run.SEGMENT", 3)
    run = trajectory.load(run_md(SPEC, tmp_path / "a.nc"))
    assert dict(run.sizes) | {"frame": 8, "particle": 124, "equilibration": 4} == dict(run.sizes)
    assert "GROMACS" in run.attrs["provenance"]
    run_until(SPEC, tmp_path / "b.nc", segment=2)
    assert run_md(SPEC, tmp_path / "b.nc").read_bytes() == (tmp_path / "a.nc").read_bytes()
    volume = run.equilibration_volume.values
    assert run.box.values[0, 0] ** 3 == pytest.approx(volume[2:].mean(), rel=1e-5)
    # Bonds of hydrogen keep their length, molecules are whole and continuous, momentum is not that of a drift.
    kinds, _, bond = SPEC.topology()
    length = np.linalg.norm(np.diff(run.position.values[:, bond], axis=2)[:, :, 0], axis=2)
    hydrogen = (kinds[bond] == 0).any(axis=1)
    # To the packing of positions; a spring at 400 K would scatter three times as much.
    np.testing.assert_allclose(length[:, hydrogen], 1.09, atol=0.02)
    assert length.max() < 2.2
    assert np.abs(np.diff(run.position.values, axis=0)).max() < 3.0
    free = 3 * len(kinds) - SPEC.openmm_system().getNumConstraints()
    # kT / 2 for each of 8 frames of some 340 degrees of freedom.
    assert 2 * run.kinetic_energy.mean() / free / 8.314462e-3 == pytest.approx(400.0, rel=0.1)


@needs_gromacs
def test_a_step_that_is_too_long_is_told() -> None:
    spec = dataclasses.replace(SPEC, time_step=0.02, annealing=0.0)
    start = State(spec.start(), np.zeros((124, 3)), np.full(3, spec.packed_edge() / 10))
    with pytest.raises((DivergedError, MlcgmdError), match=r"test/spe: MD blew up in segment 0; use a shorter time_step than 0.02"):
        spec.engine.segment(0, 2, start)


@needs_gromacs
def test_a_box_that_is_too_small_is_told() -> None:
    spec = dataclasses.replace(SPEC, cutoff=9.0)
    with pytest.raises(MlcgmdError, match=r"test/spe: the box is smaller than twice the cutoff in segment 0; add molecules or shorten"):
        spec.engine.segment(0, 1, State(spec.start(), np.zeros((124, 3)), np.full(3, 1.2)))


def test_without_gromacs_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingPackageError, match="package `gromacs` of Debian and of conda-forge"):
        SPEC.engine.version()


def test_options_are_checked() -> None:
    with pytest.raises(MlcgmdError, match="annealing_temperature is 0"):
        dataclasses.replace(SPEC, annealing_temperature=0.0)


@needs_gromacs
def test_speed_is_simulated_time_over_that_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # as it may well be set: GROMACS runs in one thread all the same
    spec = datasets.specs("spe-smoke", "train")[0]
    run = trajectory.load(datasets.path_of(spec))
    begun = time.process_time() + sum(os.times()[2:4])
    speed = gromacs.measure_speed(spec, 500, run)
    spent = time.process_time() + sum(os.times()[2:4]) - begun
    assert 0 < 3 * 500 * spec.time_step / speed < spent  # grompp and Python take time too
