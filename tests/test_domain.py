"""A model says aloud that a system is outside of what it was trained on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import toy_boxes, toy_systems, toy_trajectory

from mlcgmd.data import simulation
from mlcgmd.model.domain import WINDOW, Domain, OutOfRangeError
from mlcgmd.model.model import Model
from mlcgmd.model.rollout import simulate
from mlcgmd.model.system import coarse_grain
from mlcgmd.model.training import TrainConfig, build_model
from mlcgmd.model.windows import Windows

SMALL = TrainConfig(time_step=10, steps=1, width=16, layers=1, refiner_layers=1)


def test_the_range_of_chains_is_that_of_their_beads_and_bonds() -> None:
    domain = Domain.of(toy_systems(3), 10)
    assert domain.beads == {"molecule": (6, 7)} and domain.density is None
    assert ("S1", "S2") not in domain.bond_type and ("B1", "S1") in domain.bond_type
    domain.check(toy_systems(3))


@pytest.mark.parametrize(
    ("sequence", "message"), [("abcd" * 14, "a molecule of 14 beads, the model was trained on 6 to 7"), ("abcd" * 5, None)]
)
def test_a_longer_chain_is_refused_with_both_numbers(sequence: str, message: str | None) -> None:
    system = coarse_grain(toy_trajectory(sequence), level=6)
    domain = Domain.of(toy_systems(3), 10)
    if message is None:
        assert list(domain.outside(system)) == []
        return
    with pytest.raises(OutOfRangeError, match=message):
        domain.check([system])


def test_bonds_that_were_never_seen_are_named() -> None:
    domain = Domain.of([coarse_grain(toy_trajectory("a" * 30), level=6)], 10)
    assert list(domain.outside(coarse_grain(toy_trajectory("ab" * 15), level=6))) == ["bonds B1-B2, the model was trained on B1-B1"]


def test_density_and_molecules_of_a_box() -> None:
    boxes = toy_boxes(2)
    domain = Domain.of(boxes, 4)
    assert set(domain.beads) == {"polymer", "TFSI", "Li"} and domain.beads["Li"] == (1, 1)
    edge = boxes[0].topology.box
    thin = replace(boxes[0], topology=replace(boxes[0].topology, box=1.2 * edge))
    assert list(domain.outside(boxes[0])) == []
    (what,) = domain.outside(thin)
    assert "a density of" in what and "the model was trained at" in what


def test_simulate_refuses_and_extrapolates_when_told(tmp_path) -> None:
    systems = toy_systems(2)
    model = build_model(Windows(systems, 10, 1), SMALL).eval()
    path = model.save(tmp_path / "model.safetensors")
    again = Model.load(path)
    assert again.domain == model.domain and torch.equal(*(next(m.parameters()) for m in (model, again)))
    long = coarse_grain(toy_trajectory("abcd" * 14), level=6)
    with pytest.raises(OutOfRangeError, match="14 beads"):
        simulate(again, [long], steps=2, progress=False)
    assert simulate(again, [long], steps=2, progress=False, extrapolate=True)[0].sizes["frame"] == 2


def test_frames_that_leave_what_training_showed_are_flagged() -> None:
    systems = toy_systems(3)
    frames = Domain.of(systems, 10).frames
    seen = systems[0].coarse
    assert frames.distance(seen).shape == (60,) and frames.flagged(seen).mean() < 0.02
    stretched, crowded = (seen.assign(position=factor * seen.position) for factor in (2.5, 0.05))
    assert frames.flagged(stretched).mean() > 0.9 and frames.flagged(crowded).all()


def test_a_failed_replica_is_flagged_from_its_failure_on() -> None:
    box = toy_boxes(1)[0]
    frames = Domain.of([box], 4).frames
    position = np.stack([box.position.numpy()] * 2)
    position[1, 30:] = np.nan
    size = np.stack([box.bead_rg2.numpy()] * 2)
    run = simulation.make(box.coarse, position, size, 4.0, ["", "a CG bond"], "{}")
    flagged = frames.flagged(run)
    assert flagged.shape == (2, 40) and flagged[1, 30:].all() and flagged[0].mean() < 0.1
    # The nearest image counts: a molecule moved by a box changes nothing.
    moved = run.copy(deep=True)
    moved["position"] = run.position + run.box.values[0] * (run.molecule == 0).values[:, None]
    np.testing.assert_allclose(frames.distance(moved), frames.distance(run), rtol=1e-4)


def test_what_no_frame_shows_is_found_by_the_mean_over_a_window() -> None:
    """Bonds so much longer that many a frame of MD is as far out, but no mean over 25 frames is."""
    rng = np.random.default_rng(0)
    systems = [coarse_grain(toy_trajectory(frames=400, seed=k), level=6) for k in range(4)]
    frames = Domain.of(systems, 10).frames
    assert frames.window == WINDOW and frames.interval == 10
    seen = coarse_grain(toy_trajectory(frames=400, seed=9), level=6).coarse
    bond = seen.bond.values
    length = np.linalg.norm(seen.position.values[:, bond[:, 0]] - seen.position.values[:, bond[:, 1]], axis=2).mean(axis=1)
    stretch = 1 + 3 * length.std() / length.mean()
    longer = seen.assign(position=stretch * seen.position)
    assert (stretch * length < length.max()).mean() > 0.3
    assert frames.flagged(seen).mean() < 0.05 and frames.flagged(longer).mean() > 0.9
    # Frames in another order are as far when the window is all of them.
    order = rng.permutation(WINDOW)
    few = seen.isel(frame=slice(WINDOW))
    moved = few.assign(position=few.position[order], bead_rg2=few.bead_rg2[order])
    np.testing.assert_allclose(frames.distance(moved), frames.distance(few), rtol=1e-6)
    # A run that is shorter than a window cannot be told; one of frames that are nearer in time needs more of them.
    assert np.isnan(frames.distance(seen.isel(frame=slice(WINDOW - 1)))).all()
    assert not frames.flagged(longer.isel(frame=slice(WINDOW - 1))).any()
    dense = few.assign_coords(time=few.time / 2)
    assert np.isnan(frames.distance(dense)).all()


def test_little_data_makes_wide_bounds() -> None:
    """Of one short run little is known: its continuation must not be flagged for that."""
    whole = coarse_grain(toy_trajectory(frames=400, seed=3), level=6).coarse
    alarms = {}
    for frames in (5, 60):
        known = Domain.of([coarse_grain(toy_trajectory(frames=400, seed=3).isel(frame=slice(frames)), level=6)], 10).frames
        alarms[frames] = known.flagged(whole).mean()
    assert known.window == 1 and alarms[5] == 0 and alarms[60] < 0.1
