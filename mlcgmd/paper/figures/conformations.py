"""Figures of molecules: sizes, shapes, contacts, slow modes."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter

from ...analysis import estimates, molecules, statistics
from ...analysis.ensemble import Ensemble
from ..provenance import captioned
from .style import LONG_TIME, MD, MODEL, OTHER, UNIT, WIDTH, component_colours

STRETCHES = 16
"""Of all replicas together, whose scatter gives the error of an autocorrelation."""


@captioned
def parity(
    table: pd.DataFrame, short: pd.DataFrame | None = None, short_label: str = "", units: tuple[str, ...] = ("sigma", "tau")
) -> Figure:
    """<Rg^2> and relaxation time of each chain, model against MD, with standard errors; ``short`` MD, if given, beside the model."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    for axis, md, model, label in (
        (axes[0], "rg2_md", "rg2", rf"$\langle R_g^2\rangle$ (${UNIT[units[0]]}^2$)"),
        (axes[1], "relaxation_md", "relaxation_model", rf"relaxation time of $R_g^2$ (${UNIT[units[1]]}$)"),
    ):
        errors = {"rg2": ("rg2_md_error", "rg2_error"), "relaxation_model": ("relaxation_md_error", "relaxation_model_error")}[model]
        if model == "rg2" and short is not None:
            axis.plot(table[md], short[model], "s", ms=4, color=OTHER, mfc="none", label=short_label)
        axis.errorbar(
            table[md],
            table[model],
            xerr=table[errors[0]],
            yerr=table[errors[1]],
            fmt="o",
            ms=4,
            lw=1,
            color=MODEL,
            label="learned, refined",
        )
        low, high = np.array([axis.get_xlim(), axis.get_ylim()]).T
        ends = (max(0.0, low.min()), high.max())
        axis.axline((ends[0], ends[0]), slope=1, color="0.6", lw=1, zorder=0, label="equal")
        axis.set(xlabel=f"MD: {label}", ylabel=f"model: {label}", xlim=ends, ylim=ends, aspect="equal")
    axes[0].legend(frameon=False)
    sns.despine(figure)
    return figure


@captioned
def rg2_distributions(md: Sequence[Ensemble], model: Sequence[Ensemble], table: pd.DataFrame) -> Figure:
    """Distribution of Rg^2 of each chain, MD with its two halves, and model."""
    columns = min(4, len(md))
    rows = -(-len(md) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, 0.6 + 1.3 * rows), squeeze=False)
    for axis, a, b, (_, row) in zip(axes.flat, md, model, table.iterrows(), strict=False):
        values = a.rg2().ravel()
        bins = np.linspace(0, np.quantile(np.r_[values, b.rg2().ravel()], 0.998), 40)
        half = len(values) // 2
        for part in (values[:half], values[half:]):
            axis.hist(part, bins, density=True, histtype="step", color=MD, lw=0.6)
        axis.hist(values, bins, density=True, color=MD, alpha=0.35)
        axis.hist(b.rg2().ravel(), bins, density=True, histtype="step", color=MODEL, lw=1.4)
        axis.set_title(f"{row.system.split('-')[-1]}: EMD {row.rg2_emd:.3f} (MD {row.rg2_emd_md:.3f})", fontsize=7)
        axis.set(yticks=[])
    for axis in axes.flat[len(md) :]:
        axis.axis("off")
    unit = UNIT[md[0].units[0]]
    figure.supxlabel(rf"$R_g^2$ (${unit}^2$); grey: MD and its two halves, blue: learned", fontsize=9)
    sns.despine(figure, left=True)
    return figure


