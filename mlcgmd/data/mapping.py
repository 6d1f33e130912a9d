"""Coarse-graining: groups of particles, found once per system, become beads.

Each molecule's bond graph is cut into ``round(n_particles / level)`` parts, by METIS (Fu et al. 2023, section 3.1) or another of
:data:`.partitions.FAMILIES`; a bead sits at the centre of mass of its particles, and two beads are bonded where a bond crosses between
them.
"""

import numbers
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..errors import MlcgmdError
from . import trajectory
from .partitions import METIS, Family, Molecule
from .units import system_of


class MappingError(MlcgmdError):
    """A system that cannot be coarse-grained as asked."""


@dataclass(frozen=True)
class CoarseGraining:
    """A mapping of N particles to B beads. Arrays are read-only.

    Attributes:
        bead: (N,) bead of each particle; beads of a molecule are consecutive.
        mass: (B,) bead masses, in the trajectory's mass unit.
        molecule: (B,) molecule of each bead.
        bond: (n_bonds, 2) pairs of beads with a particle bond between them, i < j, sorted.
        level: particles per bead that were asked for.
        particle_mass: (N,) masses that weight the centres of mass.
    """

    bead: np.ndarray
    mass: np.ndarray
    molecule: np.ndarray
    bond: np.ndarray
    level: float
    particle_mass: np.ndarray

    def __post_init__(self) -> None:
        for array in (self.bead, self.mass, self.molecule, self.bond, self.particle_mass):
            array.setflags(write=False)

    @property
    def n_beads(self) -> int:
        """B."""
        return len(self.mass)

    @property
    def matrix(self) -> csr_array:
        """(B, N) float32: row b holds m_i / M_b of the particles i in bead b, so x_beads = matrix @ x."""
        n = len(self.bead)
        weight = (self.particle_mass / self.mass[self.bead]).astype(np.float32)
        return csr_array((weight, (self.bead, np.arange(n))), shape=(self.n_beads, n))

    def positions(self, position: np.ndarray) -> np.ndarray:
        """Centres of mass (F, B, 3) of unwrapped particle positions (F, N, 3), as one sparse product per block of frames."""
        matrix = self.matrix
        if position.ndim != 3 or position.shape[1] != matrix.shape[1]:
            raise MappingError(
                f"positions {position.shape} do not fit a mapping of {matrix.shape[1]} particles; expected (frames, {matrix.shape[1]}, 3)"
            )
        out = np.empty((len(position), self.n_beads, 3), np.float32)
        for first in range(0, len(position), 1000):
            block = position[first : first + 1000]
            columns = np.ascontiguousarray(block.transpose(1, 0, 2)).reshape(block.shape[1], -1)
            out[first : first + 1000] = (matrix @ columns).reshape(self.n_beads, len(block), 3).transpose(1, 0, 2)
        return out

    def first(self, values: np.ndarray) -> np.ndarray:
        """Of values (N,) of the particles, that of the first particle of each bead, (B,)."""
        return values[np.unique(self.bead, return_index=True)[1]]

    def bead_rg2(self, position: np.ndarray) -> np.ndarray:
        """Squared radius of gyration (F, B) of each bead's particles about their centre of mass, mass weighted.

        The exact difference between particle and bead level:
        Rg^2(particles) = Rg^2(beads) + sum_b M_b bead_rg2_b / M.
        """
        matrix = self.matrix
        out = np.empty((len(position), self.n_beads), np.float32)
        for first in range(0, len(position), 1000):
            block = position[first : first + 1000]
            inner = block - self.positions(block)[:, self.bead]
            out[first : first + 1000] = (matrix @ (inner**2).sum(axis=2).T).T
        return out

    def apply(self, fine: xr.Dataset) -> xr.Dataset:
        """The bead trajectory: the same data type, with attribute ``level`` and the variable ``bead_rg2`` (frame, particle).

        Beads of a mixture have their component as type.
        """
        position = fine.position.values
        component = self.first(fine.component.values)
        names = fine.component_name.values.tolist()
        mixture = len(names) > 1
        coarse = trajectory.make(
            self.positions(position),
            time=fine.time.values,
            particle_type=component if mixture else np.zeros(self.n_beads, int),
            type_name=names if mixture else ["bead"],
            mass=self.mass,
            bond=self.bond,
            molecule=self.molecule,
            component=component,
            component_name=names,
            charge=fine.charge.values if "charge" in fine else None,
            box=fine.box.values if "box" in fine else None,
            system=fine.attrs["system"],
            units=system_of(fine),
            level=self.level,
            condition=trajectory.condition_of(fine),
        )
        coarse["bead_rg2"] = (("frame", "particle"), self.bead_rg2(position))
        coarse.attrs["provenance"] = fine.attrs["provenance"]
        return coarse


