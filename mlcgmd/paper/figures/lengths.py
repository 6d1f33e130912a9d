"""Figures of molecules that are longer than those of training."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..provenance import captioned
from .style import MD, MODEL, OTHER, WIDTH, shades

WIDE = 5.0
"""Range of values, as a factor, from which on they are drawn on logarithmic axes."""
PLACES = 5
"""Parts of a molecule from one end to the other."""
SIZES = np.array([-1.5, -0.75, -0.25, 0.25, 0.75, 1.5])
"""Between these the sizes of states are taken together, in standard deviations."""


@captioned
def longer_parity(table: pd.DataFrame) -> Figure:
    """<Rg^2> and relaxation time against MD, and D of the centre of mass over its exact value, by the number of units.

    Args:
        table: of :func:`.scores.conformations` with ``units``, the ``regression`` and, of :func:`.headlines.over_exact`,
            ``exact`` and ``exact_md`` with their errors.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.7))
    lengths = sorted(table.units.unique())
    for k, (units, colour) in enumerate(zip(lengths, shades(len(lengths)), strict=True)):
        rows = table[table.units == units]
        for axis, name, unit in ((axes[0], "rg2", r"\sigma^2"), (axes[1], "relaxation", r"\tau")):
            model = name if name == "rg2" else f"{name}_model"
            errors = {"xerr": rows[f"{name}_md_error"], "yerr": rows[f"{model}_error"]}
            axis.errorbar(rows[f"{name}_md"], rows[model], **errors, fmt="o", ms=4, lw=1, color=colour, label=f"{units} units")
            what = r"$\langle R_g^2\rangle$" if name == "rg2" else "relaxation time"
            axis.set(xlabel=f"MD: {what} (${unit}$)", ylabel=f"learned (${unit}$)")
        axes[0].plot(rows.rg2_md, rows.regression, "x", ms=5, color=OTHER)
        places = k + np.linspace(-0.2, 0.2, len(rows))
        axes[2].errorbar(places + 0.03, rows.exact, rows.exact_error, fmt="o", ms=4, lw=1, color=MODEL)
        axes[2].errorbar(places - 0.03, rows.exact_md, rows.exact_md_error, fmt="s", ms=3, lw=1, color=MD)
    for axis, values in zip(axes, (table.rg2_md, table.relaxation_md), strict=False):
        if values.max() > WIDE * values.min():
            axis.set(xscale="log", yscale="log")
        else:
            axis.xaxis.set_major_locator(MaxNLocator(4))
        low, high = axis.get_xlim()
        axis.plot([low, high], [low, high], color="0.6", lw=1, zorder=0)
    handles, labels = axes[0].get_legend_handles_labels()
    cross = plt.Line2D([], [], color=OTHER, marker="x", ls="", label="regression")
    axes[0].legend([*handles, cross], [*labels, "regression"], frameon=False, fontsize=7)
    axes[2].axhline(1, color="0.6", lw=1, zorder=0)
    axes[2].set(xlabel="units", ylabel=r"$D\,/\,(kT / M \gamma)$", xlim=(-0.5, len(lengths) - 0.5))
    axes[2].set_xticks(range(len(lengths)), [str(n) for n in lengths])
    axes[2].legend(
        [plt.Line2D([], [], color=c, marker=m, ls="") for c, m in ((MODEL, "o"), (MD, "s"))], ["learned", "MD"], frameon=False, fontsize=7
    )
    sns.despine(figure)
    return figure


@captioned
def one_step(beads: pd.DataFrame, changes: pd.DataFrame) -> Figure:
    """Along molecules, how wide the simulator's Gaussian is against MD; and how far a state of some size returns in a step, MD and model.

    Args:
        beads: of :func:`mlcgmd.paper.lengths.one_step`, with ``units``.
        changes: the same.
    """
    lengths = sorted(beads.units.unique())
    figure, axes = plt.subplots(1, 1 + len(lengths), figsize=(WIDTH, 2.5))
    for units, colour in zip(lengths, shades(len(lengths)), strict=True):
        rows = beads[beads.units == units]
        part = np.minimum((rows.place * PLACES).astype(int), PLACES - 1)
        # Beads of one molecule are not independent: the error is over molecules.
        means = rows.groupby([part, "system"]).variance.mean().unstack()
        x = (means.index + 0.5) / PLACES
        axes[0].errorbar(x, means.mean(axis=1), means.sem(axis=1), fmt="o-", ms=4, lw=1, color=colour, label=f"{units} units")
    axes[0].axhline(1, color="0.6", lw=1, zorder=0)
    axes[0].set(xlabel="place along the chain", ylabel="whitened variance of MD", ylim=(0.8, 1.2))
    axes[0].legend(frameon=False, fontsize=7)
    for axis, units in zip(axes[1:], lengths, strict=True):
        rows = changes[changes.units == units]
        bins = np.digitize(rows["size"], SIZES)
        for name, colour, label in (("md", MD, "MD"), ("model", MODEL, "learned")):
            found = rows.groupby(bins).agg(x=("size", "mean"), y=(name, "mean"), e=(name, "sem"))
            axis.errorbar(found.x, found.y, found.e, fmt="o-", ms=3, lw=1, color=colour, label=label)
        axis.axhline(0, color="0.6", lw=1, zorder=0)
        axis.set(title=f"{units} units", xlabel=r"$R_g^2$ (standard deviations)")
    axes[1].set_ylabel("gained in one step")
    axes[1].legend(frameon=False, fontsize=7)
    sns.despine(figure)
    return figure
