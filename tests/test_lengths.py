"""Molecules of other lengths: where beads are along them, and one step from states of MD."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from toys import toy_systems

from mlcgmd.analysis.molecules import radius_of_gyration_squared
from mlcgmd.model.graph import batch
from mlcgmd.model.samplers import Gaussian
from mlcgmd.model.stepper import fitted
from mlcgmd.model.training import TrainConfig, build_model
from mlcgmd.model.windows import Windows
from mlcgmd.paper import lengths, results


@pytest.fixture(scope="module")
def steps():
    """Toy systems, an untrained model, and its steps from 30 states of each."""
    systems = toy_systems()
    model = build_model(Windows(systems, 10, 1), TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2))
    return systems, model, *lengths.one_step(model, systems, Gaussian(), states=30)


def test_places_go_from_one_end_to_the_other():
    for system in toy_systems():
        place, bond = lengths.along(system), system.bond
        assert place.min() == 0 and place.max() == 1
        ends = np.flatnonzero(np.bincount(bond.ravel()) == 1)
        assert place.argmin() in ends and place.argmax() in ends
        steps = np.abs(place[bond[:, 0]] - place[bond[:, 1]])
        assert np.allclose(steps, 1 / round(1 / steps.max()))


def test_one_step_starts_from_md_and_ends_where_md_went(steps):
    systems, model, beads, changes = steps
    assert list(beads.groupby("system", sort=False).size()) == [len(s.mass) for s in systems]
    for system in systems:
        found, stride = changes[changes.system == system.name], system.stride(model.config.time_step)
        sizes = radius_of_gyration_squared(system.position.numpy(), system.mass)
        frames = np.unique(np.linspace(0, len(sizes) - stride - 1, 30).astype(int))
        assert np.allclose(found["size"], (sizes[frames] - sizes.mean()) / sizes.std(), atol=1e-4)
        assert np.allclose(found.md, (sizes[frames + stride] - sizes[frames]) / sizes.std(), atol=1e-4)
        assert 0 < found.model.std() < 10 and not np.allclose(found.model, found.md)


def test_whitened_variance_says_by_how_much_the_gaussian_is_too_narrow():
    """Of a diagonal covariance: the mean square deviation from the predicted mean over the predicted variance, state by state."""
    systems = toy_systems()
    config = TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2, covariance="diagonal")
    model = build_model(Windows(systems, 10, 1), config)
    beads, _ = lengths.one_step(model, systems, Gaussian(), states=10_000)
    system = fitted(model, systems)[1]
    assert system.stride(10) == 1
    squares = []
    with torch.inference_mode():
        for now, then in pairwise(system.position):
            prediction = model.simulator(batch([system.topology], 1), now[None])
            squares.append((((then - prediction.mean) / prediction.std) ** 2).mean(dim=1).numpy())
    assert np.allclose(beads[beads.system == system.name].variance, np.mean(squares, axis=0), rtol=1e-4)


def test_models_that_see_velocities_start_where_there_is_a_past():
    systems = toy_systems()
    config = TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2, history=2)
    model = build_model(Windows(systems, 10, 2), config)
    _, changes = lengths.one_step(model, systems[:1], Gaussian(), states=10_000)
    assert len(changes) == len(systems[0].position) - 2 and np.isfinite(changes.model).all()


def test_slopes_and_rows_are_of_each_length():
    rng = np.random.default_rng(0)
    size = rng.normal(size=4000)
    table = pd.DataFrame({"units": 200, "system": rng.choice(["a", "b", "c"], 4000), "size": size})
    table = table.assign(md=-0.3 * size + rng.normal(0, 0.1, 4000), model=-0.2 * size + rng.normal(0, 0.1, 4000))
    found = lengths.restoring(table).loc[200]
    assert found["md", "mean"] == pytest.approx(-0.3, abs=0.01) and found["model", "mean"] == pytest.approx(-0.2, abs=0.01)
    chains = pd.DataFrame({"units": 200, "times": 1.3, "rg2_md": [50.0, 100.0, 20.0], "rg2": [55.0, 90.0, 20.0], "rg2_md_error": 1.0})
    chains = chains.assign(rg2_error=1.0, regression=[60.0, 100.0, 20.0], exact=[1.0, 1.1, 0.9], bond_emd_over_std=0.03)
    chains = chains.assign(relaxation_md=100.0, relaxation_model=[100.0, 200.0, 50.0])
    rows = {row["id"]: row for row in lengths.rows(chains, 1.0)}
    assert rows["chain_long.n200.rg2.bias"]["value"] == pytest.approx(0) and "1.3 times" in rows["chain_long.n200.rg2.bias"]["quantity"]
    assert rows["chain_long.n200.rg2.rms"]["value"] == pytest.approx((0.02 / 3) ** 0.5)
    assert rows["chain_long.n200.rg2.regression_rms"]["value"] == pytest.approx(0.2 / 3**0.5)
    assert rows["chain_long.n200.relaxation.log2"]["value"] == pytest.approx(0)
    assert all(results.met(row) is not None for row in rows.values() if row["target"])
