"""What notebook 5 records of chains: of each number its id, words, target and error. How it is measured is in ``mlcgmd.analysis``."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..analysis import statistics
from . import headlines
from .budget import Budget, md_error
from .headlines import CHAIN
from .results import Row, make

REFINED, UNREFINED, HALVES = "learned, refined", "learned, not refined", "MD's second half against its first"
PREFIX = {REFINED: "", UNREFINED: "unrefined.", "MD of equal cost": "short_md."}
"""Of the ids of chains, by what was compared with MD."""
DRAWS = 200
"""Of the bootstrap over chains."""


def _chain(
    name: str, quantity: str, value: float, n: int, target: str = "", error: float | None = None, unit: str = "", start: str = "chain."
) -> Row:
    return make(start + name, f"chain, {quantity}", value, n=n, target=target, error=error, unit=unit)


def conformations(tables: Mapping[str, pd.DataFrame], halves: pd.DataFrame) -> Iterator[Row]:
    """The headline numbers of chains, with errors bootstrapped over them.

    Args:
        tables: of :func:`.scores.conformations`, by what was compared with MD, a key of :data:`PREFIX`.
        halves: the same of MD's second halves against the first.
    """

    def bootstrapped(table: pd.DataFrame) -> np.ndarray:
        def of_some(k: np.ndarray) -> list[float]:
            return list(headlines.of_chains(table.iloc[k.astype(int)]).values())

        if len(table) < 2:
            return np.full(len(CHAIN), np.nan)
        return statistics.bootstrap(of_some, np.arange(len(table)), DRAWS, np.random.default_rng(0))

    for label, table in tables.items():
        for (key, value), error in zip(headlines.of_chains(table).items(), bootstrapped(table), strict=True):
            quantity, target = CHAIN[key]
            target = target if label == REFINED else ""
            yield _chain(PREFIX[label] + key, f"{label}: {quantity}", value, len(table), target, float(error))
    for key, value in headlines.of_chains(halves).items():
        yield _chain(f"md_halves.{key}", f"{HALVES}: {CHAIN[key][0]}", value, len(halves))
    refined = tables[REFINED]
    if UNREFINED in tables:
        value = headlines.of_chains(tables[UNREFINED])["bond.emd"]
        yield _chain("bond.emd_unrefined", f"{UNREFINED}: {CHAIN['bond.emd'][0]}", value, len(refined))
    particle = (refined.rg2_particle / refined.rg2_particle_md - 1).mean()
    yield _chain("rg2_particle.bias", f"{REFINED}: relative bias of ⟨Rg²⟩ of the particles", particle, len(refined))
    known = refined.dropna(subset=["rg2_md_error", "rg2_error"])
    if len(known) > 2:
        ceiling = statistics.r2_ceiling(known.rg2_md, known.rg2_md_error, known.rg2_error)
        yield _chain("rg2.r2_ceiling", "R² of ⟨Rg²⟩ of a perfect model, given both statistical errors", ceiling, len(refined))


def diffusion_of_chains(exact: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
    """D of the centre of mass over its exact value: the extremes, and of MD the mean.

    Args:
        exact: of :func:`.headlines.over_exact`, of "MD" and "learned".
    """
    for source, label, prefix in (("learned", REFINED, ""), ("MD", "MD", "md.")):
        n, table = len(exact[source]), exact[source].dropna()
        if not len(table):
            continue
        quantity = "D of the centre of mass over kT/(Mγ)"
        if prefix:
            yield _chain("md.D_over_exact", f"MD: {quantity}", table.value.mean(), n, error=table.value.sem())
        for end, k, target in (("lowest", table.value.argmin(), ">= 0.9"), ("highest", table.value.argmax(), "<= 1.1")):
            one = table.iloc[k]
            words = f"{label}: {end} {quantity}, {one.system}"
            yield _chain(f"{prefix}D_over_exact.{end}", words, one.value, 1, "" if prefix else target, one.error)


def baselines(table: pd.DataFrame, contact: pd.DataFrame) -> Iterator[Row]:
    """What a regression and the distance along the chain know, and what the learned simulator adds.

    Args:
        table: of :func:`.scores.conformations`, with the ``regression``; nothing is said of a single chain.
        contact: of :func:`.baselines.contacts`.
    """
    n, table, known = len(table), table.dropna(subset=["rg2"]), contact.dropna()
    if len(table) > 1:
        relative = (table.rg2 / table.rg2_md - 1).set_axis(table.system)
        worst = relative.abs().idxmax()
        yield _chain("rg2.worst", f"{REFINED}: largest relative error of ⟨Rg²⟩, {worst}", relative[worst], 1)
        r2 = statistics.r2(table.rg2_md, table.regression)
        yield _chain("rg2.regression_r2", "regression on composition and length: R² of ⟨Rg²⟩", r2, n)

        def over_regression(chains: np.ndarray) -> float:
            regression, learned, md = chains.T
            return statistics.relative_rms(md, learned) / statistics.relative_rms(md, regression)

        pairs = table[["regression", "rg2", "rg2_md"]].to_numpy()
        error = statistics.bootstrap(over_regression, pairs, DRAWS, np.random.default_rng(0))
        words = f"rms relative error of ⟨Rg²⟩: {REFINED}, over the regression's"
        yield _chain("rg2.rms_over_regression", words, over_regression(pairs), n, "<= 0.7", float(error))
    if len(known) > 1:
        words = "contact-map correlation of the mean by distance along the chain"
        yield _chain("contact.profile_correlation", words, known.profile.mean(), n)
        for prefix, label, column in (("", REFINED, "residual"), ("md_halves.", HALVES, "residual_md")):
            words = f"{label}: correlation of contacts less their mean by distance along the chain"
            yield _chain(f"{prefix}contact.residual_correlation", words, known[column].mean(), n, error=known[column].sem())
        ratio = known.residual.mean() / known.residual_md.mean()
        yield _chain("contact.residual_over_md", "correlation of residual contacts over that of MD's halves", ratio, n, ">= 1.0")


def surrogates(table: pd.DataFrame) -> Iterator[Row]:
    """Whether the formula of what a perfect model would read agrees with surrogates of MD, a row of :func:`.baselines.perfect` each."""
    for name, column in (("rg2.emd_over_perfect", "rg2_emd"), ("relaxation.abs_over_perfect", "relaxation")):
        ratio = table[column].mean() / table[f"{column}_perfect"].mean()
        yield _chain(f"surrogate.{name}", f"surrogates of MD: {CHAIN[name][0]}", ratio, len(table))


def stability_of_chains(usual: np.ndarray, long: np.ndarray | None, md: np.ndarray) -> Iterator[Row]:
    """Shares of stable replicas: of the usual runs, of the longest one if there is one, and of MD by the same rule; each an array of 0
    and 1."""
    both = usual if long is None else np.concatenate([usual, long])
    if long is not None:
        yield _chain("stable_fraction.long", "replicas of the longest run without blow-up or drift", long.mean(), len(long))
    words = "replicas without blow-up or drift, the longest run included"
    yield _chain("stable_fraction", words, both.mean(), len(both), "== 1")
    yield _chain("md_halves.stable_fraction", f"{HALVES}: runs without drift", md.mean(), len(md))


def validity(unlike: Mapping[str, np.ndarray], threshold: float) -> Iterator[Row]:
    """Whether a run tells that it is wrong; nothing unless there are two kinds of wrong runs.

    Args:
        unlike: how unlike training the windows are: of "MD", "refined" and the kinds of wrong runs.
        threshold: beyond which a frame is flagged.
    """
    right, area, start = unlike["refined"], "area under the ROC curve of flagged frames", "own.validity."
    found = {name: statistics.auroc(x, right) for name, x in unlike.items() if name not in ("MD", "refined")}
    found = {name: value for name, value in found.items() if np.isfinite(value)}
    if len(found) < 2:
        return
    words = f"{area}: mean over unrefined runs and chains of twice the length"
    yield _chain("auroc", words, float(np.mean(list(found.values()))), len(found), ">= 0.9", start=start)
    for name, value in found.items():
        yield _chain(f"auroc.{name.replace(' ', '_')}", f"{area}: {name}", value, len(unlike[name]), start=start)
    for name in ("MD", "refined"):
        share = float(np.mean(unlike[name] > threshold))
        yield _chain(f"flagged.{name.lower()}", f"frames of {name} that are flagged", share, len(unlike[name]), start=start)


def cost(costs: Budget, speed: float, wanted: Mapping[str, float], table: pd.DataFrame, md_length: float) -> Iterator[Row]:
    """From how many new chains on the model pays, and what its whole cost would buy of MD.

    Args:
        costs: of the model.
        speed: of it, at its fastest.
        wanted: time of MD that each new chain needs: as accurate as the model, as long as here.
        table: of :func:`.scores.conformations`, of MD of ``md_length``.
        md_length: of each chain.
    """
    for name, (label, time) in zip(("break_even", "break_even.as_long"), wanted.items(), strict=True):
        words = f"new chains from which on it is cheaper than {label} ({time:,.0f} tau)"
        yield _chain(name, words, costs.break_even(speed, time), 1)
    for name, label, rate, column in (("", REFINED, speed, "model"), ("md.", "MD on the same core", costs.md_speed, "md")):
        each = rate / (2 * table[f"relaxation_{column}"].dropna())
        words = f"{label}: independent conformations per second (simulated time over twice the relaxation time)"
        yield _chain(f"{name}independent_per_second", words, each.mean(), len(each))
    instead, same = costs.md_instead(speed, len(table)), "MD of the same total cost"
    words = f"{same}, training and its MD included: length for each test chain"
    yield _chain("budget_md.length", words, instead, len(table), unit="tau")
    words = f"{same}: rms relative statistical error of ⟨Rg²⟩"
    yield _chain("budget_md.rg2.rms", words, md_error(table, md_length, instead), len(table))


def length_of_the_longest(runs: Sequence[xr.Dataset]) -> Row:
    """Of the run that shows stability, the first frame included."""
    time = runs[0].time.values
    return _chain("long_run", "length of the stability run", time[-1] + time[1], len(runs), unit="tau")
