"""Estimates that tables of MD against simulations share: means, relaxation, diffusion and ions of an :class:`.Ensemble`.

What is measured of a simulation is measured as of MD: diffusion over the lags in which MD is diffusive, relaxation and errors with NaN
where a series is too short for them, so that a table keeps the row.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from . import statistics, transport
from .distances import RELATIVE, expected_distance
from .ensemble import Ensemble, Species

CONTACT = 1.5
"""Two beads are in contact below this multiple of the mean CG bond length."""
PARTS = 4
"""Parts of an MD run whose distances from each other tell how far two exact samples are apart."""


def standard_error(values: np.ndarray) -> float:
    """As :func:`.statistics.standard_error`; NaN of a series that is too short for one."""
    try:
        return statistics.standard_error(values)
    except statistics.TooShortError:
        return np.nan


def relaxation(values: np.ndarray, interval: float) -> statistics.Estimate:
    """As :func:`.statistics.relaxation_time`; NaN of a series that is too short for one."""
    try:
        with warnings.catch_warnings():
            # A relaxation within the frame interval is given as its upper bound; its large error goes into the table.
            warnings.simplefilter("ignore", RuntimeWarning)
            return statistics.relaxation_time(values, interval)
    except statistics.TooShortError:
        return statistics.Estimate(np.nan, np.nan)


def perfect_emd(md: np.ndarray, interval: float, model: np.ndarray, model_interval: float) -> float:
    """EMD of Rg^2 over MD's mean that a perfect model would have: of series (R, F) of MD and model, by their lengths in time."""
    parts = [part.ravel() for part in np.array_split(md, PARTS, axis=1)]
    if not all(map(len, parts)):
        return np.nan
    return expected_distance(RELATIVE, parts, [interval * len(part) for part in parts], model_interval * model.size)


def centre_diffusion(ensemble: Ensemble, md: Sequence[Ensemble], shortest: float = 0.0) -> statistics.Estimate:
    """D of the centre of mass of a lone molecule, over the lags that :func:`.transport.centre_window` finds for MD, in length^2 over time.

    In cm^2/s where lengths are in angstrom. NaN where a run is too short, or MD has its centre held.

    Args:
        ensemble: MD or simulation of it.
        md: its seeds.
        shortest: lag of the fit, such as the frame interval of the simulation.
    """
    interval = md[0].interval
    frames = min(run.position.shape[1] for run in md)
    centres = [run.centre()[:, :frames] for run in md]
    try:
        msd = np.concatenate([transport.mean_squared_displacement(centre) for centre in centres]).mean(axis=0)
        if not (msd[1:] > 0).all():
            return statistics.Estimate(np.nan, np.nan)
        low, high = transport.centre_window(msd, max(1.0, shortest / interval))
        fit = transport.diffusion(ensemble.centre(), ensemble.interval, (low * interval, high * interval))
    except statistics.TooShortError:
        return statistics.Estimate(np.nan, np.nan)
    scale = 1 if ensemble.units[0] == "angstrom" else 1 / transport.CM2_PER_S
    return statistics.Estimate(scale * fit.value, scale * fit.error)


def md_window(md: Sequence[Ensemble], species: Species) -> transport.Window:
    """Fit range of a species, in time units: that of the MSD of all MD runs together.

    Raises:
        TooShortError: as :func:`.transport.fit_window`.
    """
    runs = [s.sites(species) for s in md]
    frames = min(r.shape[1] for r in runs)
    msd = np.mean([transport.mean_squared_displacement(r)[0, :frames] for r in runs], axis=0)
    window = transport.fit_window(msd)
    interval = md[0].interval
    return window._replace(low=window.low * interval, high=window.high * interval)


def fits(runs: Sequence[Ensemble], species: Species, window: tuple[float, float] | None) -> list[transport.Fit]:
    """Fits of D over ``window``, or over a run's own range where it does not hold that; none if a run is too short for any."""
    found = []
    for run in runs:
        try:
            holds = window is not None and window[1] <= 0.5 * run.length
            molecules = len(run.molecules(species.component))
            found.append(transport.diffusion(run.sites(species), run.interval, window if holds else None, molecules))
        except statistics.TooShortError:
            return []
    return found


def scatter(values: Sequence[tuple[float, float]]) -> float:
    """How much independent (value, error) differ, over what their errors say (Birge ratio); NaN of one."""
    value, error = (np.array(x) for x in zip(*values, strict=True))
    return float(np.sqrt((((value - value.mean()) / error) ** 2).sum() / (len(value) - 1))) if len(value) > 1 else np.nan


def mean(values: Sequence[tuple[float, float]]) -> statistics.Estimate:
    """Mean of independent (value, error) and its error.

    It is that of their own errors or, if that is more, of how much they differ: an error from one run knows nothing of what takes longer
    than the run. So is the scale factor of the Particle Data Group.
    """
    value, error = (np.array(x) for x in zip(*values, strict=True))
    known = [float(np.sqrt((error**2).sum()) / len(value))] if np.isfinite(error).all() else []
    differ = [float(value.std(ddof=1) / np.sqrt(len(value)))] if len(value) > 1 else []
    return statistics.Estimate(value.mean(), max([*known, *differ], default=np.nan))


def ions(ensemble: Ensemble, species: Mapping[str, Species]) -> dict[str, float]:
    """Charge (e) of each species that has one, cations first; none unless all charges are known and add up to zero."""
    if ensemble.charge is None or not np.isfinite(ensemble.charge).all():
        return {}
    charge = {label: float(ensemble.charge[ensemble.component_name.index(s.component)]) for label, s in species.items()}
    total = sum(z * len(ensemble.molecules(species[label].component)) for label, z in charge.items())
    found = dict(sorted(((label, z) for label, z in charge.items() if z), key=lambda item: -item[1]))
    return found if found and abs(total) < 1e-6 else {}
