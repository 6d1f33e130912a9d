"""The range of systems that a model was trained on, and what their configurations looked like.

A model trained on chains of 100 units alone made chains of 200 half as large and twenty times as fast, and nothing in a frame of
such a run told: its bonds and contacts were within what frames of shorter chains show. Therefore a system outside of the range is
refused (:class:`Domain`) unless it is asked for. What leaves the MD of training only a little, but all the time, as those chains and
a simulation without refinement do, is found by the mean over a window of frames (:class:`Frames`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
import xarray as xr

from .system import CoarseSystem, MismatchError

BEADS, DENSITY, CONDITION = 0.1, 0.05, 0.01
"""By what share the number of beads of a molecule (or by one bead), the density and each condition may leave the range of the training
set."""
LOOKED_AT = 10_000
"""Training frames, spread over all systems, that :class:`Frames` is made of."""
WINDOW = 25
"""Frames of a window, one ML step apart; chosen on the validation chains among 1, 5, 10 and 25."""
WINDOWS = 40
"""What is measured from fewer windows is not known well enough: of little data they are shorter."""
ALARMS = 0.01
"""Share of training windows that are beyond the threshold."""
MOLECULE = "molecule"
"""What a lone molecule is called: the names of components matter in a periodic box only."""


class OutOfRangeError(MismatchError):
    """A system outside of the range that a model was trained on."""


@dataclass(frozen=True)
class Frames:
    """What windows of frames of the training set had, to tell one that is like none of them.

    A frame is known by five numbers: mean and spread of its CG bond lengths, mean and smallest distance of a bead to the nearest that
    it shares no bond with, and the logarithm of the mean ``bead_rg2``, the size of the particles in a bead, by which beads of one
    composition have longer bonds than those of another. A window is known by the means over its frames, and its distance is
    Mahalanobis's from the windows of training, with the covariance of Ledoit and Wolf (2004).

    Attributes:
        mean: (5,) of the features.
        whitening: (5, 5) that makes their deviations uncorrelated and of unit variance.
        window: frames of a window.
        interval: time between them, in the data's unit.
        threshold: the distance that a share of :data:`ALARMS` of the windows exceeds, of training systems that are left out one by one of
            what it is measured from; or, where that is more, of new windows by Hotelling's law, which knows how few they were.
    """

    mean: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    window: int
    interval: float
    threshold: float

    @classmethod
    def of(cls, systems: Sequence[CoarseSystem], time_step: float) -> "Frames":
        """Of training systems, windows of some :data:`LOOKED_AT` frames in all."""
        strides = [s.stride(time_step) for s in systems]
        frames = [len(range(0, len(s.position), stride)) for s, stride in zip(systems, strides, strict=True)]
        window = max(1, min(WINDOW, min(frames) // 2, sum(frames) // WINDOWS))
        means = []
        for s, stride, n in zip(systems, strides, frames, strict=True):
            count = min(2 * (n // window), max(2, LOOKED_AT // (window * len(systems))))
            rows = np.unique(np.linspace(0, n - window, count).astype(int))[:, None] + np.arange(window)
            used = np.unique(rows)
            seen = _features(s.coarse.isel(frame=stride * used))
            means.append(seen[np.searchsorted(used, rows)].mean(axis=1))
        every = np.concatenate(means)
        mean, whitening = _whitening(every)
        own = np.repeat(np.arange(len(systems)), [len(rows) for rows in means])
        apart = [_mahalanobis(every[own == k], *_whitening(every[own != k] if len(systems) > 2 else every)) for k in np.unique(own)]
        seen_so_far = float(np.quantile(np.concatenate(apart), 1 - ALARMS, method="higher")) * (1 + 1e-6)  # sums over a run round otherwise
        threshold = max(seen_so_far, _hotelling(sum(n // window for n in frames), len(mean)))
        return cls(tuple(mean.tolist()), tuple(map(tuple, whitening.tolist())), window, time_step, threshold)

    def distance(self, run: xr.Dataset) -> np.ndarray:
        """How far the window around each frame of a simulation (R, F), or of a trajectory of beads (F,), is from those of training.

        A window lasts as long as in training and has as many frames at least; at an end of the run it is the first or the last one.
        NaN after a failure, and in a run that is shorter than a window.
        """
        interval = float(run.time[1] - run.time[0]) if run.sizes["frame"] > 1 else np.inf
        window = max(self.window, round(self.window * self.interval / interval))
        features = _features(run)
        shape = features.shape[:-1]
        distance = np.full((int(np.prod(shape[:-1])), shape[-1]), np.nan)
        for found, replica in zip(distance, features.reshape(*distance.shape, -1), strict=True):
            n = int(np.isfinite(replica[:, 0]).sum())
            if n < window:
                continue
            total = np.concatenate([np.zeros((1, replica.shape[1])), np.cumsum(replica[:n], axis=0)])
            first = np.clip(np.arange(n) - window // 2, 0, n - window)
            means = (total[first + window] - total[first]) / window
            found[:n] = _mahalanobis(means, np.array(self.mean), np.array(self.whitening))
        return distance.reshape(shape)

    def flagged(self, run: xr.Dataset) -> np.ndarray:
        """Which frames are in a window beyond the threshold, of the shape of :meth:`distance`; a replica that failed counts from there on.

        No frame of a run that is shorter than a window does: it cannot be told.
        """
        failed = ~np.isfinite(run.position.values).all(axis=(-2, -1))
        return failed | (self.distance(run) > self.threshold)


@dataclass(frozen=True)
class Domain:
    """What the training systems of a model had.

    Attributes:
        beads: fewest and most beads of a molecule of each component.
        bond_type: pairs of particle types that were bonded, each sorted.
        density: smallest and largest mass per volume, in the data's units; None without a box.
        condition: smallest and largest value of what was told of their condition, such as the temperature.
        frames: what their configurations looked like.
    """

    beads: dict[str, tuple[int, int]]
    bond_type: tuple[tuple[str, str], ...]
    density: tuple[float, float] | None
    condition: dict[str, tuple[float, float]]
    frames: Frames

    @classmethod
    def of(cls, systems: Sequence[CoarseSystem], time_step: float) -> "Domain":
        """The range of ``systems``, for a model of that time step."""
        beads: dict[str, list[int]] = {}
        for system in systems:
            for name, count in _beads(system).items():
                beads.setdefault(name, []).extend(count)
        told: dict[str, list[float]] = {}
        for name, value in (pair for system in systems for pair in system.condition.items()):
            told.setdefault(name, []).append(value)
        densities = [density for density in map(_density, systems) if density is not None]
        return cls(
            beads={name: (min(count), max(count)) for name, count in sorted(beads.items())},
            bond_type=tuple(sorted(set().union(*map(_bond_types, systems)))),
            density=(min(densities), max(densities)) if densities else None,
            condition={name: (min(values), max(values)) for name, values in sorted(told.items())},
            frames=Frames.of(systems, time_step),
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
        for name, (least, most) in self.condition.items():
            value, margin = system.condition.get(name), CONDITION * max(abs(least), abs(most))
            if value is None or not least - margin <= value <= most + margin:
                had = f"a {name} of {value:g}" if value is not None else f"a {name} that nothing tells"
                yield f"{had}, the model was trained at {least:g} to {most:g}"

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


def _features(run: xr.Dataset) -> np.ndarray:
    """Of each frame of a trajectory of beads, (F, 5), or of a simulation, (R, F, 5): mean and standard deviation of CG bond lengths, mean
    and smallest distance of a bead to the nearest that it shares no bond with (0 where there are no such pairs), log of the mean
    bead_rg2; NaN after a failure."""
    position, bond, b = run.position.values, run.bond.values, run.sizes["particle"]
    finite = np.isfinite(position).all(axis=(-2, -1))
    frames = position[finite]
    box = run.box.values[0] if "box" in run else None
    i, j = np.triu_indices(b, 1)
    free = ~np.isin(i * b + j, bond.min(axis=1, initial=b) * b + bond.max(axis=1, initial=0))
    i, j = i[free], j[free]
    out = np.zeros((len(frames), 5))
    for first in range(0, len(frames), step := max(1, 2_000_000 // max(1, len(i)))):
        part = frames[first : first + step].astype(np.float64)
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
            out[rows, 2:4] = np.stack([nearest.mean(axis=0, where=np.isfinite(nearest)), nearest.min(axis=0)], axis=1)
    size = run.bead_rg2.values[finite].astype(np.float64).mean(axis=1)
    out[:, 4] = np.log(np.maximum(size, 1e-12))  # beads of one particle have none
    features = np.full((*finite.shape, 5), np.nan)
    features[finite] = out
    return features


def _whitening(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (k,) of ``rows`` (n, k), and the matrix (k, k) that makes them uncorrelated, of unit variance; what never varies counts 0."""
    from sklearn.covariance import ledoit_wolf  # needed in training only

    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    varies = spread > 1e-6 * np.abs(mean) + 1e-12
    scale = np.where(varies, 1 / np.where(varies, spread, 1), 0)
    covariance = ledoit_wolf((rows - mean) * scale, assume_centered=True)[0] + np.diag(~varies)
    return mean, np.linalg.inv(np.linalg.cholesky(covariance)) * scale


def _hotelling(n: int, k: int) -> float:
    """Mahalanobis distance that a share of :data:`ALARMS` of new rows of ``k`` values exceeds, of a normal law known from ``n`` rows."""
    if n <= k + 1:
        return float("inf")
    return float(np.sqrt(k * (n**2 - 1) / (n * (n - k)) * scipy.stats.f.isf(ALARMS, k, n - k)))


def _mahalanobis(rows: np.ndarray, mean: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    return np.linalg.norm((rows - mean) @ whitening.T, axis=1)


def _density(system: CoarseSystem) -> float | None:
    return None if system.box is None else float(system.mass.sum() / np.prod(system.box.numpy(), dtype=float))
