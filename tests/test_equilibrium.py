"""The gate of electrolytes lets through what is in equilibrium."""

import numpy as np
import pytest
import xarray as xr
from toys import toy_electrolyte

from mlcgmd.paper import datasets, equilibrium
from mlcgmd.paper.sets import DATASETS, ElectrolyteSet


@pytest.fixture
def run() -> xr.Dataset:
    """Atoms that wander, with an energy that does not drift."""
    found = toy_electrolyte(frames=160)
    return found.assign(potential_energy=("frame", np.random.default_rng(1).normal(size=160)))


def test_what_is_watched_are_energy_and_the_oxygens_about_lithium(run: xr.Dataset) -> None:
    series = equilibrium.watched(run)
    assert list(series) == ["energy", "Li-O of polymer", "Li-O of TFSI"] and {len(values) for values in series.values()} == {160}
    kind, part = run.type_name.values[run.particle_type.values], run.component_name.values[run.component.values]
    li, oxygen = np.flatnonzero(kind == "Li"), np.flatnonzero((kind == "O") & (part == "TFSI"))
    step = run.position.values[7][li][:, None] - run.position.values[7][oxygen]
    step -= run.box.values[0] * np.round(step / run.box.values[0])
    assert series["Li-O of TFSI"][7] == pytest.approx((np.linalg.norm(step, axis=2) < equilibrium.REACH).sum() / len(li))


def test_a_drift_is_told_with_its_name_and_sign(run: xr.Dataset) -> None:
    assert "energy" not in equilibrium.drifting(run)
    falling = run.assign(potential_energy=run.potential_energy - np.linspace(0, 2, 160))
    assert equilibrium.drifting(falling).startswith("energy (-")


def test_sets_with_a_gate_are_built_through_it(tmp_path, monkeypatch) -> None:
    asked = {}

    def run_many(jobs, processes, drifts):
        asked[jobs[0][0].name] = drifts
        return []

    monkeypatch.setattr(datasets, "run_many", run_many)
    for name in ("spe-transport", "spe-laptop"):
        datasets.build(name, ("validation",), root=tmp_path)
    assert list(asked.values()) == [equilibrium.drifting, None]
    assert [name for name, members in DATASETS.items() if isinstance(members, ElectrolyteSet) and members.gate] == [
        "spe-transport",
        "spe-large",
    ]
