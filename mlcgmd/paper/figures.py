"""Every figure as a function data -> Figure."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from ..analysis import molecules, statistics
from ..analysis.evaluation import CONTACT, Sample
from .provenance import captioned

MD, MODEL, OTHER, FOURTH = (sns.color_palette("colorblind")[k] for k in (7, 0, 1, 2))
"""Colours of MD, the refined model, what it is compared with, and one more."""
COMPONENT_COLOURS = ("0.6", "#0173b2", "#f7c815")
"""Grey polymer, blue TFSI, yellow Li, in the order of :attr:`.md.electrolyte.ElectrolyteSpec.component_name`."""
LONG_TIME = {"tau": r"time ($10^3\,\tau$)", "ps": "time (ns)"}
"""Axis label of a thousand time units."""
WIDTH = 7.0
"""Inches, the width of the book's text."""


def style() -> None:
    """One look for all figures: white cards that read in light and dark, and the same bytes on each run."""
    sns.set_theme(style="ticks", palette="colorblind", font_scale=0.85)
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "figure.facecolor": "white",
            "svg.hashsalt": "mlcgmd",
            "figure.constrained_layout.use": True,
        }
    )


@captioned
def training_curves(curves: pd.DataFrame) -> Figure:
    """Losses against optimiser steps, training and validation."""
    names = {"nll": "simulator: NLL (nats)", "score": "refiner: score matching", "size": "bead size error"}
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.4))
    for axis, (key, label) in zip(axes, names.items(), strict=True):
        axis.plot(curves.step, curves[f"train_{key}"], color=MD, label="training")
        axis.plot(curves.step, curves[f"validation_{key}"], color=MODEL, label="validation (EMA)")
        axis.set(xlabel="optimiser steps", title=label)
    axes[0].set_ylabel("loss per bead and component")
    axes[0].legend(frameon=False)
    sns.despine(figure)
    return figure


@captioned
def parity(scores: pd.DataFrame, short: pd.DataFrame, short_label: str) -> Figure:
    """<Rg^2> and relaxation time of each chain, model against MD, with standard errors; short MD beside the model."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    for axis, md, model, label in (
        (axes[0], "rg2_md", "rg2", r"$\langle R_g^2\rangle$ ($\sigma^2$)"),
        (axes[1], "relaxation_md", "relaxation_model", r"relaxation time of $R_g^2$ ($\tau$)"),
    ):
        errors = {"rg2": ("rg2_md_error", "rg2_error"), "relaxation_model": ("relaxation_md_error", "relaxation_model_error")}[model]
        if model == "rg2":
            axis.plot(scores[md], short[model], "s", ms=4, color=OTHER, mfc="none", label=short_label)
        axis.errorbar(
            scores[md],
            scores[model],
            xerr=scores[errors[0]],
            yerr=scores[errors[1]],
            fmt="o",
            ms=4,
            lw=1,
            color=MODEL,
            label="learned, refined",
        )
        low, _ = axis.get_xlim()
        axis.axline((low, low), slope=1, color="0.6", lw=1, zorder=0)
        axis.set(xlabel=f"MD: {label}", ylabel=f"model: {label}")
    axes[0].legend(frameon=False)
    sns.despine(figure)
    return figure


@captioned
def rg2_distributions(md: Sequence[Sample], model: Sequence[Sample], scores: pd.DataFrame) -> Figure:
    """Distribution of Rg^2 of each chain, MD with its two halves, and model."""
    columns = 4
    rows = -(-len(md) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 1.35 * rows), squeeze=False)
    for axis, a, b, (_, row) in zip(axes.flat, md, model, scores.iterrows(), strict=False):
        values = a.rg2()[0]
        bins = np.linspace(0, np.quantile(np.r_[values, b.rg2().ravel()], 0.998), 40)
        half = len(values) // 2
        for part in (values[:half], values[half:]):
            axis.hist(part, bins, density=True, histtype="step", color=MD, lw=0.6)
        axis.hist(values, bins, density=True, color=MD, alpha=0.35)
        axis.hist(b.rg2().ravel(), bins, density=True, histtype="step", color=MODEL, lw=1.4)
        axis.set_title(f"{row.chain.split('-')[-1]}: EMD {row.rg2_emd:.3f} (MD {row.rg2_emd_md:.3f})", fontsize=7)
        axis.set(yticks=[])
    for axis in axes.flat[len(md) :]:
        axis.axis("off")
    figure.supxlabel(r"$R_g^2$ ($\sigma^2$); grey: MD and its two halves, blue: learned", fontsize=9)
    sns.despine(figure, left=True)
    return figure


@captioned
def autocorrelations(md: Sequence[Sample], model: Sequence[Sample], chosen: Sequence[int]) -> Figure:
    """Autocorrelation of Rg^2 of a few chains."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(WIDTH, 2.3), sharey=True)
    for axis, k in zip(axes, chosen, strict=True):
        for sample, colour, marker in ((md[k], MD, "-"), (model[k], MODEL, "o-")):
            values = statistics.autocorrelation(sample.rg2())
            n = min(len(values), int(900 / sample.interval) + 1)
            axis.plot(sample.interval * np.arange(n), values[:n], marker, ms=3, lw=1.2, color=colour)
        axis.axhline(0, color="0.8", lw=0.8, zorder=0)
        axis.set(xlabel=r"lag ($\tau$)", title=f"chain {md[k].name.split('-')[-1]}")
    axes[0].set_ylabel(r"ACF of $R_g^2$")
    axes[0].legend(["MD", "learned"], frameon=False)
    sns.despine(figure)
    return figure


