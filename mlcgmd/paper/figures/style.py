"""The one look of all figures, their colours and labels."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

MD, MODEL, OTHER, LANGEVIN = (sns.color_palette("colorblind")[k] for k in (7, 0, 1, 2))
"""What a colour means in every figure: MD grey, the refined model blue, what it is compared with (not refined, short MD) orange, the
paper's Langevin sampler green."""
COMPONENT_COLOURS = ("#a3907c", "#dbb300", "#a259c4", "#5fb3b3", "#b5485d", "#6b7f3f", "#3f4a6b", "#d98cb3", "#7a5230")
"""Of molecules, the largest first: of electrolytes the chain brown, TFSI yellow, Li violet. None of the colours above."""
SPECIES_COLOURS = {"chain": COMPONENT_COLOURS[0], "TFSI": COMPONENT_COLOURS[1], "Li": COMPONENT_COLOURS[2]}
"""Of what diffuses in electrolytes."""
KINDS = {
    **dict.fromkeys(("not refined", "none", "regression"), OTHER),
    **dict.fromkeys(("few-step", "refined", "flow", "learned"), MODEL),
    "Langevin": LANGEVIN,
}
"""Colours of the kinds of simulations that tables of experiments name, by how the name begins."""
LONG_TIME = {"tau": r"time ($10^3\,\tau$)", "ps": "time (ns)"}
"""Axis label of a thousand time units."""
UNIT = {"sigma": r"\sigma", "angstrom": r"\mathrm{\AA}", "tau": r"\tau", "ps": r"\mathrm{ps}"}
"""Units in the formulas of figures."""
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


def shades(n: int) -> list[tuple[float, float, float]]:
    """Colours without a meaning of their own, in order from light to dark: of steps of a setting, of systems."""
    return [tuple(colour) for colour in sns.color_palette("blend:#f08ab8,#5c0a4e", n)] if n > 1 else [(0.7, 0.2, 0.5)]


def hues(labels: Sequence[str]) -> list[tuple[float, float, float]]:
    """A colour for each label of a table: that of :data:`KINDS`, a further one of a kind lighter or darker; or :func:`shades`."""
    kinds = [next((kind for kind in KINDS if label.startswith(kind)), None) for label in labels]
    if None in kinds:
        return shades(len(labels))
    seen = [kinds[:k].count(kind) for k, kind in enumerate(kinds)]
    return [tuple(np.clip(np.array(KINDS[kind]) * 0.7**before, 0, 1)) for kind, before in zip(kinds, seen, strict=True) if kind]


def component_colours(component_name: Sequence[str], component: np.ndarray, molecule: np.ndarray, mass: np.ndarray) -> dict[str, str]:
    """A colour of :data:`COMPONENT_COLOURS` for each component, by name: the larger its molecules the earlier, whatever the composition.

    Molecules of more particles are larger; of as many, heavier ones.

    Args:
        component_name: kinds of molecules.
        component: index (n,) into them of each particle.
        molecule: index (n,) of the molecule of each.
        mass: (n,).
    """
    count, weight = np.bincount(molecule)[molecule], np.bincount(molecule, weights=mass)[molecule]
    most, heaviest = ([x[component == k].max(initial=0) for k in range(len(component_name))] for x in (count, weight))
    rank = np.argsort(np.lexsort((-np.array(heaviest), -np.array(most))))
    return {name: COMPONENT_COLOURS[k % len(COMPONENT_COLOURS)] for name, k in zip(component_name, rank, strict=True)}


def logarithmic_scale(axis: Axis, at: np.ndarray | None = None) -> None:
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
