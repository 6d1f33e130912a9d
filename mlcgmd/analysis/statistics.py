"""What a finite run can say: autocorrelation, relaxation times, statistical errors, distances between distributions.

A *series* is an array (F,) of one equally spaced run or (R, F) of R replicas of equal length. Replicas are taken to sample
the same equilibrium: they share one mean and one autocorrelation function.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.signal import lfilter
from scipy.special import ndtr
from scipy.stats import linregress, mannwhitneyu, wasserstein_distance

from ..errors import MlcgmdError

WINDOW = 5
"""Length of the summation window in integrated autocorrelation times: cuts exp(-5) = 0.7 % of an exponential."""
MIN_WINDOWS = 4
"""Replicas together must hold this many windows, so 20 relaxation times: below, their mean follows the fluctuations."""


class TooShortError(MlcgmdError):
    """A series too short for the question; the message tells how long it would have to be."""


class ConstantSeriesError(MlcgmdError):
    """A series that does not vary, so that it has no autocorrelation."""


class Estimate(NamedTuple):
    """A value and its standard error, in the same unit."""

    value: float
    error: float


def _values(x: ArrayLike, name: str) -> np.ndarray:
    values = np.asarray(x, dtype=np.float64)
    if values.size == 0:
        raise MlcgmdError(f"{name} has no values (shape {values.shape}); give at least one frame")
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise MlcgmdError(f"{name} is not finite at index {where}; cut the run before it")
    return values


def _series(x: ArrayLike) -> np.ndarray:
    """``x`` as finite replicas (R, F)."""
    values = _values(x, "the series")
    if values.ndim not in (1, 2):
        raise MlcgmdError(f"a series has shape (frames,) or (replicas, frames), not {values.shape}")
    return np.atleast_2d(values)


def autocorrelation(x: ArrayLike, mean: float | None = None) -> np.ndarray:
    """Normalised autocorrelation function C(t) = <dx(s) dx(s + t)> / <dx^2> with dx = x - mean, (F,) from a series (F,) or (R, F).

    Lag t is averaged over its R (F - t) products, so that the estimate does not decay with t by construction. ``mean`` is the
    exact mean where it is known; the mean over all replicas and frames that stands in for it lowers C(t) by about
    2 tau / (R F), tau the relaxation time in frames. Computed by FFT with zero padding (Wiener-Khinchin).

    Raises:
        MlcgmdError: no frames, values that are not finite, or a constant series.
    """
    series = _series(x)
    frames = series.shape[1]
    deviation = series - (series.mean() if mean is None else mean)
    variance = np.mean(deviation**2)
    if variance <= 1e-24 * np.mean(series**2):
        raise ConstantSeriesError(f"the series is constant ({series.flat[0]:g}): it has no autocorrelation function")
    spectrum = fft.rfft(deviation, fft.next_fast_len(2 * frames, real=True))
    products = fft.irfft(np.mean(np.abs(spectrum) ** 2, axis=0), fft.next_fast_len(2 * frames, real=True))[:frames]
    return products / (frames - np.arange(frames)) / variance


def _integrated(series: np.ndarray) -> tuple[float, int]:
    """Integrated autocorrelation time of a series (R, F), in frames, and the window (frames) that it is summed over."""
    frames = series.shape[1]
    trapezoid = np.cumsum(autocorrelation(series)) - 0.5
    lag = np.arange(frames)
    closed = np.flatnonzero((lag > 0) & (lag >= WINDOW * trapezoid))
    window = int(closed[0]) if len(closed) else frames
    needed = max(2 * window, MIN_WINDOWS * window / len(series))
    if frames < needed:
        raise TooShortError(
            f"{frames} frames are too short for their relaxation time: the summation window closes at {window} frames or later"
            f" and the replicas must hold 2 of it each and {MIN_WINDOWS} together; run at least {needed:.0f} frames per replica"
        )
    return float(trapezoid[window]) * (1 + (2 * window + 1) / series.size), window


def relaxation_time(x: ArrayLike, interval: float) -> Estimate:
    r"""Integrated relaxation time of a series (F,) or (R, F) with frames every ``interval``, in the unit of ``interval``.

    Defined as :math:`T = \int_0^\infty C(t)\,dt`. From frames d apart, the trapezoidal sum
    :math:`\hat\tau = 1/2 + \sum_{t=1}^{W} C(td)` is cut at the smallest window W >= 5 tau (Sokal 1997) and
    multiplied by 1 + (2 W + 1) / (R F), which restores what the estimated mean takes away (Wolff 2004, eq. 49).
    The trapezoid d tau converges to T for d << T, but never falls below d / 2: with d = T it reads 8 % high, with d = 2 T 31 %,
    which would make any two fast processes look alike. C(t) is therefore taken exponential between frames: the value is
    the T whose exponential has this trapezoidal sum, :math:`\hat\tau = \tfrac12\coth\frac{d}{2T}`, so
    :math:`T = d / (2\,\mathrm{artanh}\frac{1}{2\hat\tau})`. That is exact for one exponential, reads 1.4 % high for the
    spectrum of Rg^2 of a Rouse chain at d = T and 3.8 % at d = 3 T, so that runs with different frame intervals compare. Where
    that matters, thin the finer run to the coarser interval: what is left of the bias then cancels in the ratio.

    The standard error is :math:`\hat\tau\sqrt{4(W+1/2-\hat\tau)/(RF)}` (Madras and Sokal 1988, as refined by Wolff 2004,
    eq. 42), carried through the last formula. A relaxation that the frames do not resolve (tau within its error of 1/2)
    gives a RuntimeWarning and, as its value, the upper bound at one standard error.

    Raises:
        TooShortError: the replicas hold fewer than two windows each or four together (about 20 relaxation times; a run of
            fewer can pass, for it knows only its own, underestimated, relaxation time).
        MlcgmdError: no frames, values that are not finite, a constant series, or an interval that is not positive.
    """
    if not interval > 0:
        raise MlcgmdError(f"the frame interval must be positive, not {interval}")
    series = _series(x)
    tau, window = _integrated(series)
    error = abs(tau) * float(np.sqrt(4 * (window + 0.5 - tau) / series.size))
    if tau - 0.5 < error:
        warnings.warn(
            f"the series relaxes within its frame interval of {interval:g}: the relaxation time is an upper bound; save frames more often",
            RuntimeWarning,
            stacklevel=2,
        )
        tau = 0.5 + error
    value = interval / (2 * np.arctanh(1 / (2 * tau)))
    slope = value**2 / (interval * (tau**2 - 0.25))
    return Estimate(float(value), float(slope * error))


def standard_error(x: ArrayLike) -> float:
    r"""Standard error of the mean of a correlated series (F,) or (R, F), in the unit of ``x``.

    :math:`\sqrt{2\hat\tau\,\sigma^2 / (RF)}` with the integrated autocorrelation time of :func:`relaxation_time`
    in frames (Sokal 1997). On series of 50 to 200 relaxation times this covers the true mean as often as it
    should; automatic blocking leaves too few blocks there. Where relaxation times spread widely the window closes before the slow ones:
    for the energy of a Rouse chain of 32 particles, saved once per tau, it is a quarter too small. A constant series has the error 0.

    Raises:
        TooShortError: as in :func:`relaxation_time`.
        MlcgmdError: no frames or values that are not finite.
    """
    series = _series(x)
    if np.ptp(series) == 0 and series.size > 1:
        return 0.0
    tau = max(_integrated(series)[0], 0.0)
    variance = series.var() * (1 + 2 * tau / series.size)
    return float(np.sqrt(2 * tau * variance / series.size))


def surrogate(x: ArrayLike, time: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random series (R, F) with the distribution of the values ``x`` and one relaxation time: what else it says is chance.

    A Gaussian autoregressive process of order 1, of which each value is replaced by the quantile of ``x`` that it is of the normal
    distribution; the more skewed ``x``, the faster that makes it, by some percent.

    Args:
        x: values of any shape.
        time: relaxation time of the Gaussian process, in frames.
        shape: of the series.
        rng: what draws it.
    """
    decay = np.exp(-1 / time)
    noise = rng.normal(size=shape)
    noise[:, 1:] *= np.sqrt(1 - decay**2)
    return np.quantile(_values(x, "the series"), ndtr(lfilter([1.0], [1.0, -decay], noise, axis=1)))


