"""Is a simulation as MD? Each measure with MD's own error, what a perfect model would read, and a verdict."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..arguments import Number, positive
from ..errors import MlcgmdError
from . import estimates
from .distances import expected_difference, expected_distance
from .ensemble import Case, Ensemble, HasCoarse, cases, composition
from .measures import MEASURES, Measure, conducts, measures_of
from .molecules import ConstantMapError
from .observables import WIDTH, Common
from .statistics import ConstantSeriesError, Estimate, TooShortError

Source = xr.Dataset | HasCoarse | Ensemble
DISCARD = 0.05
"""Share of a simulation that is left out by default: it starts from frames of MD and needs a while to forget them."""
TOLERANCE = 2.5
"""A model differs from MD where it is further off than this multiple of what a perfect one is on average: about two standard errors."""
BOX = 0.03
"""Share by which the box edges of runs of one system may differ: each seed has the volume of its own equilibration."""
USELESS = 0.5
"""Statistical errors of more than this share of MD's value tell nothing."""
MOST = 20_000_000
"""Coordinates that a distance is taken from; of longer runs fewer frames."""
WITHIN, DIFFERS, UNKNOWN, FAILED = "within MD's error", "differs", "cannot be told", "failed"
COLUMNS = ("system", "measure", "words", "unit", "md", "md_error", "value", "error", "difference", "perfect", "verdict", "target")


