"""Figures of experiments: training, cost, speed, tables of settings."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..provenance import captioned
from .style import COMPONENT_COLOURS, LONG_TIME, MD, MODEL, OTHER, WIDTH, hues, logarithmic_scale, shades

ENGINES = {"OpenMM": "--", "LAMMPS": ":", "GROMACS": "-."}
"""Lines of MD engines."""


@captioned
def training_curves(curves: pd.DataFrame) -> Figure:
    """Losses against optimiser steps, training and validation; those of the distillation where there was one."""
    names = {"nll": "NLL (nats)", "score": "score matching", "size": "size of beads", "distilled": "distillation"}
    names = {key: label for key, label in names.items() if f"train_{key}" in curves}
    figure, axes = plt.subplots(1, len(names), figsize=(WIDTH, 2.4), layout="constrained")
    for axis, (key, label) in zip(axes, names.items(), strict=True):
        rows = curves.dropna(subset=f"train_{key}")
        axis.plot(rows.step, rows[f"train_{key}"], ":", color=MODEL, label="training")
        axis.plot(rows.step, rows[f"validation_{key}"], color=MODEL, label="validation (EMA)")
        axis.set(xlabel="optimiser steps", title=label)
    axes[0].set_ylabel("loss per component")
    axes[0].legend(frameon=False)
    sns.despine(figure)
    return figure


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


@captioned
def break_even(table: pd.DataFrame, cost: str) -> Figure:
    """From how many new systems on a learned simulator is cheaper than MD, training and its MD included, against copies in a batch.

    ``table``: copies, number of systems, a column ``needed`` that says what MD of each is needed for; ``cost``: what its speed is.
    """
    figure, axis = plt.subplots(figsize=(0.55 * WIDTH, 2.6))
    for (label, group), colour in zip(table.groupby("needed", sort=False), (MODEL, MD, OTHER), strict=False):
        axis.plot(group.copies, group.systems, "o-", ms=3, lw=1.2, color=colour, label=label)
    axis.set(xlabel="copies in a batch", ylabel="new systems", title=cost)
    logarithmic_scale(axis.xaxis, np.array(sorted(table.copies.unique())))
    logarithmic_scale(axis.yaxis)
    axis.legend(frameon=False, fontsize=7)
    sns.despine(figure)
    return figure


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """Up to three panels in a row, more in two rows."""
    rows = 1 if n < 4 else 2
    figure, axes = plt.subplots(rows, -(-n // rows), figsize=(WIDTH, 2.4 * rows), squeeze=False)
    for axis in axes.flat[n:]:
        axis.remove()
    return figure, list(axes.flat[:n])


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """What lines of these panels mean, above them; nothing where there is one kind only."""
    found = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if len(found) > 1:
        figure.legend(found.values(), found, loc="outside upper center", ncols=4, frameon=False, fontsize=8)


def _reference(axis: Axes, column: str) -> None:
    """A grey line where MD is, or where it is from itself, in a panel of this column of a table of experiments."""
    if column.endswith("over_md"):
        axis.axhline(1, color=MD, lw=1, zorder=0, label="MD's own distance")
    elif column.endswith("over_perfect"):
        axis.axhline(1, color=MD, lw=1, ls=":", zorder=0, label="a perfect model")
    elif column in ("size", "rg2.bias", "relaxation.log2"):
        axis.axhline(float(column == "size"), color=MD, lw=1, zorder=0, label="MD")


@captioned
def sweep(
    rows: pd.DataFrame, x: tuple[str, str], panels: Mapping[str, str], hue: str, logarithmic: Sequence[str] = (), number: str = ""
) -> Figure:
    """Quality and cost of models and samplers against a setting: a dot per seed, open where there is one only, and lines through means;
    grey: MD.

    Columns of a table of experiments against one of them, a panel each, a colour per ``hue``.

    ``x`` and ``panels`` give a column's axis label. Columns in ``logarithmic``, the x one too, get a logarithmic axis. The column
    ``number``, if there is one, is written at the points.
    """
    figure, axes = _panels(len(panels))
    column, xlabel = x
    if pd.api.types.is_numeric_dtype(rows[hue]):
        rows = rows.sort_values(hue)
    values = list(dict.fromkeys(rows[hue]))
    colours = hues(values) if isinstance(values[0], str) else shades(len(values))
    for axis, (name, ylabel) in zip(axes, panels.items(), strict=True):
        _reference(axis, name)
        for (value, group), colour in zip(rows.groupby(hue, sort=False), colours, strict=True):
            alone = group.groupby(column)[column].transform("size") == 1
            axis.plot(group[column][~alone], group[name][~alone], "o", ms=3, color=colour, alpha=0.6)
            axis.plot(group[column][alone], group[name][alone], "o", ms=4, color=colour, mfc="white")
            means = group.groupby(column)[name].mean()
            label = ("not refined" if value == "none" else value) if isinstance(value, str) else f"{hue.replace('_', ' ')} {value:g}"
            axis.plot(means.index, means, "-", lw=1.2, color=colour, label=label)
            for at, of in group.groupby(column)[number].first().items() if number else ():
                axis.annotate(f"{of}", (at, means[at]), (2, 3), textcoords="offset points", fontsize=7, color=colour)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        if name in logarithmic:
            logarithmic_scale(axis.yaxis)
        if column in logarithmic:
            logarithmic_scale(axis.xaxis, np.array(sorted(rows[column].unique())))
    _legend(figure, axes)
    sns.despine(figure)
    return figure


@captioned
def courses(table: pd.DataFrame, unit: str, panels: Mapping[str, str], hue: str, logarithmic: Sequence[str] = ()) -> Figure:
    """How the structure changes along simulations (a table of :func:`.course.course`): means over seeds, with their range as a band."""
    figure, axes = _panels(len(panels))
    for axis, (name, ylabel) in zip(axes, panels.items(), strict=True):
        _reference(axis, name)
        for (value, group), colour in zip(table.groupby(hue, sort=False), hues(list(dict.fromkeys(table[hue]))), strict=True):
            seeds = group.groupby("time")[name]
            axis.plot(seeds.mean().index / 1e3, seeds.mean(), "o-", ms=3, lw=1.2, color=colour, label=value)
            axis.fill_between(seeds.mean().index / 1e3, seeds.min(), seeds.max(), color=colour, alpha=0.2, lw=0)
        axis.set(xlabel=LONG_TIME[unit], ylabel=ylabel)
        if name in logarithmic:
            logarithmic_scale(axis.yaxis)
    _legend(figure, axes)
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
        for engine, value in engines[name].items():
            axis.axhline(value, ls=ENGINES[engine], lw=1.2, color=MD, label=engine)
        title, ylabel = names[name]
        axis.set(xlabel="copies in a batch", ylabel=ylabel, title=title)
    for name, group in by_size.groupby("system", sort=False):
        axes[2].plot(
            group.beads,
            group.seconds,
            "o",
            ms=3,
            color=COMPONENT_COLOURS[0] if name == "chain" else COMPONENT_COLOURS[2],
            label=names[name][0],
        )
    boxes = by_size[by_size.system == "spe"]
    scale = np.exp(np.mean(np.log(boxes.seconds) - exponent * np.log(boxes.beads)))
    axes[2].plot(
        boxes.beads, scale * boxes.beads**exponent, "-", lw=1, color=COMPONENT_COLOURS[2], label=rf"$\propto$ beads$^{{{exponent:.2f}}}$"
    )
    axes[2].set(xlabel="beads", ylabel="seconds per ML step", title="size")
    axes[2].legend(frameon=False, fontsize=7)
    for axis in axes:
        logarithmic_scale(axis.xaxis, np.array(sorted(by_copies.copies.unique())) if axis is not axes[2] else None)
        logarithmic_scale(axis.yaxis)
    _legend(figure, axes[:2])
    sns.despine(figure)
    return figure
