r"""Rouse chains: beads on Gaussian springs. Their motion, and all that a mapping keeps of it, is known exactly (sigma = m = kT = 1).

N particles are bonded by springs U = 3 / (2 b^2) |r_i - r_j|^2, in any connected graph, and move without inertia against a
friction zeta each (Rouse 1953). With the eigenvectors q_p and eigenvalues lambda_p of the graph's Laplacian the modes
x_p = q_p . r are independent Ornstein-Uhlenbeck processes: variance b^2 / (3 lambda_p) per component, rate
3 lambda_p / (b^2 zeta). They are drawn exactly, for any interval between frames; the mode of lambda = 0 is the free motion of the
centre of mass. No MD engine is needed.

Everything is Gaussian, so beads, which are linear in the particles, have closed forms too: :class:`Rouse`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import erf

from ..errors import MlcgmdError
from .engine import State

if TYPE_CHECKING:
    import openmm

Bonds = tuple[tuple[int, int], ...]
"""Pairs of particles, 0 to N - 1."""
DIMENSIONS = 3
TYPE_NAME = ["R"]


def linear(n: int) -> Bonds:
    """Bonds of a chain of ``n`` particles.

    >>> linear(4)
    ((0, 1), (1, 2), (2, 3))
    """
    return tuple((i, i + 1) for i in range(n - 1))


def ring(n: int) -> Bonds:
    """Bonds of a ring of ``n`` particles."""
    return (*linear(n), (0, n - 1))


def star(arms: int, n: int) -> Bonds:
    """Bonds of a star: ``arms`` chains of ``n`` particles on particle 0."""
    return tuple((0 if i == 0 else a * n + i, a * n + i + 1) for a in range(arms) for i in range(n))


class Rouse:
    """Closed forms of a Rouse chain.

    Positions are about the centre of mass of the particles, all of mass 1. A *map* (k, N) takes positions of particles to k
    points, such as the matrix of a :class:`.data.mapping.CoarseGraining`; None stands for the particles themselves. A *form* A, (N, N)
    symmetric with rows that add up to zero, is the observable sum over components of r^T A r: Rg^2, a squared distance, the energy.

    Args:
        bonds: a connected graph.
        friction: of each particle, m / tau.
        bond_length: root mean square b, sigma.

    Raises:
        MlcgmdError: the graph is in pieces, or a number is not positive.
    """

    def __init__(self, bonds: Sequence[tuple[int, int]], friction: float = 1.0, bond_length: float = 1.0) -> None:
        if not (friction > 0 and bond_length > 0):
            raise MlcgmdError(f"friction ({friction}) and bond_length ({bond_length}) must be positive")
        i, j = np.array(bonds, int).reshape(-1, 2).T
        self.n = int(max(i.max(initial=-1), j.max(initial=-1)) + 1)
        self.friction = friction
        edge = np.eye(self.n)[i] - np.eye(self.n)[j]
        self.stiffness = DIMENSIONS / bond_length**2 * edge.T @ edge
        """(N, N), k times the Laplacian: the energy in kT is half of the sum over components of r^T stiffness r."""
        eigenvalues, vectors = np.linalg.eigh(self.stiffness)
        if self.n < 2 or eigenvalues[1] < 1e-9 * eigenvalues[-1]:
            raise MlcgmdError(f"the {len(i)} bonds join {self.n} particles to more than one piece; give a connected graph")
        self.variances = 1 / eigenvalues[1:]
        """(N - 1,) of a component of each mode, slowest first, sigma^2"""
        self.rates = eigenvalues[1:] / friction
        """(N - 1,) 1 / tau: a mode's correlation falls as exp(-rate t)"""
        self.modes = vectors[:, 1:]
        """(N, N - 1), orthonormal"""

    @cached_property
    def gyration(self) -> Float[np.ndarray, "N N"]:
        """The form Rg^2."""
        return (np.eye(self.n) - 1 / self.n) / self.n

    def distance(self, i: int, j: int) -> Float[np.ndarray, "N N"]:
        """The form |r_i - r_j|^2."""
        difference = np.eye(self.n)[i] - np.eye(self.n)[j]
        return np.outer(difference, difference)

    def of_points(self, form: Float[np.ndarray, "k k"], to: Float[np.ndarray, "k N"]) -> Float[np.ndarray, "N N"]:
        """The form of the particles that is a form of mapped points."""
        return to.T @ form @ to

    def covariance(self, time: float = 0.0, to: np.ndarray | None = None) -> np.ndarray:
        """Covariance of a component at two times ``time`` apart, of particles (N, N) or of mapped points (k, k), sigma^2."""
        modes = self.modes if to is None else to @ self.modes
        return (modes * (self.variances * np.exp(-self.rates * time))) @ modes.T

    def mean(self, form: np.ndarray) -> float:
        """Mean of a form: 3 tr(A C)."""
        return DIMENSIONS * float(np.trace(form @ self.covariance()))

    def variance(self, form: np.ndarray, time: float = 0.0) -> float:
        """Covariance of a form with itself ``time`` later: 6 tr(A C(t) A C(t))."""
        product = form @ self.covariance(time)
        return 2 * DIMENSIONS * float(np.trace(product @ product))

    def relaxation_time(self, form: np.ndarray) -> float:
        """Integral of the normalised autocorrelation of a form, tau."""
        inner = (self.modes.T @ form @ self.modes) ** 2 * np.outer(self.variances, self.variances)
        return float((inner / np.add.outer(self.rates, self.rates)).sum() / inner.sum())

    @property
    def diffusion(self) -> float:
        """of the centre of mass: kT / (N zeta), sigma^2 / tau."""
        return 1 / (self.n * self.friction)

    def displacement(self, time: float, to: Float[np.ndarray, "k N"]) -> Float[np.ndarray, " k"]:
        """Mean squared displacement of mapped points, with the motion of the centre of mass, sigma^2; rows of ``to`` add up to one."""
        return 2 * DIMENSIONS * (self.diffusion * time + np.diag(self.covariance(0, to) - self.covariance(time, to)))

    def contact(self, difference: Float[np.ndarray, " N"], cutoff: float) -> float:
        """Probability that the vector sum_i difference_i r_i is shorter than ``cutoff``: that of a Maxwell distribution."""
        x = cutoff / np.sqrt(2 * difference @ self.covariance() @ difference)
        return float(erf(x) - 2 / np.sqrt(np.pi) * x * np.exp(-(x**2)))

    def whitening(self, to: np.ndarray | None = None) -> Float[np.ndarray, "m k"]:
        """Map from k mapped points to m coordinates of unit variance, uncorrelated in one frame, that say as much: m = k - 1 for beads."""
        values, vectors = np.linalg.eigh(self.covariance(0, to))
        kept = values > 1e-10 * values[-1]  # the centre of mass does not vary
        return (vectors[:, kept] / np.sqrt(values[kept])).T

    def _white(self, to: np.ndarray | None) -> Float[np.ndarray, "m N"]:
        return self.whitening(to) if to is None else self.whitening(to) @ to

    def unexplained(self, form: np.ndarray, to: np.ndarray) -> float:
        """Mean variance of a form given the mapped points: what the best prediction from these leaves.

        With S the covariance of particles given the points it is 6 tr(A S A S) + 12 tr(A S A (C - S)). For the energy in kT
        and B beads it is 3 (N - B) / 2, whatever the mapping.
        """
        covariance = self.covariance()
        known = covariance @ self._white(to).T
        inside = covariance - known @ known.T
        return 2 * DIMENSIONS * float(np.trace(form @ inside @ form @ (2 * covariance - inside)))

    def correlations(self, time: float, to: np.ndarray | None = None) -> np.ndarray:
        """Canonical correlations (m,) between the mapped points at two times, largest first: eigenvalues of their propagator."""
        return np.linalg.eigvalsh(self.covariance(time, self._white(to)))[::-1]

    def quadratic_eigenvalues(self, time: float, to: np.ndarray | None = None) -> np.ndarray:
        """The same of all products of two coordinates, summed over components: products of two correlations, largest first."""
        rho = self.correlations(time, to)
        return np.sort(np.outer(rho, rho)[np.triu_indices(len(rho))])[::-1]

    def propagator(self, time: float, to: Float[np.ndarray, "k N"]) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
        """One step of mapped points about the centre of mass: X(t + time) = A X(t) + noise; A, and the noise's covariance per component."""
        now, later = self.covariance(0, to), self.covariance(time, to)
        step = later @ np.linalg.pinv(now, rcond=1e-10, hermitian=True)
        return step, now - step @ later.T

    def predictive_information(self, time: float, to: np.ndarray | None = None) -> float:
        """Mutual information of the mapped points at two times, without the centre of mass, in nats: -3/2 sum ln(1 - rho^2)."""
        return -DIMENSIONS / 2 * float(np.log1p(-(self.correlations(time, to) ** 2)).sum())

    def memory(self, time: float, to: np.ndarray | None = None) -> float:
        """Nats per step that the mapped points one step earlier add to what the present ones say of the next; 0 for the particles."""
        one, two = (self._given(time, to, positions)[1] for positions in (1, 2))
        return DIMENSIONS / 2 * float(np.linalg.slogdet(one)[1] - np.linalg.slogdet(two)[1])

    def _given(self, time: float, to: np.ndarray | None, positions: int) -> tuple[np.ndarray, np.ndarray]:
        """Regression (m, positions m) of the next white coordinates on the last ones, latest first; covariance (m, m) of the rest."""
        white = self._white(to)
        lagged = [self.covariance(k * time, white) for k in range(positions + 1)]
        if not positions:
            return np.empty((len(white), 0)), lagged[0]
        past = np.block([[lagged[abs(i - j)] for j in range(positions)] for i in range(positions)])
        later = np.concatenate(lagged[1:], axis=1)
        step = np.linalg.solve(past, later.T).T
        return step, lagged[0] - step @ later.T

    def log_likelihood(self, points: np.ndarray, time: float, positions: int, to: np.ndarray | None = None) -> Float[np.ndarray, " F-2"]:
        """Exact log density of each frame but the first two given the ``positions`` (0, 1 or 2) before it, in the white coordinates.

        Args:
            points: mapped points (F, k, 3) about the centre of mass, frames ``time`` apart.
            time: tau.
            positions: how many frames are known.
            to: the map.
        """
        y = np.einsum("mk,fkx->fmx", self.whitening(to), points)
        step, covariance = self._given(time, to, positions)
        known = np.concatenate([y[1:-1], y[:-2]], axis=1)[:, : step.shape[1]]
        residual = (y[2:] - np.einsum("mn,fnx->fmx", step, known)).transpose(1, 0, 2).reshape(len(covariance), -1)
        square = (residual * np.linalg.solve(covariance, residual)).sum(axis=0).reshape(-1, DIMENSIONS).sum(axis=1)
        return -(square + DIMENSIONS * np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2


@dataclass(frozen=True)
class RouseSpec:
    """Everything that determines the trajectory of a Rouse chain; times in tau."""

    name: str
    bonds: Bonds
    seed: int
    length: float
    frame_interval: float = 1.0
    friction: float = 1.0
    """of each particle, m / tau"""
    bond_length: float = 1.0
    """root mean square, sigma"""
    time_step: float = 0.01
    """of an MD engine that is asked for the same; exact trajectories need none."""

    equilibration = 0.0
    units = "lj"
    type_name = TYPE_NAME
    component_name = ("chain",)
    charge = (0.0,)
    condition: ClassVar[dict[str, float]] = {}
    """kT is 1."""

    @property
    def engine(self) -> "Exact":
        """None but the closed forms."""
        return Exact(self)

    @cached_property
    def exact(self) -> Rouse:
        """Its closed forms."""
        return Rouse(self.bonds, self.friction, self.bond_length)

    def topology(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """particle_type (N,), mass (N,), bond (n_bonds, 2)."""
        return np.zeros(self.exact.n, int), np.ones(self.exact.n), np.array(self.bonds, np.int32)

    def component(self) -> np.ndarray:
        """All particles (N,) are of the chain."""
        return np.zeros(self.exact.n, int)

    def start(self) -> np.ndarray:
        """A conformation (N, 3) drawn from equilibrium, its centre of mass at the origin."""
        normal = np.random.default_rng([self.seed, 0]).normal(size=(self.exact.n - 1, DIMENSIONS))
        return self.exact.modes @ (np.sqrt(self.exact.variances)[:, None] * normal)

    def continued(self, position: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
        """``frames`` frames (frames, N, 3) that follow ``position`` (N, 3), drawn exactly."""
        exact = self.exact
        decay = np.exp(-exact.rates * self.frame_interval)[:, None]
        noise = np.sqrt(exact.variances[:, None] * (1 - decay**2)) * rng.normal(size=(frames, exact.n - 1, DIMENSIONS))
        steps = np.sqrt(2 * exact.diffusion * self.frame_interval) * rng.normal(size=(frames, 1, DIMENSIONS))
        mode, course = exact.modes.T @ position, np.empty((frames, exact.n - 1, DIMENSIONS))
        for frame in range(frames):
            mode = course[frame] = decay * mode + noise[frame]
        return position.mean(axis=0) + steps.cumsum(axis=0) + exact.modes @ course

    def energy(self, position: np.ndarray) -> np.ndarray:
        """Potential energy (F,) of positions (F, N, 3), kT."""
        i, j = np.array(self.bonds).T
        return 1.5 / self.bond_length**2 * ((position[:, i] - position[:, j]) ** 2).sum(axis=(1, 2))

    def openmm_system(self) -> "openmm.System":
        """The same for OpenMM, which has to integrate what is exact here."""
        import openmm  # nothing else of this module needs an engine

        system, springs = openmm.System(), openmm.HarmonicBondForce()
        for _ in range(self.exact.n):
            system.addParticle(1.0)
        for i, j in self.bonds:
            springs.addBond(i, j, 0.0, DIMENSIONS / self.bond_length**2)
        system.addForce(springs)
        return system

    def integrator(self) -> "openmm.Integrator":
        """Brownian dynamics at kT = 1."""
        import openmm

        from .chain import BOLTZMANN

        return openmm.BrownianIntegrator(1.0 / BOLTZMANN, self.friction, self.time_step)


@dataclass(frozen=True)
class Exact:
    """An :class:`.engine.Engine` that draws frames from their joint distribution instead of integrating."""

    spec: RouseSpec

    def version(self) -> str:
        """What stands in the provenance of a trajectory."""
        return "exact"

    def equilibrate(self) -> tuple[State, dict[str, np.ndarray]]:
        """A conformation from equilibrium; there are no velocities."""
        return State(self.spec.start(), np.empty((0, 3)), np.empty(0)), {}

    def segment(self, k: int, frames: int, start: State) -> tuple[dict[str, np.ndarray], State]:
        """Frames with their potential energy in kT."""
        drawn = self.spec.continued(start.position, frames, np.random.default_rng([self.spec.seed, 1, k]))
        return {"position": drawn.astype(np.float32), "potential_energy": self.spec.energy(drawn)}, replace(start, position=drawn[-1])
