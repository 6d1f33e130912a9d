"""The range of systems that a model was trained on: outside of it, it is asked for what it never saw.

Measured (notebook 05): a model of chains of 100 units, applied to chains of 200, makes them half as large and twenty times as fast,
and nothing in the run itself tells. Therefore a simulation outside of the range is refused unless it is asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .system import CoarseSystem, MismatchError

BEADS, DENSITY = 0.1, 0.05
"""By what share the number of beads of a molecule (or by one bead) and the density may leave the range of the training set."""
MOLECULE = "molecule"
"""What a lone molecule is called: the names of components matter in a periodic box only."""


class OutOfRangeError(MismatchError):
    """A system outside of the range that a model was trained on."""


@dataclass(frozen=True)
class Domain:
    """What the training systems of a model had.

    Attributes:
        beads: fewest and most beads of a molecule of each component.
        bond_type: pairs of particle types that were bonded, each sorted.
        density: smallest and largest mass per volume, in the data's units; None without a box.
    """

    beads: dict[str, tuple[int, int]]
    bond_type: tuple[tuple[str, str], ...]
    density: tuple[float, float] | None

    @classmethod
    def of(cls, systems: Sequence[CoarseSystem]) -> "Domain":
        """The range of ``systems``."""
        beads: dict[str, list[int]] = {}
        for system in systems:
            for name, count in _beads(system).items():
                beads.setdefault(name, []).extend(count)
        densities = [density for density in map(_density, systems) if density is not None]
        return cls(
            beads={name: (min(count), max(count)) for name, count in sorted(beads.items())},
            bond_type=tuple(sorted(set().union(*map(_bond_types, systems)))),
            density=(min(densities), max(densities)) if densities else None,
        )

    def outside(self, system: CoarseSystem) -> Iterator[str]:
        """What of a system is outside of the range: a sentence each, with the quantity and both numbers."""
        for name, count in _beads(system).items():
            low, high = self.beads.get(name, (0, 0))
            room = max(1.0, BEADS * high)
            for n in (min(count), max(count)):
                if not low - room <= n <= high + room:
                    yield f"a {name} of {n} beads, the model was trained on {low} to {high}"
                    break
        if new := sorted(_bond_types(system) - set(self.bond_type)):
            known = ", ".join(map("-".join, self.bond_type))
            yield f"bonds {', '.join(map('-'.join, new))}, the model was trained on {known}"
        density = _density(system)
        if density is not None and self.density is not None:
            thin, thick = self.density
            if not (1 - DENSITY) * thin <= density <= (1 + DENSITY) * thick:
                yield f"a density of {density:.3g} (mass per volume), the model was trained at {thin:.3g} to {thick:.3g}"

    def check(self, systems: Sequence[CoarseSystem]) -> None:
        """Refuse systems outside of the range.

        Raises:
            OutOfRangeError: naming the system, the quantity and both numbers.
        """
        for system in systems:
            for what in self.outside(system):
                raise OutOfRangeError(
                    f"{system.name} has {what}; train on such systems too, or give extrapolate=True to go on all the same"
                )


def _beads(system: CoarseSystem) -> dict[str, list[int]]:
    """Numbers of beads of the molecules of each component."""
    molecule, component = system.coarse.molecule.values, system.coarse.component.values
    names = system.coarse.component_name.values
    found: dict[str, list[int]] = {}
    _, firsts, counts = np.unique(molecule, return_index=True, return_counts=True)
    for first, count in zip(firsts, counts, strict=True):
        found.setdefault(MOLECULE if system.box is None else str(names[component[first]]), []).append(int(count))
    return found


def _bond_types(system: CoarseSystem) -> set[tuple[str, str]]:
    kinds = system.topology.particle_type[system.topology.particle_bond].sort(dim=0).values
    pairs = [sorted((system.type_name[i], system.type_name[j])) for i, j in kinds.unique(dim=1).T.tolist()]
    return {(a, b) for a, b in pairs}


def _density(system: CoarseSystem) -> float | None:
    return None if system.box is None else float(system.mass.sum() / np.prod(system.box.numpy(), dtype=float))
