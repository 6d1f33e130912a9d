"""Single copolymer chains in implicit solvent (LJ units: sigma = m = kT = 1).

A chain is a sequence of constitutional units (CU): ``a`` = [B1], ``b`` = [B2], ``c`` = [B1-S1],
``d`` = [B2-S2]; backbone beads B are linked in sequence. Harmonic bonds U = 100 (r - 1)^2, LJ cut
at 2.5 (bonded pairs excluded) with geometric mixing of the epsilons of :data:`EPSILON`, Langevin
dynamics with friction 0.5. This is a stand-in for the polymers of Webb et al. (2020), whose
parameters are not public.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import openmm

from ..arguments import SEED, Number, check, positive
from ..errors import MlcgmdError
from .engine import Engine
from .openmm import OpenMM

TYPE_NAME = ["B1", "B2", "S1", "S2"]
EPSILON = {"B1": 0.10, "B2": 0.40, "S1": 0.25, "S2": 0.60}
"""Well depth of each particle type, in kT."""
UNITS = {"a": ["B1"], "b": ["B2"], "c": ["B1", "S1"], "d": ["B2", "S2"]}
BOND_CONSTANT = 200.0
"""k of U = k/2 (r - 1)^2, that is 100 (r - 1)^2, in kT / sigma^2."""
CUTOFF = 2.5
BOLTZMANN = 8.31446261815324e-3
"""kJ/mol/K: OpenMM's length, mass and energy units stand for sigma, m and kT, so kT = 1 is 1/R kelvin."""


@dataclass(frozen=True)
class ChainSpec:
    """Everything that determines a chain's trajectory; times in tau."""

    name: str
    sequence: str
    """One letter of ``abcd`` per constitutional unit."""
    seed: int
    length: float
    """Production time."""
    frame_interval: float = 10.0
    equilibration: float = 1000.0
    time_step: float = 0.0125
    """of the MD integrator; 0.015 still keeps kT within 1 %."""
    friction: float = 0.5
    """1/tau"""

    units = "lj"
    type_name = TYPE_NAME
    component_name = ("chain",)
    charge = (0.0,)
    condition: ClassVar[dict[str, float]] = {}
    """kT is 1."""
    pressure = None
    relaxed = False
    platform = "CPU"

    def __post_init__(self) -> None:
        check(self, seed=SEED, equilibration=Number(least=0, unit="tau"), friction=positive("1/tau"))
        check(self, **dict.fromkeys(("length", "frame_interval", "time_step"), positive("tau")))
        if not isinstance(self.sequence, str):
            raise MlcgmdError(f"{self.name}: the sequence is {self.sequence!r}; give a text of {sorted(UNITS)}")
        unknown = sorted(set(self.sequence) - set(UNITS))
        if unknown or not self.sequence:
            raise MlcgmdError(f"{self.name}: unknown constitutional unit(s) {unknown} in the sequence; use {sorted(UNITS)}")

    @property
    def engine(self) -> Engine:
        """OpenMM."""
        return OpenMM(self)

    def topology(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """particle_type (N,), mass (N,), bond (n_bonds, 2)."""
        kinds: list[int] = []
        bonds: list[tuple[int, int]] = []
        backbone = None
        for unit in self.sequence:
            first = len(kinds)
            kinds += [TYPE_NAME.index(name) for name in UNITS[unit]]
            if backbone is not None:
                bonds.append((backbone, first))
            bonds += [(i, i + 1) for i in range(first, len(kinds) - 1)]
            backbone = first
        return np.array(kinds), np.ones(len(kinds)), np.array(bonds, dtype=np.int32).reshape(-1, 2)

    def component(self) -> np.ndarray:
        """All particles (N,) are of the chain."""
        return np.zeros(sum(len(UNITS[unit]) for unit in self.sequence), int)

    def openmm_system(self) -> openmm.System:
        """The OpenMM system. The shift of the cut LJ potential is a constant and left out.

        A plain ``NonbondedForce`` (no charges, one sigma) mixes epsilons geometrically by itself
        and is 3-4 times faster than a ``CustomNonbondedForce``.
        """
        kinds, mass, bond = self.topology()
        system = openmm.System()
        pairs = openmm.NonbondedForce()
        pairs.setNonbondedMethod(openmm.NonbondedForce.CutoffNonPeriodic)
        pairs.setCutoffDistance(CUTOFF)
        bonds = openmm.HarmonicBondForce()
        for kind, m in zip(kinds, mass, strict=True):
            system.addParticle(float(m))
            pairs.addParticle(0.0, 1.0, EPSILON[TYPE_NAME[kind]])
        for i, j in bond.tolist():
            bonds.addBond(i, j, 1.0, BOND_CONSTANT)
            pairs.addException(i, j, 0.0, 1.0, 0.0)
        system.addForce(pairs)
        system.addForce(bonds)
        return system

    def integrator(self) -> openmm.Integrator:
        """Langevin middle scheme at kT = 1."""
        return openmm.LangevinMiddleIntegrator(1.0 / BOLTZMANN, self.friction, self.time_step)

    def start(self) -> np.ndarray:
        """Starting positions (N, 3): a random walk of unit steps that avoids itself where it can."""
        rng = np.random.default_rng([self.seed, 0])
        kinds, _, bond = self.topology()
        parent = {int(j): int(i) for i, j in bond}
        position = np.zeros((len(kinds), 3))
        for i in range(1, len(kinds)):
            steps = rng.normal(size=(32, 3))
            trial = position[parent[i]] + steps / np.linalg.norm(steps, axis=1, keepdims=True)
            clearance = np.linalg.norm(trial[:, None] - position[None, :i], axis=2).min(axis=1)
            free = np.flatnonzero(clearance > 0.9)
            position[i] = trial[free[0] if len(free) else np.argmax(clearance)]
        return position


def regular_sequence(rng: np.random.Generator, n: int) -> str:
    """Class I: a motif of 2-16 CUs of composition Dirichlet(0.5), in half of the cases blocky, repeated to ``n`` CUs."""
    composition = rng.dirichlet(np.full(4, 0.5))
    motif = "".join(rng.choice(list(UNITS), size=rng.integers(2, 17), p=composition))
    if rng.random() < 0.5:
        motif = "".join(unit * int(rng.integers(1, 6)) for unit in sorted(motif))
    return (motif * n)[:n]


def random_sequence(rng: np.random.Generator, n: int) -> str:
    """Class II: ``n`` CUs drawn independently from a composition Dirichlet(0.5)."""
    return "".join(rng.choice(list(UNITS), size=n, p=rng.dirichlet(np.full(4, 0.5))))