def compare(
    md: Source | Sequence[Source],
    run: Source | Sequence[Source],
    discard: float | None = None,
    temperature: float | None = None,
    measures: Sequence[Measure] = MEASURES,
) -> pd.DataFrame:
    """Measure simulations against MD of the same systems: a row for each system and each measure that applies to it.

    Columns: ``system``, ``measure`` (its id), ``words``, ``unit``; ``md`` and ``value`` with their standard errors ``md_error`` and
    ``error``; ``difference``; ``perfect``: what a perfect model would have for it on average, sampled as this one, against this MD;
    ``verdict``: "within MD's error", "differs", "cannot be told" (errors unknown or too large) or "failed" (no replica lived to the
    end); ``target``. A distance to MD is its own difference, and has for ``md`` that between parts of MD. The row "failed" has the
    share of replicas that failed.

    Args:
        md: of one or several systems, as beads; runs named ``set/test-000-0``, ``set/test-000-1`` are seeds of one, all others systems.
        run: one simulation of each system.
        discard: time at the start of a simulation that is left out; by default :data:`DISCARD` of it.
        temperature: K; conductivities are left out without it.
        measures: what to measure.

    Returns:
        The table.

    Raises:
        MlcgmdError: a simulation without MD or of other beads, none at all or no frames left; or a temperature for charges that are not
            known or not neutral.

    >>> from mlcgmd.data import mapping, readers, simulation
    >>> from mlcgmd.paths import SHIPPED
    >>> (run,) = simulation.load(SHIPPED / "simulations" / "kg-melt.nc")
    >>> files = [SHIPPED / "kg-melt" / f"melt-2.{kind}.gz" for kind in ("dump", "data")]
    >>> fine = readers.load(*files, system=run.attrs["system"], component_name={"(1)30": "chain"})
    >>> md = mapping.partition(fine, run.attrs["level"]).apply(fine)
    >>> table = compare(md, run).set_index("measure")
    >>> bool(abs(table.value["rg2"] / table.md["rg2"] - 1) < 0.1)
    True
    """
    positive("K", optional=True)("temperature", temperature)
    seeds, runs = ensembles(md, run, discard)
    found = cases(seeds, runs)
    rows: list[dict[str, Any]] = []
    for model in runs:
        name = composition(model.name)
        of_one = found[name]
        for other in (*of_one.md, model):
            _check_alike(of_one.md[0], other)
        if temperature is not None:
            _check_charges(of_one.md[0])
        common = _common(of_one, model, temperature)
        share = model.failed / (model.failed + len(model.position))
        rows.append(
            {"system": name, "measure": "failed", "words": "share of replicas that failed", "unit": "", "md": 0.0, "value": share}
            | {"md_error": 0.0, "error": 0.0, "difference": share, "perfect": 0.0, "target": "0"}
            | {"verdict": WITHIN if share == 0 else DIFFERS if share < 1 else FAILED}
        )
        for measure in measures_of(of_one.md[0], measures):
            if temperature is None and measure.id.startswith("conductivity"):
                continue
            row = {"system": name, "measure": measure.id, "words": measure.words, "unit": measure.unit, "target": measure.target}
            rows.append(row | (_distance(measure, model, common) if measure.distance else _value(measure, model, common)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def ensembles(
    md: Source | Sequence[Source], run: Source | Sequence[Source], discard: float | None
) -> tuple[list[Ensemble], list[Ensemble]]:
    """MD and simulations as :func:`compare` takes them; arguments and errors as there."""
    Number(least=0, optional=True, unit="the time unit of the runs")("discard", discard)
    seeds, runs = [Ensemble.of(source) for source in _several(md)], [_settled(source, discard) for source in _several(run)]
    if not (seeds and runs):
        raise MlcgmdError("there is no MD, or no simulation, to compare; give at least one of each")
    names = [e.name for e in seeds]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MlcgmdError(f"two MD runs are called {twice[0]!r}; give each a name of its own, as in load(..., system=...)")
    return seeds, runs


def _several(source: Source | Sequence[Source]) -> list[Source]:
    return list(source) if isinstance(source, Sequence) else [source]


def _settled(source: Source, discard: float | None) -> Ensemble:
    whole = Ensemble.of(source)
    return Ensemble.of(whole, DISCARD * whole.length if discard is None and np.isfinite(whole.interval) else discard or 0.0)


def _check_alike(md: Ensemble, other: Ensemble) -> None:
    if len(md.mass) != len(other.mass) or not np.allclose(md.mass, other.mass, rtol=1e-4):
        raise MlcgmdError(
            f"{md.name} has {len(md.mass)} beads, {other.name} has {len(other.mass)}, or of other masses: compare the same beads,"
            " with MD coarse-grained at the level of the model"
        )
    if md.units != other.units:
        raise MlcgmdError(f"{md.name} is in {', '.join(md.units)}, {other.name} in {', '.join(other.units)}; compare in one set of units")
    kinds = [[e.component_name[k] for k in e.component] for e in (md, other)]
    if kinds[0] != kinds[1] or (md.box is None) != (other.box is None):
        raise MlcgmdError(f"{md.name} and {other.name} differ in their components or in having a box; compare the same system")
    if md.box is not None and other.box is not None and not np.allclose(md.box, other.box, rtol=BOX):
        raise MlcgmdError(f"{md.name} has a box of {md.box.tolist()}, {other.name} one of {other.box.tolist()}; compare the same system")


def _check_charges(md: Ensemble) -> None:
    """Refuse ions that would conduct if their charges were known, or added up to none."""
    if md.box is None or md.units[0] != "angstrom" or md.charge is None or not md.charge.any() or conducts(md):
        return
    charges = dict(zip(md.component_name, md.charge.tolist(), strict=True))
    raise MlcgmdError(
        f"{md.name}: the charges of a molecule are {charges} e, which are not known or leave the box charged, so that there is no"
        " conductivity; correct them, as in run['charge'] = ('species', [...]), or leave temperature= out"
    )


def _common(case: Case, model: Ensemble, temperature: float | None) -> Common:
    intervals = [e.interval for e in (*case.md, model) if np.isfinite(e.interval)]
    r_max = case.r_max(WIDTH[model.units[0]]) if model.box is not None else 0.0
    return Common(tuple(case.md), max(intervals, default=np.inf), r_max, temperature)


def _estimate(measure: Measure, ensemble: Ensemble, common: Common) -> Estimate:
    try:
        value = measure.value(ensemble, common, *measure.names)
    except (TooShortError, ConstantSeriesError):
        return Estimate(np.nan, np.nan)
    assert isinstance(value, Estimate)
    return value


def _value(measure: Measure, model: Ensemble, common: Common) -> dict[str, Any]:
    """A value and MD's: their difference is judged by both errors."""
    md = estimates.mean([_estimate(measure, e, common) for e in common.md])
    row: dict[str, Any] = {"md": md.value, "md_error": md.error}
    if not len(model.position):
        return row | {"verdict": FAILED}
    value, error = _estimate(measure, model, common)
    difference, perfect = abs(value - md.value), expected_difference(md.error, error)
    row |= {"value": value, "error": error, "difference": difference, "perfect": perfect}
    return row | {"verdict": _verdict(difference, perfect, perfect > USELESS * abs(md.value))}


def _verdict(difference: float, perfect: float, useless: bool = False) -> str:
    if not (np.isfinite(difference) and np.isfinite(perfect)):
        return UNKNOWN
    if difference > TOLERANCE * perfect + 1e-12:
        return DIFFERS
    return UNKNOWN if useless else WITHIN


def _distance(measure: Measure, model: Ensemble, common: Common) -> dict[str, Any]:
    """A distance, and that which two exact runs of these lengths have."""
    assert measure.distance is not None
    parts = [part for e in common.md for part in _thinned(e, model, common).split(estimates.PARTS)]
    if not parts[0].position.shape[1]:
        return {"verdict": FAILED if not len(model.position) else UNKNOWN}
    try:
        samples = [np.asarray(measure.value(part, common, *measure.names)) for part in parts]
        amounts = [len(part.frames) for part in parts]
        own = np.mean([measure.distance.between(a, b) for a, b in itertools.combinations(samples, 2)])
        if not len(model.position):
            return {"md": own, "verdict": FAILED}
        thin = _thinned(model, model, common)
        md = measure.distance.pool(samples)
        found = measure.distance.between(md, np.asarray(measure.value(thin, common, *measure.names)))
        perfect = expected_distance(measure.distance, samples, amounts, len(thin.frames))
    except ConstantMapError:
        return {"verdict": UNKNOWN}
    return {"md": own, "value": found, "difference": found, "perfect": perfect, "verdict": _verdict(found, perfect)}


def _thinned(ensemble: Ensemble, model: Ensemble, common: Common) -> Ensemble:
    """MD and model with frames equally far apart, so that each frame of one is worth as much as one of the other."""
    coordinates = max(e.position.size * e.interval / common.interval if np.isfinite(e.interval) else 0 for e in (*common.md, model))
    interval = common.interval * max(1.0, np.ceil(coordinates / MOST))
    step = max(1, round(interval / ensemble.interval)) if np.isfinite(interval) and np.isfinite(ensemble.interval) else 1
    return ensemble.part(slice(None, None, step))
