"""Solid polymer electrolytes, all-atom: linear polyethers CH3-[O-(CH2)m]n-OCH3 with LiTFSI (A, ps, amu, e, K).

Each chain repeats one sequence of spacers m in {2, 3, 4} (all 2: PEO). Force field: OPLS-AA
alkanes and ethers and the CL&P bistriflimide (``electrolyte.xml``, from ``data/forcefield``), ion
charges scaled as a whole to stand for the polarisability that fixed charges lack.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np
import openmm
import xarray as xr
from openmm import app
from scipy.spatial.transform import Rotation

from ..arguments import COUNT, NOT_NEGATIVE, SEED, Number, check, positive
from ..data import trajectory
from ..errors import MlcgmdError
from ..paths import SHIPPED
from .engine import Engine
from .openmm import OpenMM, force

ANGSTROM = 0.1
"""nm"""
ELEMENTS = ["H", "Li", "C", "N", "O", "F", "S"]
"""The particle types, in the order of their indices."""
MASSES = [1.008, 6.941, 12.011, 14.0, 15.999, 18.998, 32.066]
"""of the elements, as in the force field; amu."""
SPACERS = (2, 3, 4)
TFSI_ATOMS = 15
HYDROGEN_MASS = 3.0
"""amu, of hydrogens in MD, taken from the atom that each is bonded to: no average of positions changes, and 4 fs steps are stable."""
PACKED_VOLUME = 40.0
"""A^3 per atom of the box in which molecules are packed: a quarter of the liquid's density."""
CLEARANCE = 1.7
"""A; atoms of two molecules start no closer."""


