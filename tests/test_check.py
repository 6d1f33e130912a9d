"""What is said of a trajectory before anything is trained on it."""

import numpy as np
import pytest
import xarray as xr
from toys import toy_electrolyte, toy_trajectory

from mlcgmd.analysis.check import REACH, check
from mlcgmd.data import trajectory


def walkers(frames: int, step: float, drift: float = 0.0) -> xr.Dataset:
    """30 trimers whose centres walk at random, steps of variance ``step``^2 per component, bonds of length 3; ``drift`` stretches them."""
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, 30, (30, 3)) + rng.normal(scale=step, size=(frames, 30, 3)).cumsum(axis=0)
    stretch = 1 + drift * np.linspace(0, 1, frames)[:, None, None, None]
    arms = np.array([[-3.0, 0, 0], [0, 0, 0], [3.0, 0, 0]]) * stretch + rng.normal(scale=0.05, size=(frames, 30, 3, 3))
    return trajectory.make(
        (centre[:, :, None] + arms).reshape(frames, 90, 3),
        time=2.0 * np.arange(frames),
        particle_type=np.zeros(90, int),
        type_name=["C"],
        mass=np.full(90, 12.0),
        bond=np.array([[3 * k + j, 3 * k + j + 1] for k in range(30) for j in range(2)]),
        box=np.full(3, 30.0),
        system="walkers",
        units="real",
    )


def test_free_diffusion_has_no_memory_and_its_step_is_where_it_says() -> None:
    found = check(walkers(2000, step=0.3), level=1)
    assert np.abs(found.memory.correlation[:6]).max() < 0.1
    # sqrt(n) 0.3 sqrt(1 - 1/30) over a bond of 3: the middle of REACH (0.57) is reached after n = 33 frames, of 2 ps.
    assert found.time_step == pytest.approx(2 * (3 * (REACH[0] * REACH[1]) ** 0.5 / 0.3) ** 2, rel=0.15)
    assert found.read["units"] == "angstrom, ps, amu" and "30 molecules" in found.read["particles"]
    assert found.components.component.tolist() == ["C3"] and "no charges" in str(found)


def test_runs_that_are_too_short_coarse_or_drifting_are_told_so() -> None:
    assert any("save frames more often" in what for what in check(walkers(200, step=5.0), level=1).missing)
    assert any("run longer" in what for what in check(walkers(50, step=0.01), level=1).missing)
    drifting = check(walkers(2000, step=0.3, drift=0.1), level=1)
    assert drifting.time_step is not None and any("Rg^2 of molecules" in what and "equilibrium" in what for what in drifting.missing)
    jump = walkers(2000, step=0.3)
    jump["position"][1000:] *= 1.01
    assert any(what.startswith("not in equilibrium: Rg^2") for what in check(jump, level=1).missing)
    assert not any("equilibrium" in what for what in check(walkers(2000, step=0.3), level=1).missing)


def test_components_are_listed_with_their_charges() -> None:
    found = check(toy_electrolyte(frames=30))
    assert found.components.component.tolist() == ["polymer", "TFSI", "Li"]
    assert found.components["charge (e)"].tolist() == [0, -1, 1] and found.components.molecules.tolist() == [2, 2, 2]
    assert check(toy_trajectory(frames=1)).time_step is None
