"""The range of systems that a model was trained on, and what their configurations looked like.

A model of chains of 100 units, applied to chains of 200, makes them half as large and twenty times as fast, and nothing in a frame of
such a run tells: its bonds and contacts are those of shorter chains. Therefore a system outside of the range is refused (:class:`Domain`)
unless it is asked for. Frames that leave what MD showed, as those of a simulation without refinement do, are found one by one
(:class:`Frames`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from .system import CoarseSystem, MismatchError

BEADS, DENSITY = 0.1, 0.05
"""By what share the number of beads of a molecule (or by one bead) and the density may leave the range of the training set."""
LOOKED_AT = 5000
"""Training frames, spread over all systems, that :class:`Frames` is made of."""
MOLECULE = "molecule"
"""What a lone molecule is called: the names of components matter in a periodic box only."""


class OutOfRangeError(MismatchError):
    """A system outside of the range that a model was trained on."""


@dataclass(frozen=True)
class Frames:
    """What the frames of the training set had, to tell a frame that is like none of them.

    A frame is known by four numbers: mean and spread of its CG bond lengths, mean and smallest distance of a bead to the nearest that
    it shares no bond with. Its distance is the largest of their deviations from the median, in half the width of the middle 68 % of
    the training frames.

    Attributes:
        median: (4,) of the features.
        width: (4,) half the distance between their 16 and 84 % quantiles.
        threshold: the distance that one training frame in a thousand exceeds.
    """

    median: tuple[float, ...]
    width: tuple[float, ...]
    threshold: float

    @classmethod
    def of(cls, systems: Sequence[CoarseSystem]) -> "Frames":
        """Of training systems, some :data:`LOOKED_AT` frames in all."""
        every = max(1, sum(len(s.position) for s in systems) // LOOKED_AT)
        seen = np.concatenate([_features(s.position[::every].numpy(), s.bond, None if s.box is None else s.box.numpy()) for s in systems])
        low, median, high = np.nanquantile(seen, [0.16, 0.5, 0.84], axis=0)
        width = np.maximum((high - low) / 2, 1e-6 * np.abs(median) + 1e-12)
        distance = np.nanmax(np.abs(seen - median) / width, axis=1)
        return cls(tuple(map(float, median)), tuple(map(float, width)), float(np.quantile(distance, 0.999)))

    def distance(self, run: xr.Dataset) -> np.ndarray:
        """How far each frame of a simulation (R, F), or of a trajectory of beads (F,), is from those of training; NaN after a failure."""
        position = run.position.values
        frames = position.reshape(-1, *position.shape[-2:])
        finite = np.isfinite(frames).all(axis=(1, 2))
        distance = np.full(len(frames), np.nan)
        features = _features(frames[finite], run.bond.values, run.box.values[0] if "box" in run else None)
        distance[finite] = np.nanmax(np.abs(features - np.array(self.median)) / np.array(self.width), axis=1)
        return distance.reshape(position.shape[:-2])

    def flagged(self, run: xr.Dataset) -> np.ndarray:
        """Which frames are beyond the threshold, of the shape of :meth:`distance`; a replica that failed counts from there on."""
        return ~(self.distance(run) <= self.threshold)


@dataclass(frozen=True)
class Domain:
    """What the training systems of a model had.

    Attributes:
        beads: fewest and most beads of a molecule of each component.
        bond_type: pairs of particle types that were bonded, each sorted.
        density: smallest and largest mass per volume, in the data's units; None without a box.
        frames: what their configurations looked like.
    """

    beads: dict[str, tuple[int, int]]
    bond_type: tuple[tuple[str, str], ...]
    density: tuple[float, float] | None
    frames: Frames

    @classmethod
    def of(cls, systems: Sequence[CoarseSystem]) -> "Domain":
        """The range of ``systems``."""
        beads: dict[str, list[int]] = {}
        for system in systems:
            for name, count in _beads(system).items():
                beads.setdefault(name, []).extend(count)
        densities = [density for density in map(_density, systems) if density is not None]
        return cls(
            beads={name: (min(count), max(count)) for name, count in sorted(beads.items())},
            bond_type=tuple(sorted(set().union(*map(_bond_types, systems)))),
            density=(min(densities), max(densities)) if densities else None,
            frames=Frames.of(systems),
        )

    def outside(self, system: CoarseSystem) -> Iterator[str]:
        """What of a system is outside of the range: a sentence each, with the quantity and both numbers."""
        for name, count in _beads(system).items():
            low, high = self.beads.get(name, (0, 0))
            room = max(1.0, BEADS * high)
            for n in (min(count), max(count)):
                if not low - room <= n <= high + room:
                    yield f"a {name} of {n} beads, the model was trained on {low} to {high}"
                    break
        if new := sorted(_bond_types(system) - set(self.bond_type)):
            known = ", ".join(map("-".join, self.bond_type))
            yield f"bonds {', '.join(map('-'.join, new))}, the model was trained on {known}"
        density = _density(system)
        if density is not None and self.density is not None:
            thin, thick = self.density
            if not (1 - DENSITY) * thin <= density <= (1 + DENSITY) * thick:
                yield f"a density of {density:.3g} (mass per volume), the model was trained at {thin:.3g} to {thick:.3g}"

    def check(self, systems: Sequence[CoarseSystem]) -> None:
        """Refuse systems outside of the range.

        Raises:
            OutOfRangeError: naming the system, the quantity and both numbers.
        """
        for system in systems:
            for what in self.outside(system):
                raise OutOfRangeError(
                    f"{system.name} has {what}; train on such systems too, or give extrapolate=True to go on all the same"
                )


def _beads(system: CoarseSystem) -> dict[str, list[int]]:
    """Numbers of beads of the molecules of each component."""
    molecule, component = system.coarse.molecule.values, system.coarse.component.values
    names = system.coarse.component_name.values
    found: dict[str, list[int]] = {}
    _, firsts, counts = np.unique(molecule, return_index=True, return_counts=True)
    for first, count in zip(firsts, counts, strict=True):
        found.setdefault(MOLECULE if system.box is None else str(names[component[first]]), []).append(int(count))
    return found


def _bond_types(system: CoarseSystem) -> set[tuple[str, str]]:
    kinds = system.topology.particle_type[system.topology.particle_bond].sort(dim=0).values
    pairs = [sorted((system.type_name[i], system.type_name[j])) for i, j in kinds.unique(dim=1).T.tolist()]
    return {(a, b) for a, b in pairs}


def _features(position: np.ndarray, bond: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """Of frames (F, B, 3): mean and standard deviation of CG bond lengths, mean and smallest distance of a bead to the nearest that it
    shares no bond with: (F, 4), NaN where there are no such pairs."""
    b = position.shape[1]
    i, j = np.triu_indices(b, 1)
    free = ~np.isin(i * b + j, bond.min(axis=1, initial=b) * b + bond.max(axis=1, initial=0))
    i, j = i[free], j[free]
    out = np.full((len(position), 4), np.nan)
    for first in range(0, len(position), step := max(1, 2_000_000 // max(1, len(i)))):
        part = position[first : first + step].astype(np.float64)
        rows = slice(first, first + len(part))
        if len(bond):
            length = np.linalg.norm(part[:, bond[:, 0]] - part[:, bond[:, 1]], axis=2)
            out[rows, :2] = np.stack([length.mean(axis=1), length.std(axis=1)], axis=1)
        if len(i):
            vector = part[:, i] - part[:, j]
            if box is not None:
                vector -= box * np.round(vector / box)
            distance = np.linalg.norm(vector, axis=2)
            nearest = np.full((b, len(part)), np.inf)
            np.minimum.at(nearest, i, distance.T)
            np.minimum.at(nearest, j, distance.T)
            out[rows, 2:] = np.stack([nearest.mean(axis=0, where=np.isfinite(nearest)), nearest.min(axis=0)], axis=1)
    return out


def _density(system: CoarseSystem) -> float | None:
    return None if system.box is None else float(system.mass.sum() / np.prod(system.box.numpy(), dtype=float))