def mean(x: ArrayLike) -> Estimate:
    """Mean of a correlated series (F,) or (R, F) with its :func:`standard_error`, which raises what there is to raise."""
    return Estimate(float(_values(x, "the series").mean()), standard_error(x))


class Trend(NamedTuple):
    """Of the means of stretches of a series against time."""

    sigmas: float
    """slope over its standard error"""
    p: float
    """how often a series without a trend has one as steep, either way"""


def trend(x: ArrayLike, stretches: int = 8) -> Trend:
    """Whether a series (F,) drifts: the slope of a straight line through the means of ``stretches`` equal parts, with a t-test.

    Unlike the error of a mean it needs no relaxation time, and so has an answer for any run. Slow fluctuations look like a drift to it: of
    a process that relaxes in a tenth of the run, 6 % have p < 0.01.

    Raises:
        TooShortError: fewer frames than stretches.
        MlcgmdError: not one series, or values that are not finite.
    """
    series = _values(x, "the series")
    length = len(series) // stretches
    if series.ndim != 1 or not length:
        raise TooShortError(f"a trend takes one series of {stretches} frames or more, not of shape {series.shape}")
    means = series[len(series) - stretches * length :].reshape(stretches, length).mean(axis=1)
    if np.ptp(means) == 0:
        return Trend(0.0, 1.0)
    fit = linregress(np.arange(stretches), means)
    return Trend(float(fit.slope / fit.stderr), float(fit.pvalue))


