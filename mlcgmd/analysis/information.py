r"""What a mapping keeps of a system: properties, energy, slow modes, the power to predict.

No single number says how much a mapping loses, so :func:`kept` gives a vector. Its entries, and what they come from:

*Properties.* R^2 of a property A from the beads by cross-validated regression (:func:`explained`), a lower bound of
1 - E Var(A | X) / Var A.

*Energy.* The mapping entropy is S_map = k_B KL(p(r) || p(X) / Omega(X)), the information about the particles that is in the
Boltzmann weights of conformations with the same beads (Rudzinski and Noid 2011). With u = U / kT,
KL = E[ln E(exp(u) | X) - E(u | X)], of which the second cumulant E Var(u | X) / 2 is estimated. The residual of any
regression of u on the beads is at least Var(u | X), so half of its mean square is an upper bound (:func:`mapping_entropy`).
The same residual gives the share of the Fisher information about the temperature that the beads keep: as
d ln p(X) / d beta = E U - E(U | X), it is 1 - E Var(u | X) / Var u, which is :func:`explained` of u.

*Slow modes.* The largest eigenvalues of the transfer operator on functions of the beads: the sum of their squares (VAMP-2) and the
implied times (:func:`kinetic_content`, :func:`time_kept`). Compare levels on features of equal number (:func:`slow_features`):
more of them fit noise better.

*Prediction.* Differences of log likelihoods (:func:`gain`): of a model of the next step and one that does not know the present,
the predictive information I(X(t); X(t + dt)); of a model that sees two positions and one that sees one, the memory.

A series of features is (F, k), of one run, or (R, F, k), of R replicas; a property is (F,) or (R, F). Errors are standard errors.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..data.mapping import CoarseGraining
from ..errors import MlcgmdError
from . import molecules, statistics
from .statistics import ConstantSeriesError, Estimate, TooShortError

FOLDS = 10
"""Stretches of a series that are left out of regressions in turn."""
STRETCHES = 20
"""The same of fits of slow modes: more, as the error is from their scatter."""
PENALTIES = np.logspace(-3, 5, 9)
"""Ridge penalties, of standardised features, among which each fit chooses."""


def pair_features(position: np.ndarray) -> np.ndarray:
    """Distances of all pairs of beads and their squares, (F, B (B - 1)), of positions (F, B, 3): for regressions."""
    distance = molecules.pair_distances(position)
    return np.concatenate([distance, distance**2], axis=1)


def slow_features(position: np.ndarray, bond: np.ndarray, modes: int) -> np.ndarray:
    """Scalar products of the ``modes`` slowest modes of the bond graph, (F, modes (modes + 1) / 2): as many at each level.

    A mode is an eigenvector of the graph's Laplacian, by which positions are added up. Beads B <= ``modes`` have B - 1 modes only.

    Args:
        position: (F, B, 3) of one molecule, unwrapped.
        bond: (n_bonds, 2) between its beads.
        modes: how many.

    Raises:
        MlcgmdError: the bonds do not join all beads.
    """
    position = np.asarray(position, np.float64)
    identity = np.eye(position.shape[1])
    edge = identity[bond[:, 0]] - identity[bond[:, 1]]
    eigenvalues, vectors = np.linalg.eigh(edge.T @ edge)
    if (eigenvalues < 1e-9).sum() > 1:
        raise MlcgmdError(f"the {len(bond)} bonds do not join all {position.shape[1]} beads; give one molecule")
    mode = np.einsum("fbx,bm->fmx", position, vectors[:, 1 : modes + 1])
    i, j = np.triu_indices(mode.shape[1])
    return np.einsum("fmx,fmx->fm", mode[:, i], mode[:, j])


def _checked(features: ArrayLike, *series: ArrayLike) -> tuple[np.ndarray, list[np.ndarray]]:
    """Features (R, F, k) and series (R, F), finite."""
    x = np.asarray(features, np.float64)
    x = x[None] if x.ndim == 2 else x
    others = [np.atleast_2d(np.asarray(y, np.float64)) for y in series]
    for y in others:
        if x.ndim != 3 or y.shape != x.shape[:2]:
            raise MlcgmdError(f"features {np.shape(features)} and series {y.shape} must have the same replicas and frames")
        if np.ptp(y) <= 1e-12 * np.abs(y).max():
            raise ConstantSeriesError(f"the series is constant ({y.flat[0]:g}): there is nothing to explain")
    if not all(np.isfinite(a).all() for a in (x, *others)):
        raise MlcgmdError("a feature or a series is not finite; cut the run before it")
    if x.shape[0] * x.shape[1] < 2 * FOLDS:
        raise TooShortError(f"{x.shape[0] * x.shape[1]} frames are too few for {FOLDS} folds; give at least {2 * FOLDS}")
    return x, others


def ridge(penalties: np.ndarray) -> Pipeline:
    """A ridge regression on standardised features, of one target or of several; the penalty of each is the best at leaving one out."""
    return make_pipeline(StandardScaler(), RidgeCV(penalties, alpha_per_target=True))


def _residuals(features: np.ndarray, targets: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What a ridge regression leaves of each target (R, F) in frames that it was not fitted to; folds are contiguous."""
    y = np.stack([target.ravel() for target in targets], axis=1)
    scale = y.std(axis=0)
    x = features.reshape(-1, features.shape[-1])
    predicted = cross_val_predict(ridge(PENALTIES), x, (y - y.mean(axis=0)) / scale, cv=KFold(FOLDS)).reshape(y.shape)
    rest = y - y.mean(axis=0) - predicted * scale
    return [r.reshape(targets[0].shape) for r in rest.T]


