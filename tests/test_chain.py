"""Topology and force field of a chain, and its equilibrium against exact statistical mechanics."""

from pathlib import Path

import numpy as np
import openmm
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from mlcgmd.data import trajectory
from mlcgmd.md.chain import EPSILON, TYPE_NAME, ChainSpec, random_sequence, regular_sequence
from mlcgmd.md.run import run_md

pytestmark = pytest.mark.usefixtures("one_core")


def spec(sequence: str, **changes: float) -> ChainSpec:
    fields = {"seed": 5, "length": 10.0, "frame_interval": 1.0, "equilibration": 10.0} | changes
    return ChainSpec(name="test/chain", sequence=sequence, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sequence", "types", "bonds"),
    [
        ("a", ["B1"], []),
        ("b", ["B2"], []),
        ("c", ["B1", "S1"], [[0, 1]]),
        ("d", ["B2", "S2"], [[0, 1]]),
        ("ab", ["B1", "B2"], [[0, 1]]),
        ("cad", ["B1", "S1", "B1", "B2", "S2"], [[0, 1], [0, 2], [2, 3], [3, 4]]),
    ],
)
def test_topology(sequence: str, types: list[str], bonds: list[list[int]]) -> None:
    kinds, mass, bond = spec(sequence).topology()
    assert [TYPE_NAME[k] for k in kinds] == types
    assert sorted(sorted(pair) for pair in bond.tolist()) == bonds
    assert mass.tolist() == [1.0] * len(types)


def test_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"test/chain: unknown constitutional unit\(s\) \['x'\]"):
        spec("abx")
    with pytest.raises(ValueError, match="unknown constitutional unit"):
        spec("")


def test_classes_of_sequences() -> None:
    """Class I repeats a motif of at most 80 units; class II has no shorter period than itself."""

    def period(sequence: str) -> int:
        return next(p for p in range(1, len(sequence) + 1) if sequence.startswith(sequence[p:]))

    rng = np.random.default_rng(0)
    regular = [regular_sequence(rng, 200) for _ in range(50)]
    random = [random_sequence(rng, 200) for _ in range(50)]
    assert {len(s) for s in regular + random} == {200}
    assert max(period(s) for s in regular) <= 80
    assert np.median([period(s) for s in random]) > 100
    assert set("".join(random)) == set("abcd")


def test_start_follows_the_bonds_without_overlaps() -> None:
    chain = spec("abcd" * 25)
    position, bond = chain.start(), chain.topology()[2]
    np.testing.assert_allclose(np.linalg.norm(position[bond[:, 0]] - position[bond[:, 1]], axis=1), 1.0)
    distance = np.linalg.norm(position[:, None] - position, axis=2)[np.triu_indices(len(position), 1)]
    assert np.quantile(distance, 0.001) > 0.85
    np.testing.assert_array_equal(position, chain.start())


def test_energy_is_that_of_the_formula() -> None:
    chain = spec("cadb" * 5)
    position = chain.start() * 1.05
    kinds, _, bond = chain.topology()
    eps = np.array([EPSILON[TYPE_NAME[k]] for k in kinds])
    i, j = np.triu_indices(len(kinds), 1)
    r = np.linalg.norm(position[i] - position[j], axis=1)
    bonded = {tuple(sorted(pair)) for pair in bond.tolist()}
    pair = (r < 2.5) & np.array([(a, b) not in bonded for a, b in zip(i.tolist(), j.tolist(), strict=True)])
    lj = (4 * np.sqrt(eps[i] * eps[j]) * (r**-12 - r**-6))[pair].sum()
    harmonic = (100 * (np.linalg.norm(position[bond[:, 0]] - position[bond[:, 1]], axis=1) - 1) ** 2).sum()
    context = reference(chain)
    context.setPositions(position)
    assert context.getState(getEnergy=True).getPotentialEnergy()._value == pytest.approx(lj + harmonic, rel=1e-6)


