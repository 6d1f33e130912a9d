"""Figures of mixtures in a periodic box: g(r), displacements, diffusion, survival."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ...analysis import estimates, molecules, scores, transport
from ...analysis.ensemble import Case, Ensemble, Species
from ...analysis.observables import WIDTH as WIDTHS
from ..headlines import SPECIES
from ..provenance import captioned
from .style import MD, MODEL, OTHER, SPECIES_COLOURS, UNIT, WIDTH

MARKERS = "osD^v<>"
"""Of the species, where colours tell sources apart."""
DIFFUSION = r"$D$ ($10^{-6}$ cm$^2$/s)"


def _short(name: str) -> str:
    return name.split("/")[-1]


@captioned
def rdfs(cases: Mapping[str, Case], unrefined: Mapping[str, Ensemble], pairs: Mapping[str, tuple[str, str]]) -> Figure:
    """g(r) of each composition and pair: the two MD samples, the refined and the unrefined simulation up to its failure."""
    figure, axes = plt.subplots(len(cases), len(pairs), figsize=(WIDTH, 0.5 + 1.6 * len(cases)), sharex="row", squeeze=False)
    for row, (name, case) in zip(axes, cases.items(), strict=True):
        width = WIDTHS[case.md[0].units[0]]
        longest = case.r_max(width)
        for axis, pair in zip(row, pairs.values(), strict=True):
            for k, sample in enumerate(case.samples):
                curve = sample.rdf(*pair, longest, width)
                axis.plot(
                    curve.r, curve.g, color=MD, lw=1.6 - 0.9 * k, ls="-" if k == 0 else "--", label="MD, its two samples" if not k else None
                )
            for model, colour, label in ((unrefined.get(name), OTHER, "not refined"), (case.model, MODEL, "learned, refined")):
                if model is not None and model.position.shape[1]:
                    curve = model.rdf(*pair, longest, width)
                    axis.plot(curve.r, curve.g, color=colour, lw=1.1, label=label)
            axis.axhline(1, color="0.85", lw=0.8, zorder=0)
        row[0].set_ylabel(f"{_short(name)}\n$g(r)$")
    for axis, label in zip(axes[0], pairs, strict=True):
        axis.set_title(label)
    for axis in axes[-1]:
        axis.set_xlabel(f"$r$ (${UNIT[next(iter(cases.values())).md[0].units[0]]}$)")
    axes[0, -1].legend(frameon=False, fontsize=7)
    sns.despine(figure)
    return figure


@captioned
def displacements(case: Case, species: Mapping[str, Species]) -> Figure:
    """MSD of one composition and its local exponent, MD and model; shaded: the lags that both are fitted over."""
    figure, axes = plt.subplots(2, len(species), figsize=(WIDTH, 3.9), sharex=True, sharey="row", height_ratios=(3, 2), squeeze=False)
    length, time, _ = case.md[0].units
    for (above, below), (name, kind) in zip(axes.T, species.items(), strict=True):
        window = estimates.md_window(case.md, kind)
        for runs, colour, label in ((case.md, MD, "MD"), ([case.model] if case.model else [], MODEL, "learned, refined")):
            for k, run in enumerate(runs):
                msd = transport.mean_squared_displacement(run.sites(kind)).mean(axis=0)
                longest = max(2, int(transport.MAX_LAG * len(msd)))
                lag = run.interval * np.arange(1, longest + 1)
                above.loglog(
                    lag, msd[1 : longest + 1], color=colour, lw=1.3, marker="." if longest < 12 else None, label=None if k else label
                )
                lags, exponent = transport.local_exponent(msd, longest)
                below.semilogx(run.interval * lags, exponent, color=colour, lw=1.1)
        for axis in (above, below):
            axis.axvspan(window.low, window.high, color="0.92", zorder=0)
        below.axhspan(1 - transport.TOLERANCE, 1 + transport.TOLERANCE, color="0.85", zorder=0)
        above.yaxis.set_minor_formatter(NullFormatter())
        above.set_title(f"{name}: " + ("diffusive" if window.diffusive else "not yet diffusive"), fontsize=9)
        below.set(xlabel=f"lag (${UNIT[time]}$)", ylim=(0, 1.6))
    axes[0, 0].set_ylabel(f"MSD (${UNIT[length]}^2$)")
    axes[1, 0].set_ylabel("local exponent")
    axes[0, 0].legend(frameon=False, fontsize=8)
    sns.despine(figure)
    return figure


def _parity(axis: Axes, x: pd.DataFrame, y: pd.DataFrame, column: str, colour: tuple[float, ...], filled: bool = True) -> None:
    """Species as markers; ``x`` and ``y`` are indexed by composition and species."""
    errors = {"xerr": x.error, "yerr": y.error} if column == "value" else {}
    for species, marker in zip(_species(x), MARKERS, strict=False):
        part = {name: e.xs(species, level="species") for name, e in errors.items()}
        axis.errorbar(
            x[column].xs(species, level="species"),
            y[column].xs(species, level="species"),
            **part,
            fmt=marker,
            ms=5,
            lw=0.9,
            color=colour,
            mfc=colour if filled else "none",
        )


def square(axis: Axes, values: np.ndarray, unit: float = 1e-6) -> None:
    """Equal logarithmic axes about the positive ``values``, labelled in ``unit``, with the diagonal and 10^0.1 either way."""
    values = values[np.isfinite(values) & (values > 0)]
    limits = (values.min() / 1.5, values.max() * 1.5) if len(values) else (unit / 10, 10 * unit)
    axis.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(LogLocator(subs=(1, 2, 5) if limits[1] < 40 * limits[0] else (1,)))
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))
        side.set_minor_formatter(NullFormatter())
    line = np.array(limits)
    axis.plot(line, line, color="0.6", lw=1, zorder=0)
    axis.fill_between(line, line / 10**0.1, line * 10**0.1, color="0.92", zorder=-1)


def _species(values: pd.DataFrame) -> list[str]:
    """The species of a table, in its order."""
    return list(dict.fromkeys(values.index.get_level_values("species")))


def _species_legend(axis: Axes, species: Sequence[str]) -> None:
    handles = [Line2D([], [], ls="", marker=m, ms=5, color="0.3", label=s) for s, m in zip(species, MARKERS, strict=False)]
    axis.legend(handles=handles, frameon=False, fontsize=8, loc="upper left", handletextpad=0.1)


@captioned
def diffusion_parity(table: pd.DataFrame, sources: Mapping[str, str]) -> Figure:
    """D against that of MD, a panel for each of ``sources`` (source -> label), with standard errors; band: 10^0.1 either way."""
    values = table.set_index(["composition", "species"])
    md = values[values.source == "md"]
    shown = values[values.source.isin(["md", *sources])].value.to_numpy(float)
    figure, axes = plt.subplots(1, len(sources), figsize=(WIDTH, 0.6 + 6.4 / len(sources)), squeeze=False, sharey=True)
    for axis, (source, label) in zip(axes[0], sources.items(), strict=True):
        learned = source == "model"
        _parity(axis, md, values[values.source == source], "value", MODEL if learned else OTHER, filled=learned)
        square(axis, shown)
        axis.set(xlabel=f"MD: {DIFFUSION}", title=label)
    axes[0, 0].set_ylabel(DIFFUSION)
    _species_legend(axes[0, 0], _species(values))
    sns.despine(figure)
    return figure


@captioned
def survival(runs: Mapping[str, Sequence[xr.Dataset]], md_bond: float) -> Figure:
    """Fraction of replicas alive, and their mean CG bond length, against time: refined and unrefined simulations (label -> runs)."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.5), sharex=True)
    for (label, simulated), colour in zip(runs.items(), (MODEL, OTHER), strict=False):
        frames = min(run.sizes["frame"] for run in simulated)
        time = simulated[0].time.values[:frames] / 1e3
        replicas = [(r[:frames], run.bond.values) for run in simulated for r in run.position.values]
        alive = np.array([np.isfinite(r).all(axis=(1, 2)) for r, _ in replicas])
        bonds = np.full(alive.shape, np.nan)
        for row, ok, (r, bond) in zip(bonds, alive, replicas, strict=True):
            if ok.any():
                row[ok] = molecules.bond_lengths(r[ok], bond).mean(axis=1)
        last = np.flatnonzero(alive.any(axis=0)).max() + 1
        axes[0].plot(time, alive.mean(axis=0), color=colour, label=label, drawstyle="steps-post")
        axes[1].plot(time[:last], np.nanmean(bonds[:, :last], axis=0), color=colour, lw=0.9)
    axes[1].axhline(md_bond, color=MD, lw=1.4, label="MD")
    axes[0].set(xlabel="time (ns)", ylabel="replicas alive", ylim=(-0.05, 1.05))
    axes[1].set(xlabel="time (ns)", ylabel=r"mean CG bond ($\mathrm{\AA}$)")
    for axis in axes:
        axis.legend(frameon=False, fontsize=8)
    sns.despine(figure)
    return figure


