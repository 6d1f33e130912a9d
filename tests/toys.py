"""Small synthetic trajectories for tests: chains that move by a known law, without MD."""

import numpy as np
import xarray as xr

from mlcgmd.data import partitions, trajectory
from mlcgmd.md.chain import TYPE_NAME, ChainSpec
from mlcgmd.md.electrolyte import ELEMENTS, ElectrolyteSpec
from mlcgmd.model.system import CoarseSystem, coarse_grain


def toy_trajectory(sequence: str = "abcd" * 6, frames: int = 60, interval: float = 10.0, seed: int = 0) -> xr.Dataset:
    """A chain of the given units whose bond vectors relax as an Ornstein-Uhlenbeck process (correlation 0.8 per frame)."""
    spec = ChainSpec("toy", sequence, seed, length=1.0)
    kinds, mass, bond = spec.topology()
    rng = np.random.default_rng(seed)
    step = np.empty((frames, len(kinds), 3))
    step[0] = rng.normal(scale=0.6, size=step.shape[1:])
    for f in range(1, frames):
        step[f] = 0.8 * step[f - 1] + 0.6 * rng.normal(scale=0.6, size=step.shape[1:])
    position = np.zeros_like(step)
    for i, j in bond:
        position[:, j] = position[:, i] + step[:, j]
    return trajectory.make(
        position,
        time=interval * np.arange(frames),
        particle_type=kinds,
        type_name=TYPE_NAME,
        mass=mass,
        bond=bond,
        system=f"toy-{sequence[:4]}-{seed}",
        units="lj",
    )


def toy_trajectories(n: int = 3, frames: int = 60) -> list[xr.Dataset]:
    """Toy chains of different sequences and lengths."""
    sequences = ["abcd" * 6, "c" * 18, "ad" * 14, "bbda" * 5]
    return [toy_trajectory(sequences[k % 4], frames, seed=k) for k in range(n)]


def toy_systems(n: int = 3, level: float = 6, frames: int = 60, family: str = "metis") -> list[CoarseSystem]:
    """The same, coarse-grained."""
    return [coarse_grain(run, level, partitions.family(family)) for run in toy_trajectories(n, frames)]


def toy_electrolyte(chains: int = 2, spacers: tuple[int, ...] = (2, 3, 4), frames: int = 40, seed: int = 0) -> xr.Dataset:
    """A packed, dilute electrolyte (chains, 2 LiTFSI) whose molecules diffuse as wholes while their atoms shake."""
    spec = ElectrolyteSpec("toy", chains, spacers, chains * (len(spacers) + 1) / 2, seed, length=1.0)
    kinds, mass, bond = spec.topology()
    rng = np.random.default_rng(seed)
    molecule = trajectory.molecules_from_bonds(bond, len(kinds))
    walk = rng.normal(scale=0.5, size=(frames, molecule.max() + 1, 3)).cumsum(axis=0)
    position = 10 * spec.start() + walk[:, molecule] + rng.normal(scale=0.1, size=(frames, len(kinds), 3))
    return trajectory.make(
        position,
        time=4.0 * np.arange(frames),
        particle_type=kinds,
        type_name=ELEMENTS,
        mass=mass,
        bond=bond,
        component=spec.component(),
        component_name=spec.component_name,
        charge=spec.charge,
        box=np.full(3, spec.packed_edge()),
        system=f"toy-electrolyte-{seed}",
        units="real",
    )


def toy_boxes(n: int = 2, level: float = 7, frames: int = 40) -> list[CoarseSystem]:
    """Coarse-grained toy electrolytes in boxes of different sizes."""
    return [coarse_grain(toy_electrolyte(2 + k, frames=frames, seed=k), level) for k in range(n)]
