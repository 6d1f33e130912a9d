"""How beads move together: the Gaussian of springs against its matrices, and the sampler that starts from it."""

import numpy as np
import pytest
import torch
from toys import toy_systems

from mlcgmd.model import samplers
from mlcgmd.model.covariance import Blocks, Covariance
from mlcgmd.model.graph import batch
from mlcgmd.model.incidence import incidence
from mlcgmd.model.stepper import prepare_step
from mlcgmd.model.training import TrainConfig, build_model
from mlcgmd.model.windows import Windows

PAIR = torch.tensor([[0, 1, 3, 0], [1, 3, 4, 4]])
"""Springs of the first molecule, nodes 0, 1, 3, 4; node 2 is a molecule of its own."""
MOLECULE = torch.tensor([7, 7, 2, 7, 7])


@pytest.fixture
def springs() -> tuple[Covariance, torch.Tensor]:
    """A covariance and its matrix (5, 5)."""
    diagonal = torch.tensor([1.0, 2.0, 0.5, 4.0, 1.5], dtype=torch.float64)
    weight = torch.tensor([3.0, 0.7, 10.0, 0.2], dtype=torch.float64)
    precision = torch.diag(diagonal)
    for (i, j), w in zip(PAIR.T.tolist(), weight, strict=True):
        precision[[i, j], [i, j]] += w
        precision[[i, j], [j, i]] -= w
    stiffness = incidence(PAIR, 5).over_pairs(weight[:, None])[:, 0]
    return Covariance.of_springs(Blocks.of(MOLECULE, PAIR), diagonal, weight, stiffness), precision.inverse()


def test_covariance_is_the_inverse_of_the_springs(springs):
    covariance, matrix = springs
    noise = torch.eye(5, dtype=torch.float64)[:, None].expand(5, 3, 5)
    root = torch.stack([covariance.colour(noise[..., k])[:, 0] for k in range(5)], dim=1)
    torch.testing.assert_close(root @ root.T, matrix)
    torch.testing.assert_close(covariance.std[:, 0], matrix.diagonal().sqrt())
    torch.testing.assert_close(covariance.log_std().sum(), 0.5 * matrix.logdet())
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(covariance.spread(x), matrix @ x)
    torch.testing.assert_close(covariance.whiten(covariance.colour(x)), x)
    assert float(matrix[2, [0, 1, 3, 4]].abs().max()) == 0 and float(matrix[0, 3]) > 0.03


@pytest.mark.parametrize("kind", ["diagonal", "fixed", "springs"])
def test_likelihood_is_that_of_the_joint_gaussian(kind):
    systems = toy_systems()
    windows = Windows(systems, 10, 1)
    model = build_model(windows, TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2, covariance=kind))
    graph, x, _ = windows.draw(np.random.default_rng(0), 2, 1)
    prediction = model.simulator(graph, x[:-1])
    n = len(graph.node_source)
    noise = torch.eye(n)[:, None].expand(n, 3, n)
    root = torch.stack([prediction.covariance.colour(noise[..., k])[:, 0] for k in range(n)], dim=1)
    joint = torch.distributions.MultivariateNormal(torch.zeros(n), root @ root.T)
    exact = -joint.log_prob((x[-1] - prediction.mean).T).sum()
    constant = 3 * n * (0.5 * np.log(2 * np.pi) + np.log(model.config.step_length))
    found = model.simulator.negative_log_likelihood(prediction, x[:-1], x[-1]).sum()
    torch.testing.assert_close(found, exact - constant, rtol=1e-4, atol=1e-2)
    independent = bool((root @ root.T - torch.diag((root @ root.T).diagonal())).abs().max() < 1e-6)
    assert independent == (kind == "diagonal")


@pytest.mark.parametrize("evaluations", [1, 2, 6])
def test_modes_of_any_variance_are_right_with_any_number_of_evaluations(evaluations):
    """A chain of 40 springs whose slowest mode has a thousand times the variance of its stiffest; the residual is exactly Gaussian."""
    n, copies = 40, 12_000
    one = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    pair = torch.cat([one + k * n for k in range(copies)], dim=1)
    weight = torch.full((pair.shape[1],), 25.0)
    blocks = Blocks.of(torch.arange(copies).repeat_interleave(n), pair)
    covariance = Covariance.of_springs(
        blocks, torch.full((n * copies,), 0.1), weight, incidence(pair, n * copies).over_pairs(weight[:, None])[:, 0]
    )
    sampler = samplers.Flow(evaluations)
    u = sampler(lambda u, sigma: u / (1 + sigma**2), (n * copies, 3), torch.Generator().manual_seed(0), torch.device("cpu"))
    laplacian = 2 * torch.eye(n) - torch.diag(torch.ones(n - 1), 1) - torch.diag(torch.ones(n - 1), -1)
    laplacian[0, 0] = laplacian[-1, -1] = 1
    value, mode = torch.linalg.eigh(laplacian)
    found = torch.einsum("bk,cbi->kci", mode, covariance.colour(u).view(copies, n, 3)).square().mean(dim=(1, 2))
    exact = 1 / (0.1 + 25 * value.clamp(min=0))
    assert exact.max() / exact.min() > 990 and exact.max() > 9.9 and exact.min() < 0.0101
    torch.testing.assert_close(found, exact, rtol=0.03, atol=0)


