"""Transport: mean squared displacements, self-diffusion, ionic conductivity and transference.

Positions are unwrapped, in angstrom, (R, F, n, 3) of R replicas of F frames; times in ps; diffusion coefficients in cm^2/s;
conductivities in S/cm. Everything is fitted to a mean squared displacement, in a range of lags that its own
logarithmic slope chooses (:func:`fit_window`), by generalised least squares (:func:`diffusion`).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import constants, fft
from scipy.optimize import curve_fit
from scipy.signal import savgol_filter

from ..errors import MlcgmdError
from .statistics import TooShortError

CM2_PER_S = 1e-4
"""1 angstrom^2/ps in cm^2/s."""
CM3 = 1e-24
"""1 angstrom^3 in cm^3."""
TOLERANCE = 0.15
"""Motion counts as diffusive where the local exponent is within this of 1."""
MAX_LAG = 0.2
"""Longest lag of a fit, as a fraction of the run: beyond, too few independent displacements are left."""
SPAN = 4
"""Longest over shortest lag of a fit to a lone centre of mass: it diffuses from the start, and long lags are few."""
PER_OCTAVE = 8
"""Points of the local exponent per doubling of the lag."""
POINTS = 5
"""Most lags that a fit takes, equally spaced in their logarithm. More of them say hardly more (the spread of D falls by 5 %), and are so
correlated that a little noise that is not Brownian, such as rattling in a cage, decides."""


class Window(NamedTuple):
    """Range of lags of a fit."""

    low: float
    high: float
    exponent: float
    """d ln MSD / d ln t, mean over the range"""
    diffusive: bool
    """whether that is within :data:`TOLERANCE` of 1"""


class Fit(NamedTuple):
    """A coefficient from the slope of a mean squared displacement, its standard error, and where the slope was taken."""

    value: float
    error: float
    window: tuple[float, float]
    """shortest and longest lag, ps"""
    exponent: float
    exponent_error: float
    """its standard error"""
    diffusive: bool
    """whether the exponent is within :data:`TOLERANCE` of 1, and within two of its standard errors; if not, D is an apparent one"""


def _replicas(position: ArrayLike, interval: float = 1.0) -> np.ndarray:
    array = np.asarray(position)
    if array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape:
        raise MlcgmdError(f"position must have shape (replicas, frames, particles, 3), none of them 0, not {array.shape}")
    if not np.isfinite(array).all():
        replica, frame, particle, _ = np.argwhere(~np.isfinite(array))[0]
        raise MlcgmdError(f"replica {replica}: particle {particle} in frame {frame} is not finite; leave this replica out or cut the run")
    if not interval > 0:
        raise MlcgmdError(f"the frame interval must be positive, not {interval}")
    return array


def endpoint_diffusion(position: np.ndarray, duration: float) -> float:
    """Mean over particles of |r(T) - r(0)|^2 / (6 T) in cm^2/s, from ``position`` (F, n, 3) whose ends are ``duration`` T ps apart.

    The definition of TRI-AMDD/htp_md: the two ends only. No drift is removed here; htp_md takes positions of :func:`remove_drift`.

    Raises:
        MlcgmdError: not a trajectory of two or more frames of finite positions, or a duration that is not positive.
    """
    position = np.asarray(position)
    if position.ndim != 3 or position.shape[2] != 3 or len(position) < 2 or not position.shape[1]:
        raise MlcgmdError(f"position must have shape (frames, particles, 3) with two or more frames, not {position.shape}")
    if not duration > 0:
        raise MlcgmdError(f"the duration must be positive, not {duration}")
    step = position[-1].astype(np.float64) - position[0]
    if not np.isfinite(step).all():
        raise MlcgmdError(f"particle {np.argwhere(~np.isfinite(step))[0][0]} is not finite in the first or last frame; cut the run")
    return float((step**2).sum(axis=1).mean() / (6 * duration) * CM2_PER_S)


def remove_drift(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """``position`` (R, F, n, 3) of a whole system in the frame of its centre of mass; ``mass`` (n,), float64 out.

    In a small box the drift of the whole is no small part of how far an ion goes.

    Raises:
        MlcgmdError: wrong shapes, positions that are not finite, masses that are not positive.
    """
    position = _replicas(position)
    mass = np.asarray(mass, np.float64)
    if mass.shape != position.shape[2:3] or not (np.isfinite(mass) & (mass > 0)).all():
        raise MlcgmdError(f"mass must hold {position.shape[2]} positive numbers, one per particle of the whole system, not {mass.shape}")
    centre = np.einsum("rfnx,n->rfx", position, mass) / mass.sum()
    return position - centre[:, :, None]


def mean_squared_displacement(position: np.ndarray) -> np.ndarray:
    """MSD (R, F) of lags 0 .. F - 1 frames of each replica, in angstrom^2: mean over particles and all time origins.

    With S(t) = |r(t)|^2, the sum over origins of |r(s + t) - r(s)|^2 is that of S(s) + S(s + t), a running sum, less twice an
    autocorrelation, an FFT: O(F log F) (Calandrini et al. 2011, section 2.2).

    Raises:
        MlcgmdError: wrong shape or positions that are not finite.
    """
    position = _replicas(position)
    frames = position.shape[1]
    size = fft.next_fast_len(2 * frames, real=True)
    result = np.zeros(position.shape[:2])
    origins = frames - np.arange(frames)
    for replica, r in zip(result, position, strict=True):
        x = r.astype(np.float64)
        x -= x.mean(axis=0)
        power = (np.abs(fft.rfft(x, size, axis=0)) ** 2).sum(axis=(1, 2))
        products = fft.irfft(power, size)[:frames]
        square = np.concatenate([[0.0], np.cumsum((x**2).sum(axis=(1, 2)))])
        ends = square[origins] + square[-1] - square[np.arange(frames)]
        replica[1:] = ((ends - 2 * products) / (origins * r.shape[1]))[1:]
    return result


def local_exponent(msd: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Lags (k,) in frames, equally spaced in their logarithm from 1 to ``longest``, and d ln MSD / d ln t there (k,).

    The slope is that of a straight line through the octave about each lag; ``msd`` (F,) starts at lag 0.

    Raises:
        MlcgmdError: fewer than two lags, or an MSD that is not positive.
    """
    msd = np.asarray(msd, np.float64)
    if msd.ndim != 1 or not 2 <= longest < len(msd):
        raise MlcgmdError(f"the longest lag must be 2 to {len(msd) - 1} frames for an MSD of shape {msd.shape}, not {longest}")
    if not (np.isfinite(msd[1:]) & (msd[1:] > 0)).all():
        raise MlcgmdError("the MSD is not positive at each lag: the particles do not move; is this one frame, repeated?")
    points = np.linspace(0, np.log(longest), int(PER_OCTAVE * np.log2(longest)) + 1)
    values = np.interp(points, np.log(np.arange(1, len(msd))), np.log(msd[1:]))
    slope = savgol_filter(values, PER_OCTAVE + 1, polyorder=1, deriv=1, delta=points[1])
    return np.exp(points), slope


