"""Pairs by bonds and by distance: against brute force, images, wrapping, and what a model sees of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from toys import toy_boxes, toy_electrolyte, toy_systems, toy_trajectory

from mlcgmd.model import graph, neighbours
from mlcgmd.model.incidence import incidence
from mlcgmd.model.system import MismatchError, coarse_grain, tile
from mlcgmd.model.training import TrainConfig, build_model
from mlcgmd.model.windows import Windows

RADIUS = 7.0


def brute_force(position, box, radius):
    """{(i, j, image)} of all pairs nearer than radius, over 27 images."""
    found = set()
    images = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for i in range(len(position)):
        for j in range(i + 1, len(position)):
            d = position[i] - position[j] - images * box
            for k in np.flatnonzero((d**2).sum(axis=1) < radius**2):
                found.add((i, j, *images[k].tolist()))
    return found


def as_set(links, box):
    """The same of Edges, ordered i < j."""
    pair, image = links.pair.T.numpy(), np.rint(links.shift.T.numpy() / box).astype(int)
    return {(int(i), int(j), *s.tolist()) if i < j else (int(j), int(i), *(-s).tolist()) for (i, j), s in zip(pair, image, strict=True)}


@pytest.mark.parametrize("dense", [1000, 0])
def test_pairs_are_those_of_brute_force(monkeypatch, dense):
    for module in (graph, neighbours):
        monkeypatch.setattr(module, "DENSE", dense)
    system = toy_boxes(1)[0]
    batch = graph.batch([system.topology], 1)
    # Molecules that have wandered several boxes away.
    box = system.box.numpy()
    molecule_shift = torch.from_numpy(np.random.default_rng(0).integers(-2, 3, size=3) * box)
    position = system.position[5].clone()
    position[system.component == 2] += molecule_shift
    links = neighbours.edges(batch, position, RADIUS)
    along = {(int(i), int(j), 0, 0, 0) for i, j in system.topology.pair.T.numpy()}
    expected = brute_force(position.numpy().astype(float), box, RADIUS) | along
    assert as_set(links, box) == expected
    assert links.pair.shape[1] == len(expected), "no pair twice"
    assert len(expected) > len(along) + 20


def test_cell_lists_and_all_distances_agree_in_a_batch_of_different_boxes(monkeypatch):
    systems = toy_boxes(2)
    position = torch.cat([s.position[3].repeat(2, 1) for s in systems])
    dense = neighbours.edges(graph.batch([s.topology for s in systems], 2), position, RADIUS)
    for module in (graph, neighbours):
        monkeypatch.setattr(module, "DENSE", 0)
    systems = toy_boxes(2)
    cells = neighbours.edges(graph.batch([s.topology for s in systems], 2), position, RADIUS)
    distance = [torch.sort(links.displacement(position).norm(dim=0)).values for links in (dense, cells)]
    torch.testing.assert_close(*distance)
    node_graph = graph.batch([s.topology for s in systems], 2).node_graph
    assert (node_graph[cells.pair[0]] == node_graph[cells.pair[1]]).all()


@pytest.mark.parametrize("dense", [1000, 0])
def test_with_a_radius_a_molecule_without_a_box_sees_its_bonds_and_what_is_near(monkeypatch, dense):
    for module in (graph, neighbours):
        monkeypatch.setattr(module, "DENSE", dense)
    systems = [coarse_grain(toy_trajectory("abcd" * 12, 3, seed=k), 6).within(RADIUS) for k in range(2)]
    batch = graph.batch([s.topology for s in systems], 2)
    position = torch.cat([s.position[:2].flatten(0, 1) for s in systems])
    links = neighbours.edges(batch, position, RADIUS)
    pairs = [tuple(sorted(pair)) for pair in links.pair.T.tolist()]
    assert len(set(pairs)) == len(pairs) and not links.shift.any()
    expected = set()
    b = len(systems[0].mass)
    for copy in range(4):
        x = position[copy * b : (copy + 1) * b]
        hops = shortest_path(csr_array((np.ones(b - 1), systems[0].bond.T), shape=(b, b)), directed=False, unweighted=True)
        i, j = np.nonzero(np.triu((hops <= 3) | (torch.cdist(x, x).numpy() < RADIUS), 1))
        expected |= set(zip((copy * b + i).tolist(), (copy * b + j).tolist(), strict=True))
    assert set(pairs) == expected
    assert batch.pair.shape[1] < len(expected) < 4 * b * (b - 1) // 2, "neither the bonds alone nor all pairs"


def test_a_molecule_too_large_for_all_of_its_beads_to_see_each_other_needs_a_radius(monkeypatch):
    monkeypatch.setattr(graph, "DENSE", 3)
    system = coarse_grain(toy_trajectory("abcd" * 12, 3), 6)
    with pytest.raises(MismatchError, match="12 beads, too many for all to see each other; train with a radius"):
        system.within(None)
    assert system.within(RADIUS).topology.pair.shape[1] == 11 + 10 + 9


def test_sums_over_pairs_and_over_their_ends():
    pair, n = torch.tensor([[0, 0, 1, 2], [4, 2, 2, 4]]), 5  # node 3 is in none
    i, j = pair
    known = incidence(pair, n)
    h, e = torch.randn(n, 3), torch.randn(4, 3)
    matrix = torch.zeros(n, 4)
    matrix[i, range(4)] = 1
    signed = matrix.clone()
    matrix[j, range(4)], signed[j, range(4)] = 1, -1
    torch.testing.assert_close(known.over_ends(h), h[i] + h[j])
    torch.testing.assert_close(known.over_pairs(e), matrix @ e)
    torch.testing.assert_close(known.over_antisymmetric_pairs(e), signed @ e)
    h, e = h.double().requires_grad_(), e.double().requires_grad_()
    for function, rows in ((known.over_ends, h), (known.over_pairs, e), (known.over_antisymmetric_pairs, e)):
        assert torch.autograd.gradcheck(function, rows) and torch.autograd.gradgradcheck(function, rows)
    lone = incidence(pair[:, :0], n)
    assert not lone.over_pairs(e[:0].detach()).any() and lone.over_ends(h).shape == (0, 3)


def test_pairs_along_bonds_are_those_up_to_three_bonds_apart():
    system = toy_boxes(1)[0]
    i, j = system.topology.pair
    hops = np.rint(1 / system.topology.pair_feature[:, 1].numpy()).astype(int)
    assert set(hops) == {1, 2, 3}
    bonded = {tuple(b) for b in system.bond.tolist()}
    assert {(int(a), int(b)) for a, b, h in zip(i, j, hops, strict=True) if h == 1} == bonded


@pytest.mark.parametrize("radius", [None, 100.0])
def test_a_radius_that_the_box_does_not_allow_raises(radius):
    system = toy_boxes(1)[0]
    with pytest.raises(ValueError, match="periodic box of edge .* at most half"):
        neighbours.edges(graph.batch([system.topology], 1), system.position[0], radius)


def test_without_a_box_the_pairs_are_those_of_the_molecule():
    system = toy_systems(1)[0]
    batch = graph.batch([system.topology], 2)
    links = neighbours.edges(batch, system.position[0].repeat(2, 1), None)
    assert torch.equal(links.pair, batch.pair) and not links.shift.any()


def test_a_box_that_changes_in_time_raises():
    fine = toy_electrolyte()
    fine["box"] = fine.box * (1 + 0.01 * np.arange(fine.sizes["frame"]))[:, None]
    with pytest.raises(ValueError, match="box changes in time"):
        coarse_grain(fine, 7)


@pytest.fixture(scope="module")
def model():
    systems = toy_boxes(2)
    windows = Windows(systems, 4, 2)
    built = build_model(
        windows, TrainConfig(time_step=4, steps=1, history=2, width=16, layers=2, refiner_layers=2, radius=RADIUS, radial=8)
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in built.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return systems, built.double()


def predicted(model, systems, history, noisy):
    batch = graph.batch([s.topology for s in systems], 1)
    fine = replace(
        batch.fine, bead_mass=batch.fine.bead_mass.double(), pair_feature=batch.fine.pair_feature.double(), box=batch.fine.box.double()
    )
    batch = replace(batch, fine=fine)
    prediction = model.simulator(batch, history)
    return prediction, model.refiner(batch, history[-1], prediction, noisy, torch.full_like(prediction.std, 0.7))


def test_a_model_does_not_see_which_box_a_molecule_is_in(model):
    systems, model = model
    s = systems[0]
    history = s.position[:2].double()
    noisy = torch.randn(history.shape[1:], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    a, ua = predicted(model, [s], history, noisy)
    shift = torch.zeros_like(history[0])
    for k in np.flatnonzero(s.component == 2):  # each Li to another box; the first chain too
        shift[k] = s.box.double() * torch.tensor([1.0, -2.0, 3.0])
    chain = torch.from_numpy(np.flatnonzero(s.component == 0))[: len(np.flatnonzero(s.component == 0)) // 2]
    shift[chain] = s.box.double() * torch.tensor([-1.0, 0.0, 1.0])
    b, ub = predicted(model, [s], history + shift, noisy)
    torch.testing.assert_close(b.mean, a.mean + shift)
    torch.testing.assert_close(b.std, a.std)
    torch.testing.assert_close(ub, ua)


def test_a_model_feels_neighbours_across_the_boundary(model):
    systems, model = model
    s = systems[0]
    history = s.position[:2].double()
    noisy = torch.zeros_like(history[0])
    a, _ = predicted(model, [s], history, noisy)
    open_box = replace(s.topology, box=s.topology.box * 3)
    b, _ = predicted(model, [replace(s, topology=open_box)], history, noisy)
    assert (a.mean - b.mean).abs().max() > 1e-4


def test_the_refiner_sees_beads_that_meet_within_the_step(model):
    """Which are near is told by the noisy positions, not by those at time t."""
    systems, model = model
    s = systems[0]
    history = s.position[:2].double()
    links = neighbours.edges(graph.batch([s.topology], 1), history[-1].float(), RADIUS)
    near = {tuple(pair) for pair in links.pair.T.tolist()}
    a, b = next((a, b) for b in np.flatnonzero(s.component == 2) for a in range(b) if (a, b) not in near)
    zero = torch.zeros_like(history[0])
    prediction, _ = predicted(model, [s], history, zero)
    meeting = zero.clone()
    # In the nearest image, 2 A apart.
    gap = prediction.mean[b] - prediction.mean[a]
    gap = gap - neighbours.image_shift(gap, s.box.double()) + 2.0 / 3**0.5
    meeting[a] = gap * (1 + 0.7**2) / prediction.std[a]

    def felt(noisy):
        """How much a sees of a small move of b."""
        moved = noisy.clone()
        moved[b, 0] += 0.1
        return float((predicted(model, [s], history, moved)[1][a] - predicted(model, [s], history, noisy)[1][a]).norm().detach())

    assert felt(meeting) > 10 * felt(zero)


def test_beads_nearer_than_ever_seen_are_parted(model):
    """Across the boundary too; beads along bonds and those far enough stay."""
    systems, _ = model
    s = systems[0]
    batch = graph.batch([s.topology], 1)
    core = torch.tensor(Windows(systems, 4, 2).core(RADIUS))
    assert (core == core.T).all() and (core > 0).all()
    x = s.position[0].clone()
    torch.testing.assert_close(neighbours.push_apart(batch, x, core), x, rtol=0, atol=1e-5)
    a, b = np.flatnonzero(s.component == 2)[:2]
    x[b] = x[a] + torch.tensor([0.5, 0.0, 0.0]) + s.box * torch.tensor([1.0, 0.0, -2.0])
    parted = neighbours.push_apart(batch, x, torch.where(core == core[2, 2], core, 0.1))
    gap = parted[a] - parted[b]
    gap = gap - neighbours.image_shift(gap, s.box)
    assert float(gap.norm()) == pytest.approx(float(core[2, 2]), rel=1e-5)
    torch.testing.assert_close(parted[a] + parted[b], x[a] + x[b])
    others = np.setdiff1d(np.arange(len(x)), [a, b])
    assert torch.equal(parted[others], x[others])


def test_order_of_boxes_does_not_matter(model):
    systems, model = model
    history = [s.position[:2].double() for s in systems]
    zero = [torch.zeros_like(h[0]) for h in history]
    ab, _ = predicted(model, systems, torch.cat(history, dim=1), torch.cat(zero))
    ba, _ = predicted(model, systems[::-1], torch.cat(history[::-1], dim=1), torch.cat(zero[::-1]))
    n = len(zero[0])
    torch.testing.assert_close(ab.mean[:n], ba.mean[-n:])
    torch.testing.assert_close(ab.mean[n:], ba.mean[:-n])


def test_a_repeated_box_has_the_pairs_of_each_copy_and_the_same_predictions(model):
    systems, model = model
    s = systems[0]
    large = tile(s, 2)
    assert large.position.shape[1] == 8 * len(s.mass) and len(large.bond) == 8 * len(s.bond)
    links = neighbours.edges(graph.batch([large.topology], 1), large.position[3], RADIUS)
    single = neighbours.edges(graph.batch([s.topology], 1), s.position[3], RADIUS)
    assert links.pair.shape[1] == 8 * single.pair.shape[1]
    zero = torch.zeros(8 * len(s.mass), 3, dtype=torch.float64)
    a, _ = predicted(model, [s], s.position[:2].double(), zero[: len(s.mass)])
    b, _ = predicted(model, [large], large.position[:2].double(), zero)
    torch.testing.assert_close(b.mean[: len(s.mass)], a.mean, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(b.std, a.std.repeat(8, 1), atol=1e-4, rtol=1e-5)


def test_a_chain_cannot_be_repeated():
    with pytest.raises(ValueError, match="without a periodic box"):
        tile(toy_systems(1)[0], 2)


def test_rare_components_weigh_more_in_a_loss():
    system = toy_boxes(1)[0]
    weight, component = system.topology.weight.numpy(), system.component
    assert weight.mean() == pytest.approx(1)
    total = np.bincount(component, weights=weight)
    np.testing.assert_allclose(total / total[0], np.sqrt(np.bincount(component) / np.bincount(component)[0]), rtol=1e-5)
    assert (toy_systems(1)[0].topology.weight == 1).all()
