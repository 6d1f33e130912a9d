"""Simulator and refiner: symmetries, gradients, the encode-decode pair, known scores."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from toys import toy_systems

from mlcgmd.model import samplers
from mlcgmd.model.graph import batch
from mlcgmd.model.incidence import incidence
from mlcgmd.model.networks import Directions, Interaction, radial, unit
from mlcgmd.model.training import TrainConfig, build_model
from mlcgmd.model.windows import Windows


def random_model(history: int = 2, dtype=torch.float64, radial: int = 0, covariance: str = "diagonal", radius: float | None = None):
    """A model whose readouts are not zero, so that symmetries can fail."""
    systems = [system.within(radius) for system in toy_systems()]
    options = {"radial": radial, "covariance": covariance, "radius": radius}
    config = TrainConfig(time_step=10, steps=1, history=history, width=16, layers=2, refiner_layers=2, **options)
    model = build_model(Windows(systems, 10, history), config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return systems, model.to(dtype)


def float64(graph):
    real = {f.name: getattr(graph.fine, f.name).double() for f in fields(graph.fine) if getattr(graph.fine, f.name).is_floating_point()}
    return replace(graph, fine=replace(graph.fine, **real))


CASES = [(1, 0, "springs", None), (2, 0, "diagonal", 4.0), (2, 8, "springs", 4.0), (3, 0, "fixed", None)]


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    history, radial, covariance, radius = request.param
    systems, model = random_model(history, radial=radial, covariance=covariance, radius=radius)
    graph, positions, _ = Windows(systems, 10, history).draw(np.random.default_rng(0), 3, 4)
    return float64(graph), model, positions.double()


def denoised(model, graph, history, noisy):
    prediction = model.simulator(graph, history)
    sigma = torch.full_like(prediction.std, 0.7)
    return prediction, model.refiner(graph, history[-1], prediction, noisy, sigma)


@pytest.mark.parametrize("kind", ["rotation", "reflection"])
def test_rotation_and_reflection_turn_the_output(case, kind):
    graph, model, x = case
    turn = torch.from_numpy(Rotation.random(rng=np.random.default_rng(2)).as_matrix())
    if kind == "reflection":
        turn = turn @ torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    noisy = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    a, ua = denoised(model, graph, x[:-1], noisy)
    b, ub = denoised(model, graph, x[:-1] @ turn, noisy @ turn)
    torch.testing.assert_close(b.mean, a.mean @ turn)
    torch.testing.assert_close(b.std, a.std)
    torch.testing.assert_close(ub, ua @ turn)
    assert (ua - noisy / 1.49).abs().max() > 1e-3, "the network must do something"


def test_translation_moves_the_output(case):
    graph, model, x = case
    shift = torch.tensor([10.0, -20.0, 5.0], dtype=torch.float64)
    noisy = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    a, ua = denoised(model, graph, x[:-1], noisy)
    b, ub = denoised(model, graph, x[:-1] + shift, noisy)
    torch.testing.assert_close(b.mean, a.mean + shift)
    torch.testing.assert_close(ub, ua)


def test_order_of_systems_does_not_matter():
    systems, model = random_model(2)
    positions = [s.position[:2].double() for s in systems]
    for order in ([0, 1, 2], [2, 0, 1]):
        graph = float64(batch([systems[k].topology for k in order], 1))
        mean = model.simulator(graph, torch.cat([positions[k] for k in order], dim=1)).mean
        parts = dict(zip(order, mean.split([positions[k].shape[1] for k in order]), strict=True))
        if order == [0, 1, 2]:
            reference = parts
    for k in range(3):
        torch.testing.assert_close(parts[k], reference[k])


def test_order_of_beads_does_not_matter():
    systems, model = random_model(2)
    s = systems[0]
    graph = float64(batch([s.topology], 1))
    x = s.position[:2].double()
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(0))
    new_index = torch.argsort(order)
    fine = graph.fine
    moved = replace(fine, bead=new_index[fine.bead], bead_mass=fine.bead_mass[order], pair=new_index[fine.pair])
    permuted = replace(graph, fine=moved, pair=moved.pair)
    torch.testing.assert_close(model.simulator(permuted, x[:, order]).mean, model.simulator(graph, x).mean[order])


def test_copies_do_not_interact():
    systems, model = random_model(1)
    one = float64(batch([systems[0].topology], 1))
    two = float64(batch([systems[0].topology], 2))
    a, b = systems[0].position[:1].double(), systems[0].position[5:6].double()
    both = model.simulator(two, torch.cat([a, b], dim=1)).mean
    torch.testing.assert_close(both, torch.cat([model.simulator(one, a).mean, model.simulator(one, b).mean]))


def test_gradients_reach_every_layer():
    systems = toy_systems()
    config = TrainConfig(time_step=10, steps=1, history=2, width=16, layers=2, refiner_layers=2)
    windows = Windows(systems, 10, 2)
    _, model = random_model(2, torch.float32)
    graph, x, size = windows.draw(np.random.default_rng(0), 3, 4)
    assert config.history == model.config.history
    prediction = model.simulator(graph, x[:-1])
    loss = model.simulator.negative_log_likelihood(prediction, x[:-1], x[-1]).mean() + (prediction.bead_rg2 - size).square().mean()
    loss = loss + model.refiner.loss(graph, x[-2], prediction, x[-1], torch.Generator().manual_seed(0)).mean()
    loss.backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_node_and_pair_states_both_change():
    layer = Interaction(8)
    h, e = torch.randn(4, 8), torch.randn(3, 8)
    pair = torch.tensor([[0, 1, 2], [1, 2, 3]])
    h2, e2 = layer(h, e, incidence(pair, 4))
    assert (h2 - h).abs().min(dim=1).values.max() > 0 and (e2 - e).abs().min(dim=1).values.max() > 0


def test_encode_and_decode_are_a_pair(case):
    _, model, x = case
    history, target = x[:-1], x[-1]
    acceleration = model.simulator.encode(history, target)
    torch.testing.assert_close(model.simulator.decode(history, acceleration), target)
    if len(history) > 1:
        expected = (x[-1] - 2 * x[-2] + x[-3]) / model.config.step_length
        torch.testing.assert_close(acceleration, expected)


def test_untrained_model_says_nothing_moves():
    systems = toy_systems()
    windows = Windows(systems, 10, 1)
    model = build_model(windows, TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2))
    graph, x, _ = windows.draw(np.random.default_rng(0), 3, 4)
    torch.testing.assert_close(model.simulator(graph, x[:-1]).mean, x[-2])


def test_std_of_a_known_gaussian_gives_its_likelihood():
    systems, model = random_model(1)
    graph = float64(batch([systems[0].topology], 1))
    x = systems[0].position[:1].double()
    prediction = model.simulator(graph, x)
    target = prediction.mean + 0.3
    exact = -torch.distributions.Normal(prediction.mean, prediction.std).log_prob(target).sum(dim=1)
    constant = 3 * (0.5 * np.log(2 * np.pi) + np.log(model.config.step_length))
    torch.testing.assert_close(model.simulator.negative_log_likelihood(prediction, x, target), exact - constant)


def gaussian_denoiser(eigenvalues, basis):
    """The exact denoiser of u ~ N(0, C) with C = basis diag(eigenvalues) basis^T, acting on rows of 3 components."""

    def denoise(u, sigma):
        gain = basis @ torch.diag(eigenvalues / (eigenvalues + sigma**2)) @ basis.T
        return u @ gain

    return denoise


@pytest.mark.parametrize(
    ("sampler", "tolerance"),
    [
        # The default starts at a noise of 4, which leaves modes of variance 4 with 15 % too little; more levels from higher up do not.
        (samplers.Multistep(), 0.17),
        (samplers.Multistep(evaluations=12, sigma_max=10.0), 0.06),
        (samplers.Multistep(evaluations=12, sigma_max=4.0, stochasticity=1.0), 0.09),
        (samplers.Langevin(), 0.15),
        (samplers.Langevin(step=0.3, steps=20, textbook=True), 0.1),
        (samplers.Flow(evaluations=16, angle=1.5), 0.06),
    ],
)
def test_samplers_reproduce_a_gaussian_whose_score_is_known(sampler, tolerance):
    """Correlated components: eigenvalues from 0.1 (a stiff bond) to 4 (everything moves together)."""
    eigenvalues = torch.tensor([0.1, 1.0, 4.0], dtype=torch.float64)
    basis = torch.from_numpy(Rotation.random(rng=np.random.default_rng(4)).as_matrix())
    n = 40_000
    calls = 0
    exact = gaussian_denoiser(eigenvalues, basis)

    def counted(u, sigma):
        nonlocal calls
        calls += 1
        return exact(u.double(), sigma)

    u = sampler(counted, (n, 3), torch.Generator().manual_seed(0), torch.device("cpu")).double() @ basis
    assert calls == sampler.evaluations
    covariance = u.T @ u / n
    relative = covariance / (eigenvalues[:, None] * eigenvalues[None]).sqrt()
    torch.testing.assert_close(relative, torch.eye(3, dtype=torch.float64), atol=tolerance, rtol=0)


def test_preconditioned_denoiser_is_optimal_for_a_unit_gaussian_when_the_network_is_silent():
    systems = toy_systems()
    windows = Windows(systems, 10, 1)
    model = build_model(windows, TrainConfig(time_step=10, steps=1, width=16, layers=2, refiner_layers=2))
    graph, x, _ = windows.draw(np.random.default_rng(0), 3, 4)
    prediction = model.simulator(graph, x[:-1])
    noisy = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(0))
    sigma = torch.full_like(prediction.std, 0.5)
    torch.testing.assert_close(model.refiner(graph, x[-2], prediction, noisy, sigma), noisy / 1.25)


def test_same_seed_same_sample():
    sampler = samplers.Multistep(stochasticity=0.5)
    draw = [sampler(lambda u, s: u / (1 + s * s), (5, 3), torch.Generator().manual_seed(s), torch.device("cpu")) for s in (1, 1, 2)]
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])


def test_samplers_by_name():
    assert samplers.make_sampler("multistep", 3, stochasticity=1.0) == samplers.Multistep(evaluations=3, stochasticity=1.0)
    assert samplers.make_sampler("langevin", 200, step=0.01) == samplers.Langevin(step=0.01)
    assert samplers.make_sampler("gaussian", 0) == samplers.Gaussian()
    with pytest.raises(ValueError, match="there is no sampler 'euler'; use flow, distilled, multistep, langevin, gaussian"):
        samplers.make_sampler("euler")
    with pytest.raises(ValueError, match="multistep has no option sigma; it has sigma_max, sigma_min, rho, stochasticity"):
        samplers.make_sampler("multistep", 3, sigma=1.0)
    with pytest.raises(ValueError, match="gaussian has no option step; it has none"):
        samplers.make_sampler("gaussian", None, step=1.0)
    with pytest.raises(ValueError, match="langevin makes 200 evaluations per step, not 100"):
        samplers.make_sampler("langevin", 100)


def test_beads_that_nearly_coincide_can_be_parted():
    """By a readout that has directions: one of plain pair vectors adds no more than their length."""
    close = torch.tensor([[0.0, 0.0, 0.0], [0.05, 0.0, 0.0]], dtype=torch.float64)
    direction = unit((close[1] - close[0])[None, :, None])
    assert 0.95 < float(direction.norm()) <= 1
    assert float(unit(torch.zeros(1, 3, 1)).norm()) == 0


def test_gaussians_of_distance_tell_shells_apart():
    near, far = radial(torch.tensor([[2.0, 0, 0], [2.5, 0, 0]]).T, 16, 7.5).T
    assert float((near - far).norm()) > 0.5
    assert radial(torch.ones(3, 4), 0, 1.0).shape == (0, 4)


def test_a_pair_learns_the_angles_to_the_pairs_around_it():
    """Three bonds of one bead: turning the third changes what the first knows, though no length changes; swapping ends does not."""
    torch.manual_seed(0)
    layer = Directions(16, 1)
    pair, e = torch.tensor([[0, 0, 0], [1, 2, 3]]), torch.randn(3, 16)

    def state(third, pair=pair, sign=1.0):
        bonds = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], third])
        return layer(e, incidence(pair, 4), sign * bonds.T[None].contiguous())

    up, tilted = state([0.0, 0.0, 1.0]), state([0.6, 0.0, 0.8])
    assert (up[0] - tilted[0]).abs().max() > 1e-3
    torch.testing.assert_close(state([0.0, 0.0, 1.0], pair.flip(0), -1.0), up)