def reference(chain: ChainSpec) -> openmm.Context:
    """A context on the platform that is fastest for a handful of beads."""
    integrator = chain.integrator()
    integrator.setRandomNumberSeed(chain.seed)
    return openmm.Context(chain.openmm_system(), integrator, openmm.Platform.getPlatformByName("Reference"))


def positions(chain: ChainSpec, frames: int, interval: int) -> np.ndarray:
    context = reference(chain)
    context.setPositions(chain.start())
    context.getIntegrator().step(1000)
    out = []
    for _ in range(frames):
        context.getIntegrator().step(interval)
        out.append(context.getState(getPositions=True).getPositions(asNumpy=True)._value)
    return np.array(out)


def test_dimer_bond_is_boltzmann_distributed() -> None:
    """p(r) = r^2 exp(-100 (r - 1)^2); high friction, so that frames 1.25 tau apart are independent."""
    position = positions(spec("ab", friction=5.0), frames=3000, interval=100)
    r = np.linalg.norm(position[:, 0] - position[:, 1], axis=1)
    grid = np.linspace(0.3, 1.7, 4001)
    cumulative = np.cumsum(grid**2 * np.exp(-100 * (grid - 1) ** 2))
    assert kstest(r, lambda x: np.interp(x, grid, cumulative / cumulative[-1])).pvalue > 0.01


def test_trimer_is_boltzmann_distributed() -> None:
    """<s^2> of the ends of B2-B2-S2: bonds of nearly fixed length and the cut LJ of the unlike ends (geometric mixing)."""
    eps = np.sqrt(EPSILON["B2"] * EPSILON["S2"])

    def weight(s: float) -> float:
        """Density of the end distance s: its LJ factor times the integral over both bond lengths."""
        b1, b2 = np.meshgrid(*[np.linspace(0.65, 1.35, 141)] * 2)
        inside = (np.abs(b1 - b2) < s) & (s < b1 + b2)
        bonds = (b1 * b2 * np.exp(-100 * ((b1 - 1) ** 2 + (b2 - 1) ** 2)) * inside).sum()
        return s * bonds * np.exp(-4 * eps * (s**-12 - s**-6) * (s < 2.5))

    exact = quad(lambda s: s**2 * weight(s), 0.7, 2.7, limit=200, epsrel=1e-4)[0] / quad(weight, 0.7, 2.7, limit=200, epsrel=1e-4)[0]
    position = positions(spec("bd", friction=5.0), frames=4000, interval=200)
    blocks = ((position[:, 0] - position[:, 2]) ** 2).sum(axis=1).reshape(20, -1).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(20)
    assert error < 0.01 * exact
    assert abs(blocks.mean() - exact) < 3 * error


def test_temperature_from_velocities(tmp_path: Path) -> None:
    """kT = 2 <K> / 3N within 1 %; the statistical error of this run is 0.35 %."""
    chain = spec("c" * 100, length=720.0, frame_interval=2.0, equilibration=50.0)
    run = trajectory.load(run_md(chain, tmp_path / "chain.nc"))
    kinetic = 2 * run.kinetic_energy.values.astype(float) / (3 * run.sizes["particle"])
    blocks = kinetic.reshape(15, -1).mean(axis=1)
    assert blocks.std(ddof=1) / np.sqrt(15) < 0.005
    assert kinetic.mean() == pytest.approx(1.0, abs=0.01)


@pytest.mark.slow
def test_size_of_a_homopolymer(tmp_path: Path) -> None:
    """<Rg^2> of 100 B1 beads (eps 0.10) against 200,000 tau of an independent engine: LAMMPS gave 47.2 +- 0.7."""
    chain = spec("a" * 100, length=10000.0, frame_interval=10.0, equilibration=1000.0)
    position = trajectory.load(run_md(chain, tmp_path / "chain.nc")).position.values.astype(float)
    rg2 = ((position - position.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)
    blocks = rg2.reshape(10, -1).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(10)
    assert error < 5.0
    assert abs(blocks.mean() - 47.2) < 3 * np.hypot(error, 0.7)