def free_chains(mobility=(50.0, 50.0, 50.0), drift=0.0):
    """Toy chains whose centres of mass are random walks with these gains in variance per frame, times their mass."""
    systems = toy_systems(frames=600)
    rng = np.random.default_rng(5)
    for s, gain in zip(systems, mobility, strict=True):
        mass = s.topology.bead_mass
        centre = torch.einsum("b,fbi->fi", mass / mass.sum(), s.position)
        walk = np.cumsum(rng.normal(drift, (gain / float(mass.sum())) ** 0.5, size=centre.shape), axis=0)
        s.position.add_((torch.from_numpy(walk).float() - centre)[:, None])
    return systems


def test_the_centre_of_a_free_chain_diffuses_as_in_training():
    systems = free_chains()
    model = build_model(Windows(systems, 10, 1), TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2))
    mobility = model.config.centre_mobility
    assert mobility == pytest.approx(50, rel=0.1)
    stepper, history = prepare_step(model, systems[:1], 4000, samplers.Gaussian())
    with torch.inference_mode():
        moved, _ = stepper(history, torch.Generator().manual_seed(0))
    mass = systems[0].topology.bead_mass
    step = torch.einsum("b,cbi->ci", mass / mass.sum(), (moved - history[-1]).view(4000, len(mass), 3))
    assert float(step.var()) == pytest.approx(mobility / float(mass.sum()), rel=0.05)


@pytest.mark.parametrize("systems", [free_chains((50.0, 50.0, 100.0)), free_chains(drift=3.0)], ids=["unlike", "drifting"])
def test_centres_that_are_not_free_are_left_to_the_networks(systems):
    assert Windows(systems, 10, 1).centre_mobility() is None
    model = build_model(Windows(systems, 10, 1), TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2))
    assert model.config.centre_mobility is None


def test_nodes_of_a_batch_are_in_the_matrices_of_their_molecules():
    systems = toy_systems()
    graph = batch([s.topology for s in systems], 3)
    m, k, b = graph.blocks.unused.shape
    assert (m, k, b) == (3 * len(systems), 1, max(len(s.mass) for s in systems))
    assert len(graph.blocks.node.unique()) == len(graph.node_source) == int((~graph.blocks.unused).sum())
    molecule = graph.blocks.node // b
    assert torch.equal(molecule[graph.pair[0]], molecule[graph.pair[1]])
    low, high = (graph.blocks.node % b)[graph.pair].sort(dim=0).values
    assert torch.equal(graph.blocks.pair, molecule[graph.pair[0]] * b * b + high * b + low)
    assert torch.equal(graph.blocks.mirror, molecule[graph.pair[0]] * b * b + low * b + high)


def comb(n: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs up to two bonds apart of a chain of n beads, each third of which has a side bead, numbered at random."""
    bonds = [(i, i + 1) for i in range(n - 1)] + [(i, n + i // 3) for i in range(0, n, 3)]
    graph = np.eye(n + len(range(0, n, 3)), dtype=int)
    for i, j in bonds:
        graph[i, j] = graph[j, i] = 1
    i, j = np.nonzero(np.triu(graph @ graph, 1))
    return rng.permutation(len(graph))[np.stack([i, j])]


def test_the_blocks_of_large_molecules_are_the_whole_matrix():
    """Values and gradients of everything that is asked of a covariance, of two combs and a ring of 150 and a pair of beads."""
    rng = np.random.default_rng(3)
    ring = np.stack([np.arange(150), (np.arange(150) + 1) % 150])
    parts = [comb(60, rng), comb(97, rng), ring, np.array([[0], [1]])]
    first = np.cumsum([0, *(part.max() + 1 for part in parts)])
    pair = torch.from_numpy(np.concatenate([part + start for part, start in zip(parts, first, strict=False)], axis=1))
    molecule = torch.from_numpy(np.repeat(np.arange(len(parts)), np.diff(first)))
    n = len(molecule)
    diagonal, weight = (torch.from_numpy(rng.uniform(0.2, 5, size)).requires_grad_() for size in (n, pair.shape[1]))
    blocks = Blocks.of(molecule, pair)
    assert blocks.unused.shape[1] > 5 and blocks.unused.shape[2] < 20
    covariance = Covariance.of_springs(blocks, diagonal, weight, incidence(pair, n).over_pairs(weight[:, None])[:, 0])
    difference = torch.zeros(pair.shape[1], n, dtype=torch.float64)
    difference[torch.arange(pair.shape[1])[:, None], pair.T] = torch.tensor([1.0, -1.0], dtype=torch.float64)
    matrix = (torch.diag(diagonal) + difference.T @ (weight[:, None] * difference)).inverse()
    x = torch.from_numpy(rng.normal(size=(n, 3)))
    whole = [matrix.diagonal().sqrt(), matrix @ x, matrix.logdet() / 2, (x * (matrix.inverse() @ x)).sum()]
    found = [covariance.std[:, 0], covariance.spread(x), covariance.log_std().sum(), covariance.whiten(x).square().sum()]
    for one, other in zip(found, whole, strict=True):
        torch.testing.assert_close(one, other)
        wanted = torch.autograd.grad(other.square().sum(), (diagonal, weight), retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(one.square().sum(), (diagonal, weight), retain_graph=True), wanted)
    torch.testing.assert_close(covariance.whiten(covariance.colour(x)), x)
