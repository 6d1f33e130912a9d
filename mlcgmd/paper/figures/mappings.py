"""Figures of which mapping: errors, what ranks them, what is predicted."""

import itertools
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...analysis.particles import PROPERTIES
from ..mappings import COLUMN
from ..provenance import captioned
from .style import MD, MODEL, OTHER, WIDTH, logarithmic_scale, shades


def _panels(below: str, beside: str) -> tuple[Figure, dict[str, Axes]]:
    """A panel for each property, with its name, and the words below the lowest and beside the first of each row."""
    figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 4.6))
    panels = dict(zip(PROPERTIES, axes.flat, strict=True))
    for name, axis in panels.items():
        axis.set_title(PROPERTIES[name].replace("of the ", "of the\n"), fontsize=7)
    for axis in axes[-1]:
        axis.set_xlabel(below)
    for axis in axes[:, 0]:
        axis.set_ylabel(beside)
    return figure, panels


def _legend(figure: Figure, panels: Mapping[str, Axes], columns: int) -> None:
    """What the marks of all panels mean, below them."""
    handles = dict(zip(*reversed(panels["rg2.emd"].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, frameon=False, fontsize=7, loc="outside lower center", ncols=columns)
    sns.despine(figure)


@captioned
def mapping_errors(table: pd.DataFrame) -> Figure:
    """Errors of simulators of each mapping against the number of beads, by family: properties of the particles; lines: what a perfect
    simulator of METIS beads would lack.

    ``table``: of :func:`.mappings.joined`.
    """
    figure, panels = _panels("beads per chain", "error")
    families = list(dict.fromkeys(table.family))
    plain = [family for family in families if not family.startswith("random")]
    colours = dict(zip(plain, shades(len(plain)), strict=True))
    marks = dict(zip(plain, itertools.cycle("osD^v")))
    # Side by side: families have nearly as many beads, and often the same error.
    beside = dict(zip(families, np.geomspace(0.88, 1.14, len(families)), strict=True))
    for name, axis in panels.items():
        for family in families:
            group = table[(table.family == family) & np.isfinite(table[COLUMN + name])]
            colour = colours.get(family, OTHER)
            axis.plot(
                group.beads * beside[family], group[COLUMN + name], marks.get(family, "x"), ms=4, color=colour, mfc="none", label=family
            )
        metis = table[(table.family == "metis") & (table[f"loss.{name}"] > 1e-6)].sort_values("beads")
        axis.plot(metis.beads, metis[f"loss.{name}"], "-", lw=1, color=MD, label="metis, perfect")
        logarithmic_scale(axis.yaxis)
        logarithmic_scale(axis.xaxis, np.array([5, 10, 20]))
    _legend(figure, panels, columns=4)
    return figure


@captioned
def prior_ranks(ranks: pd.DataFrame) -> Figure:
    """Spearman's correlation of what is known of a mapping before training with the errors of its simulators.

    ``ranks``: of :func:`.hypotheses.ranks`.
    """
    values, errors = (ranks.pivot(index="property", columns="score", values=column) for column in ("rank", "error"))
    scores = list(dict.fromkeys(ranks.score))
    values, errors = (part.loc[list(PROPERTIES), scores] for part in (values, errors))
    figure, axis = plt.subplots(figsize=(WIDTH, 3))
    axis.imshow(np.ma.masked_invalid(values.to_numpy(float)), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values.to_numpy(float)):
        if np.isfinite(value):
            text = f"{value:.2f}\n± {errors.iat[row, column]:.2f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if abs(value) > 0.6 else "black")
    axis.set_xticks(range(len(scores)), [score.replace("_", " ") for score in scores], rotation=30, ha="right", fontsize=7)
    axis.set_yticks(range(len(PROPERTIES)), list(PROPERTIES.values()), fontsize=7)
    axis.set_xlabel("known before training")
    return figure


@captioned
def predicted_errors(predictions: pd.DataFrame) -> Figure:
    """Errors of mappings and chains that an error model was not fitted to, against what it predicts; crosses: random partitions.

    ``predictions``: of :func:`.hypotheses.predicted`.
    """
    figure, panels = _panels("predicted", "measured")
    for name, axis in panels.items():
        group = predictions[(predictions.property == name) & np.isfinite(predictions.measured)]
        random = group.family.str.startswith("random")
        axis.plot(group.predicted[~random], group.measured[~random], "o", ms=3, color=MODEL, alpha=0.7)
        axis.plot(group.predicted[random], group.measured[random], "x", ms=4, color=OTHER)
        if len(group):
            ends = [group[["predicted", "measured"]].min().min(), group[["predicted", "measured"]].max().max()]
            axis.plot(ends, ends, ":", color=MD)
            for one in (axis.xaxis, axis.yaxis):
                logarithmic_scale(one)
    sns.despine(figure)
    return figure
