"""Every estimator beside the exact answer: what the analysis measures on a Rouse chain and on its beads, and what it should."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from ..analysis import information, molecules, observables, statistics, transport
from ..analysis.ensemble import Ensemble
from ..analysis.observables import Common
from ..analysis.statistics import Estimate
from ..data.mapping import CoarseGraining, partition
from ..data.trajectory import frame_interval
from ..md.rouse import DIMENSIONS, Rouse, RouseSpec

Check = tuple[str, float, Estimate]
"""Quantity, its closed form, what is measured."""
LAG = 2
"""Frames over which slow modes are measured."""
MODES = 3
"""Modes of a bond graph whose products are the features for that."""
SLOW = 3
"""Slow components."""
MEAN_LENGTH = np.sqrt(8 / (3 * np.pi))
"""Mean length of an isotropic Gaussian vector over its root mean square."""


def checks(spec: RouseSpec, run: xr.Dataset, level: float) -> pd.DataFrame:
    """All estimators on the exact trajectory ``run`` of ``spec`` and on its beads of ``level`` particles.

    Returns:
        Of each quantity a row with ``quantity``, ``exact``, ``estimate``, its standard ``error``, and ``sigma``, the deviation in that.
    """
    mapping = partition(run, level)
    rows = [*of_particles(spec, run), *of_beads(spec.exact, run, mapping), *of_mapping(spec.exact, run, mapping)]
    table = pd.DataFrame([(q, exact, *estimate) for q, exact, estimate in rows], columns=["quantity", "exact", "estimate", "error"])
    return table.assign(sigma=(table.estimate - table.exact) / table.error)


def of_particles(spec: RouseSpec, run: xr.Dataset) -> Iterator[Check]:
    """Static and dynamic observables of the particles."""
    exact, position, interval = spec.exact, run.position.values, frame_interval(run)
    energy, middle = run.potential_energy.values.astype(float), exact.n // 2
    yield "mean energy (kT)", exact.mean(exact.stiffness) / 2, statistics.mean(energy)
    yield "variance of the energy (kT^2)", exact.variance(exact.stiffness / 2), statistics.mean((energy - energy.mean()) ** 2)
    ends = molecules.end_to_end_distance(position, (0, middle))
    yield "squared distance of two particles (sigma^2)", exact.mean(exact.distance(0, middle)), statistics.mean(ends**2)
    rg2, gyration = molecules.radius_of_gyration_squared(position, run.mass.values), exact.gyration
    yield "Rg^2 (sigma^2)", exact.mean(gyration), statistics.mean(rg2)
    yield "variance of Rg^2 (sigma^4)", exact.variance(gyration), statistics.mean((rg2 - rg2.mean()) ** 2)
    yield "relaxation time of Rg^2 (tau)", exact.relaxation_time(gyration), statistics.relaxation_time(rg2, interval)
    lag = max(1, round(exact.relaxation_time(gyration) / interval))
    deviation = rg2 - rg2.mean()
    error = statistics.ratio(deviation[lag:] * deviation[:-lag], deviation[:-lag] ** 2).error
    correlation = Estimate(float(statistics.autocorrelation(rg2)[lag]), error)
    yield "autocorrelation of Rg^2 after that", exact.variance(gyration, lag * interval) / exact.variance(gyration), correlation
    centre = position.astype(float).mean(axis=1)[None, :, None]
    fit = transport.diffusion(centre, interval, window=(interval, 20 * interval))
    yield "diffusion of the centre of mass (sigma^2/tau)", exact.diffusion, Estimate(*(x / transport.CM2_PER_S for x in fit[:2]))
    moved = ((position[LAG:, 0].astype(float) - position[:-LAG, 0]) ** 2).sum(axis=1)
    msd = transport.mean_squared_displacement(position[None, :, :1])[0, LAG]
    first = np.eye(exact.n)[:1]
    yield (
        "mean squared displacement of a particle (sigma^2)",
        float(exact.displacement(LAG * interval, first)[0]),
        Estimate(float(msd), statistics.standard_error(moved)),
    )
    slow = information.slow_features(position, run.bond.values, MODES)
    yield from _slow("particles", exact, exact.modes[:, :MODES].T, slow, interval)


def _slow(of: str, exact: Rouse, modes: np.ndarray, features: np.ndarray, interval: float) -> Iterator[Check]:
    eigenvalues = exact.quadratic_eigenvalues(LAG * interval, modes)
    yield f"VAMP-2 of {of}", float((eigenvalues[:SLOW] ** 2).sum()), information.kinetic_content(features, LAG, SLOW)
    time = information.implied_time(features, LAG, SLOW)
    exact_time = -LAG * interval / np.log(eigenvalues[:SLOW]).mean()
    yield f"implied time of {of} (tau)", float(exact_time), Estimate(*(interval * x for x in time))


def slow_map(coarse: xr.Dataset, matrix: np.ndarray, modes: int) -> np.ndarray:
    """The map (modes, N) from particles to the slowest modes of the graph of the beads, those of :func:`.information.slow_features`."""
    return Rouse(coarse.bond.values.tolist()).modes[:, :modes].T @ matrix


def of_beads(exact: Rouse, run: xr.Dataset, mapping: CoarseGraining) -> Iterator[Check]:
    """Measures of the analysis on the beads."""
    beads, matrix = Ensemble.of(mapping.apply(run)), mapping.matrix.toarray().astype(float)
    common = Common((beads,), beads.interval, 0.0)
    weight = np.diag(mapping.mass) / mapping.mass.sum()
    centred = np.eye(mapping.n_beads) - mapping.mass / mapping.mass.sum()
    gyration = exact.of_points(centred.T @ weight @ centred, matrix)
    yield "Rg^2 of the beads (sigma^2)", exact.mean(gyration), observables.size(beads, common, "chain")
    yield "Rg^2 of the particles, from the beads (sigma^2)", exact.mean(exact.gyration), observables.size(beads, common, "chain", True)
    inside = molecules.internal_rg2(run.position.values, run.mass.values, mapping.bead, mapping.n_beads)
    yield "Rg^2 inside the beads (sigma^2)", exact.mean(exact.gyration) - exact.mean(gyration), statistics.mean(inside)
    yield "relaxation time of Rg^2 of the beads (tau)", exact.relaxation_time(gyration), observables.relaxation(beads, common, "chain")
    step = exact.covariance(0, matrix) - exact.covariance(beads.interval, matrix)
    yield (
        "displacement of the beads in one frame (sigma)",
        float(np.sqrt(2 * DIMENSIONS * np.diag(step).mean())),
        observables.displacement(beads, common, "chain"),
    )
    pairs = [matrix[i] - matrix[j] for i, j in mapping.bond]
    lengths = observables.bond_lengths(beads, common).reshape(-1, len(pairs)).mean(axis=1)
    spread = [DIMENSIONS * d @ exact.covariance() @ d for d in pairs]
    yield "mean length of CG bonds (sigma)", MEAN_LENGTH * float(np.sqrt(spread).mean()), statistics.mean(lengths)
    first, last = 0, mapping.n_beads // 2
    ends = matrix[first] - matrix[last]
    cutoff = float(np.sqrt(DIMENSIONS * ends @ exact.covariance() @ ends))
    near = molecules.end_to_end_distance(beads.frames, (first, last)) <= cutoff
    contact = Estimate(float(beads.contacts(cutoff)[first, last]), statistics.standard_error(near))
    yield "contacts of two beads", exact.contact(ends, cutoff), contact


def of_mapping(exact: Rouse, run: xr.Dataset, mapping: CoarseGraining) -> Iterator[Check]:
    """What the mapping keeps: every estimator of :mod:`.analysis.information`."""
    coarse, matrix, interval = mapping.apply(run), mapping.matrix.toarray().astype(float), frame_interval(run)
    found, forms = kept(exact, run, coarse), properties(exact)
    lost = {name: exact.unexplained(form, matrix) for name, form in forms.items()}
    share = {name: 1 - lost[name] / exact.variance(form) for name, form in forms.items()}
    yield "R^2 of Rg^2", share["rg2"], found["r2.rg2"]
    yield "R^2 of a squared distance", share["distance"], found["r2.distance"]
    yield "share of temperature Fisher information", share["energy"], found["fisher"]
    yield "mapping entropy (k_B)", lost["energy"] / 2, found["mapping_entropy"]
    modes = slow_map(coarse, matrix, MODES)
    eigenvalues, of_particles = (exact.quadratic_eigenvalues(LAG * interval, m) for m in (modes, exact.modes[:, :MODES].T))
    yield "share of VAMP-2", float((eigenvalues[:SLOW] ** 2).sum() / (of_particles[:SLOW] ** 2).sum()), found["kinetic"]
    yield "share of the implied time", float(np.log(of_particles[:SLOW]).sum() / np.log(eigenvalues[:SLOW]).sum()), found["time"]
    slow = information.slow_features(coarse.position.values, coarse.bond.values, MODES)
    yield from _slow("beads", exact, modes, slow, interval)
    position = coarse.position.values.astype(float)
    position -= (mapping.mass @ position / mapping.mass.sum())[:, None]
    none, one, two = (exact.log_likelihood(position, interval, known, matrix) for known in (0, 1, 2))
    yield "predictive information of a step (nats)", exact.predictive_information(interval, matrix), information.gain(one, none)
    yield "memory (nats per step)", exact.memory(interval, matrix), information.gain(two, one)
    step, noise = exact.propagator(interval, matrix)
    left = ((position[1:] - np.einsum("ij,fjx->fix", step, position[:-1])) ** 2).sum(axis=(1, 2))
    yield "squared noise of a step of the beads (sigma^2)", DIMENSIONS * float(np.trace(noise)), statistics.mean(left)


def properties(exact: Rouse) -> dict[str, np.ndarray]:
    """Observables that a mapping may keep, as forms: Rg^2, the squared distance of two particles, the energy in kT."""
    return {"rg2": exact.gyration, "distance": exact.distance(0, exact.n // 2), "energy": exact.stiffness / 2}


def kept(exact: Rouse, run: xr.Dataset, coarse: xr.Dataset) -> dict[str, Estimate]:
    """:func:`.information.kept` of the beads ``coarse`` of a Rouse chain ``run``."""
    position, bond = run.position.values, run.bond.values
    series = {
        "rg2": molecules.radius_of_gyration_squared(position, run.mass.values),
        "distance": molecules.end_to_end_distance(position, (0, exact.n // 2)) ** 2,
    }
    return information.kept(
        information.pair_features(coarse.position.values),
        information.slow_features(coarse.position.values, coarse.bond.values, MODES),
        information.slow_features(position, bond, MODES),
        series,
        run.potential_energy.values,
        LAG,
        SLOW,
    )
