"""The figure of the book's first page."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ..provenance import captioned
from .mixtures import DIFFUSION, MARKERS, square
from .style import MD, MODEL, SPECIES_COLOURS, WIDTH


@captioned
def at_a_glance(chains: pd.DataFrame, electrolytes: pd.DataFrame, speeds: Mapping[str, Mapping[str, float]]) -> Figure:
    """Systems that were never trained on, the learned simulator against MD, with standard errors of both: size of chains, diffusion in
    electrolytes (band: a factor 1.26 either way), and the speed of each engine on one core over that of OpenMM.

    ``chains`` is a table of :func:`.scores.conformations`, ``electrolytes`` of :func:`.scores.diffusion`; ``speeds``: of each system the
    simulated time per second of each engine, OpenMM and the learned simulator among them.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.75), width_ratios=(1, 1, 1.1))
    axes[0].errorbar(chains.rg2_md, chains.rg2, xerr=chains.rg2_md_error, yerr=chains.rg2_error, fmt="o", ms=4, lw=1, color=MODEL)
    ends = (0.9 * chains[["rg2", "rg2_md"]].min().min(), 1.05 * chains[["rg2", "rg2_md"]].max().max())
    axes[0].axline((ends[0], ends[0]), slope=1, color="0.6", lw=1, zorder=0)
    axes[0].set(xlim=ends, ylim=ends, aspect="equal", title="size of chains")
    axes[0].set(xlabel=r"MD: $\langle R_g^2\rangle$ ($\sigma^2$)", ylabel=r"learned: $\langle R_g^2\rangle$ ($\sigma^2$)")
    values = electrolytes.set_index(["species", "composition"])
    md, model = (values[values.source == source] for source in ("md", "model"))
    for (species, colour), marker in zip(SPECIES_COLOURS.items(), MARKERS, strict=False):
        x, y = md.loc[species], model.loc[species].reindex(md.loc[species].index)
        axes[1].errorbar(x.value, y.value, xerr=x.error, yerr=y.error, fmt=marker, ms=5, lw=1, color=colour, label=species)
    square(axes[1], pd.concat([md.value, model.value]).to_numpy(float))
    axes[1].set(xlabel=f"MD: {DIFFUSION}", ylabel=f"learned: {DIFFUSION}", title="diffusion in electrolytes")
    axes[1].legend(frameon=False, fontsize=7, loc="upper left", handletextpad=0.1)
    bars = [
        (f"{system}\n{engine}", speed / engines["OpenMM"], engine)
        for system, engines in speeds.items()
        for engine, speed in engines.items()
    ]
    for k, (_, factor, engine) in enumerate(bars):
        axes[2].barh(k, factor, left=0, color=MODEL if engine == "learned" else MD, height=0.7)
        axes[2].annotate(f"× {float(f'{factor:.2g}'):,g}", (factor, k), (3, 0), textcoords="offset points", va="center", fontsize=8)
    axes[2].set(xscale="log", yticks=range(len(bars)), xlabel="speed over OpenMM", title="speed on one core")
    axes[2].set_yticklabels([label for label, *_ in bars], fontsize=7)
    axes[2].set_xlim(0.7, 30 * max(factor for _, factor, _ in bars))
    axes[2].invert_yaxis()
    for axis in axes:
        axis.title.set_fontsize(10)
    sns.despine(figure)
    return figure
