"""A coarse-grained trajectory as the networks take it: tensors and static graphs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from ..data import trajectory
from ..data.mapping import CoarseGraining, partition
from ..data.partitions import METIS, Family
from ..data.units import system_of, units_of
from ..errors import MlcgmdError
from . import graph
from .graph import Topology, topology

LEVEL = "level"
"""The particles per bead, among what networks can be told of a system: then one model serves several levels."""


class MismatchError(MlcgmdError):
    """A system that a model was not made for."""


@dataclass(frozen=True)
class CoarseSystem:
    """A coarse-grained trajectory in memory, with its topology.

    Attributes:
        name: of the system.
        topology: static graphs; their particle types and components are indices into ``type_name`` and ``component_name``.
        position: bead positions (F, B, 3).
        bead_rg2: squared radius of gyration (F, B) of the particles in each bead.
        frame_interval: time between frames; infinite for a single frame, which is enough to start a model without history.
        type_name: names of the particle types of the fine system.
        component_name: names of the kinds of molecules.
        level: particles per bead.
        digest: of all that was coarse-grained and how, so that two systems of one name can be told apart.
        coarse: the same as a trajectory of beads (:mod:`.data.trajectory`), for analysis and export.
    """

    name: str
    topology: Topology
    position: Float[Tensor, "F B 3"]
    bead_rg2: Float[Tensor, "F B"]
    frame_interval: float
    type_name: tuple[str, ...]
    component_name: tuple[str, ...]
    level: float
    digest: str
    coarse: xr.Dataset

    @property
    def box(self) -> Float[Tensor, " 3"] | None:
        """Edges of the periodic box; None if there is none."""
        edge = self.topology.box[0]
        return edge if bool(torch.isfinite(edge).all()) else None

    @property
    def units(self) -> tuple[str, str, str]:
        """Of length, time and mass."""
        return units_of(self.coarse)

    @property
    def condition(self) -> dict[str, float]:
        """What determines its ensemble besides, such as a temperature (:mod:`.data.trajectory`)."""
        return trajectory.condition_of(self.coarse)

    @property
    def told(self) -> dict[str, float]:
        """What networks can be told of it: its condition, and its level."""
        return self.condition | {LEVEL: self.level}

    @property
    def mass(self) -> np.ndarray:
        """Bead masses (B,)."""
        return self.topology.bead_mass.numpy()

    @property
    def component(self) -> np.ndarray:
        """Index (B,) into ``component_name``."""
        return self.topology.component.numpy()

    @property
    def used_types(self) -> set[str]:
        """Names of the particle types that occur."""
        return {self.type_name[k] for k in self.topology.particle_type.unique().tolist()}

    @property
    def bond(self) -> np.ndarray:
        """CG bonds (n_bonds, 2)."""
        return np.array(self.coarse.bond.values)

    def stride(self, time_step: float) -> int:
        """Number of frames in ``time_step``.

        Raises:
            trajectory.TrajectoryError: ``time_step`` is not a multiple of the frame interval.
        """
        if not np.isfinite(self.frame_interval):
            raise trajectory.TrajectoryError(f"{self.name}: one frame holds no time step; give a trajectory of several")
        stride = round(time_step / self.frame_interval)
        if stride < 1 or abs(stride * self.frame_interval - time_step) > 1e-3 * self.frame_interval:
            raise trajectory.TrajectoryError(
                f"{self.name}: a time step of {time_step:g} is not a multiple of the frame interval {self.frame_interval:g}"
            )
        return stride

    def in_terms_of(self, type_name: Sequence[str], component_name: Sequence[str]) -> "CoarseSystem":
        """The same system with its types and components as indices into these names: those that a model knows, in its order.

        The names of the components of a system without a box do not matter to a model, and are left as they are.

        Raises:
            MismatchError: the system has a particle type or a component that is not among the names.
        """
        t = self.topology
        kinds = _renamed(self, "particle types", t.particle_type, self.type_name, type_name)
        if self.box is None:
            return replace(self, topology=replace(t, particle_type=kinds), type_name=tuple(type_name))
        parts = _renamed(self, "components", t.component, self.component_name, component_name)
        renamed = replace(t, particle_type=kinds, component=parts)
        return replace(self, topology=renamed, type_name=tuple(type_name), component_name=tuple(component_name))

    def under(self, conditions: Sequence[tuple[str, float, float]]) -> "CoarseSystem":
        """The same as networks see it that know these conditions, by name, mean and half of the range.

        Raises:
            MismatchError: one of them was not told of the system.
        """
        if missing := [name for name, _, _ in conditions if name not in self.told]:
            raise MismatchError(
                f"nothing says which {missing[0]} {self.name} has, which the model must know; give condition={{{missing[0]!r}: ...}} where"
                " it is loaded"
            )
        seen = torch.tensor([(self.told[name] - mean) / spread for name, mean, spread in conditions], dtype=torch.float32)
        return replace(self, topology=replace(self.topology, condition=seen.expand(len(self.mass), -1)))

    def within(self, radius: float | None) -> "CoarseSystem":
        """The same as networks of this radius see it.

        Raises:
            MismatchError: there is no radius, and a molecule is too large for all of its beads to see each other.
        """
        if radius is not None:
            return replace(self, topology=self.topology.local())
        if self.box is None and not self.topology.complete:
            raise MismatchError(
                f"{self.name} has {len(self.mass)} beads, too many for all to see each other; train with a radius, or coarse-grain further"
            )
        return self


def _renamed(system: CoarseSystem, what: str, index: Tensor, own: Sequence[str], known: Sequence[str]) -> Tensor:
    """``index`` into the names ``own`` as an index into the names ``known``."""
    new = sorted({own[k] for k in index.unique().tolist()} - set(known))
    if new:
        raise MismatchError(
            f"{system.name} has {what} {new}, the model knows {list(known)}; name them alike if they are the same, or train anew"
        )
    table = torch.tensor([known.index(name) if name in known else -1 for name in own])
    return table[index]


def several(systems: Sequence[CoarseSystem] | CoarseSystem) -> list[CoarseSystem]:
    """The systems, or the one, as a list.

    Raises:
        MlcgmdError: one is no coarse-grained system, or two of one level have one name.
    """
    found = list(systems) if isinstance(systems, Sequence) else [systems]
    for s in found:
        if not isinstance(s, CoarseSystem):
            raise MlcgmdError(f"a {type(s).__name__} is no coarse-grained system; make one with mlcgmd.coarse_grain(trajectory, level)")
    names = [(s.name, s.level) for s in found]
    if twice := [name for k, name in enumerate(names) if name in names[:k]]:
        raise MlcgmdError(f"two systems are called {twice[0][0]!r}; give each a name of its own, as in load(..., system=...)")
    return found


def in_common_terms(systems: Sequence[CoarseSystem]) -> list[CoarseSystem]:
    """The systems with indices into the same names: all particle types and, in boxes, components, in the order of their occurrence.

    Raises:
        MlcgmdError: there are none, or they differ in units, or some are in a box and some are not.
    """
    if not systems:
        raise MlcgmdError("there are no systems to train on; give at least one coarse-grained trajectory")
    check_alike(systems)
    types, components = (
        list(dict.fromkeys(name for s in systems for name in getattr(s, names))) for names in ("type_name", "component_name")
    )
    return [s.in_terms_of(types, components) for s in systems]


def conditions(systems: Sequence[CoarseSystem], names: Sequence[str]) -> tuple[tuple[str, float, float], ...]:
    """Mean and half of the range over the systems of each of these conditions, of which one may be :data:`LEVEL`; 1 in place of no range.

    Raises:
        MismatchError: one was not told of a system, or the systems differ in one that is not among the names.
    """
    told: dict[str, list[float]] = {}
    for s in systems:
        s.under([(name, 0.0, 1.0) for name in names])
        for name, value in s.told.items():
            told.setdefault(name, []).append(value)
    for name, values in told.items():
        if name not in names and max(values) > min(values):
            raise MismatchError(
                f"the {name} of the systems is {min(values):g} to {max(values):g}, which the model would not see; name it in condition"
            )
    return tuple((name, (max(v) + min(v)) / 2, (max(v) - min(v)) / 2 or 1.0) for name, v in ((name, told[name]) for name in names))


def check_alike(systems: Sequence[CoarseSystem]) -> None:
    """Refuse systems that no model can know together.

    Raises:
        MlcgmdError: they differ in units, or some are in a box and some are not.
    """
    first = systems[0]
    for s in systems:
        if (s.box is None) != (first.box is None):
            here, there = ("without" if x.box is None else "in" for x in (s, first))
            raise MlcgmdError(f"{s.name} is {here} a box, {first.name} {there} one; train on systems of one kind")
        if s.units != first.units:
            raise MlcgmdError(f"{s.name} is in {', '.join(s.units)}, {first.name} in {', '.join(first.units)}; use one set of units")


def coarse_grain(fine: xr.Dataset, level: float, family: Family = METIS) -> CoarseSystem:
    """Coarse-grain a trajectory once, for training or as the start of a simulation.

    Args:
        fine: a trajectory of particles.
        level: particles per bead.
        family: how molecules are cut (:data:`.partitions.FAMILIES`). A model does not know it: use one for all of its systems.

    Raises:
        trajectory.TrajectoryError: the box changes in time, which no model here learns.
        MappingError: as :func:`.mapping.partition`.

    >>> from mlcgmd.paths import SHIPPED
    >>> fine = trajectory.load(SHIPPED / "chain-smoke" / "test-000.nc")
    >>> system = coarse_grain(fine, level=8)
    >>> round(fine.sizes["particle"] / len(system.mass), 1), system.coarse.attrs["level"]
    (8.5, 8.0)
    """
    mapping = partition(fine, level, family)
    if "box" in fine and not np.allclose(fine.box, fine.box[0], rtol=1e-4):
        raise trajectory.TrajectoryError(f"{fine.attrs['system']}: the box changes in time; give a run at constant volume")
    coarse = mapping.apply(fine)
    return CoarseSystem(
        name=fine.attrs["system"],
        topology=topology(fine, mapping),
        position=torch.from_numpy(coarse.position.values.copy()),
        bead_rg2=torch.from_numpy(coarse.bead_rg2.values.copy()),
        frame_interval=trajectory.frame_interval(fine) if fine.sizes["frame"] > 1 else np.inf,
        type_name=tuple(fine.type_name.values.tolist()),
        component_name=tuple(fine.component_name.values.tolist()),
        level=float(level),
        digest=_digest(fine, mapping),
        coarse=coarse,
    )


def _digest(fine: xr.Dataset, mapping: CoarseGraining) -> str:
    """Of particles, not of beads: sums of floating point numbers differ between processors, what files hold does not."""
    what = (fine.type_name.values.tolist(), fine.component_name.values.tolist(), fine.attrs["length_unit"], mapping.level)
    condition = trajectory.condition_of(fine)
    found = hashlib.sha256(repr((*what, condition) if condition else what).encode())
    names = ("position", "particle_type", "mass", "molecule", "component", "bond", "time", "box")
    for array in (*(fine[name].values for name in names if name in fine), mapping.bead):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def tile(system: CoarseSystem, n: int) -> CoarseSystem:
    """The first frames of a system in a periodic box of ``n`` copies along each axis: larger systems, to time a model on."""
    topology = graph.tile(system.topology, n)
    cell = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float32)] * 3).view(-1, 3)
    few = system.position[:100]
    position = (few[:, None] + (cell * system.topology.box)[:, None]).flatten(1, 2)
    c, copies = system.coarse, n**3
    bond = c.bond.values + len(system.mass) * np.arange(copies)[:, None, None]
    molecule = c.molecule.values + (c.molecule.values.max() + 1) * np.arange(copies)[:, None]
    coarse = trajectory.make(
        position.numpy(),
        time=c.time.values[:100],
        particle_type=np.tile(c.particle_type.values, copies),
        type_name=c.type_name.values.tolist(),
        mass=np.tile(c.mass.values, copies),
        bond=bond.reshape(-1, 2),
        molecule=molecule.ravel(),
        component=np.tile(c.component.values, copies),
        component_name=list(system.coarse.component_name.values),
        box=n * c.box.values[:100],
        system=system.name,
        units=system_of(c),
        level=system.level,
        condition=system.condition,
    )
    return replace(
        system,
        topology=topology,
        position=position,
        bead_rg2=system.bead_rg2[:100].repeat(1, copies),
        digest=f"{system.digest}, {n} x {n} x {n}",
        coarse=coarse,
    )