def _share(residual: np.ndarray, target: np.ndarray) -> Estimate:
    """R^2 = 1 - <residual^2> / <(target - mean)^2>."""
    left = _ratio(residual**2, (target - target.mean()) ** 2)
    return Estimate(1 - left.value, left.error)


def _ratio(x: np.ndarray, y: np.ndarray) -> Estimate:
    """:func:`.statistics.ratio`. With as many replicas as :data:`STRETCHES` the error is from their scatter: those that differ by what they
    are, such as chains, would look like one that relaxes slowly."""
    if len(x) < STRETCHES:
        return statistics.ratio(x, y)
    value = x.mean() / y.mean()
    return Estimate(float(value), _scatter((x - value * y).mean(axis=1)) / float(y.mean()))


def explained(features: ArrayLike, target: ArrayLike) -> Estimate:
    """R^2 of a property from features by cross-validated ridge regression: at most 1 - E Var(A | X) / Var A, below 0 if nothing is learned.

    Folds are contiguous, ten in all; frames at their ends are correlated with frames of the next ones, so stretches must be much longer
    than the relaxation time.

    Raises:
        TooShortError: fewer than 20 frames, or fewer than 20 relaxation times.
        MlcgmdError: shapes do not match, values are not finite, or the property is constant.
    """
    x, (y,) = _checked(features, target)
    return _share(_residuals(x, [y])[0], y)


def mapping_entropy(features: ArrayLike, energy: ArrayLike) -> Estimate:
    """Upper bound of the second cumulant of the mapping entropy, E Var(u | X) / 2 in k_B, from the potential energy u in kT.

    Errors as :func:`explained`, which, of the same energy, is the share of temperature Fisher information that the beads keep.
    """
    x, (u,) = _checked(features, energy)
    return _entropy(_residuals(x, [u])[0])


def _entropy(residual: np.ndarray) -> Estimate:
    return _ratio(residual**2 / 2, np.ones_like(residual))