@captioned
def short_against_long(published: pd.DataFrame, table: pd.DataFrame, sources: Mapping[str, str]) -> Figure:
    """D of short runs against that of long ones, all by the ends of a run as in the published data, which fill the first panel.

    ``published`` is data/spe_reference_values.csv, where 5 ns stand against 50 ns; the other panels are
    :func:`.scores.diffusion`'s endpoint values of ``sources`` (source -> label) against MD. In the titles: mean |log10 ratio|.
    """
    figure, axes = plt.subplots(1, 1 + len(sources), figsize=(WIDTH, 0.9 + 6.2 / (1 + len(sources))))
    markers, colours = dict(zip(SPECIES, MARKERS, strict=False)), SPECIES_COLOURS
    columns = {"Li": ("li_50ns", "li_5ns_cm2_s"), "TFSI": ("tfsi_50ns", "tfsi_5ns"), "chain": ("poly_50ns", "poly_5ns")}
    tests = published[published.split == "test_50ns"].dropna(subset=[long for long, _ in columns.values()])
    for species, (long, brief) in columns.items():
        axes[0].plot(tests[long], tests[brief], markers[species], ms=3, color=colours[species], mew=0)
    both = np.concatenate([tests[list(pair)].to_numpy() for pair in columns.values()])
    square(axes[0], both, unit=1e-9)
    axes[0].set(xlabel=r"50 ns: $D$ ($10^{-9}$ cm$^2$/s)", ylabel="5 ns")
    axes[0].set_title(f"published, 353 K: {np.abs(np.log10(both[:, 1] / both[:, 0])).mean():.2f}", fontsize=9)
    values = table.set_index(["composition", "species"])
    md = values[values.source == "md"]
    for axis, (source, label) in zip(axes[1:], sources.items(), strict=True):
        other = values[values.source == source]
        for species in SPECIES:
            x, y = (side.endpoint.xs(species, level="species") for side in (md, other))
            axis.plot(x, y, markers[species], ms=5, color=colours[species], mew=0)
        square(axis, values[values.source.isin(["md", *sources])].endpoint.to_numpy(float))
        axis.set(xlabel=f"MD: {DIFFUSION}", ylabel=label)
        axis.set_title(f"this work: {scores.log_ratio(table, source, 'md', 'endpoint').stack().mean():.2f}", fontsize=9)
    handles = [Line2D([], [], ls="", marker=m, ms=4, color=colours[s], label=s) for s, m in markers.items()]
    axes[0].legend(handles=handles, frameon=False, fontsize=7, loc="lower right", handletextpad=0.1)
    return figure
