"""Chains whose beads change while they are simulated."""

import numpy as np
import pandas as pd
import pytest
import torch

from mlcgmd.analysis import molecules, particles
from mlcgmd.analysis.ensemble import Ensemble
from mlcgmd.data.mapping import partition
from mlcgmd.data.partitions import METIS, Nested
from mlcgmd.data.trajectory import load
from mlcgmd.errors import MlcgmdError
from mlcgmd.model import rollout
from mlcgmd.model.lifter import Lifter
from mlcgmd.model.model import Model
from mlcgmd.model.samplers import Gaussian
from mlcgmd.model.system import coarse_grain
from mlcgmd.model.training import TrainConfig, build_model
from mlcgmd.model.windows import Windows
from mlcgmd.paper import changing, changing_rows
from mlcgmd.paths import SHIPPED

LIFTER = Lifter.load(SHIPPED / "models" / "chain-lifter.safetensors")
FINE = load(SHIPPED / "chain-laptop" / "validation-000.nc").isel(frame=slice(0, 400))
SHIPPED_MODEL = Model.load(SHIPPED / "models" / "chain.safetensors")
SEVERAL = build_model(
    Windows([coarse_grain(FINE, 15), coarse_grain(FINE, 7.5, Nested(15))], 80, 1),
    TrainConfig(time_step=80, steps=1, width=8, layers=1, refiner_layers=1, covariance="diagonal", condition=("level",)),
).eval()
TWO_CUTS = changing.different_cuts(FINE, 15, 2, SHIPPED_MODEL, LIFTER)
TWO_LEVELS = [changing.Cut.of(FINE, level, family, SEVERAL, LIFTER) for level, family in ((15, METIS), (7.5, Nested(15)))]
X = FINE.position.values[::40]


def run(rule: changing.Rule, model: Model = SEVERAL, cuts=TWO_LEVELS, steps: int = 12, seed: int = 3, every: int = 2) -> changing.Run:
    return changing.simulate(model, LIFTER, cuts, rule, steps=steps, every=every, replicas=3, sampler=Gaussian(), seed=seed)


def test_a_run_that_never_changes_is_that_of_simulate() -> None:
    system = coarse_grain(FINE, 15)
    (usual,) = rollout.simulate(SHIPPED_MODEL, system, steps=12, replicas=3, sampler=Gaussian(), seed=3, progress=False)
    found = run(changing.fixed(), SHIPPED_MODEL, TWO_CUTS)
    np.testing.assert_array_equal(found.position[0], usual.position.values)
    np.testing.assert_array_equal(found.bead_rg2[0], usual.bead_rg2.values)
    assert found.lifts == 0 and not found.cut.any() and found.interval == usual.time.values[1]


def test_restriction_to_what_beads_are_parts_of_is_exact() -> None:
    coarse, fine = TWO_LEVELS
    beads = torch.from_numpy(fine.mapping.positions(X))
    found, lifted = changing.recut(LIFTER, fine, coarse, beads, torch.Generator())
    assert not lifted and np.abs(found.numpy() - coarse.mapping.positions(X)).max() < 1e-5
    assert coarse.parts_of(fine) is None and np.array_equal(coarse.parts_of(coarse), np.eye(coarse.mapping.n_beads))


def test_a_lift_to_smaller_beads_keeps_those_that_it_came_from() -> None:
    coarse, fine = TWO_LEVELS
    beads = torch.from_numpy(coarse.mapping.positions(X))
    smaller, lifted = changing.recut(LIFTER, coarse, fine, beads, torch.Generator().manual_seed(0))
    again, _ = changing.recut(LIFTER, fine, coarse, smaller, torch.Generator())
    assert lifted and smaller.shape == (len(X), fine.mapping.n_beads, 3)
    assert float((again - beads).abs().max()) < 1e-4


def test_another_cut_keeps_the_centre_of_mass_and_moves_beads() -> None:
    one, other = TWO_CUTS
    assert np.array_equal(one.mapping.bead, partition(FINE, 15).bead) and not np.array_equal(one.mapping.bead, other.mapping.bead)
    assert 0 <= changing.kept(TWO_CUTS) < changing.kept([one, one]) == 1
    beads = torch.from_numpy(one.mapping.positions(X))
    found, lifted = changing.recut(LIFTER, one, other, beads, torch.Generator().manual_seed(0))
    assert lifted
    before, after = (np.einsum("b,fbx->fx", c.mapping.mass, x) / c.mapping.mass.sum() for c, x in ((one, beads), (other, found)))
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_what_no_lifter_knows_is_refused() -> None:
    fine = TWO_LEVELS[1]
    other = changing.Cut.of(FINE, 10, METIS, SEVERAL, LIFTER)
    message = "from beads of 7.5 particles to others it takes a lifter of that level, not of 15"
    with pytest.raises(MlcgmdError, match=message):
        changing.recut(LIFTER, fine, other, fine.system.position[:1], torch.Generator())
    with pytest.raises(MlcgmdError, match=r"METIS cuts \S+ at level 15 in \d+ ways, not 99; ask for fewer"):
        changing.different_cuts(FINE, 15, 99, SHIPPED_MODEL, LIFTER)
    with pytest.raises(MlcgmdError, match="are not parts of those of the first"):
        changing.while_open([other, fine], 1.0)