def _stretches(features: ArrayLike, lag: int) -> list[np.ndarray]:
    """The series in :data:`STRETCHES` stretches or more, each of one run and longer than the lag."""
    x = _checked(features)[0]
    parts = [part for run in x for part in np.array_split(run, -(-STRETCHES // len(x)))]
    if not 1 <= lag < min(map(len, parts)) // 2:
        raise TooShortError(f"the lag of {lag} frames must be 1 or more, and less than half of the {len(parts[0])} frames of a fold")
    return parts


class _Tested(NamedTuple):
    """The n slowest components in stretches (K) that they were not fitted to."""

    eigenvalues: np.ndarray
    """(K, n), of the fit"""
    variance: np.ndarray
    """(K, n, n), of the components in the stretch"""
    product: np.ndarray
    """(K, n), mean product of a component with itself after the lag"""
    score: np.ndarray
    """(K,), VAMP-E; its quadratic term has one variance from this stretch and one from the next, which was not fitted to either"""


def _tested(features: ArrayLike, lag: int, n: int) -> _Tested:
    parts = _stretches(features, lag)
    found = []
    for k, test in enumerate(parts):
        other = (k + 1) % len(parts)
        slow = molecules.tica([part for i, part in enumerate(parts) if i not in (k, other)], lag, n)
        x, y = slow.project(test), slow.project(parts[other])
        weight = np.diag(slow.eigenvalues)
        variance = 0.5 * (x[:-lag].T @ x[:-lag] + x[lag:].T @ x[lag:]) / (len(x) - lag)
        product = np.mean(x[lag:] * x[:-lag], axis=0)
        norm = np.trace(weight @ variance @ weight @ (y.T @ y / len(y)))
        found.append((slow.eigenvalues, variance, product, 2 * slow.eigenvalues @ product - norm))
    return _Tested(*map(np.array, zip(*found, strict=True)))


def _contents(of: _Tested) -> tuple[float, np.ndarray]:
    """Mean score, and what each stretch (K,) adds to its fluctuations, to first order."""
    square = of.eigenvalues**2 * np.diagonal(of.variance, axis1=1, axis2=2)
    return float(of.score.mean()), 2 * (of.eigenvalues * of.product - square).sum(axis=1)


def kinetic_content(features: ArrayLike, lag: int, n: int) -> Estimate:
    """Sum of the squares of the ``n`` largest eigenvalues of the transfer operator over ``lag`` frames (VAMP-2 without the constant).

    Cross-validated: slow components by TICA of all folds but two are scored on these by VAMP-E (Wu and Noé 2020), for reversible
    dynamics tr(2 L C(lag) - L C(0) L C(0)) with eigenvalues L. It is VAMP-2 less the squared distance of the fitted operator from the
    true one: a lower bound, lower for features that fit noise. The two C(0) are of different folds, for with both from one the
    score would fall by their fluctuations. The error is from the scatter of folds.

    Raises:
        TooShortError: a fold is not longer than two lags.
        MlcgmdError: values that are not finite, or fewer than n features vary.
    """
    value, parts = _contents(_tested(features, lag, n))
    return Estimate(value, _scatter(parts))


def kinetic_share(beads: ArrayLike, particles: ArrayLike, lag: int, n: int) -> Estimate:
    """:func:`kinetic_content` of features of the beads over that of features of the particles, in the same frames; errors as there."""
    return _kinetic_share(_tested(beads, lag, n), _tested(particles, lag, n))


def _kinetic_share(beads: _Tested, particles: _Tested) -> Estimate:
    (coarse, coarse_parts), (fine, fine_parts) = _contents(beads), _contents(particles)
    return Estimate(coarse / fine, _scatter(coarse_parts - coarse / fine * fine_parts) / fine)


def _scatter(parts: np.ndarray) -> float:
    """Standard error of the mean of independent stretches (K,)."""
    return float(parts.std(ddof=1) / np.sqrt(len(parts)))


def implied_time(features: ArrayLike, lag: int, n: int) -> Estimate:
    """Implied time of the ``n`` slowest components over ``lag`` frames, in frames: harmonic mean of -lag / ln of their autocorrelations.

    Together, for the times of modes that are nearly degenerate cannot be told apart. Cross-validated: components by TICA of other folds,
    autocorrelations in those left out. They are those of trial functions, so at most the true ones (variational principle), where those
    of a fit to the same frames are too long. The error is by jackknife over folds.

    Raises:
        TooShortError: a fold is not longer than two lags.
        MlcgmdError: values that are not finite, or fewer than n features vary.
    """
    return _jackknifed(_times(_tested(features, lag, n), lag))


def time_kept(beads: ArrayLike, particles: ArrayLike, lag: int, n: int) -> Estimate:
    """:func:`implied_time` of features of the beads over that of features of the particles, in the same frames; errors as there."""
    return _jackknifed(_times(_tested(beads, lag, n), lag) / _times(_tested(particles, lag, n), lag))


def _times(of: _Tested, lag: int) -> np.ndarray:
    """Implied time (1 + K,): of all folds together, and without each."""
    products, squares = (np.stack([x.sum(axis=0), *(x.sum(axis=0) - x)]) for x in (of.product, np.diagonal(of.variance, axis1=1, axis2=2)))
    return -lag / np.log(np.clip(products / squares, 1e-9, 1 - 1e-9)).mean(axis=1)


def _jackknifed(values: np.ndarray) -> Estimate:
    """Of (1 + K,) values, of all folds and without each, the first with the error that follows from the others (Efron and Stein 1981)."""
    return Estimate(float(values[0]), float(np.sqrt((len(values) - 2) * values[1:].var())))


def gain(better: ArrayLike, worse: ArrayLike) -> Estimate:
    """Mean difference of two log likelihoods (F,) or (R, F) of the same steps, one value each, in nats per step.

    * ``better`` of the next positions given the present ones, ``worse`` without: the predictive information of one step. With models that
      are not exact it is a lower bound as long as the ``worse`` one is the exact marginal.
    * ``better`` of a model that sees two positions, ``worse`` of one that sees the last: what the second adds; 0 for Markovian beads.

    >>> gain([-1.0, -1.0], [-1.5, -1.5])
    Estimate(value=0.5, error=0.0)

    Raises:
        TooShortError: fewer than 20 relaxation times.
        MlcgmdError: shapes differ, or values are not finite.
    """
    a, b = np.asarray(better, np.float64), np.asarray(worse, np.float64)
    if a.shape != b.shape:
        raise MlcgmdError(f"the log likelihoods are of different steps: {a.shape} and {b.shape}")
    return statistics.mean(a - b)


def kept(
    beads: ArrayLike,
    slow: ArrayLike,
    slow_particles: ArrayLike,
    properties: Mapping[str, ArrayLike],
    energy: ArrayLike,
    lag: int,
    n: int = 3,
) -> dict[str, Estimate]:
    """What a mapping keeps, as a vector.

    Args:
        beads: features of the beads for regressions, such as :func:`pair_features`.
        slow: features of the beads for their slow modes, such as :func:`slow_features`.
        slow_particles: the same of the particles.
        properties: series of each property of the particles.
        energy: their potential energy, kT.
        lag: in frames.
        n: how many slow components.

    Returns:
        ``r2.<property>``, ``fisher`` (share of temperature Fisher information), ``mapping_entropy`` (upper bound, k_B), ``kinetic`` (share
        of VAMP-2) and ``time`` (share of the implied time). Errors as the functions that measure these.
    """
    x, targets = _checked(beads, *properties.values(), energy)
    *rest, of_energy = _residuals(x, targets)
    found = {f"r2.{name}": _share(r, y) for name, r, y in zip(properties, rest, targets, strict=False)}
    found |= {"fisher": _share(of_energy, targets[-1]), "mapping_entropy": _entropy(of_energy)}
    coarse, fine = (_tested(features, lag, n) for features in (slow, slow_particles))
    return found | {"kinetic": _kinetic_share(coarse, fine), "time": _jackknifed(_times(coarse, lag) / _times(fine, lag))}


def of_mapping(
    fine: xr.Dataset,
    mapping: CoarseGraining,
    properties: Mapping[str, ArrayLike],
    lag: int,
    energy: ArrayLike | None = None,
    modes: int = 4,
    n: int = 3,
) -> dict[str, Estimate]:
    """:func:`kept` by a mapping of one molecule, of any family and number of beads above ``modes``.

    Args:
        fine: a trajectory of the particles of one molecule.
        mapping: of these to beads.
        properties: series of each property of the particles.
        lag: in frames.
        energy: potential energy in kT; by default the ``potential_energy`` of ``fine``, which is in kT where kT is 1.
        modes: slow modes of the bond graph, as many of beads and of particles.
        n: how many slow components.

    Raises:
        MlcgmdError: several molecules, no energy, too few beads; or as the functions that measure these.
    """
    if energy is None and "potential_energy" not in fine:
        raise MlcgmdError(f"{fine.attrs['system']} has no potential_energy; give energy=, in kT")
    if not modes < mapping.n_beads:
        raise MlcgmdError(f"{mapping.n_beads} beads have no {modes} modes to compare with those of the particles; give modes=")
    beads = mapping.positions(fine.position.values)
    return kept(
        pair_features(beads),
        slow_features(beads, mapping.bond, modes),
        slow_features(fine.position.values, fine.bond.values, modes),
        properties,
        fine.potential_energy.values if energy is None else energy,
        lag,
        n,
    )
