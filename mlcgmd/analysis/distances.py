"""How far samples of an observable are apart, and how far two exact ones are for no other reason than that they are finite."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import molecules, statistics


@dataclass(frozen=True)
class Distance:
    """How two samples of an observable are told apart.

    Attributes:
        pool: one sample of many.
        between: distance of a sample to MD's, which comes first.
        order: the distance between two exact samples falls with their length T as T^(-order / 2).
        most: the longest distance that there can be to a sample; it caps what is expected of very short runs.
    """

    pool: Callable[[Sequence[np.ndarray]], np.ndarray]
    between: Callable[[np.ndarray, np.ndarray], float]
    order: int
    most: Callable[[np.ndarray], float]


def _relative_emd(md: np.ndarray, other: np.ndarray) -> float:
    return statistics.emd(md, other) / float(abs(md.mean()))


def _standardised_emd(md: np.ndarray, other: np.ndarray) -> float:
    spread = float(md.std())
    return statistics.emd(md, other) / spread if spread else np.nan


def _mean_difference(values: np.ndarray) -> float:
    """Mean |x - y| over all pairs of values."""
    x = np.sort(values.ravel())
    return float(2 * (2 * np.arange(len(x)) - len(x) + 1) @ x / len(x) ** 2)


def _mismatch(md: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(md) == 0 or np.ptp(other) == 0:
        raise molecules.ConstantMapError("a contact map does not vary over the pairs that are not bonded")
    return 1 - float(np.corrcoef(md, other)[0, 1])


def _mean(samples: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean(samples, axis=0)


RELATIVE = Distance(np.concatenate, _relative_emd, 1, lambda x: _mean_difference(x) / float(abs(x.mean())))
"""Earth mover's distance of values, over MD's mean."""
STANDARDISED = Distance(np.concatenate, _standardised_emd, 1, lambda x: _mean_difference(x) / float(x.std()))
"""Earth mover's distance of values, over MD's standard deviation: what is narrow, such as a bond, hides nothing behind its mean."""
ABSOLUTE = Distance(np.concatenate, statistics.emd, 1, _mean_difference)
"""Earth mover's distance of values, in their unit."""
CURVE = Distance(_mean, lambda md, other: float(np.abs(md - other).mean()), 1, lambda _: np.inf)
"""Mean absolute difference of two curves."""
MAP = Distance(_mean, _mismatch, 2, lambda _: 1.0)
"""One minus the correlation of two maps."""


def each(distance: Distance) -> Distance:
    """Mean of a distance over the columns of samples (n, k), such as the lengths of k bonds, that would hide each other in one pool."""

    def between(md: np.ndarray, other: np.ndarray) -> float:
        return float(np.mean([distance.between(a, b) for a, b in zip(md.T, other.T, strict=True)]))

    return Distance(np.concatenate, between, distance.order, lambda x: float(np.mean([distance.most(column) for column in x.T])))


def expected_difference(error: float, other: float) -> float:
    """Mean |difference| of two exact measurements with these standard errors: sqrt(2 / pi) of both together.

    >>> round(expected_difference(3.0, 4.0), 3)
    3.989
    """
    return float(np.sqrt(2 / np.pi) * np.hypot(error, other))


def expected_log2(value: float, error: float, other: float, other_error: float) -> float:
    """Mean abs log2 of the ratio of two exact measurements: :func:`expected_difference` of their relative errors, in octaves.

    >>> round(expected_log2(100.0, 30.0, 110.0, 44.0), 3)
    0.576
    """
    return expected_difference(error / value, other_error / other) / float(np.log(2))


def expected_distance(distance: Distance, samples: Sequence[np.ndarray], amounts: Sequence[float], amount: float) -> float:
    r"""Mean distance of an exact run to MD: what a perfect model reads.

    Distances of statistical origin between two runs of lengths T and T' are proportional to :math:`\sqrt{1/T + 1/T'}` where both hold
    many relaxation times (to its square, for a measure of order 2). The constant comes from the distances between parts of MD; with
    the halves of one run that are d apart, for a run as long as MD, it makes d / sqrt(2).

    Args:
        distance: how samples are told apart.
        samples: of parts of MD, two or more.
        amounts: their lengths, in frames or time.
        amount: that of the run, in the same unit.

    Returns:
        That distance, at most ``distance.most``.
    """

    def both(a: float, b: float) -> float:
        return (1 / a + 1 / b) ** (distance.order / 2)

    pairs = itertools.combinations(zip(samples, amounts, strict=True), 2)
    constant = np.mean([distance.between(a, b) / both(m, n) for (a, m), (b, n) in pairs])
    return min(float(constant) * both(sum(amounts), amount), distance.most(distance.pool(samples)))