@dataclass(frozen=True)
class ElectrolyteSpec:
    """Everything that determines an electrolyte's trajectory; times in ps, lengths in A."""

    name: str
    chains: int
    spacers: tuple[int, ...]
    """m of each (CH2)m between two oxygens, along the chain: n = len(spacers), n + 1 oxygens."""
    oxygen_per_lithium: float
    """O:Li, of ether oxygens; the number of LiTFSI is rounded."""
    seed: int
    length: float
    """Production time."""
    frame_interval: float = 4.0
    equilibration: float = 500.0
    """NPT at 1 bar, after compression."""
    temperature: float = 450.0
    cutoff: float = 7.2
    """of the LJ and the direct Coulomb part; PME does the rest."""
    charge_scale: float = 0.75
    """Factor on the charges of Li and TFSI."""
    time_step: float = 0.004
    friction: float = 0.2
    """1/ps"""
    platform: str = "CPU"
    """OpenMM's"""

    units = "real"
    type_name = ELEMENTS
    component_name = ("polymer", "TFSI", "Li")
    charge = (0.0, -1.0, 1.0)
    """e; the whole charges that carry current, not the scaled ones of the force field."""
    pressure: ClassVar[float | None] = 1.0
    """bar"""
    relaxed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        times = dict.fromkeys(("length", "frame_interval", "time_step"), positive("ps"))
        check(self, seed=SEED, chains=COUNT, oxygen_per_lithium=positive(), **times, charge_scale=NOT_NEGATIVE, friction=positive("1/ps"))
        check(self, temperature=positive("K"), cutoff=positive("A"))
        # The volume is logged once per ps, and its mean is that of the production.
        check(self, equilibration=Number(least=0 if self.pressure is None else 1, unit="ps"))
        unknown = sorted(set(self.spacers) - set(SPACERS))
        if unknown or not self.spacers:
            raise MlcgmdError(f"{self.name}: spacers {unknown} are not in the force field; give one or more of {SPACERS}")
        if self.salt < 1:
            raise MlcgmdError(f"{self.name}: O:Li {self.oxygen_per_lithium:g} leaves no ion in {self.chains} chains; add chains or salt")

    @property
    def engine(self) -> Engine:
        """OpenMM, on ``platform``."""
        return OpenMM(self)

    @property
    def condition(self) -> dict[str, float]:
        """Temperature in K."""
        return {"temperature": self.temperature}

    @property
    def salt(self) -> int:
        """Number of Li, and of TFSI."""
        return round(self.chains * (len(self.spacers) + 1) / self.oxygen_per_lithium)

    def _molecules(self) -> app.Topology:
        top = app.Topology()
        library = _residues()
        for _ in range(self.chains):
            chain = top.addChain()
            last = None
            for name in ("HEAD", *(f"M{m}" for m in self.spacers), "TAIL"):
                atoms = _add_residue(top, chain, library[name])
                if last is not None:
                    top.addBond(last, atoms["C" if name == "TAIL" else "C1"])
                last = atoms.get("O")
        for name in ("TFSI", "LI"):
            for _ in range(self.salt):
                _add_residue(top, top.addChain(), library[name])
        return top

    def topology(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """particle_type (N,) of :data:`ELEMENTS`, mass (N,) true masses, bond (n_bonds, 2)."""
        top = self._molecules()
        kinds = np.array([ELEMENTS.index(atom.element.symbol) for atom in top.atoms()])
        bond = np.array([(b[0].index, b[1].index) for b in top.bonds()], dtype=np.int32)
        return kinds, np.array(MASSES)[kinds], bond

    def component(self) -> np.ndarray:
        """Which of ``component_name`` each particle (N,) is part of: chains first, then TFSI, then Li."""
        chain = sum(3 * m + 1 for m in self.spacers) + 9
        return np.repeat([0, 1, 2], [self.chains * chain, self.salt * TFSI_ATOMS, self.salt])

    def openmm_system(self) -> openmm.System:
        """The OpenMM system without a barostat; its box is that of :meth:`start`."""
        top = self._molecules()
        edge = self.packed_edge() * ANGSTROM
        top.setPeriodicBoxVectors(np.eye(3) * edge)
        system = _force_field().createSystem(
            top,
            nonbondedMethod=app.PME,
            nonbondedCutoff=self.cutoff * ANGSTROM,
            constraints=app.HBonds,
            rigidWater=False,
            hydrogenMass=HYDROGEN_MASS,
        )
        pairs = force(system, "Nonbonded")
        polymer = int((self.component() == 0).sum())
        for i in range(polymer, system.getNumParticles()):
            charge, sigma, epsilon = pairs.getParticleParameters(i)
            pairs.setParticleParameters(i, charge * self.charge_scale, sigma, epsilon)
        for k in range(pairs.getNumExceptions()):
            i, j, product, sigma, epsilon = pairs.getExceptionParameters(k)
            if i >= polymer:
                pairs.setExceptionParameters(k, i, j, product * self.charge_scale**2, sigma, epsilon)
        return system

    def integrator(self) -> openmm.Integrator:
        """Langevin middle scheme."""
        return openmm.LangevinMiddleIntegrator(self.temperature, self.friction, self.time_step)

    def packed_edge(self) -> float:
        """Edge of the box of :meth:`start`, A."""
        return float((PACKED_VOLUME * self._molecules().getNumAtoms()) ** (1 / 3))

    def start(self) -> np.ndarray:
        """Starting positions (N, 3) in nm: molecules of random torsions, packed at random into a dilute periodic box."""
        rng = np.random.default_rng([self.seed, 0])
        edge = self.packed_edge()
        placed = np.empty((0, 3))
        conformers: list[Callable[[], np.ndarray]] = [lambda: _polyether(self.spacers, rng)] * self.chains
        conformers += [_tfsi] * self.salt + [lambda: np.zeros((1, 3))] * self.salt
        for conformer in conformers:
            for _ in range(10_000):
                molecule = conformer() @ Rotation.from_quat(rng.normal(size=4)).as_matrix().T + rng.uniform(0, edge, 3)
                gap = molecule[:, None] - placed[None]
                gap -= edge * np.round(gap / edge)
                if not len(placed) or (gap**2).sum(axis=2).min() > CLEARANCE**2:
                    break
            else:
                raise MlcgmdError(f"{self.name}: the molecules did not fit into a box of {edge:.1f} A; raise PACKED_VOLUME")
            placed = np.concatenate([placed, molecule])
        return placed * ANGSTROM


@dataclass(frozen=True)
class ContinuedSpec(ElectrolyteSpec):
    """An electrolyte that goes on, with new velocities and in the same box, from an equilibrated one: no packing, no NPT."""

    origin: str = ""
    """Trajectory under :data:`.paths.SHIPPED` of the same molecules, whose last frame is the start."""

    pressure = None
    relaxed = True

    def _origin(self) -> xr.Dataset:
        """The frame, without a dimension ``frame``."""
        run = trajectory.load(SHIPPED / self.origin)
        if not np.array_equal(run.particle_type, self.topology()[0]):
            raise MlcgmdError(
                f"{self.name}: {self.origin} holds other molecules than {self.chains} chains of {self.spacers} and their salt"
            )
        return run.isel(frame=-1)

    def packed_edge(self) -> float:
        """Edge of the box of the last frame of the origin, A."""
        return float(self._origin().box[0])

    def start(self) -> np.ndarray:
        """Last frame (N, 3) of the origin, nm."""
        return self._origin().position.values * ANGSTROM


@cache
def _force_field() -> app.ForceField:
    with (files("mlcgmd.md") / "electrolyte.xml").open(encoding="utf-8") as handle:
        return app.ForceField(handle)


def _residues() -> dict[str, app.forcefield.ForceField._TemplateData]:
    return _force_field()._templates


def _add_residue(
    top: app.Topology, chain: app.topology.Chain, template: app.forcefield.ForceField._TemplateData
) -> dict[str, app.topology.Atom]:
    residue = top.addResidue(template.name, chain)
    atoms = [top.addAtom(a.name, a.element, residue) for a in template.atoms]
    for i, j in template.bonds:
        top.addBond(atoms[i], atoms[j])
    return {atom.name: atom for atom in atoms}


def _place(a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, torsion: float) -> np.ndarray:
    """The point d with |cd| = length, angle b-c-d and torsion a-b-c-d in degrees."""
    angle, torsion = np.deg2rad(angle), np.deg2rad(torsion)
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    return c + length * (-np.cos(angle) * axis + np.sin(angle) * (np.cos(torsion) * np.cross(normal, axis) + np.sin(torsion) * normal))


def _polyether(spacers: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """One conformer (N, 3) in A in the order of the force field's residues, no two atoms of it closer than CLEARANCE but neighbours.

    Bond lengths and angles of the force field (1.41, 1.529, 1.09 A; tetrahedral), torsions drawn from trans and both gauche.
    """
    heavy = ["C", "O", *(x for m in spacers for x in "C" * m + "O"), "C"]
    n = len(heavy)
    for _ in range(1000):
        torsion = rng.choice([180.0, 70.0, -70.0], size=n)
        length = [1.529 if heavy[k - 1] == heavy[k] else 1.41 for k in range(n)]
        x = np.zeros((n, 3))
        x[1] = [length[1], 0, 0]
        x[2] = x[1] + length[2] * np.array([np.cos(np.deg2rad(70.5)), np.sin(np.deg2rad(70.5)), 0])
        for k in range(3, n):
            x[k] = _place(x[k - 3], x[k - 2], x[k - 1], length[k], 110.0, torsion[k])
        gap = np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(n, 4)]
        if gap.min(initial=np.inf) > 2 * CLEARANCE:
            break
    out = []
    for k in range(n):
        out.append(x[k])
        if k == 0:
            out += [_place(x[2], x[1], x[0], 1.09, 109.5, t) for t in (180.0, 60.0, -60.0)]
        elif k == n - 1:
            out += [_place(x[k - 2], x[k - 1], x[k], 1.09, 109.5, t) for t in (180.0, 60.0, -60.0)]
        elif heavy[k] == "C":
            out += [_place(x[k - 2], x[k - 1], x[k], 1.09, 109.5, torsion[k + 1] + t) for t in (120.0, -120.0)]
    return np.array(out)


def _tfsi() -> np.ndarray:
    """The trans conformer (15, 3) in A with the force field's bond lengths and angles, in the order of its residue."""
    s1 = np.zeros(3)
    n = np.array([1.57, 0, 0])
    s2 = n + 1.57 * np.array([np.cos(np.deg2rad(54.4)), np.sin(np.deg2rad(54.4)), 0])
    c1 = _place(s2, n, s1, 1.818, 103.5, 90.0)
    c2 = _place(s1, n, s2, 1.818, 103.5, -90.0)
    first = [_place(n, s1, c1, 1.323, 111.7, t) for t in (180.0, 60.0, -60.0)]
    second = [_place(n, s2, c2, 1.323, 111.7, t) for t in (180.0, 60.0, -60.0)]
    oxygens = [_place(s2, n, s1, 1.437, 113.6, 90.0 + t) for t in (120.0, -120.0)]
    more = [_place(s1, n, s2, 1.437, 113.6, -90.0 + t) for t in (120.0, -120.0)]
    return np.array([c1, *first, s1, *oxygens, n, s2, *more, c2, *second])
