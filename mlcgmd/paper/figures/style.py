"""The one look of all figures, their colours and labels."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import seaborn as sns

MD, MODEL, OTHER, FOURTH = (sns.color_palette("colorblind")[k] for k in (7, 0, 1, 2))
"""Colours of MD, the refined model, what it is compared with, and one more."""
COMPONENT_COLOURS = ("0.6", "#0173b2", "#f7c815", *sns.color_palette("colorblind").as_hex()[1:7])
"""Grey for the component of the largest molecules, then blue, yellow and others."""
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