@captioned
def contact_maps(md: Sequence[Sample], model: Sequence[Sample], chosen: Sequence[int]) -> Figure:
    """Contact maps of a few chains: MD below the diagonal, model above."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(WIDTH, 2.2))
    for axis, k in zip(axes, chosen, strict=True):
        cutoff = CONTACT * float(md[k].bonds().mean())
        a, b = md[k].contacts(cutoff), model[k].contacts(cutoff)
        image = axis.imshow(
            np.tril(a, -1) + np.triu(b, 1) + np.diag(np.full(len(a), np.nan)), vmin=0, vmax=1, cmap="viridis", origin="lower"
        )
        axis.set(title=f"chain {md[k].name.split('-')[-1]}", xlabel="bead")
    axes[0].set_ylabel("bead")
    figure.colorbar(image, ax=axes, label="fraction in contact", shrink=0.8)
    return figure


@captioned
def bond_distributions(samples: Mapping[str, Sequence[Sample]]) -> Figure:
    """Lengths of CG bonds and angles between them over all chains, for each kind of run."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    for (label, kind), colour in zip(samples.items(), (MD, MODEL, OTHER), strict=False):
        lengths = np.concatenate([s.bonds().ravel() for s in kind])
        bends = np.concatenate([s.angles().ravel() for s in kind])
        for axis, values, bins in ((axes[0], lengths, np.linspace(0, 10, 101)), (axes[1], bends, np.linspace(0, 180, 91))):
            axis.hist(
                values,
                bins,
                density=True,
                histtype="stepfilled" if label == "MD" else "step",
                color=colour,
                alpha=0.4 if label == "MD" else 1,
                lw=1.4,
                label=label,
            )
    axes[0].set(xlabel=r"CG bond length ($\sigma$)", ylabel="density")
    axes[1].set(xlabel="angle between CG bonds (degrees)", ylabel="density")
    axes[0].legend(frameon=False)
    sns.despine(figure)
    return figure


@captioned
def tica_plane(md: Sequence[Sample], model: Sequence[Sample], chosen: Sequence[int], lag: float) -> Figure:
    """Free energy on the two slowest coordinates of MD (TICA of pair distances); the model as contours."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(WIDTH, 2.4))
    for axis, k in zip(axes, chosen, strict=True):
        a, b = (molecules.pair_distances(s.frames) for s in (md[k], model[k]))
        slow = molecules.tica([a], lag=max(1, round(lag / md[k].interval)))
        x, y = slow.project(a), slow.project(b)
        edges = [np.linspace(np.quantile(x[:, c], 0.002), np.quantile(x[:, c], 0.998), 26) for c in (0, 1)]
        histogram, _, _ = np.histogram2d(x[:, 0], x[:, 1], bins=edges, density=True)
        other, _, _ = np.histogram2d(y[:, 0], y[:, 1], bins=edges, density=True)
        centres = [0.5 * (e[1:] + e[:-1]) for e in edges]
        with np.errstate(divide="ignore"):
            axis.pcolormesh(edges[0], edges[1], -np.log(histogram / histogram.max()).T, cmap="Greys_r", vmin=0, vmax=5)
            axis.contour(*centres, -np.log(np.maximum(other, 1e-12) / other.max()).T, levels=[1, 2, 3, 4], colors=[MODEL], linewidths=1)
        axis.set(title=f"chain {md[k].name.split('-')[-1]}", xlabel="TIC 1")
    axes[0].set_ylabel("TIC 2")
    return figure


@captioned
def stability(times: np.ndarray, unit: str, series: Mapping[str, np.ndarray], md: Mapping[str, float]) -> Figure:
    """Means over systems and replicas along a long run: a panel for each label, with ``series`` (frames,) and MD's mean as a line."""
    figure, axes = plt.subplots(len(series), 1, figsize=(WIDTH, 3.2), sharex=True)
    for axis, (label, values) in zip(axes, series.items(), strict=True):
        axis.plot(times / 1e3, values, color=MODEL, lw=0.6)
        axis.axhline(md[label], color=MD, lw=1.4)
        axis.set_ylabel(label)
    axes[-1].set_xlabel(LONG_TIME[unit])
    sns.despine(figure)
    return figure


