"""What is measured on a chain: size, bonds, angles, contacts, slow modes.

Functions take plain arrays, ``position`` (F, N, 3) unwrapped and without a box, and work through long runs in chunks of
frames. Lengths come out in the unit of ``position``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist

from ..errors import MlcgmdError

CHUNK = 2**22
"""Most float64 values that an intermediate array holds (32 MiB)."""


def by_chunk(function: Callable[[np.ndarray], np.ndarray], position: np.ndarray, values_per_frame: int) -> np.ndarray:
    """``function`` of chunks of frames in float64, joined along the frames; refuses what is no finite trajectory."""
    if position.ndim != 3 or position.shape[2] != 3:
        raise MlcgmdError(f"position must have shape (frames, particles, 3), not {position.shape}")
    if not len(position):
        raise MlcgmdError("the trajectory has zero frames")
    step = max(1, CHUNK // max(1, values_per_frame))
    parts = []
    for start in range(0, len(position), step):
        part = position[start : start + step].astype(np.float64)
        if not np.isfinite(part).all():
            frame, particle, _ = np.argwhere(~np.isfinite(part))[0]
            raise MlcgmdError(f"the position of particle {particle} in frame {start + frame} is not finite; cut the trajectory before it")
        parts.append(function(part))
    return np.concatenate(parts)


def _masses(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    mass = np.asarray(mass, np.float64)
    if mass.shape != position.shape[1:2] or not (np.isfinite(mass) & (mass > 0)).all():
        raise MlcgmdError(f"mass must hold {position.shape[1:2]} positive numbers, one per particle; it has shape {mass.shape}")
    return mass


def _indices(index: np.ndarray, width: int, n: int) -> np.ndarray:
    index = np.asarray(index, np.intp).reshape(-1, width)
    bad = np.flatnonzero(((index < 0) | (index >= n)).any(axis=1))
    if len(bad):
        raise MlcgmdError(f"row {bad[0]} = {index[bad[0]].tolist()} names a particle that is not there (particles are 0 to {n - 1})")
    return index


def radius_of_gyration_squared(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Mass-weighted squared radius of gyration sum_i m_i |r_i - R|^2 / M about the centre of mass R: (F,), length unit squared.

    Raises:
        MlcgmdError: wrong shapes, zero frames, positions that are not finite, masses that are not positive.
    """
    position = np.asarray(position)
    return internal_rg2(position, mass, np.zeros(position.shape[1:2], np.intp), 1)


def internal_rg2(position: np.ndarray, mass: np.ndarray, bead: np.ndarray, n_beads: int) -> np.ndarray:
    """What coarse-graining takes from Rg^2: sum_b m_b s_b^2 / M, s_b^2 the Rg^2 of bead b about its own centre; (F,).

    ``bead`` (N,) is the bead of each particle. With beads at their centres of mass, Rg^2 of the particles is Rg^2 of the
    beads (both mass-weighted) plus this, exactly (Huygens-Steiner theorem).

    Raises:
        MlcgmdError: as :func:`radius_of_gyration_squared`; a bead out of range or empty.
    """
    position = np.asarray(position)
    mass = _masses(position, mass)
    bead = np.asarray(bead)
    if bead.shape != mass.shape or not np.array_equal(np.unique(bead), np.arange(n_beads)):
        raise MlcgmdError(f"bead must give each of {len(mass)} particles one of the beads 0 to {n_beads - 1} and leave none empty")
    weight = (bead == np.arange(n_beads)[:, None]) * mass
    weight /= weight.sum(axis=1, keepdims=True)

    def spread(r: np.ndarray) -> np.ndarray:
        r -= (weight @ r)[:, bead]
        return np.einsum("fnx,fnx,n->f", r, r, mass) / mass.sum()

    return by_chunk(spread, position, 3 * len(mass))


def pair_distances(position: np.ndarray, pairs: np.ndarray | None = None) -> np.ndarray:
    """Distances (F, n_pairs) of ``pairs`` (n_pairs, 2), by default all i < j in the order of ``numpy.triu_indices``.

    Raises:
        MlcgmdError: wrong shapes, zero frames, positions that are not finite, pairs of missing particles.
    """
    position = np.asarray(position)
    n = position.shape[1]
    pairs = np.stack(np.triu_indices(n, 1), axis=1) if pairs is None else _indices(pairs, 2, n)
    return by_chunk(lambda r: np.linalg.norm(r[:, pairs[:, 0]] - r[:, pairs[:, 1]], axis=2), position, 3 * max(len(pairs), n))