def fit_window(msd: np.ndarray) -> Window:
    """Where to fit an MSD (F,): lags in frames.

    The longest range, on the logarithmic axis, in which the local exponent is within :data:`TOLERANCE` of 1, among lags up to
    :data:`MAX_LAG` of the run. If that is shorter than an octave, it is the last octave, and unless its mean exponent
    is within the tolerance, ``diffusive`` is false: D is then an upper bound where the exponent is below 1.

    Raises:
        TooShortError: fewer than four frames.
        MlcgmdError: an MSD that is not positive.
    """
    if len(msd) < 4:
        raise TooShortError(f"{len(msd)} frames are too few for a diffusion coefficient; give at least 4")
    longest = max(2, int(MAX_LAG * len(msd)))
    lags, exponent = local_exponent(msd, longest)
    edges = np.flatnonzero(np.diff(np.r_[0, np.abs(exponent - 1) <= TOLERANCE, 0]))
    ranges = edges.reshape(-1, 2)
    first, last = ranges[np.argmax(np.diff(ranges, axis=1))] if len(ranges) else (0, 0)
    if last - first <= PER_OCTAVE:
        first, last = len(lags) - PER_OCTAVE - 1, len(lags)
    mean = float(exponent[first:last].mean())
    return Window(float(lags[first]), float(lags[last - 1]), mean, abs(mean - 1) <= TOLERANCE)