@captioned
def autocorrelations(md: Sequence[Ensemble], model: Sequence[Ensemble], chosen: Sequence[int]) -> Figure:
    """Autocorrelation of Rg^2 of a few chains, of which the mean Rg^2 in MD is given; bands: standard errors, from stretches."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(WIDTH, 2.3), sharey=True, squeeze=False)
    for axis, k in zip(axes[0], chosen, strict=True):
        for sample, colour, marker, label in ((md[k], MD, "-", "MD"), (model[k], MODEL, "o-", "learned")):
            series = sample.rg2()
            values = statistics.autocorrelation(series)
            n = min(len(values) // 4, int(900 / sample.interval)) + 1  # what few pairs of frames say of longer lags is noise
            lag = sample.interval * np.arange(n)
            axis.plot(lag, values[:n], marker, ms=3, lw=1.2, color=colour, label=label)
            length = max(n, series.size // STRETCHES)
            stretches = [x for replica in series for x in np.split(replica, range(length, len(replica), length)) if len(x) == length]
            if len(stretches) > 1:
                each = [statistics.autocorrelation(x, series.mean())[:n] for x in stretches]
                error = np.std(each, axis=0, ddof=1) / np.sqrt(len(each))
                axis.fill_between(lag, values[:n] - error, values[:n] + error, color=colour, alpha=0.25, lw=0)
        axis.axhline(0, color="0.8", lw=0.8, zorder=0)
        size = rf"$\langle R_g^2\rangle = {md[k].rg2().mean():.0f}\,{UNIT[md[k].units[0]]}^2$"
        axis.set(xlabel=f"lag (${UNIT[md[k].units[1]]}$)", title=f"{md[k].name.split('-')[-1]}: {size}")
    axes[0, 0].set_ylabel(r"ACF of $R_g^2$")
    axes[0, 0].legend(frameon=False)
    sns.despine(figure)
    return figure


@captioned
def contact_maps(md: Sequence[Ensemble], model: Sequence[Ensemble], chosen: Sequence[int]) -> Figure:
    """Contact maps of a few chains: MD below the diagonal, model above."""
    figure, axes = plt.subplots(1, len(chosen), figsize=(WIDTH * (len(chosen) + 0.5) / 3.5, 2.2), squeeze=False)
    for axis, k in zip(axes[0], chosen, strict=True):
        cutoff = estimates.CONTACT * float(md[k].bonds().mean())
        a, b = md[k].contacts(cutoff), model[k].contacts(cutoff)
        image = axis.imshow(
            # The first index goes up, the second to the right: what is right of the diagonal is below it.
            np.triu(a, 1) + np.tril(b, -1) + np.diag(np.full(len(a), np.nan)),
            vmin=0,
            vmax=1,
            cmap="viridis",
            origin="lower",
        )
        axis.set(title=f"chain {md[k].name.split('-')[-1]}", xlabel="bead")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(MaxNLocator(5, integer=True))
        for x, y, words in ((0.97, 0.06, "MD"), (0.03, 0.92, "learned")):
            # Beads far apart along a chain are seldom in contact: the corners are dark.
            axis.text(x, y, words, transform=axis.transAxes, ha="right" if x > 0.5 else "left", va="center", fontsize=7, color="white")
    axes[0, 0].set_ylabel("bead")
    figure.colorbar(image, ax=axes, label="fraction in contact", shrink=0.8)
    return figure


@captioned
def bond_distributions(samples: Mapping[str, Sequence[Ensemble]]) -> Figure:
    """Lengths of CG bonds and angles between them over all systems, for each kind of run; MD is filled."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    top = 1.5 * max(float(np.quantile(s.bonds(), 0.999)) for s in samples["MD"])
    for (label, kind), colour in zip(samples.items(), (MD, MODEL, OTHER), strict=False):
        drawn = [s for s in kind if len(s.frames)]
        if not drawn:
            continue
        lengths = np.concatenate([s.bonds().ravel() for s in drawn])
        bends = np.concatenate([s.angles().ravel() if len(molecules.angles(s.bond)) else np.empty(0) for s in drawn])
        look = {"histtype": "stepfilled", "alpha": 0.4} if label == "MD" else {"histtype": "step", "lw": 1.4}
        for axis, values, bins in ((axes[0], lengths, np.linspace(0, top, 121)), (axes[1], bends, np.linspace(0, 180, 91))):
            axis.hist(values, bins, density=len(values) > 0, color=colour, label=label, **look)
    unit = UNIT[samples["MD"][0].units[0]]
    axes[0].set(xlabel=f"CG bond length (${unit}$)", ylabel=rf"density ($1/{unit}$)")
    axes[1].set(xlabel="angle between CG bonds (degrees)", ylabel="density (1/degree)")
    axes[0].legend(frameon=False, loc="upper right", fontsize=8)
    sns.despine(figure)
    return figure


