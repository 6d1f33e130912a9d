"""What is measured of chains whose beads change (:mod:`mlcgmd.paper.changing`): errors, what lifts leave as it is, and costs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy.stats import sem
from torch import Tensor

from ..analysis import baselines, molecules, particles
from ..analysis.ensemble import Ensemble
from ..analysis.statistics import emd
from ..data.mapping import CoarseGraining, partition
from ..data.partitions import Family
from ..errors import MlcgmdError
from ..model.lifter import Lifter
from ..parallel import processor_time
from .changing import Cut, Run, recut

OPEN = 0.8
"""Of training chains, the quantile of Rg^2 of the beads, over what a regression expects, above which a chain is open."""
SERIES = ("rg2", "ends", "apart")
"""What observables have of each frame."""


def seen(run: Run, cuts: Sequence[Cut], probe: particles.Probe, discard: int) -> particles.Observables:
    """What :class:`.particles.Probe` sees of the frames from ``discard`` on, each in its cut."""
    which = run.cut[:, discard:]
    found: particles.Observables | None = None
    for k in np.unique(which):
        there = which == k
        position, bead_rg2 = (of[k][:, discard:][there][None] for of in (run.position, run.bead_rg2))
        part = replace(Ensemble.of(cuts[k].system), position=position, bead_rg2=bead_rg2, interval=run.interval)
        here = probe.beads(cuts[k].mapping, part)
        if found is None:
            empty: dict[str, Any] = {name: np.empty((*which.shape, *getattr(here, name).shape[2:])) for name in SERIES}
            found = replace(here, **empty)
        for name in SERIES:
            getattr(found, name)[there] = getattr(here, name)[0]
    assert found is not None
    return found


def rows(name: str, run: Run, cuts: Sequence[Cut], fine: xr.Dataset, discard: int) -> dict[str, object]:
    """Of one chain: its signed errors of :data:`.particles.PROPERTIES`, what of them comes from sampling, and what was spent.

    ``fine``, the share of frames in cuts other than the first; ``lifts`` per replica and step.
    """
    probe = particles.Probe.of(fine)
    found = seen(run, cuts, probe, discard)
    chance = particles.sampling(found)
    return {
        "run": name,
        "chain": fine.attrs["system"],
        "fine": float((run.cut > 0).mean()),
        "lifts": run.lifts / run.cut.size,
        **particles.errors(probe.particles(), found),
        **{f"{of}.sampling": value for of, value in chance.items()},
    }


def md_halves(fine: xr.Dataset) -> dict[str, object]:
    """The same of the second half of MD against its first."""
    n = fine.sizes["frame"] // 2
    one, two = (particles.Probe.of(fine.isel(frame=part)).particles() for part in (slice(0, n), slice(n, 2 * n)))
    return {"run": "MD's halves", "chain": fine.attrs["system"], **particles.errors(one, two)}


def thresholds(training: Sequence[xr.Dataset], chains: Sequence[xr.Dataset], level: float, family: Family) -> np.ndarray:
    """Rg^2 of the beads of each of ``chains`` above which it is open, from its composition and the MD of training chains (:data:`OPEN`)."""
    sizes = []
    for run in training:
        mapping = partition(run, level, family)
        sizes.append(molecules.radius_of_gyration_squared(mapping.positions(run.position.values), mapping.mass))
    counts = np.stack([baselines.counts(run) for run in training])
    expected = baselines.Regression.fit(counts, np.array([x.mean() for x in sizes]))
    factor = np.quantile(np.concatenate([x / mean for x, mean in zip(sizes, expected(counts), strict=True)]), OPEN)
    return factor * expected(np.stack([baselines.counts(run) for run in chains]))


def round_trips(lifter: Lifter, cuts: Sequence[Cut], fine: xr.Dataset, frames: int, trips: Sequence[int], seed: int) -> pd.DataFrame:
    """MD's beads after so many round trips to those of the second cut and back, over particles, with no step between.

    A row for each number of ``trips``: of Rg^2 of the particles and of the bonds of the beads, earth mover's distance to the frames that
    it began with over MD's standard deviation, and the relative change of the mean. 0 trips: MD's frames halfway between.
    """
    first, other = _halves(fine, frames)
    generator = torch.Generator().manual_seed(seed)
    beads = torch.from_numpy(cuts[0].mapping.positions(first))
    found = [_apart(0, cuts[0].mapping, fine, first, other, cuts[0].mapping.positions(other))]
    for trip in range(1, max(trips) + 1):
        there, _ = recut(lifter, cuts[0], cuts[1], beads, generator)
        lifted = _lifted(lifter, cuts[1], there, generator)
        beads = torch.from_numpy(cuts[0].mapping.positions(lifted))
        if trip in trips:
            found.append(_apart(trip, cuts[0].mapping, fine, first, lifted, beads.numpy()))
    return pd.DataFrame(found)


def finer(lifter: Lifter, cut: Cut, mapping: CoarseGraining, fine: xr.Dataset, frames: int, seed: int) -> pd.DataFrame:
    """MD's beads lifted, and restricted to those of another mapping: rows as of :func:`round_trips`, of the beads of that."""
    first, other = _halves(fine, frames)
    lifted = _lifted(lifter, cut, torch.from_numpy(cut.mapping.positions(first)), torch.Generator().manual_seed(seed))
    return pd.DataFrame([_apart(trip, mapping, fine, first, x, mapping.positions(x)) for trip, x in ((0, other), (1, lifted))])


