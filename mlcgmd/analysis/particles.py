"""Properties of the particles of a chain, from these or from beads: the same quantities for all mappings, so that mappings compare.

Beads do not say where their particles are, so these are put at the best guess that takes no parameter: the positions with the least
sum of squares of bond vectors that have these beads, which are the mean of a Gaussian chain that has them (:func:`smoothest`).
What a mapping does not know of a property is then part of its error: also a perfect simulator of the beads has it.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import xarray as xr

from ..data.mapping import CoarseGraining, partition
from ..data.partitions import contiguous
from ..data.trajectory import frame_interval
from ..errors import MlcgmdError
from . import estimates, molecules
from .baselines import chain_distance
from .distances import RELATIVE
from .ensemble import Ensemble

PARTS = 13
"""Parts of equal mass along the molecule. Contacts are counted of every other one, so that they are the beads of no mapping."""
PROPERTIES = {
    "rg2": "⟨Rg²⟩",
    "rg2.emd": "distribution of Rg²",
    "rg2.relaxation": "relaxation time of Rg²",
    "ends.emd": "distribution of the squared end-to-end distance",
    "ends.relaxation": "relaxation time of the squared end-to-end distance",
    "contacts": "contacts between stretches",
}
"""What :func:`errors` are of, in words."""


def smoothest(bond: np.ndarray, mapping: CoarseGraining) -> np.ndarray:
    """(N, B): the positions of the particles that have the least sum of squares of bond vectors and these beads, as weights of the beads.

    >>> four = CoarseGraining(*map(np.array, ([0, 0, 1, 1], [2.0, 2.0], [0, 0], [[0, 1]])), 2.0, np.ones(4))
    >>> (smoothest(np.array([[0, 1], [1, 2], [2, 3]]), four) @ [0.0, 4.0]).round(6).tolist()
    [-0.666667, 0.666667, 3.333333, 4.666667]
    """
    n, b = len(mapping.bead), mapping.n_beads
    edge = np.eye(n)[bond[:, 0]] - np.eye(n)[bond[:, 1]]
    # A constrained minimum: the gradient, and the beads.
    system = np.block([[edge.T @ edge, (matrix := mapping.matrix.toarray().astype(float)).T], [matrix, np.zeros((b, b))]])
    return np.linalg.solve(system, np.eye(n + b)[:, n:])[:n]


@dataclass(frozen=True)
class Observables:
    """Of R replicas of F frames of one molecule, ``interval`` apart.

    Attributes:
        rg2: squared radius of gyration (R, F).
        ends: squared distance of the two ends (R, F).
        apart: distances (R, F, n_pairs) of all pairs of stretches.
        next_to: pairs (n_pairs,) of stretches that follow each other.
        interval: time.
    """

    rg2: np.ndarray
    ends: np.ndarray
    apart: np.ndarray
    next_to: np.ndarray
    interval: float

    @property
    def cutoff(self) -> float:
        """Stretches that are nearer are in contact: :data:`.estimates.CONTACT` times the mean distance of those that follow each other."""
        return estimates.CONTACT * float(self.apart[..., self.next_to].mean())

    def contacts(self, cutoff: float) -> np.ndarray:
        """Number of contacts (R, F) of stretches that do not follow each other."""
        return (self.apart[..., ~self.next_to] < cutoff).sum(axis=2)

    def every(self, frames: int) -> Self:
        """Each so many-th frame."""
        series = {name: getattr(self, name)[:, ::frames] for name in ("rg2", "ends", "apart")}
        return replace(self, **series, interval=frames * self.interval)

    def replicas(self, some: slice) -> Self:
        """These replicas."""
        return replace(self, **{name: getattr(self, name)[some] for name in ("rg2", "ends", "apart")})


@dataclass(frozen=True)
class Probe:
    """What is looked at of a chain: its two ends, which are the particles furthest apart along bonds, and S stretches, every other of
    its :data:`PARTS`.

    Attributes:
        fine: trajectory of the particles.
        weight: (2 + S, N): a row for each end and each stretch, whose centre of mass is looked at.
        next_to: pairs (n_pairs,) of stretches that follow each other.
    """

    fine: xr.Dataset
    weight: np.ndarray
    next_to: np.ndarray

    @classmethod
    def of(cls, fine: xr.Dataset) -> Self:
        """Of a trajectory of the particles.

        Raises:
            MlcgmdError: there are several molecules, or fewer particles than parts.
        """
        n = fine.sizes["particle"]
        if fine.molecule.values.max() or n < PARTS:
            raise MlcgmdError(f"{fine.attrs['system']} has to be one molecule of {PARTS} particles or more, to be looked at as a chain")
        distance = chain_distance(fine.bond.values, n)
        ends = np.unravel_index(distance.argmax(), distance.shape)
        parts = partition(fine, n / PARTS, contiguous)
        along = chain_distance(parts.bond, PARTS)[parts.bead[ends[0]]]
        chosen = np.flatnonzero(along % 2)
        i, j = np.triu_indices(len(chosen), 1)
        next_to = np.abs(along[chosen[i]] - along[chosen[j]]) == 2
        return cls(fine, np.vstack([np.eye(n)[list(ends)], parts.matrix.toarray()[chosen]]), next_to)

    def particles(self) -> Observables:
        """Of the particles, as one replica."""
        position = self.fine.position.values
        rg2 = molecules.radius_of_gyration_squared(position, self.fine.mass.values)
        return self._seen(rg2[None], np.einsum("kn,fnx->fkx", self.weight, position)[None], frame_interval(self.fine))

    def beads(self, mapping: CoarseGraining, beads: Ensemble) -> Observables:
        """Of beads, with what they say of the squared radii of gyration inside them (``bead_rg2``)."""
        weight = self.weight @ smoothest(self.fine.bond.values, mapping)
        return self._seen(beads.rg2_particle(), np.einsum("kb,rfbx->rfkx", weight, beads.position), beads.interval)

    def _seen(self, rg2: np.ndarray, sites: np.ndarray, interval: float) -> Observables:
        ends = ((sites[:, :, 0] - sites[:, :, 1]) ** 2).sum(axis=2)
        apart = molecules.pair_distances(sites[:, :, 2:].reshape(-1, sites.shape[2] - 2, 3))
        return Observables(rg2, ends, apart.reshape(*ends.shape, -1), self.next_to, interval)


def unmoved(beads: Ensemble) -> Ensemble:
    """MD of beads, of which no more is known inside than a mean: what a perfect simulator would give."""
    if beads.bead_rg2 is None:
        raise MlcgmdError(f"{beads.name} has no bead_rg2")
    return replace(beads, bead_rg2=np.broadcast_to(beads.bead_rg2.mean(axis=(0, 1)), beads.bead_rg2.shape))


def errors(md: Observables, other: Observables | None) -> dict[str, float]:
    """Of each of :data:`PROPERTIES` of one molecule, in this order.

    Relative of means, EMD over MD's mean of distributions, log2 of the ratio of relaxation times (of MD with frames as far apart as the
    other's, if those are; NaN where a series is too short) and of contacts the mean absolute difference of their probabilities over MD's
    mean one. Infinite without ``other``: a model that lets no replica survive says nothing.
    """
    if other is None:
        return dict.fromkeys(PROPERTIES, np.inf)
    sparse = md.every(max(1, round(other.interval / md.interval)))
    cutoff = md.cutoff
    probability, found = ((o.apart[..., ~o.next_to] < cutoff).mean(axis=(0, 1)) for o in (md, other))

    def slower(name: str) -> float:
        times = [estimates.relaxation(getattr(o, name), o.interval).value for o in (sparse, other)]
        return float(np.log2(times[1] / times[0]))

    values = (
        other.rg2.mean() / md.rg2.mean() - 1,
        RELATIVE.between(md.rg2.ravel(), other.rg2.ravel()),
        slower("rg2"),
        RELATIVE.between(md.ends.ravel(), other.ends.ravel()),
        slower("ends"),
        np.abs(found - probability).mean() / probability.mean() if probability.any() else np.nan,
    )
    return dict(zip(PROPERTIES, map(float, values), strict=True))


def sampling(model: Observables | None) -> dict[str, float]:
    """How large each of :func:`errors` is for no other reason than that a simulation is finite: half of the error between its two halves.

    The halves are of replicas, and differ by twice the standard deviation of all of them together. NaN with one replica or none.
    """
    if model is None or len(model.rg2) < 2:
        return dict.fromkeys(PROPERTIES, np.nan)
    half = len(model.rg2) // 2
    found = errors(model.replicas(slice(0, half)), model.replicas(slice(half, 2 * half)))
    return {name: abs(value) / 2 for name, value in found.items()}