@captioned
def tica_plane(md: Sequence[Ensemble], model: Sequence[Ensemble], chosen: Sequence[int], lag: float) -> Figure:
    """Free energy, in kT, on the two slowest coordinates of MD (TICA of pair distances): shades of MD, and contours of the learned
    simulator at 1, 2, 3 and 4 kT. Counts are smoothed over a bin, so that single ones make no contours.
    """
    figure, axes = plt.subplots(1, len(chosen), figsize=(WIDTH, 2.4), squeeze=False)
    for axis, k in zip(axes[0], chosen, strict=True):
        a, b = (molecules.pair_distances(s.frames) for s in (md[k], model[k]))
        slow = molecules.tica([a], lag=max(1, round(lag / md[k].interval)))
        x, y = slow.project(a), slow.project(b)
        edges = [np.linspace(np.quantile(x[:, c], 0.002), np.quantile(x[:, c], 0.998), 26) for c in (0, 1)]
        counts = [gaussian_filter(np.histogram2d(z[:, 0], z[:, 1], bins=edges)[0], 1.0) for z in (x, y)]
        truth, other = (-np.log(np.maximum(n / n.max(), 1e-6)).T for n in counts)
        centres = [0.5 * (e[1:] + e[:-1]) for e in edges]
        shades = axis.contourf(*centres, truth, levels=np.linspace(0, 5, 11), cmap="Greys_r", extend="max")
        axis.contour(*centres, other, levels=[1, 2, 3, 4], colors=[MODEL], linewidths=1)
        axis.set(title=f"chain {md[k].name.split('-')[-1]}", xlabel="TIC 1")
    axes[0, 0].set_ylabel("TIC 2")
    figure.colorbar(shades, ax=axes, label="free energy of MD (kT)", ticks=range(6), shrink=0.8)
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


def beads(axis: Axes, ensemble: Ensemble, frame: int) -> None:
    """One frame of the first replica as dots and CG bonds, seen along z: a molecule centred and coloured along itself, a box with its
    molecules wrapped into it, by component.
    """
    position, bond, box = ensemble.position[0, frame], ensemble.bond, ensemble.box
    if box is None:
        shown, kind = position - position.mean(axis=0), np.arange(len(position))
        axis.add_collection(LineCollection(list(shown[bond][:, :, :2]), colors="0.5", linewidths=1))
        axis.scatter(shown[:, 0], shown[:, 1], s=18, c=kind, cmap="viridis", zorder=2)
    else:
        shown = position % box
        near = bond[(np.abs(shown[bond[:, 0]] - shown[bond[:, 1]]) < box / 2).all(axis=1)]
        axis.add_collection(LineCollection(list(shown[near][:, :, :2]), colors="0.6", linewidths=0.8))
        by_name = component_colours(ensemble.component_name, ensemble.component, ensemble.molecule, ensemble.mass)
        colours = np.array([to_rgb(by_name[name]) for name in ensemble.component_name])[ensemble.component]
        single = np.bincount(ensemble.molecule)[ensemble.molecule] == 1
        axis.scatter(shown[:, 0], shown[:, 1], s=np.where(single, 30, 12), c=colours, zorder=2, edgecolors="0.3", linewidths=0.3)
    axis.set(aspect="equal", xticks=[], yticks=[])