@torch.inference_mode()
def _lifted(lifter: Lifter, cut: Cut, beads: Tensor, generator: torch.Generator) -> np.ndarray:
    if cut.lifted is None:
        raise MlcgmdError(f"beads of {cut.mapping.level:g} particles are not of the lifter's level, {lifter.config.level:g}")
    return lifter.draw(cut.lifted, beads, generator).numpy()


def _halves(fine: xr.Dataset, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames (F, N, 3) evenly spread over MD, and those halfway between them."""
    every = max(2, fine.sizes["frame"] // frames)
    one, two = (fine.position.values[start::every][:frames] for start in (0, every // 2))
    return one, two


def _apart(
    trips: int, mapping: CoarseGraining, fine: xr.Dataset, md: np.ndarray, other: np.ndarray, beads: np.ndarray
) -> dict[str, object]:
    mass, bond = fine.mass.values, mapping.bond
    a = {"rg2": molecules.radius_of_gyration_squared(md, mass), "bond": molecules.bond_lengths(mapping.positions(md), bond)}
    b = {"rg2": molecules.radius_of_gyration_squared(other, mass), "bond": molecules.bond_lengths(beads, bond)}
    found: dict[str, object] = {"chain": fine.attrs["system"], "trips": trips}
    for name, x in a.items():
        found[f"{name}.emd"] = emd(x.ravel(), b[name].ravel()) / float(x.std())
        found[f"{name}.change"] = float(b[name].mean() / x.mean() - 1)
    return found


def lift_seconds(lifter: Lifter, cuts: Sequence[Cut], copies: int) -> float:
    """Processor time of one lift from the first cut to the second, of so many copies at once."""
    beads, generator = cuts[0].system.position[:copies], torch.Generator().manual_seed(0)
    return processor_time(lambda: recut(lifter, cuts[0], cuts[1], beads, generator)) / len(beads)


def ratio(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Geometric mean of ratios of errors, of those that are known, and its standard error.

    >>> ratio([2.0, 1.0], [1.0, 2.0])[0]
    1.0
    """
    logs = np.log(np.asarray(one, float) / np.asarray(other, float))
    logs = logs[np.isfinite(logs)]
    mean = float(np.exp(logs.mean())) if len(logs) else np.nan
    return mean, mean * float(sem(logs)) if len(logs) > 1 else np.nan


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A table of :func:`rows` by run: root mean square errors over chains, and the mean of all else."""
    errors = list(particles.PROPERTIES)
    of = table.assign(**table[errors] ** 2).drop(columns="chain").groupby("run", sort=False).mean()
    return of.assign(**np.sqrt(of[errors]))


def costs(
    found: pd.DataFrame, levels: pd.DataFrame, mappings: pd.DataFrame, lift: float, steps: float, copies: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Processor time for a chain of runs that change between two levels, and of static mappings, by the number of their beads.

    A step costs a power of the number of beads, fitted to the levels of the one model, of which the two are that of nested beads and that
    which these are parts of.

    Args:
        found: of :func:`summary`; gets ``seconds`` of the runs "open", "at random" and "coarse".
        levels: of the one model and of models of one level, with ``model``, ``level``, ``family``, ``seed``, ``beads``, ``milliseconds``
            for a step of all copies, and errors ``particle.<property>``.
        mappings: static ones, with the same columns.
        lift: seconds of one.
        steps: of a chain, of all replicas together.
        copies: how many at once the milliseconds are of.

    Returns:
        The first table; and the static mappings with ``seconds`` and errors by property.
    """
    one = levels[levels.model == "one"].sort_values("level")
    power = np.polyfit(np.log(one.beads), np.log(one.milliseconds / 1e3 / copies), 1)

    def seconds(beads: pd.Series) -> np.ndarray:
        return steps * np.exp(np.polyval(power, np.log(beads.to_numpy(float))))

    fine = one[one.family.str.startswith("nested")].iloc[0]
    coarse = one[one.level == float(fine.family.split()[1])].iloc[0]
    small, large = seconds(pd.Series([fine.beads, coarse.beads]))
    which = found.index.isin(["open", "at random", "coarse"])
    spent = found.fine * small + (1 - found.fine) * large + steps * found.lifts * lift
    static = pd.concat([levels, mappings]).rename(columns={f"particle.{name}": name for name in particles.PROPERTIES})
    static = static[["model", "level", "family", "seed", "beads", *particles.PROPERTIES]].drop_duplicates(
        ["model", "level", "family", "seed"]
    )
    return found.assign(seconds=spent.where(which)), static.assign(seconds=seconds(static.beads))


def cost_ratio(cost: float, error: float, static: pd.DataFrame, name: str) -> tuple[float, bool]:
    """A cost over that of the cheapest static mapping of at most its ``error`` in a property, or, with False, of the best if none has.

    Args:
        cost: seconds.
        error: of the property.
        static: columns ``seconds`` and the property.
        name: of the property.
    """
    as_good = static[static[name] <= error]
    chosen = as_good.seconds.min() if len(as_good) else static.seconds[static[name].idxmin()]
    return cost / float(chosen), bool(len(as_good))
