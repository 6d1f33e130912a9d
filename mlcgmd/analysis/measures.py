"""What is measured on any system: one table, :data:`MEASURES`, of which :func:`measures_of` finds the rows that apply.

A new measure is one function of :mod:`.observables` and one row. The function takes an :class:`.Ensemble`, what MD and simulation have in
common, and the names of the components that the row is about.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from . import estimates, molecules, observables
from .distances import ABSOLUTE, CURVE, MAP, RELATIVE, STANDARDISED, Distance, each
from .ensemble import Ensemble
from .statistics import Estimate

CHAIN = 4
"""Beads that a molecule needs for a contact map."""


@dataclass(frozen=True)
class Measure:
    """A row of the table.

    Attributes:
        id: fixed name; those of its components are added where there are several.
        words: what it is.
        unit: with ``{length}``, ``{time}``, ``{diffusion}`` for those of the system.
        target: what is asked of a good model, in words.
        each: what there is a row for: the system, each component, each pair of components, or the second of a pair about the first.
        applies: (ensemble, \\*names) -> whether it can be measured.
        value: (ensemble, common, \\*names) -> :class:`.statistics.Estimate` or, with a ``distance``, a sample.
        distance: None for a value.
        names: of the components.
    """

    id: str
    words: str
    unit: str
    target: str
    each: Literal["system", "component", "pair", "ordered"]
    applies: Callable[..., bool]
    value: Callable[..., Estimate | np.ndarray]
    distance: Distance | None = None
    names: tuple[str, ...] = ()


def has_shape(e: Ensemble, name: str) -> bool:
    """Whether molecules of the component have more than one bead."""
    return any(len(beads) > 1 for beads in e.molecules(name))


def has_inside(e: Ensemble, name: str) -> bool:
    """Whether it is known, too, what is inside the beads of such molecules."""
    return e.bead_rg2 is not None and has_shape(e, name)


def has_map(e: Ensemble, name: str) -> bool:
    """Whether molecules of the component are alike and long enough for a contact map."""
    sizes = {len(beads) for beads in e.molecules(name)}
    return len(sizes) == 1 and sizes.pop() >= CHAIN


def has_bonds(e: Ensemble) -> bool:
    """Whether there are CG bonds."""
    return len(e.bond) > 0


def has_angles(e: Ensemble, name: str) -> bool:
    """Whether two CG bonds meet in a bead of the component."""
    return bool(np.isin(molecules.angles(e.bond), e.beads(name)).any())


def has_own_bonds(e: Ensemble, name: str) -> bool:
    """Whether there are CG bonds within molecules of the component."""
    return bool(np.isin(e.bond, e.beads(name)).any())


def is_alone(e: Ensemble) -> bool:
    """Whether it is one molecule without a box."""
    return e.box is None and len(np.unique(e.molecule)) == 1


def moves(e: Ensemble, name: str) -> bool:
    """Whether beads of the component move against the rest of the system."""
    return len(e.mass) > 1 and len(e.beads(name)) > 0


def diffuses(e: Ensemble, name: str) -> bool:
    """Whether the component is in a periodic box of several molecules."""
    return e.box is not None and len(np.unique(e.molecule)) > 1 and len(e.beads(name)) > 0


def has_neighbours(e: Ensemble, a: str, b: str) -> bool:
    """Whether there are beads of the two components in different molecules of a box."""
    others = len(e.molecules(a)) > 1 if a == b else min(len(e.beads(a)), len(e.beads(b))) > 0
    return e.box is not None and others


def conducts(e: Ensemble) -> bool:
    """Whether there are ions of known charge in a neutral box, in units of which conductivities are known."""
    return e.box is not None and e.units[0] == "angstrom" and bool(estimates.ions(e, e.species()))


MEASURES = (
    Measure("rg2", "⟨Rg²⟩ of a molecule", "{length}^2", "within 3 %", "component", has_shape, observables.size),
    Measure(
        *("rg2_particle", "⟨Rg²⟩ of a molecule, of its particles", "{length}^2", "within 3 %", "component"),
        *(has_inside, functools.partial(observables.size, particles=True)),
    ),
    Measure("rg2.emd", "EMD of Rg² / mean", "", "as two MD samples", "component", has_shape, observables.sizes, RELATIVE),
    Measure("relaxation", "relaxation time of Rg²", "{time}", "within 27 %", "component", has_shape, observables.relaxation),
    Measure("contacts", "1 - correlation of contact maps", "", "<= 0.03", "component", has_map, observables.contacts, MAP),
    Measure("bond.emd", "EMD of CG bond lengths / mean", "", "<= 0.03", "system", has_bonds, observables.bond_lengths, RELATIVE),
    Measure(
        *("bond.emd_over_std", "EMD of the length of a CG bond / standard deviation, mean over bonds", "", "<= 0.15", "component"),
        *(has_own_bonds, observables.each_bond, each(STANDARDISED)),
    ),
    Measure(
        *("angle.emd", "EMD of an angle between CG bonds, mean over angles", "degrees", "<= 3", "component"),
        *(has_angles, observables.each_angle, each(ABSOLUTE)),
    ),
    Measure("rdf", "mean difference of g(r)", "", "twice as two MD samples", "pair", has_neighbours, observables.rdf, CURVE),
    Measure("peak", "first peak of g(r)", "{length}", "within 0.15", "pair", has_neighbours, observables.first_peak),
    Measure("coordination", "beads in the first shell about one", "", "", "ordered", has_neighbours, observables.coordination),
    Measure("D", "self-diffusion coefficient", "{diffusion}", "within 26 %", "component", diffuses, observables.diffusion),
    Measure(
        *("D.centre", "diffusion of the centre of mass of a lone molecule", "{diffusion}", "within 10 %", "system"),
        *(is_alone, observables.centre_diffusion),
    ),
    Measure("step", "root mean square displacement in one step", "{length}", "", "component", moves, observables.displacement),
    Measure("conductivity.nernst_einstein", "Nernst-Einstein conductivity", "S/cm", "", "system", conducts, observables.nernst_einstein),
    Measure("conductivity.collective", "collective conductivity", "S/cm", "", "system", conducts, observables.collective),
    Measure("transference", "transference number of the cations", "", "", "system", conducts, observables.transference),
)
"""All observables; a simulation is compared with MD by those that apply to it."""


def measures_of(md: Ensemble, table: Sequence[Measure] = MEASURES) -> list[Measure]:
    """The rows of the table that apply to a system: a measure for it, each of its components, each pair of them, or each both ways round.

    Names of components are added to ids and words where there are several. Units are those of the system.
    """
    present = [name for k, name in enumerate(md.component_name) if (md.component == k).any()]
    length, time, _ = md.units
    units = {"length": length, "time": time, "diffusion": "cm^2/s" if length == "angstrom" else f"{length}^2/{time}"}
    groups: dict[str, list[tuple[str, ...]]] = {
        "system": [()],
        "component": [(name,) for name in present],
        "pair": list(itertools.combinations_with_replacement(present, 2)),
        "ordered": list(itertools.product(present, present)),
    }
    found = []
    for measure in table:
        for names in groups[measure.each]:
            if measure.applies(md, *names):
                several = names and len(present) > 1
                found.append(
                    replace(
                        measure,
                        id=f"{measure.id}.{'-'.join(names)}" if several else measure.id,
                        words=f"{measure.words}, {' - '.join(names)}" if several else measure.words,
                        unit=measure.unit.format(**units),
                        names=names,
                    )
                )
    return found