def ratio(x: ArrayLike, y: ArrayLike) -> Estimate:
    """Ratio of the means of two correlated series (F,) or (R, F) of the same frames; errors as :func:`standard_error`.

    The error is that of the mean of x - ratio y, over the mean of y: the fluctuations of the ratio to first order.
    """
    a, b = _values(x, "the numerator"), _values(y, "the denominator")
    value = a.mean() / b.mean()
    return Estimate(float(value), standard_error(a - value * b) / abs(float(b.mean())))


def bootstrap(
    statistic: Callable[..., ArrayLike], samples: np.ndarray | tuple[np.ndarray, ...], n: int, rng: np.random.Generator
) -> np.ndarray:
    """Standard error of ``statistic(*samples)``, of its shape, from ``n`` resamplings with replacement (Efron 1979).

    ``samples`` is one array, or a tuple of paired arrays, whose first axis counts independent units: chains or replicas,
    never the correlated frames of one run.

    Raises:
        MlcgmdError: fewer than two units, arrays of unequal length, values that are not finite, or n < 2.
    """
    arrays = [_values(a, f"sample {i}") for i, a in enumerate(samples if isinstance(samples, tuple) else (samples,))]
    units = {len(a) for a in arrays}
    if len(units) != 1 or min(units) < 2:
        raise MlcgmdError(f"the samples must count the same two or more units, not {[len(a) for a in arrays]}")
    if n < 2:
        raise MlcgmdError(f"a standard error needs two or more resamplings, not {n}")
    draws = rng.integers(min(units), size=(n, min(units)))
    return np.std([np.asarray(statistic(*(a[draw] for a in arrays))) for draw in draws], axis=0, ddof=1)


def emd(a: ArrayLike, b: ArrayLike) -> float:
    """Earth mover's (first Wasserstein) distance between the distributions of two sets of values, in their unit.

    Raises:
        MlcgmdError: no values, or values that are not finite.
    """
    return float(wasserstein_distance(_values(a, "the first set").ravel(), _values(b, "the second set").ravel()))