def end_to_end_distance(position: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """Distance (F,) between the two end particles ``ends``; errors as :func:`pair_distances`."""
    return pair_distances(position, np.asarray([ends]))[:, 0]


def bond_lengths(position: np.ndarray, bond: np.ndarray) -> np.ndarray:
    """Lengths (F, n_bonds) of the bonds (n_bonds, 2); errors as :func:`pair_distances`."""
    return pair_distances(position, bond)


def _bonded(bond: np.ndarray) -> dict[int, set[int]]:
    """What each particle with bonds is bonded to."""
    neighbours: dict[int, set[int]] = {}
    for i, j in np.asarray(bond).reshape(-1, 2).tolist():
        neighbours.setdefault(i, set()).add(j)
        neighbours.setdefault(j, set()).add(i)
    return neighbours


def angles(bond: np.ndarray) -> np.ndarray:
    """Triples (i, j, k), i < k, of two bonds that share particle j: (n_angles, 3), sorted by j, i, k."""
    neighbours = _bonded(bond)
    triples = [(i, j, k) for j in sorted(neighbours) for i in sorted(neighbours[j]) for k in sorted(neighbours[j]) if i < k]
    return np.array(triples, np.intp).reshape(-1, 3)


def bond_angles(position: np.ndarray, triple: np.ndarray) -> np.ndarray:
    """Angles (F, n_angles) at the middle particle of ``triple`` (n_angles, 3), in degrees, 180 = straight.

    Raises:
        MlcgmdError: wrong shapes, zero frames, positions that are not finite, triples of missing particles.
    """
    position = np.asarray(position)
    triple = _indices(triple, 3, position.shape[1])

    def angle(r: np.ndarray) -> np.ndarray:
        u, v = r[:, triple[:, 0]] - r[:, triple[:, 1]], r[:, triple[:, 2]] - r[:, triple[:, 1]]
        # The arc cosine loses half of the digits near 0 and 180 degrees; this keeps them.
        return np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v), axis=2), np.einsum("fax,fax->fa", u, v)))

    return by_chunk(angle, position, 9 * max(len(triple), position.shape[1]))


def torsions(bond: np.ndarray) -> np.ndarray:
    """Quadruples (i, j, k, l) of three bonds in a row, j < k: (n_torsions, 4), sorted by j, k, i, l.

    >>> torsions(np.array([[0, 1], [1, 2], [2, 3]])).tolist()
    [[0, 1, 2, 3]]
    """
    neighbours = _bonded(bond)
    found = [
        (i, j, k, m)
        for j in sorted(neighbours)
        for k in sorted(neighbours[j])
        if j < k
        for i in sorted(neighbours[j] - {k})
        for m in sorted(neighbours[k] - {j, i})
    ]
    return np.array(found, np.intp).reshape(-1, 4)


def torsion_angles(position: np.ndarray, quadruple: np.ndarray) -> np.ndarray:
    """Torsion angles (F, n_torsions) about the middle bonds of ``quadruple`` (n_torsions, 4), without sign: degrees, 0 = cis, 180 = trans.

    Raises:
        MlcgmdError: wrong shapes, zero frames, positions that are not finite, quadruples of missing particles.

    >>> bent = np.array([[[1.0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]])
    >>> torsion_angles(bent, np.array([[0, 1, 2, 3]])).tolist()
    [[90.0]]
    """
    position = np.asarray(position)
    quadruple = _indices(quadruple, 4, position.shape[1])

    def angle(r: np.ndarray) -> np.ndarray:
        a, axis, b = (r[:, quadruple[:, k + 1]] - r[:, quadruple[:, k]] for k in range(3))
        u, v = np.cross(a, axis), np.cross(axis, b)
        return np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v), axis=2), np.einsum("fax,fax->fa", u, v)))

    return by_chunk(angle, position, 15 * max(len(quadruple), position.shape[1]))


def form_factor(position: np.ndarray, q: np.ndarray) -> np.ndarray:
    """P(q) = mean over frames and pairs of sin(q r) / (q r) (Debye 1915), all particles alike: 1 at small wave numbers ``q`` (n_q,).

    Raises:
        MlcgmdError: wrong shapes, zero frames, positions that are not finite.

    >>> form_factor(np.array([[[0.0, 0, 0], [0, 0, 1]]]), np.array([1e-3, np.pi])).round(4).tolist()
    [1.0, 0.5]
    """
    position, q = np.asarray(position), np.asarray(q, float)
    n = position.shape[1]

    def debye(r: np.ndarray) -> np.ndarray:
        distance = np.stack([pdist(frame) for frame in r])
        return np.stack([1 / n + 2 * np.sinc(k * distance / np.pi).sum(axis=1) / n**2 for k in q], axis=1)

    return by_chunk(debye, position, 2 * n * n).mean(axis=0)