def beads(axis: Axes, position: np.ndarray, bond: np.ndarray, box: np.ndarray | None = None, component: np.ndarray | None = None) -> None:
    """One frame (B, 3) as dots and CG bonds, seen along z: centred and coloured along the chain, or wrapped into ``box`` by component."""
    if box is None:
        shown, kind = position - position.mean(axis=0), np.arange(len(position))
        axis.add_collection(LineCollection(list(shown[bond][:, :, :2]), colors="0.5", linewidths=1))
        axis.scatter(shown[:, 0], shown[:, 1], s=18, c=kind, cmap="viridis", zorder=2)
    else:
        shown = position % box
        near = bond[(np.abs(shown[bond[:, 0]] - shown[bond[:, 1]]) < box / 2).all(axis=1)]
        axis.add_collection(LineCollection(list(shown[near][:, :, :2]), colors="0.6", linewidths=0.8))
        colours = np.array([to_rgb(c) for c in COMPONENT_COLOURS])[component]
        axis.scatter(shown[:, 0], shown[:, 1], s=np.where(component == 2, 30, 12), c=colours, zorder=2, edgecolors="0.3", linewidths=0.3)
    axis.set(aspect="equal", xticks=[], yticks=[])


@captioned
def short_md_curve(curve: pd.DataFrame, model: Mapping[str, float], equal_cost: float) -> Figure:
    """Error of short MD against its length, the learned simulator's as lines; ``equal_cost``: MD of the same wall time."""
    panels = {
        "rg2.r2": r"$R^2$ of $\langle R_g^2\rangle$",
        "rg2.emd_over_md": r"EMD of $R_g^2$ / MD's halves",
        "contact.correlation": "contact correlation",
    }
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.4))
    for axis, (key, label) in zip(axes, panels.items(), strict=True):
        axis.plot(curve.length, curve[key], "s-", ms=4, color=OTHER, label="short MD")
        axis.axhline(model[key], color=MODEL, label="learned")
        axis.axvline(equal_cost, color="0.6", ls=":", label="equal cost")
        axis.set(xscale="log", xlabel=r"length of MD ($\tau$)", title=label)
    axes[0].set_ylim(bottom=max(-1.0, axes[0].get_ylim()[0]))
    axes[0].legend(frameon=False, fontsize=7)
    sns.despine(figure)
    return figure


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """Up to three panels in a row, more in two rows."""
    rows = 1 if n < 4 else 2
    figure, axes = plt.subplots(rows, -(-n // rows), figsize=(WIDTH, 2.4 * rows), squeeze=False)
    for axis in axes.flat[n:]:
        axis.remove()
    return figure, list(axes.flat[:n])


def _logarithmic(axis: Axis, at: np.ndarray | None = None) -> None:
    """A logarithmic scale with at least three plain numbers on it; of the values ``at``, if these are far enough apart to be read."""
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    if at is not None and (np.diff(np.log(at)) > 0.11 * np.log(at[-1] / at[0])).all():
        axis.set_ticks(at, [f"{value:.3g}" for value in at])
        axis.set_minor_locator(NullLocator())
        return
    low, high = axis.get_view_interval()
    for subs in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        locator = LogLocator(subs=subs)
        if (ticks := [tick for tick in locator.tick_values(low, high) if low <= tick <= high])[2:]:
            break
    axis.set_major_locator(locator)
    axis.set_minor_formatter(NullFormatter())
    if max(ticks, default=1) < 1e4:
        axis.set_major_formatter("{x:g}")


def _legend(figure: Figure, axis: Axes) -> None:
    """What lines of all panels mean, above them; nothing where there is one kind only."""
    handles, labels = axis.get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8)


@captioned
def sweep(rows: pd.DataFrame, x: tuple[str, str], panels: Mapping[str, str], hue: str, logarithmic: Sequence[str] = ()) -> Figure:
    """Columns of a table of experiments against one of them, a panel each: a dot per seed, open where there is one only, lines through
    means, a colour per ``hue``.

    ``x`` and ``panels`` give a column's axis label. Columns in ``logarithmic``, the x one too, get a logarithmic axis.
    """
    figure, axes = _panels(len(panels))
    column, xlabel = x
    if pd.api.types.is_numeric_dtype(rows[hue]):
        rows = rows.sort_values(hue)
    for axis, (name, ylabel) in zip(axes, panels.items(), strict=True):
        for k, (value, group) in enumerate(rows.groupby(hue, sort=False)):
            colour = sns.color_palette("colorblind")[k]
            alone = group.groupby(column)[column].transform("size") == 1
            axis.plot(group[column][~alone], group[name][~alone], "o", ms=3, color=colour, alpha=0.6)
            axis.plot(group[column][alone], group[name][alone], "o", ms=4, color=colour, mfc="white")
            means = group.groupby(column)[name].mean()
            label = value if isinstance(value, str) else f"{hue.replace('_', ' ')} {value:g}"
            axis.plot(means.index, means, "-", lw=1.2, color=colour, label=label)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        if name in logarithmic:
            _logarithmic(axis.yaxis)
        if column in logarithmic:
            _logarithmic(axis.xaxis, np.array(sorted(rows[column].unique())))
    _legend(figure, axes[0])
    sns.despine(figure)
    return figure


@captioned
def courses(table: pd.DataFrame, unit: str, panels: Mapping[str, str], hue: str, logarithmic: Sequence[str] = ()) -> Figure:
    """How the structure changes along simulations (a table of :func:`.ablation.course`): means over seeds, with their range as a band."""
    figure, axes = _panels(len(panels))
    for axis, (name, ylabel) in zip(axes, panels.items(), strict=True):
        for k, (value, group) in enumerate(table.groupby(hue, sort=False)):
            seeds = group.groupby("time")[name]
            colour = sns.color_palette("colorblind")[k]
            axis.plot(seeds.mean().index / 1e3, seeds.mean(), "o-", ms=3, lw=1.2, color=colour, label=value)
            axis.fill_between(seeds.mean().index / 1e3, seeds.min(), seeds.max(), color=colour, alpha=0.2, lw=0)
        axis.set(xlabel=LONG_TIME[unit], ylabel=ylabel)
        if name in logarithmic:
            _logarithmic(axis.yaxis)
    _legend(figure, axes[0])
    sns.despine(figure)
    return figure


@captioned
def speed(by_copies: pd.DataFrame, by_size: pd.DataFrame, engines: Mapping[str, Mapping[str, float]], exponent: float) -> Figure:
    """Simulated time per second against copies in a batch, with MD engines on the same core as lines, and the cost of an ML step with one
    evaluation of the refiner against beads: of one chain, all pairs, and of electrolytes, with their fitted power law.

    ``engines``: of each system, the speed of each.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.9))
    names = {"chain": ("one chain", r"$\tau$ per second"), "spe": ("electrolyte", "ps per second")}
    for axis, (name, group) in zip(axes, by_copies.groupby("system", sort=False), strict=False):
        for (kind, runs), colour in zip(group.groupby("refinement", sort=False), (MODEL, OTHER), strict=False):
            axis.plot(runs.copies, runs.speed, "o-", ms=3, lw=1.2, color=colour, label=kind)
        for (engine, value), style in zip(engines[name].items(), ("--", ":"), strict=False):
            axis.axhline(value, ls=style, lw=1.2, color=MD, label=engine)
        title, ylabel = names[name]
        axis.set(xlabel="copies in a batch", ylabel=ylabel, title=title)
    for name, group in by_size.groupby("system", sort=False):
        axes[2].plot(group.beads, group.seconds, "o", ms=3, color=MODEL if name == "chain" else FOURTH, label=names[name][0])
    boxes = by_size[by_size.system == "spe"]
    scale = np.exp(np.mean(np.log(boxes.seconds) - exponent * np.log(boxes.beads)))
    axes[2].plot(boxes.beads, scale * boxes.beads**exponent, "-", lw=1, color=FOURTH, label=rf"$\propto$ beads$^{{{exponent:.2f}}}$")
    axes[2].set(xlabel="beads", ylabel="seconds per ML step", title="size")
    axes[2].legend(frameon=False, fontsize=7)
    for axis in axes:
        _logarithmic(axis.xaxis, np.array(sorted(by_copies.copies.unique())) if axis is not axes[2] else None)
        _logarithmic(axis.yaxis)
    _legend(figure, axes[0])
    sns.despine(figure)
    return figure
