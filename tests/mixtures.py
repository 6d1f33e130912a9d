"""Toy systems of any kind, as trajectories of beads: molecules that diffuse as wholes while their bonds relax."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from mlcgmd.analysis.ensemble import Ensemble
from mlcgmd.data import simulation, trajectory

SYSTEMS: dict[str, tuple[dict[str, tuple[int, int]], dict[str, float], float | None]] = {
    "melt": ({"A": (6, 6)}, {}, 12.0),
    "beads": ({"Ar": (20, 1)}, {}, 12.0),
    "salt": ({"EC": (8, 2), "PF6": (4, 1), "Li": (4, 1)}, {"EC": 0, "PF6": -1, "Li": 1}, 16.0),
    "blend": ({"A": (4, 6), "B": (4, 9)}, {}, 14.0),
    "molecule": ({"A": (1, 12)}, {}, None),
}
"""Components with their numbers of molecules and of beads in each, charges, and the edge of the box."""


def toy(
    kind: str, frames: int = 400, seed: int = 0, stretch: float = 1.0, speed: float = 1.0, interval: float = 2.0, name: str = ""
) -> xr.Dataset:
    """MD of one of :data:`SYSTEMS`: bonds relax in 3 frames and are ``stretch`` long; centres walk ``speed`` per frame and axis."""
    components, charge, edge = SYSTEMS[kind]
    rng = np.random.default_rng(seed)
    molecule, component, bond = _topology(components)
    decay = np.exp(-1 / 3)
    vector = rng.normal(size=(len(molecule), 3))
    centre = rng.uniform(0, edge or 1, size=(molecule.max() + 1, 3))
    position = np.empty((frames, len(molecule), 3))
    for r in position:
        vector = decay * vector + np.sqrt(1 - decay**2) * rng.normal(size=vector.shape)
        centre = centre + speed * rng.normal(size=centre.shape)
        for m in range(len(centre)):
            beads = np.flatnonzero(molecule == m)
            shape = stretch * np.cumsum(vector[beads], axis=0)
            r[beads] = centre[m] + shape - shape.mean(axis=0)
    data = trajectory.make(
        position,
        time=interval * np.arange(frames),
        particle_type=component,
        type_name=list(components),
        mass=1.0 + component,
        bond=bond,
        component=component,
        component_name=list(components),
        charge=[charge[name] for name in components] if charge else None,
        box=None if edge is None else np.full(3, edge),
        system=name or kind,
        units="real" if charge else "lj",
        level=1,
    )
    data["bead_rg2"] = (("frame", "particle"), np.full(position.shape[:2], 0.1, np.float32))
    return data


def _topology(components: Mapping[str, tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sizes = [(k, n) for k, (count, n) in enumerate(components.values()) for _ in range(count)]
    molecule = np.repeat(np.arange(len(sizes)), [n for _, n in sizes])
    component = np.repeat([k for k, _ in sizes], [n for _, n in sizes])
    first = np.arange(len(molecule) - 1)
    first = first[molecule[:-1] == molecule[1:]]
    return molecule, component, np.stack([first, first + 1], axis=1)


def simulated(kind: str, replicas: int = 3, failed: int = 0, seed: int = 100, name: str = "", **keywords: float) -> xr.Dataset:
    """A simulation of the same toy: independent replicas, of which the last ``failed`` stop at frame 5."""
    parts = [toy(kind, seed=seed + k, **keywords) for k in range(replicas)]  # type: ignore[arg-type]
    position = np.stack([part.position.values for part in parts])
    position[replicas - failed :, 5:] = np.nan
    rg2 = np.stack([part.bead_rg2.values for part in parts])
    why = [""] * (replicas - failed) + ["a CG bond is too long"] * failed
    start = parts[0].assign_attrs(system=name or kind)
    return simulation.make(start, position, rg2, trajectory.frame_interval(parts[0]), why, "{}")


def ensemble(kind: str, **keywords: float) -> Ensemble:
    """The toy as it is measured."""
    return Ensemble.of(toy(kind, **keywords))  # type: ignore[arg-type]