def partition(fine: xr.Dataset, level: float, family: Family = METIS) -> CoarseGraining:
    """Map each molecule of ``fine`` to round(n_particles / level) beads, a molecule smaller than the level to one; deterministic.

    Args:
        fine: a trajectory of particles.
        level: particles per bead; it need not be whole, so that a molecule of n particles has b beads at level n / b.
        family: how a molecule is cut.

    Raises:
        MappingError: level < 1, larger than the largest molecule, or a disconnected molecule.

    >>> from mlcgmd.data.partitions import FAMILIES
    >>> from mlcgmd.paths import SHIPPED
    >>> fine = trajectory.load(SHIPPED / "chain-smoke" / "test-000.nc")
    >>> {name: partition(fine, fine.sizes["particle"] / 5, family).n_beads for name, family in FAMILIES.items()}
    {'metis': 5, 'contiguous': 5, 'pure': 5, 'spectral': 5, 'sides': 5, 'random': 5}
    """
    check_particles(fine)
    if not (isinstance(level, numbers.Real) and level >= 1):
        raise MappingError(f"level {level!r} is no number, or below 1: it is the number of particles per bead")
    bond = fine.bond.values
    molecule = fine.molecule.values
    mass = fine.mass.values.astype(float)
    n = len(molecule)
    neighbours = csr_array((np.ones(2 * len(bond)), (np.r_[bond[:, 0], bond[:, 1]], np.r_[bond[:, 1], bond[:, 0]])), shape=(n, n))
    names = fine.type_name.values[fine.particle_type.values]
    bead = np.empty(n, np.int64)
    bead_molecule: list[int] = []
    largest = int(np.bincount(molecule).max())
    if level > largest:
        raise MappingError(f"{fine.attrs['system']}: level {level} is larger than the largest molecule, of {largest} particles")
    for m in np.unique(molecule):
        members = np.flatnonzero(molecule == m)
        local = neighbours[members][:, members]
        if connected_components(local, directed=False)[0] > 1:
            raise MappingError(f"{fine.attrs['system']}: molecule {m} is disconnected; is a bond missing?")
        parts = _numbered(family(Molecule(local, names[members]), max(1, round(len(members) / level))))
        bead[members] = len(bead_molecule) + parts
        bead_molecule += [int(m)] * (parts.max() + 1)
    crossing = np.sort(bead[bond], axis=1)
    crossing = np.unique(crossing[crossing[:, 0] != crossing[:, 1]], axis=0).reshape(-1, 2)
    return CoarseGraining(
        bead=bead,
        mass=np.bincount(bead, weights=mass),
        molecule=np.array(bead_molecule),
        bond=crossing.astype(np.int32),
        level=float(level),
        particle_mass=mass,
    )


def check_particles(fine: xr.Dataset) -> None:
    """Refuse what is no trajectory.

    Raises:
        MappingError: it is something else, or a simulation of replicas.
    """
    if not isinstance(fine, xr.Dataset) or "replica" in fine.dims:
        what = "simulation of replicas" if isinstance(fine, xr.Dataset) else type(fine).__name__
        raise MappingError(f"a {what} is no trajectory of particles; give one of mlcgmd.load, or one replica: run.isel(replica=0)")


def _numbered(parts: np.ndarray) -> np.ndarray:
    """``parts`` (n,) as 0 .. k-1 in the order of their first particles."""
    _, first, inverse = np.unique(parts, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
