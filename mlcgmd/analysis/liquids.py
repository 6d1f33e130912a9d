"""Structure of a periodic liquid: radial distribution functions, coordination numbers, peaks.

Lengths come out in the unit of the positions.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from ..errors import MlcgmdError
from .molecules import _indices, by_chunk

BIN = 0.1
"""Default width of a bin, angstrom."""
SMOOTHING = 1.5
"""Width (standard deviation) of the Gaussian that g(r) is smoothed with before a peak is sought, in bins."""
PROMINENCE = 0.25
"""A peak stands out from its surroundings by this fraction of the highest value; lower ones are noise or shoulders."""


class Rdf(NamedTuple):
    """A radial distribution function."""

    r: np.ndarray
    """(k,) middle of each bin"""
    g: np.ndarray
    """(k,) density of b at r from an a, over its mean density"""
    coordination: np.ndarray
    """(k,) mean number of b around an a up to the end of each bin"""


def rdf(
    position: np.ndarray,
    box: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    r_max: float,
    width: float = BIN,
    molecule: np.ndarray | None = None,
) -> Rdf:
    """Distribution of the particles ``b`` (indices) about the particles ``a``, mean over the frames of ``position`` (F, N, 3).

    ``box`` (3,) holds the edges of an orthorhombic box, in which the nearest image counts. A particle is no neighbour of itself; with
    ``molecule`` (N,) neither are those of its own molecule. Normalised by the number of pairs, so that an ideal gas
    has g = 1 however few particles there are. The last bin ends at the last multiple of ``width`` up to ``r_max``.

    Raises:
        MlcgmdError: wrong shapes, positions that are not finite, missing particles, no pairs, or an ``r_max`` beyond half the
            shortest edge, where the nearest image misses neighbours.
    """
    position = np.asarray(position)
    edges = np.asarray(box, np.float64)
    if edges.shape != (3,) or not (np.isfinite(edges) & (edges > 0)).all():
        raise MlcgmdError(f"the box must be three positive edges, not {edges.tolist()}")
    if not width <= r_max <= edges.min() / 2:
        raise MlcgmdError(
            f"r_max = {r_max:g} must be between the bin width ({width:g}) and half the shortest edge of the box ({edges.min() / 2:g})"
        )
    n = position.shape[1]
    a, b = _indices(a, 1, n)[:, 0], _indices(b, 1, n)[:, 0]
    i, j = _pairs(a, b, molecule)
    bins = int(r_max / width + 1e-9)
    limit = width * np.arange(bins + 1)

    def count(r: np.ndarray) -> np.ndarray:
        return np.histogram(np.sqrt(_squares(r, i, j, edges)), limit)[0][None]

    counts = by_chunk(count, position, 6 * len(i)).sum(axis=0) / len(position)
    shell = 4 / 3 * np.pi * np.diff(limit**3)
    return Rdf(limit[:-1] + width / 2, counts / (len(i) * shell / edges.prod()), counts.cumsum() / len(a))


def _pairs(a: np.ndarray, b: np.ndarray, molecule: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Each particle of ``a`` with each of ``b`` that is another one, and of another molecule if these are given."""
    i, j = (x.ravel() for x in np.meshgrid(a, b, indexing="ij"))
    keep = i != j if molecule is None else np.asarray(molecule)[i] != np.asarray(molecule)[j]
    if not keep.any():
        raise MlcgmdError(
            f"there are no pairs between {len(a)} particles and {len(b)}; give groups that are not empty or the same molecule"
        )
    return i[keep], j[keep]


def _squares(r: np.ndarray, i: np.ndarray, j: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Squared distances (F, pairs) to the nearest image."""
    d = r[:, i] - r[:, j]
    d -= edges * np.round(d / edges)
    return np.einsum("fpx,fpx->fp", d, d)


def neighbours(
    position: np.ndarray, box: np.ndarray, a: np.ndarray, b: np.ndarray, reach: float, molecule: np.ndarray | None = None
) -> np.ndarray:
    """Mean number (F,) of the particles ``b`` nearer than ``reach`` to a particle of ``a``, in each frame; arguments as of :func:`rdf`."""
    i, j = _pairs(a, b, molecule)

    def count(r: np.ndarray) -> np.ndarray:
        return (_squares(r, i, j, box) < reach**2).sum(axis=1) / len(a)

    return by_chunk(count, position, 6 * len(i))


def first_peak(curve: Rdf) -> float:
    """Where g(r) has its first peak, between bins by the parabola through the three highest points of the smoothed curve.

    Smoothed by :data:`SMOOTHING`; a peak is one that :data:`PROMINENCE` lets through. NaN if there is none.
    """
    smooth = gaussian_filter1d(curve.g, SMOOTHING, mode="nearest")
    peaks = find_peaks(smooth, prominence=PROMINENCE * smooth.max())[0]
    if not len(peaks):
        return float("nan")
    k = int(peaks[0])
    left, middle, right = smooth[k - 1 : k + 2]
    offset = 0.5 * (left - right) / (left - 2 * middle + right)
    return float(curve.r[k] + offset * (curve.r[1] - curve.r[0]))


def first_shell(curve: Rdf) -> float:
    """Where the first shell ends: the lowest place of the smoothed g(r) between its first peak and twice as far; NaN without a peak."""
    peak = first_peak(curve)
    smooth = gaussian_filter1d(curve.g, SMOOTHING, mode="nearest")
    behind = np.flatnonzero((curve.r > peak) & (curve.r <= 2 * peak))
    return float(curve.r[behind[np.argmin(smooth[behind])]]) if len(behind) else float("nan")


def distance(a: Rdf, b: Rdf) -> float:
    """Mean of |g_a(r) - g_b(r)| over r.

    Raises:
        MlcgmdError: the two have different bins.
    """
    if not np.array_equal(a.r, b.r):
        raise MlcgmdError(
            f"the curves have different bins ({len(a.r)} to {a.r[-1]:g} and {len(b.r)} to {b.r[-1]:g}); use one r_max and width"
        )
    return float(np.abs(a.g - b.g).mean())
