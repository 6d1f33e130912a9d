"""Back to particles: exact restriction, equivariance, and the Gaussian case, of which everything is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from toys import toy_trajectory

from mlcgmd.data import trajectory
from mlcgmd.data.export import export
from mlcgmd.data.mapping import partition
from mlcgmd.data.partitions import FAMILIES
from mlcgmd.errors import MlcgmdError
from mlcgmd.md.rouse import Rouse, linear
from mlcgmd.model.conditional import Given, Springs, given_beads, graph_matrix
from mlcgmd.model.files import CheckpointError
from mlcgmd.model.graph import batch
from mlcgmd.model.lifter import Lifter, LifterConfig, Particles, particles
from mlcgmd.model.lifting import LiftConfig, fit_springs, lift, train_lifter
from mlcgmd.model.model import Model
from mlcgmd.model.refiner import denoiser
from mlcgmd.model.samplers import Flow, Gaussian
from mlcgmd.paths import SHIPPED

LEVEL = 6
CONFIG = LiftConfig(level=LEVEL, radius=1.5, steps=2, width=8, radial=4, systems_per_batch=2, windows_per_system=2, save_every=1)
BOX = np.array([9.0, 10.0, 11.0])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chains(n: int = 2) -> list[xr.Dataset]:
    return [toy_trajectory(sequence, 20, seed=k) for k, sequence in enumerate(("abcd" * 6, "c" * 18, "ad" * 14)[:n])]


def melt(molecules: int = 3, frames: int = 6) -> xr.Dataset:
    """Some chains of two kinds of particles of unlike masses, and a lone particle, in a box; one chain is boxes away."""
    one = toy_trajectory("abcd" * 4, frames, seed=5)
    n = one.sizes["particle"]
    shift = np.random.default_rng(0).uniform(0, 9, (molecules, 1, 3)) + np.array([0, 0, 33.0]) * np.arange(molecules)[:, None, None]
    chain = (one.position.values[:, None] + shift).reshape(frames, -1, 3)
    kind = np.r_[np.tile(one.particle_type.values, molecules), 0]
    return trajectory.make(
        np.concatenate([chain, np.full((frames, 1, 3), 4.0)], axis=1),
        time=np.arange(frames) * 10.0,
        particle_type=kind,
        type_name=one.type_name.values.tolist(),
        mass=1.0 + kind,
        bond=np.concatenate([one.bond.values + n * m for m in range(molecules)]),
        box=BOX,
        system="melt",
        units="lj",
    )


def lifter_of(runs: list[xr.Dataset], level: float = LEVEL) -> Lifter:
    """One with random weights, those that are zero before training included."""
    springs = fit_springs(runs, [partition(run, level) for run in runs])
    torch.manual_seed(0)
    config = LifterConfig(
        level=level,
        type_name=("S2", "B1", "B2", "S1"),
        units=("sigma", "tau", "m"),
        springs=springs,
        periodic="box" in runs[0],
        radius=1.5,
        width=16,
    )
    lifter = Lifter(config).eval()
    torch.nn.init.normal_(lifter.refiner.out.from_node.weight, std=0.01)
    return lifter


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("sampler", [Gaussian(), Flow(2)])
def test_the_beads_of_lifted_particles_are_the_beads(boxed: bool, sampler: Any) -> None:
    runs = [melt()] if boxed else chains(1)
    fine, lifter = runs[0], lifter_of(runs)
    mapping = partition(fine, LEVEL)
    beads = mapping.apply(fine)
    lifted = lift(lifter, beads, fine, sampler=sampler)
    assert np.abs(mapping.positions(lifted.position.values) - beads.position.values).max() < 1e-4
    assert np.abs(lifted.position.values - fine.position.values).max() > 0.1  # other particles
    for name in ("bond", "mass", "particle_type", "molecule", "component", "time", *(["box"] if boxed else [])):
        np.testing.assert_array_equal(lifted[name].values, fine[name].values)


def asked(lifter: Lifter, system: Particles, bead: torch.Tensor, noise: torch.Tensor, sigma: float) -> torch.Tensor:
    """Denoised positions."""
    graph, given = batch([system.topology], len(bead)), Given([system.molecules], len(bead))
    prior = lifter.prior(graph, given, bead.reshape(-1, 3), lifter.embed(graph.fine))
    with torch.inference_mode():
        return prior.mean + given.colour(denoiser(lifter.refiner, graph, prior.mean, prior)(noise, sigma))


@pytest.mark.parametrize("sigma", [0.1, 3.0])
def test_the_denoiser_turns_mirrors_and_moves_with_the_beads(sigma: float) -> None:
    (fine,) = runs = chains(1)
    lifter = lifter_of(runs)
    mapping = partition(fine, LEVEL)
    system = particles(fine, mapping, lifter.config.type_name, lifter.config.springs)
    bead = torch.from_numpy(mapping.positions(fine.position.values[:3]))
    noise = (1 + sigma**2) ** 0.5 * torch.randn(3 * fine.sizes["particle"], 3, generator=seeded(1))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=seeded(2)))[0]
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0])) @ turn
    assert torch.det(turn) * torch.det(mirror) < 0
    shift = torch.tensor([5.0, -7.0, 2.0])
    before = asked(lifter, system, bead, noise, sigma)
    for matrix in (turn, mirror):
        after = asked(lifter, system, bead @ matrix + shift, noise @ matrix, sigma)
        torch.testing.assert_close(after, before @ matrix + shift, rtol=1e-3, atol=1e-3)
    torch.nn.init.zeros_(lifter.refiner.out.from_node.weight)
    assert (before - asked(lifter, system, bead, noise, sigma)).abs().max() > 1e-3  # the network did say something


def test_springs_given_beads_are_the_conditional_gaussian() -> None:
    """By the formula for a joint Gaussian: the chain tied to the origin by a spring so weak that it does not matter."""
    n, bead, mass = 12, np.repeat([0, 1, 2], [3, 5, 4]), np.random.default_rng(0).uniform(1, 3, 12)
    bond = np.array(linear(n))
    g = graph_matrix(n, bond, np.full(len(bond), 1.3))
    precision = 2.0 * (g + 0.4 * g @ g)
    joint = np.linalg.inv(precision + 1e-5 * np.eye(n))
    to = np.zeros((3, n))
    to[bead, np.arange(n)] = mass / np.bincount(bead, mass)[bead]
    gain = joint @ to.T @ np.linalg.inv(to @ joint @ to.T)
    mean, root, whitening = given_beads(precision, bead, mass)
    np.testing.assert_allclose(mean, gain, atol=1e-4)
    np.testing.assert_allclose(root @ root.T, joint - gain @ to @ joint, atol=1e-4)
    np.testing.assert_allclose(to @ mean, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(to @ root, 0, atol=1e-12)
    np.testing.assert_allclose(root @ whitening @ root, root, atol=1e-12)


def rouse_run(n: int = 20, frames: int = 600) -> tuple[xr.Dataset, np.ndarray]:
    """Independent frames of a Rouse chain, and the covariance (N, N) of its particles about their centre."""
    covariance = Rouse(linear(n)).covariance()
    noise = np.random.default_rng(3).normal(size=(frames, n, 3))
    position = np.einsum("ij,fjx->fix", np.linalg.cholesky(covariance + 1e-10 * np.eye(n)), noise)
    run = trajectory.make(
        position,
        time=np.arange(frames) * 1.0,
        particle_type=np.zeros(n, int),
        type_name=["B1"],
        mass=np.ones(n),
        bond=np.array(linear(n)),
        system="rouse",
        units="lj",
    )
    return run, covariance


def test_springs_are_found_in_a_rouse_chain_and_its_particles_come_back() -> None:
    """Of springs whose mean square length is 1 the stiffness is 3 and there is no bending; then lifted chains are exact samples."""
    run, covariance = rouse_run()
    mapping = partition(run, 5)
    springs = fit_springs([run], [mapping])
    degrees = 3 * (20 - mapping.n_beads) * 50  # of the frames that it looks at
    assert springs.stiffness == pytest.approx(3, abs=3 * 3 * (2 / degrees) ** 0.5 + 0.05)
    assert springs.bending < 0.05
    exact = Springs(springs.pair, (1.0,), (0.0,), 3.0, 0.0)
    lifter = Lifter(LifterConfig(level=5.0, type_name=("B1",), units=("sigma", "tau", "m"), springs=exact, periodic=False, radius=1.5))
    lifted = lift(lifter, mapping.apply(run), run, sampler=Gaussian(), lengths=False).position.values.astype(float)
    # Bonds and the squares of the distances between ends: of beads that are exact, exact particles.
    for i, j in ((0, 1), (4, 5), (9, 11), (0, 19)):
        d = lifted[:, i] - lifted[:, j]
        want = covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]
        assert abs((d**2).mean() - want) < 3 * want * (2 / d.size) ** 0.5
    inner = lifted - mapping.positions(lifted.astype(np.float32))[:, mapping.bead]
    np.testing.assert_allclose(inner.mean(axis=(0, 2)), 0, atol=0.1)


def test_bonds_get_the_lengths_that_are_asked_for_and_no_bead_moves() -> None:
    (fine,) = runs = chains(1)
    springs = lifter_of(runs).config.springs
    mapping = partition(fine, LEVEL)
    system = particles(fine, mapping, ("B1", "B2", "S1", "S2"), springs)
    _, given = system.copies(4)
    start = torch.from_numpy(fine.position.values[:4]).reshape(-1, 3)
    wanted = 1 + 0.07 * torch.randn(fine.sizes["bond"], 4, generator=seeded(0))
    i, j = fine.bond.values.T
    before = np.linalg.norm(fine.position.values[:4][:, i] - fine.position.values[:4][:, j], axis=2)
    assert before.std() > 0.3
    moved = given.with_lengths(given.with_lengths(start, [[wanted]]), [[wanted]]).view(4, -1, 3).numpy()
    np.testing.assert_allclose(np.linalg.norm(moved[:, i] - moved[:, j], axis=2).T, wanted, atol=5e-3)
    np.testing.assert_allclose(mapping.positions(moved), mapping.positions(fine.position.values[:4]), atol=1e-5)


def test_the_seed_decides() -> None:
    (fine,) = runs = chains(1)
    lifter, beads = lifter_of(runs), partition(fine, LEVEL).apply(fine)
    one, same, other = (lift(lifter, beads, fine, seed=seed).position.values for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_a_training_that_was_cut_goes_on_as_if_it_was_not_and_the_file_keeps_it(tmp_path: Path) -> None:
    runs = chains()
    whole, curves = train_lifter(runs, runs[:1], CONFIG, tmp_path / "whole", progress=False)
    assert curves.step.tolist() == [1, 2]
    assert np.isfinite(curves[["train_score", "validation_score"]].values).all()
    # Killed after its first step: the checkpoint and the row of that step are there.
    train_lifter(runs, runs[:1], CONFIG, tmp_path / "cut", progress=False)
    again, _ = train_lifter(runs, runs[:1], CONFIG, tmp_path / "cut", progress=False)
    beads = partition(runs[0], LEVEL).apply(runs[0])
    path = whole.save(tmp_path / "lifter.safetensors", {"minutes": 0.1})
    kept = Lifter.load(path)
    assert kept.config == whole.config
    drawn = [lift(one, beads, runs[0], seed=3).position.values for one in (whole, again, kept)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    with pytest.raises(CheckpointError, match="is not that of a model"):
        Model.load(path)
    with pytest.raises(CheckpointError, match="is not that of a lifter"):
        Lifter.load(SHIPPED / "models" / "chain.safetensors")


def test_lifted_particles_are_written_for_a_viewer(tmp_path: Path) -> None:
    (fine,) = runs = chains(1)
    lifted = lift(lifter_of(runs), partition(fine, LEVEL).apply(fine), fine)
    files = export(lifted, tmp_path / "lifted.xtc")
    assert [file.name for file in files] == ["lifted.xtc", "lifted.pdb"]


def test_a_lifter_refuses_what_it_was_not_made_for() -> None:
    (fine,) = runs = chains(1)
    lifter, beads = lifter_of(runs), partition(fine, LEVEL).apply(fine)
    other, boxed = toy_trajectory("d" * 30, 20), melt()
    unknown = fine.assign_coords(type_name=("type", ["B1", "B2", "S1", "X"]))
    for wrong, message in (
        ((None, beads, fine), "NoneType is no lifter; load one with Lifter.load"),
        ((lifter, fine, fine), "holds particles, not beads; give a simulation"),
        ((lifter, partition(fine, 8).apply(fine), fine), "has 8 particles per bead, the lifter was trained with 6"),
        ((lifter, beads, other), r"beads of toy-abcd-0 are not the \d+ of toy-dddd-0 at level 6"),
        ((lifter, partition(fine, LEVEL, FAMILIES["sides"]).apply(fine), fine), "the family that cut it|was it cut by another family"),
        ((lifter, partition(boxed, LEVEL).apply(boxed), boxed), "in a periodic box, the lifter was trained in no one"),
        ((lifter, beads, unknown), r"has particle types \['X'\], the lifter knows"),
        ((lifter_of([toy_trajectory("c" * 18, 20)]), beads, fine), "bonds B1-B2, .* are not known; known are B1-B1, B1-S1"),
    ):
        with pytest.raises(MlcgmdError, match=message):
            lift(*wrong)
    with pytest.raises(MlcgmdError, match="seed is -1"):
        lift(lifter, beads, fine, seed=-1)
    with pytest.raises(MlcgmdError, match="there are no systems to train on"):
        train_lifter([], [], CONFIG, "nowhere")
    with pytest.raises(MlcgmdError, match="only one is in a box; train on one kind"):
        train_lifter([fine, boxed], [], CONFIG, "nowhere")
    with pytest.raises(MlcgmdError, match="LiftConfig: radius is 0"):
        LiftConfig(level=6, radius=0, steps=1)