def centre_window(msd: np.ndarray, shortest: float) -> tuple[float, float]:
    """Where to fit the MSD (F,) of the centre of mass of a lone molecule in an implicit solvent: lags in frames.

    Nothing holds the centre back but friction, so that it diffuses once the velocity is forgotten, and the shortest lags tell most:
    from ``shortest`` (in frames), or from where the local exponent is within :data:`TOLERANCE` of 1 if that is later, to :data:`SPAN`
    times that.

    Raises:
        TooShortError: fewer frames than that, or an MSD that is nowhere diffusive.
        MlcgmdError: an MSD that is not positive.
    """
    longest = max(2, int(MAX_LAG * len(msd)))
    if len(msd) < 4 or longest < shortest:
        raise TooShortError(f"{len(msd)} frames hold too few lags of {shortest:g}; give a longer run")
    lags, exponent = local_exponent(msd, longest)
    free = lags[(lags >= shortest - 1e-9) & (np.abs(exponent - 1) <= TOLERANCE)]
    if not len(free) or SPAN * free[0] >= len(msd):
        raise TooShortError(f"in {len(msd)} frames the MSD is diffusive over no lags from {shortest:g} on; give a longer run")
    return float(free[0]), SPAN * float(free[0])


def free_diffusion(mass: float, friction: float, temperature: float = 1.0) -> float:
    r"""Exact D of the centre of mass of a molecule under Langevin dynamics with no hydrodynamics, :math:`kT / (M\gamma)`.

    Forces between particles add up to zero, so that the centre feels friction and noise only, whatever the molecule looks like.

    Args:
        mass: M of the whole molecule.
        friction: :math:`\gamma`, one over time, the same for all particles.
        temperature: kT, mass times length squared over time squared; 1 in reduced units.

    >>> free_diffusion(100.0, 0.5)
    0.02

    Raises:
        MlcgmdError: one of them is not positive.
    """
    if not (mass > 0 and friction > 0 and temperature > 0):
        raise MlcgmdError(f"mass ({mass}), friction ({friction}) and temperature ({temperature}) must be positive")
    return temperature / (mass * friction)


