"""Figures of chains whose beads change while they are simulated."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..provenance import captioned
from .mappings import _legend, _panels
from .style import MD, MODEL, OTHER, WIDTH, logarithmic_scale, shades


@captioned
def cost_and_error(static: pd.DataFrame, runs: pd.DataFrame, halves: Mapping[str, float]) -> Figure:
    """Errors against processor time for a chain: dots, static mappings; line, one model at each of its levels; diamonds, runs that
    change; bars: what of an error comes from the length of a simulation; grey: the halves of MD.

    Args:
        static: ``seconds``, ``model`` ("one" or another) and errors, a row for each mapping.
        runs: by name, ``seconds`` and errors, with ``.sampling``.
        halves: errors between the halves of MD.
    """
    figure, panels = _panels("seconds for a chain", "error")
    light, dark = shades(2)
    one = static[static.model == "one"].sort_values("seconds")
    for name, axis in panels.items():
        others = static[(static.model != "one") & np.isfinite(static[name])]
        axis.plot(others.seconds, others[name], "o", ms=3, color=light, label="static, own models")
        axis.plot(one.seconds, one[name], "o-", ms=4, lw=1, color=dark, mfc="none", label="static, one model")
        for (run, row), colour in zip(runs.iterrows(), (MODEL, OTHER), strict=False):
            axis.errorbar(row.seconds, row[name], row[f"{name}.sampling"], fmt="D", ms=5, color=colour, label=run)
        axis.axhline(halves[name], lw=1, color=MD, zorder=0, label="MD's halves")
        logarithmic_scale(axis.yaxis)
    _legend(figure, panels, columns=5)
    return figure


@captioned
def trips(table: pd.DataFrame) -> Figure:
    """What lifts and restrictions without a step between them change, after so many round trips: mean over chains and its standard error.

    Left: relative change of means. Right: earth mover's distance over MD's standard deviation; dotted, that of MD's halves.

    Args:
        table: of :func:`.changing_rows.round_trips`, of all chains.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.5), constrained_layout=True)
    words = {"rg2": "Rg² of the particles", "bond": "bonds between beads"}
    for axis, what, label in zip(axes, ("change", "emd"), ("change of the mean", "distance to MD (std)"), strict=True):
        for (name, text), colour in zip(words.items(), shades(2), strict=True):
            of = table.groupby("trips")[f"{name}.{what}"].agg(["mean", "sem"])
            axis.errorbar(of.index[1:], of["mean"].iloc[1:], of["sem"].iloc[1:], fmt="o-", ms=3, lw=1, color=colour, label=text)
            axis.axhline(of["mean"].iloc[0], ls=":", lw=1, color=colour)
        axis.set(xlabel="round trips", ylabel=label)
    axes[0].legend(frameon=False, fontsize=7)
    sns.despine(figure)
    return figure
