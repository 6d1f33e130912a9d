"""Every figure as a function data -> Figure."""

from .changing import cost_and_error, trips
from .conformations import (
    autocorrelations,
    beads,
    bond_distributions,
    contact_maps,
    parity,
    rg2_distributions,
    stability,
    tica_plane,
)
from .exact import deviations, memory, propagators, spectrum, what_is_kept
from .experiments import break_even, courses, short_md_curve, speed, sweep, training_curves
from .front import at_a_glance
from .lengths import longer_parity, one_step
from .lifting import inside_beads, lifted_whole
from .mappings import mapping_errors, predicted_errors, prior_ranks
from .mixtures import diffusion_parity, displacements, rdfs, short_against_long, survival
from .style import COMPONENT_COLOURS, LANGEVIN, LONG_TIME, MD, MODEL, OTHER, WIDTH, component_colours, hues, style

__all__ = [
    "COMPONENT_COLOURS",
    "LANGEVIN",
    "LONG_TIME",
    "MD",
    "MODEL",
    "OTHER",
    "WIDTH",
    "at_a_glance",
    "autocorrelations",
    "beads",
    "bond_distributions",
    "break_even",
    "component_colours",
    "contact_maps",
    "cost_and_error",
    "courses",
    "deviations",
    "diffusion_parity",
    "displacements",
    "hues",
    "inside_beads",
    "lifted_whole",
    "longer_parity",
    "mapping_errors",
    "memory",
    "one_step",
    "parity",
    "predicted_errors",
    "prior_ranks",
    "propagators",
    "rdfs",
    "rg2_distributions",
    "short_against_long",
    "short_md_curve",
    "spectrum",
    "speed",
    "stability",
    "style",
    "survival",
    "sweep",
    "tica_plane",
    "training_curves",
    "trips",
    "what_is_kept",
]