def emd_halves(x: ArrayLike) -> float:
    """Earth mover's distance between the first and the second half of one run (F,): its own statistical error, in its unit.

    Halves are shorter than the run: two independent whole runs would differ by about 1 / sqrt(2) of this.

    Raises:
        MlcgmdError: not one run, or values that are not finite.
        TooShortError: fewer than two frames.
    """
    run = _values(x, "the run")
    if run.ndim != 1:
        raise MlcgmdError(f"the halves are those of one run (frames,), not of shape {run.shape}; call once per replica")
    if len(run) < 2:
        raise TooShortError("one frame has no halves; give two or more")
    return emd(run[: len(run) // 2], run[len(run) // 2 :])


def auroc(wrong: ArrayLike, right: ArrayLike) -> float:
    """Area under the ROC curve of telling one sample from another: the share of pairs in which ``wrong`` is the larger.

    >>> auroc([2, 3], [1, 2.5])
    0.75

    Returns:
        0 to 1, 0.5 where nothing tells them apart; NaN where either sample is empty.
    """
    a, b = np.asarray(wrong), np.asarray(right)
    return float(mannwhitneyu(a, b).statistic / (len(a) * len(b))) if len(a) and len(b) else np.nan


def relative_rms(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Root mean square of ``prediction`` / ``truth`` - 1.

    >>> round(relative_rms([1, 2], [1.3, 2.8]), 3)
    0.354
    """
    return float(np.sqrt(np.mean((np.asarray(prediction) / np.asarray(truth) - 1) ** 2)))


def _spread(truth: np.ndarray) -> float:
    """Sum of squares of the true values about their mean."""
    if truth.ndim != 1:
        raise MlcgmdError(f"R^2 compares values of shape (n,), not {truth.shape}")
    spread = float(np.sum((truth - truth.mean()) ** 2))
    if spread <= 1e-24 * np.sum(truth**2):
        raise MlcgmdError("R^2 needs two or more different true values")
    return spread


def r2(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Coefficient of determination 1 - sum (truth - prediction)^2 / sum (truth - mean truth)^2; both (n,).

    Not a squared correlation: a constant offset or a wrong scale lowers it, below zero if need be.

    Raises:
        MlcgmdError: shapes differ, values are not finite, or the true values are all equal.
    """
    true, predicted = _values(truth, "truth"), _values(prediction, "prediction")
    if true.shape != predicted.shape:
        raise MlcgmdError(f"truth {true.shape} and prediction {predicted.shape} differ in shape")
    return 1 - float(np.sum((true - predicted) ** 2)) / _spread(true)


def r2_ceiling(truth: ArrayLike, error_truth: ArrayLike, error_prediction: ArrayLike) -> float:
    r"""Expected R^2 of a perfect model: :math:`1 - \sum_i (s_i^2 + p_i^2) / \sum_i (y_i - \bar y)^2`.

    With measured values y_i (n,) of standard errors s_i, and predictions that differ from the exact values by nothing but
    statistical errors p_i, independent of the former, the expected squared residual of pair i is s_i^2 + p_i^2. The errors are
    (n,) or one number for all. The spread of the measured y_i already contains their errors.

    Raises:
        MlcgmdError: shapes do not match, values are not finite, errors are negative, or the true values are all equal.
    """
    true = _values(truth, "truth")
    variance = np.zeros_like(true)
    for name, error in (("error_truth", error_truth), ("error_prediction", error_prediction)):
        values = _values(error, name)
        if values.shape not in ((), true.shape) or (values < 0).any():
            raise MlcgmdError(f"{name} must be one number or of shape {true.shape}, and not negative; it has shape {values.shape}")
        variance += values**2
    return 1 - float(variance.sum()) / _spread(true)


def power_law(x: ArrayLike, y: ArrayLike) -> Estimate:
    """Exponent a of y ~ x^a: slope of a straight line through the logarithms, with its standard error from the residuals.

    Raises:
        MlcgmdError: values that are not positive, or fewer than three points.
    """
    a, b = _values(x, "x"), _values(y, "y")
    if a.shape != b.shape or a.size < 3 or (a <= 0).any() or (b <= 0).any():
        raise MlcgmdError(f"a power law needs three or more pairs of positive values, not {a.tolist()} and {b.tolist()}")
    fit = linregress(np.log(a), np.log(b))
    return Estimate(float(fit.slope), float(fit.stderr))
