"""Figures of lifted particles."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..provenance import captioned
from .style import LANGEVIN, MD, MODEL, OTHER, WIDTH

COLOURS = (MD, MODEL, LANGEVIN, OTHER)


@captioned
def inside_beads(samples: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Bond lengths, bond angles and torsions of each kind of particles, over all chains; MD, the first, is filled."""
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.5), constrained_layout=True)
    panels = (
        ("bond", r"bond length ($\sigma$)", (0.7, 1.35)),
        ("angle", "bond angle (degrees)", (0, 180)),
        ("torsion", "torsion (degrees)", (0, 180)),
    )
    for axis, (name, label, span) in zip(axes, panels, strict=True):
        for (kind, values), colour in zip(samples.items(), COLOURS, strict=False):
            look = {"histtype": "stepfilled", "alpha": 0.4} if kind == next(iter(samples)) else {"histtype": "step", "lw": 1.2}
            axis.hist(values[name], np.linspace(*span, 66), density=True, color=colour, label=kind, **look)
        axis.set(xlabel=label, yticks=[])
    axes[0].set_ylabel("density")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncol=4, frameon=False, fontsize=8)
    sns.despine(figure)
    return figure


@captioned
def lifted_whole(q: np.ndarray, curves: Mapping[str, np.ndarray], energy: pd.DataFrame) -> Figure:
    """Left: form factor, mean over chains. Right: potential energy per particle above MD's, after so much MD from the lifted frames,
    if there was any."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.7), constrained_layout=True)
    for (kind, values), colour in zip(curves.items(), COLOURS, strict=False):
        axes[0].loglog(q, values, color=colour, label=kind, lw=2.5 if kind == next(iter(curves)) else 1.2)
    axes[0].set(xlabel=r"$q$ ($1/\sigma$)", ylabel="$P(q)$")
    axes[0].legend(frameon=False, fontsize=8)
    above = energy[energy.time > 0].groupby("time").mean(numeric_only=True) if len(energy) else energy
    for kind, colour in zip(curves, COLOURS, strict=False):
        if kind in above and kind != next(iter(curves)):
            axes[1].plot(above.index, above[kind] - above["MD"], color=colour, marker="o", ms=3)
    axes[1].axhspan(-1, 1, color="0.92", zorder=0)
    axes[1].set(xlabel=r"MD from there on ($\tau$)", ylabel="energy above MD's (kT)")
    sns.despine(figure)
    return figure