def contact_map(position: np.ndarray, cutoff: float) -> np.ndarray:
    """Fraction of frames in which two particles are within ``cutoff``: (N, N), symmetric, diagonal 1.

    Raises:
        MlcgmdError: wrong shapes, zero frames, positions that are not finite, a cutoff that is not positive.
    """
    if not cutoff > 0:
        raise MlcgmdError(f"the contact cutoff must be positive, not {cutoff}")
    position = np.asarray(position)
    n = position.shape[1]
    # One frame at a time: no pair matrix of many frames, and faster than a vectorised gather.
    chunks = by_chunk(lambda r: np.sum([pdist(frame) <= cutoff for frame in r], axis=0, keepdims=True), position, n * n + 3 * n)
    contacts = np.eye(n)
    i, j = np.triu_indices(n, 1)
    contacts[i, j] = contacts[j, i] = chunks.sum(axis=0) / len(position)
    return contacts


class ConstantMapError(MlcgmdError):
    """A contact map that does not vary, so that its correlation is not defined."""


def contact_correlation(a: np.ndarray, b: np.ndarray, bond: np.ndarray) -> float:
    """Pearson correlation of two contact maps (N, N) over the pairs that are neither identical nor bonded.

    Raises:
        MlcgmdError: shapes differ.
        ConstantMapError: a map does not vary over those pairs.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise MlcgmdError(f"contact maps must be square and of one size, not {a.shape} and {b.shape}")
    keep = np.triu(np.ones(a.shape, bool), 1)
    i, j = _indices(bond, 2, len(a)).T
    keep[i, j] = keep[j, i] = False
    if not (keep.sum() > 1 and np.ptp(a[keep]) > 0 and np.ptp(b[keep]) > 0):
        raise ConstantMapError("a contact map does not vary over the pairs that are not bonded; choose another cutoff")
    return float(np.corrcoef(a[keep], b[keep])[0, 1])


@dataclass(frozen=True)
class Tica:
    """The n slowest time-lagged independent components (TICs) of some features."""

    mean: np.ndarray
    """(n_features,)"""
    vectors: np.ndarray
    """(n_features, n); a component has unit variance on the data it was fitted on"""
    eigenvalues: np.ndarray
    """(n,) autocorrelations of the components after the lag, largest first"""
    timescales: np.ndarray
    """(n,) implied timescales -lag / ln |eigenvalue|, in frames of those data"""

    def project(self, features: np.ndarray) -> np.ndarray:
        """Components (F, n) of ``features`` (F, n_features), of the fitted or of another trajectory.

        Raises:
            MlcgmdError: another number of features than fitted.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise MlcgmdError(f"features must have shape (frames, {len(self.mean)}) as those fitted, not {features.shape}")
        return (features - self.mean) @ self.vectors


def tica(features: Sequence[np.ndarray], lag: int, n: int = 2) -> Tica:
    """Fit TICA (Perez-Hernandez et al. 2013; deeptime, the extra ``analysis``) to runs (F, n_features) of equal frame interval.

    ``lag`` is in frames, ``n`` the number of components. Signs are fixed: the largest entry of each vector is positive.

    Raises:
        MlcgmdError: a run is not longer than the lag, is not finite, or fewer than ``n`` components vary.
        ImportError: deeptime is not installed.
    """
    from deeptime.decomposition import TICA  # an optional extra, so not at the top

    for i, run in enumerate(features):
        if lag < 1 or len(run) <= lag or not np.isfinite(run).all():
            raise MlcgmdError(f"run {i}: TICA needs finite features and more frames ({len(run)}) than the lag ({lag}), which is >= 1")
    model = TICA(lagtime=lag, scaling=None, dim=n).fit([np.asarray(run, np.float64) for run in features]).fetch_model()
    vectors = model.instantaneous_coefficients[:, :n]
    if vectors.shape[1] < n:
        raise MlcgmdError(f"fewer than {n} independent features vary; give more features")
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(n)])
    return Tica(model.mean_0, vectors, model.singular_values[:n], model.timescales(n))