def test_a_model_that_needs_more_positions_than_a_lift_gives_is_refused() -> None:
    longer = build_model(
        Windows([coarse_grain(FINE, 15)], 80, 2), TrainConfig(time_step=80, history=2, steps=1, width=8, layers=1, refiner_layers=1)
    )
    with pytest.raises(MlcgmdError, match="needs 2 positions, and a lift gives one; train with a history of 1"):
        run(changing.fixed(0), longer, TWO_CUTS)


def test_the_same_seed_is_the_same_run() -> None:
    rule = changing.at_random(0.5, 1)
    a, b, c = run(rule), run(rule), run(rule, seed=4)
    for k in (0, 1):
        np.testing.assert_array_equal(a.position[k], b.position[k])
    assert a.lifts == b.lifts > 0 and not np.array_equal(a.position[0], c.position[0], equal_nan=True)


def test_each_frame_is_in_the_cut_that_it_says() -> None:
    found = run(changing.in_turn(2), every=3)
    assert found.cut[0].tolist() == [0, 0, 0, 1, 1, 1] * 2 and found.lifts == 3 * 2  # to smaller beads alone
    for k in (0, 1):
        there = np.isfinite(found.position[k]).all(axis=(2, 3))
        assert np.array_equal(there, found.cut == k) and np.array_equal(np.isfinite(found.bead_rg2[k]).all(axis=2), there)


def test_a_chain_is_open_alike_in_both_cuts() -> None:
    coarse, fine = (c.mapping.positions(X) for c in TWO_LEVELS)
    size = molecules.radius_of_gyration_squared(coarse, TWO_LEVELS[0].mapping.mass)
    rule = changing.while_open(TWO_LEVELS, float(np.median(size)))
    n = len(X)
    expected = (size > np.median(size)).astype(int)
    assert 0 < expected.sum() < n
    for now, beads in ((np.zeros(n, int), coarse), (np.ones(n, int), fine)):
        assert rule(0, now, list(beads)).tolist() == expected.tolist()


def test_what_is_seen_is_that_of_the_cut_of_each_frame() -> None:
    found, probe = run(changing.in_turn(2), every=3), particles.Probe.of(FINE)
    seen = changing_rows.seen(found, TWO_LEVELS, probe, discard=2)
    assert seen.rg2.shape == (3, 10) and np.isfinite(seen.apart).all()
    beads = Ensemble.of(TWO_LEVELS[1].system)
    last = found.position[1][:, -1:], found.bead_rg2[1][:, -1:]
    alone = probe.beads(TWO_LEVELS[1].mapping, type(beads)(**vars(beads) | {"position": last[0], "bead_rg2": last[1]}))
    np.testing.assert_allclose(seen.rg2[:, -1:], alone.rg2)
    np.testing.assert_allclose(seen.apart[:, -1:], alone.apart)


def test_thresholds_are_exceeded_for_a_fifth_of_the_time_in_training() -> None:
    runs = [load(SHIPPED / "chain-laptop" / f"train-00{k}.nc") for k in range(6)]
    limit = changing_rows.thresholds(runs, runs, 15, METIS)
    share = [
        (molecules.radius_of_gyration_squared(c.position.numpy(), c.mass) > x).mean()
        for c, x in zip((coarse_grain(r, 15) for r in runs), limit, strict=True)
    ]
    assert np.mean(share) == pytest.approx(1 - changing_rows.OPEN, abs=1e-3)


def test_round_trips_that_change_nothing_change_nothing() -> None:
    table = changing_rows.round_trips(LIFTER, [TWO_CUTS[0]] * 2, FINE, frames=10, trips=(1, 2), seed=0)
    assert table.trips.tolist() == [0, 1, 2]
    assert table["bond.emd"][1:].max() < 1e-4 and abs(table["bond.change"][1:]).max() < 1e-5


def test_costs_and_ratios() -> None:
    static = pd.DataFrame({"seconds": [1.0, 2.0, 4.0], "rg2": [0.3, 0.2, 0.1]})
    assert changing_rows.cost_ratio(3.0, 0.25, static, "rg2") == (1.5, True)
    assert changing_rows.cost_ratio(3.0, 0.05, static, "rg2") == (0.75, False)
    assert changing_rows.ratio([0.2, 0.8], [0.1, 0.4])[0] == pytest.approx(2.0)
    rows = [{"run": "a", "chain": k, "lifts": k, **dict.fromkeys(particles.PROPERTIES, x)} for k, x in enumerate((-3.0, 4.0))]
    table = pd.DataFrame(rows)
    found = changing_rows.summary(table).loc["a"]
    assert found.rg2 == pytest.approx(12.5**0.5) and found.lifts == 0.5
