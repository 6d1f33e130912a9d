"""Figures of what is known exactly: Rouse chains, their beads, and estimators beside closed forms."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..provenance import captioned
from .style import MD, MODEL, WIDTH, shades


@captioned
def spectrum(variances: pd.DataFrame, correlations: Mapping[str, Sequence[np.ndarray]], interval: float) -> Figure:
    """Variance of a component of each Rouse mode, and autocorrelations: drawn trajectories (dots) and closed forms (lines).

    Args:
        variances: columns ``mode``, ``exact``, ``estimate``, ``error`` (sigma^2).
        correlations: of each label the lags (tau) and measured values, and lags and exact values.
        interval: between frames, tau.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8))
    axes[0].errorbar(variances["mode"], variances.estimate, yerr=variances.error, fmt="o", ms=3, lw=1, color=MODEL, label="drawn")
    axes[0].plot(variances["mode"], variances.exact, "-", lw=1, color=MD, label="exact")
    axes[0].set(xscale="log", yscale="log", xlabel="mode $p$", ylabel=r"variance per component ($\sigma^2$)")
    axes[0].legend(frameon=False)
    for (label, (lags, measured, times, exact)), colour in zip(correlations.items(), shades(len(correlations)), strict=True):
        axes[1].plot(lags, measured, "o", ms=3, color=colour, label=label)
        axes[1].plot(times, exact, "-", lw=1, color=colour)
    axes[1].axhline(0, color="0.8", lw=1, zorder=0)
    axes[1].set_xscale("symlog", linthresh=interval)
    axes[1].set(xlabel=r"lag ($\tau$)", ylabel="autocorrelation", xlim=(0, None))
    axes[1].legend(frameon=False)
    sns.despine(figure)
    return figure


@captioned
def propagators(steps: Mapping[float, np.ndarray]) -> Figure:
    """The exact propagator of beads for several steps (tau): the weights of present beads in the expected next position of each."""
    figure, axes = plt.subplots(1, len(steps), figsize=(WIDTH, 2.4), sharey=True)
    limit = max(np.abs(step).max() for step in steps.values())
    for axis, (time, step) in zip(axes, steps.items(), strict=True):
        image = axis.imshow(step, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set(title=rf"step of {time:g} $\tau$", xlabel="present bead", xticks=range(0, len(step), 2), yticks=range(0, len(step), 2))
    axes[0].set_ylabel("next bead")
    figure.colorbar(image, ax=axes, label="weight", shrink=0.9)
    return figure


@captioned
def memory(table: pd.DataFrame, times: float) -> Figure:
    """Slowest implied time of beads and the nats per step that a second position adds, against the step: closed forms.

    Args:
        table: columns ``beads``, ``step`` (tau), ``time`` (tau), ``nats`` (per step).
        times: slowest time of the particles, tau.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.6))
    for (beads, group), colour in zip(table.groupby("beads"), shades(table.beads.nunique()), strict=True):
        axes[0].plot(group.step, group.time, "-", color=colour, label=f"{beads} beads")
        axes[1].plot(group.step, group.nats, "-", color=colour)
    axes[0].axhline(times, ls=":", color=MD, label="particles")
    axes[0].set(xscale="log", xlabel=r"step ($\tau$)", ylabel=r"implied time ($\tau$)")
    axes[1].set(xscale="log", yscale="log", xlabel=r"step ($\tau$)", ylabel="memory (nats per step)", ylim=(1e-7, None))
    axes[0].legend(frameon=False, fontsize=8)
    sns.despine(figure)
    return figure


@captioned
def what_is_kept(table: pd.DataFrame, panels: Mapping[str, str], logarithmic: Sequence[str] = ()) -> Figure:
    """What a mapping keeps against its number of beads: estimates with standard errors as dots, closed forms as lines, a colour per chain.

    Args:
        table: columns ``system``, ``beads``, ``quantity``, ``exact``, ``estimate``, ``error``.
        panels: of each quantity its axis label.
        logarithmic: quantities on a logarithmic axis.
    """
    colours = shades(table.system.nunique())
    figure, axes = plt.subplots(2, -(-len(panels) // 2), figsize=(WIDTH, 4.6), sharex=True)
    for axis, (quantity, label) in zip(axes.flat, panels.items(), strict=True):
        for (system, group), colour in zip(table[table.quantity == quantity].groupby("system", sort=False), colours, strict=True):
            axis.errorbar(group.beads, group.estimate, yerr=group.error, fmt="o", ms=3, lw=1, color=colour, label=system)
            axis.plot(group.beads, group.exact, "-", lw=1, color=colour)
        axis.set(ylabel=label, yscale="log" if quantity in logarithmic else "linear")
    for axis in axes[-1]:
        axis.set_xlabel("beads")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    sns.despine(figure)
    return figure


@captioned
def deviations(table: pd.DataFrame) -> Figure:
    """Deviation of every estimate from its closed form, in its standard error, a colour per chain; shaded: one standard error."""
    figure, axis = plt.subplots(figsize=(WIDTH, 0.19 * table.quantity.nunique() + 0.9))
    names, colours = list(dict.fromkeys(table.quantity)), shades(table.system.nunique())
    axis.axvspan(-1, 1, color="0.92", lw=0)
    for (system, group), colour in zip(table.groupby("system", sort=False), colours, strict=True):
        axis.plot(group.sigma, [names.index(q) for q in group.quantity], "o", ms=4, color=colour, label=system)
    for limit in (-3, 3):
        axis.axvline(limit, color="0.6", ls=":", lw=1)
    axis.set(yticks=range(len(names)), yticklabels=names, xlabel="(estimate - exact) / standard error", xlim=(-3.6, 3.6))
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7, length=0)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    sns.despine(figure, left=True)
    return figure