def _straight(x: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    return slope * x + intercept


def _least_squares(x: np.ndarray, y: np.ndarray, covariance: np.ndarray) -> tuple[float, float]:
    """Slope of a straight line through correlated values by generalised least squares, and its standard error."""
    best, errors = curve_fit(_straight, x, y, p0=np.polyfit(x, y, 1), sigma=covariance, absolute_sigma=True)
    return float(best[0]), float(np.sqrt(errors[0, 0]))


def diffusion(position: np.ndarray, interval: float, window: tuple[float, float] | None = None, independent: int | None = None) -> Fit:
    r"""Self-diffusion coefficient of the particles (R, F, n, 3), frames ``interval`` ps apart: slope of the MSD / 6, in cm^2/s.

    A straight line through the MSD over up to :data:`POINTS` lags, by generalised least squares with the covariance that the MSD of
    n Brownian particles in F frames has for lags :math:`k \le l \ll F` (Qian et al. 1991, Bullerjahn et al. 2020),

    .. math:: \frac{2}{3 n F} \langle k \rangle \langle l \rangle\, k \left(1 - \frac{k}{3 l}\right)

    with :math:`\langle k \rangle` the MSD itself, smoothed by a power law; the standard error comes with it. The exponent is that of
    this law, fitted in the same way. Six Brownian particles over lags of 50 to 300 of 2,000 frames: D has a spread of 8 %, unweighted least
    squares 12 %.

    Args:
        position: unwrapped.
        interval: ps.
        window: range of lags in ps, so that two runs are compared over the same; by default that of :func:`fit_window`.
        independent: how many of the n particles move independently, such as the number of molecules that they are parts of; by default all.

    Raises:
        TooShortError: fewer than four frames, or the window is beyond the run.
        MlcgmdError: wrong shape, positions that are not finite or do not move, an interval that is not positive.
    """
    position = _replicas(position, interval)
    replicas, frames, particles = position.shape[:3]
    msd = mean_squared_displacement(position).mean(axis=0)
    chosen = fit_window(msd)
    low, high = (chosen.low, chosen.high) if window is None else (window[0] / interval, window[1] / interval)
    first = max(1, round(low))
    last = max(first + 1, round(high))
    if last >= frames:
        raise TooShortError(f"{frames} frames of {interval:g} ps hold no lag of {last * interval:g} ps; give a longer run or no window")
    lag = np.unique(np.geomspace(first, last, POINTS).round().astype(int))
    short, long = np.minimum.outer(lag, lag), np.maximum.outer(lag, lag)
    relative = 2 / 3 * short * (1 - short / (3 * long)) / (replicas * frames * (independent or particles))
    logarithm = np.log(lag), np.log(msd[lag])
    exponent, exponent_error = _least_squares(*logarithm, relative)
    law = np.exp(np.polyval(np.polyfit(*logarithm, 1), logarithm[0]))
    value, error = _least_squares(lag.astype(float), msd[lag], relative * np.outer(law, law))
    scale = CM2_PER_S / (6 * interval)
    diffusive = abs(exponent - 1) <= min(TOLERANCE, 2 * exponent_error)
    return Fit(scale * value, scale * error, (first * interval, last * interval), exponent, exponent_error, diffusive)


def _per_volume(volume: float, temperature: float) -> float:
    """e^2 / (V kT) in S/cm per cm^2/s; ``volume`` in angstrom^3, ``temperature`` in K."""
    if not (volume > 0 and temperature > 0):
        raise MlcgmdError(f"volume ({volume} angstrom^3) and temperature ({temperature} K) must be positive")
    return constants.e**2 / (volume * CM3 * constants.k * temperature)


def nernst_einstein(diffusion: ArrayLike, count: ArrayLike, charge: ArrayLike, volume: float, temperature: float) -> float:
    """Conductivity of ions that move independently, sum_k N_k z_k^2 D_k e^2 / (V kT), in S/cm.

    ``diffusion`` (k,) in cm^2/s of species with ``count`` (k,) ions of ``charge`` (k,) e in ``volume`` angstrom^3.

    Raises:
        MlcgmdError: shapes differ, or a volume or temperature that is not positive.
    """
    return float(_carried(diffusion, count, charge).sum() * _per_volume(volume, temperature))


def transference(diffusion: ArrayLike, count: ArrayLike, charge: ArrayLike) -> np.ndarray:
    """Share (k,) of each species in the :func:`nernst_einstein` conductivity; arguments and errors as there."""
    carried = _carried(diffusion, count, charge)
    return carried / carried.sum()


def _carried(diffusion: ArrayLike, count: ArrayLike, charge: ArrayLike) -> np.ndarray:
    d, n, z = (np.asarray(x, np.float64) for x in (diffusion, count, charge))
    if not d.shape == n.shape == z.shape or d.ndim != 1:
        raise MlcgmdError(f"diffusion {d.shape}, count {n.shape} and charge {z.shape} must be one number per species each")
    return n * z**2 * d


def charge_displacement(position: np.ndarray, charge: np.ndarray) -> np.ndarray:
    """Sum over particles of charge times position, (R, F, 1, 3) in e angstrom: one particle whose MSD is the collective one.

    Raises:
        MlcgmdError: wrong shapes, or charges that do not add up to zero, for then it depends on the drift of the box.
    """
    position = _replicas(position)
    charge = np.asarray(charge, np.float64)
    if charge.shape != position.shape[2:3]:
        raise MlcgmdError(f"charge must hold {position.shape[2]} numbers, one per particle, not {charge.shape}")
    if abs(charge.sum()) > 1e-6 * np.abs(charge).sum():
        raise MlcgmdError(f"the charges add up to {charge.sum():g} e, not zero; give all ions")
    return np.einsum("rfnx,n->rfx", position, charge)[:, :, None]


def collective_conductivity(
    position: np.ndarray,
    charge: np.ndarray,
    interval: float,
    volume: float,
    temperature: float,
    window: tuple[float, float] | None = None,
) -> Fit:
    """Conductivity with all correlations between ions (Einstein relation), in S/cm.

    Slope of the MSD of the :func:`charge_displacement` / (6 V kT); arguments and errors as there and in :func:`diffusion`. One
    displacement per box, so noisier than :func:`nernst_einstein` by about the square root of the number of ions: give
    it their ``window``.
    """
    fit = diffusion(charge_displacement(position, charge), interval, window)
    scale = _per_volume(volume, temperature)
    return fit._replace(value=scale * fit.value, error=scale * fit.error)


def collective_transference(position: np.ndarray, charge: np.ndarray, interval: float, window: tuple[float, float]) -> float:
    """Share of the cations in the collective conductivity, in the frame that ``position`` is given in.

    With P = P+ + P-, <dP+ dP> / <dP^2> = (<dP^2> + <dP+^2> - <dP-^2>) / (2 <dP^2>), each by its slope. In a
    small box it may well fall outside 0 .. 1. Take positions of :func:`remove_drift`; errors as :func:`diffusion`.
    """
    total = charge_displacement(position, charge)
    charge = np.asarray(charge, np.float64)
    cations = np.einsum("rfnx,n->rfx", position, np.clip(charge, 0, None))[:, :, None]
    both, plus, minus = (diffusion(p, interval, window).value for p in (total, cations, total - cations))
    return (both + plus - minus) / (2 * both)
