"""Particles given their beads: the Gaussian of a molecule of springs under the condition that its beads are where they are.

The precision of the particles of a molecule is that of a chain which resists stretching and bending (Rouse 1953; Bixon & Zwanzig 1978),

    P = s (G + b G^2),    G = sum over bonds (e_i - e_j)(e_i - e_j)^T / <l_ij^2>,

the same for x, y and z, with the mean square length of bonds between these two types, a stiffness s and a length b that are fitted to MD.
With E, which puts each particle onto its bead, and the columns of Q, an orthonormal basis of all displacements that leave all centres of
mass where they are, the particles given the beads X have

    mean K X, K = E - Q (Q^T P Q)^-1 Q^T P E,    covariance R R^T, R = Q (Q^T P Q)^(-1/2),

which is exact, and so is that M(K X + R u) = X for any u: whatever a network adds as R u leaves the beads alone. Matrices are dense, one
for each molecule: good for molecules of up to a thousand particles.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.linalg import null_space
from torch import Tensor

from .system import MismatchError

NEWTON = 3
"""Steps to given bond lengths, each of at most 30 % of them."""
RIDGE = 1e-4
"""Added to the diagonal of the matrix of bond lengths, beside 1 / m: what lengths and centres of mass do not leave free stays put."""


@dataclass(frozen=True)
class Molecule:
    """The matrices of one molecule of n particles and b beads.

    Attributes:
        particle, bead: which of the system's these are.
        mean: K.
        root, whitening: R (symmetric within what is free, so of n columns), and its pseudo-inverse.
        covariance: R R^T.
        bond: particles of each bond, counted within the molecule.
        kind: of each bond, counted as in :class:`Springs`.
        move: (n, bonds) what a unit of force along each bond does to the particles when all beads stay where they are.
        coupling: (bonds, bonds) what it does to the bonds, if all were parallel.
    """

    particle: Int[Tensor, " n"]
    bead: Int[Tensor, " b"]
    mean: Float[Tensor, "n b"]
    root: Float[Tensor, "n n"]
    whitening: Float[Tensor, "n n"]
    covariance: Float[Tensor, "n n"]
    bond: Int[Tensor, "2 m"]
    kind: Int[Tensor, " m"]
    move: Float[Tensor, "n m"]
    coupling: Float[Tensor, "m m"]


def graph_matrix(n: int, bond: np.ndarray, square: np.ndarray) -> np.ndarray:
    """G (n, n), of bonds (m, 2) with mean square lengths (m,)."""
    incidence = _incidence(n, bond)
    return incidence.T @ (incidence / square[:, None])


def _incidence(n: int, bond: np.ndarray) -> np.ndarray:
    """1 and -1 (m, n) at the ends of each bond (m, 2)."""
    found = np.zeros((len(bond), n))
    rows = np.arange(len(bond))
    found[rows, bond[:, 0]], found[rows, bond[:, 1]] = 1, -1
    return found


def free(bead: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Q (n, n - b): an orthonormal basis of the displacements that no centre of mass sees; particles in the order of their beads or not."""
    columns = []
    for b in range(bead.max() + 1):
        members = np.flatnonzero(bead == b)
        basis = np.zeros((len(bead), len(members) - 1))
        basis[members] = null_space(mass[None, members])
        columns.append(basis)
    return np.concatenate(columns, axis=1)


def given_beads(precision: np.ndarray, bead: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean matrix K (n, b), and root and its pseudo-inverse (n, n) of the covariance, of particles given their beads (n,), 0 .. b - 1.

    >>> import numpy as np
    >>> two = graph_matrix(4, np.array([[0, 1], [1, 2], [2, 3]]), np.ones(3))  # of a chain of four, two beads
    >>> mean, root, _ = given_beads(two, np.array([0, 0, 1, 1]), np.ones(4))
    >>> np.round(mean @ [0.0, 1.0], 2).tolist()  # as if on springs between the beads
    [-0.17, 0.17, 0.83, 1.17]
    """
    q = free(bead, mass)
    onto = np.eye(bead.max() + 1)[bead]
    value, vector = np.linalg.eigh(q.T @ precision @ q)
    q = q @ vector
    mean = onto - (q / value) @ (q.T @ precision @ onto)
    return mean, (q * value**-0.5) @ q.T, (q * value**0.5) @ q.T


@dataclass(frozen=True)
class Springs:
    """The Gaussian of particles on springs, and the lengths of their bonds; in the data's length unit.

    Attributes:
        pair: names of the two types, sorted, of each kind of bond.
        length, spread: mean and standard deviation of the length of bonds of each kind.
        stiffness, bending: s and b.
    """

    pair: tuple[tuple[str, str], ...]
    length: tuple[float, ...]
    spread: tuple[float, ...]
    stiffness: float
    bending: float

    def kinds(self, names: Sequence[str], bond: np.ndarray) -> np.ndarray:
        """Kind of each bond (m, 2) between particles of types ``names`` (N,).

        Raises:
            MismatchError: bonds between two such types are not known.
        """
        ends = [tuple(sorted((names[i], names[j]))) for i, j in bond]
        if new := sorted({f"{a}-{b}" for a, b in set(ends) - set(self.pair)}):
            known = ", ".join(f"{a}-{b}" for a, b in self.pair)
            raise MismatchError(f"bonds {', '.join(new)} are not known; known are {known}: train on a system that has them")
        return np.array([self.pair.index(end) for end in ends], int)

    def molecules(self, names: Sequence[str], bond: np.ndarray, bead: np.ndarray, mass: np.ndarray, molecule: np.ndarray) -> list[Molecule]:
        """The matrices of each molecule of particles with these types, bonds, beads, masses and molecules (N,)."""
        kind = self.kinds(names, bond)
        square = np.square(self.length)[kind] + np.square(self.spread)[kind]
        found = []
        for m in np.unique(molecule):
            particle = np.flatnonzero(molecule == m)
            inside = np.flatnonzero(molecule[bond[:, 0]] == m)
            local = np.searchsorted(particle, bond[inside])
            beads, own = np.unique(bead[particle], return_inverse=True)
            g = graph_matrix(len(particle), local, square[inside])
            mean, root, whitening = given_beads(self.stiffness * (g + self.bending * g @ g), own, mass[particle])
            q = free(own, mass[particle])
            incidence = _incidence(len(particle), local)
            # Accelerations when forces on the centres of mass hold these: Q (Q^T m Q)^-1 Q^T.
            move = q @ np.linalg.solve(q.T @ (mass[particle, None] * q), q.T @ incidence.T)
            found.append(
                Molecule(
                    particle=torch.from_numpy(particle),
                    bead=torch.from_numpy(beads),
                    mean=torch.from_numpy(mean).float(),
                    root=torch.from_numpy(root).float(),
                    whitening=torch.from_numpy(whitening).float(),
                    covariance=torch.from_numpy(root @ root).float(),
                    bond=torch.from_numpy(local.T.copy()),
                    kind=torch.from_numpy(kind[inside]),
                    move=torch.from_numpy(move).float(),
                    coupling=torch.from_numpy(incidence @ move).float(),
                )
            )
        return found


class Given:
    """The Gaussian of ``copies`` frames of each of some systems: what :class:`.covariance.Covariance` is to the simulator.

    Nodes are ordered by system, frame, particle. Numbers u are one for each of them and each component; the part of them that would move
    beads does nothing.

    Attributes:
        std: marginal standard deviation of each node.
    """

    def __init__(self, systems: Sequence[Sequence[Molecule]], copies: int) -> None:
        self.systems, self.copies = systems, copies
        self.sizes = [sum(len(m.particle) for m in molecules) for molecules in systems]
        one = torch.ones(copies * sum(self.sizes), 3, dtype=systems[0][0].root.dtype)
        std = self._each(lambda m, x: x * m.covariance.diagonal().sqrt()[:, None, None], one)[:, :1]
        # The particle of a bead of one has nowhere to go, but a scale by which others divide.
        self.std = std.clamp(min=1e-3 * float(std.max()))

    def _each(
        self, of: Callable[[Molecule, Float[Tensor, "k F 3"]], Float[Tensor, "n F 3"]], x: Float[Tensor, "m 3"], index: str = "particle"
    ) -> Float[Tensor, "n 3"]:
        """``of`` each molecule and its part of ``x``, of the particles or beads of all frames, for its particles in all frames."""
        out, first = [], 0
        for molecules, size in zip(self.systems, self.sizes, strict=True):
            rows = sum(len(getattr(m, index)) for m in molecules)
            part = x[first : first + self.copies * rows].view(self.copies, rows, 3).transpose(0, 1)
            first += self.copies * rows
            whole = part.new_empty(size, self.copies, 3)
            for m in molecules:
                whole[m.particle] = of(m, part[getattr(m, index)])
            out.append(whole.transpose(0, 1).reshape(-1, 3))
        return torch.cat(out)

    def mean(self, bead: Float[Tensor, "b 3"]) -> Float[Tensor, "n 3"]:
        """K X, of the beads X of all frames."""
        return self._each(lambda m, x: _times(m.mean, x), bead, "bead")

    def colour(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """R u: displacements from the mean that no bead sees."""
        return self._each(lambda m, x: _times(m.root, x), u)

    def whiten(self, r: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """The u without the part that does nothing, of displacements R u."""
        return self._each(lambda m, x: _times(m.whitening, x), r)

    def spread(self, force: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Covariance times ``force``."""
        return self._each(lambda m, x: _times(m.covariance, x), force)

    def detach(self) -> "Given":
        """The same: it has no gradient."""
        return self

    def with_lengths(self, position: Float[Tensor, "n 3"], length: Sequence[Sequence[Float[Tensor, "m F"]]]) -> Float[Tensor, "n 3"]:
        """Positions nearby with these lengths of the bonds of each molecule of each system, by Newton's method as in SHAKE; the same beads.

        Where lengths and beads contradict each other the lengths give way.
        """
        in_turn = itertools.chain.from_iterable(length)

        def go(m: Molecule, x: Float[Tensor, "n F 3"]) -> Float[Tensor, "n F 3"]:
            wanted = next(in_turn)
            if not len(wanted):
                return x
            i, j = m.bond
            for _ in range(NEWTON):
                vector = x[i] - x[j]
                now = vector.norm(dim=2)
                direction = (vector / now.clamp(min=1e-6)[:, :, None]).transpose(0, 1).contiguous()
                matrix = (direction @ direction.mT).mul_(m.coupling)
                matrix.diagonal(dim1=1, dim2=2).add_(RIDGE)
                error = (wanted - now).clamp(-0.3 * wanted, 0.3 * wanted).T[:, :, None]
                force = torch.cholesky_solve(error, torch.linalg.cholesky(matrix))
                step = _times(m.move, (force * direction).transpose(0, 1))
                # From particles that nearly coincide a step may lead anywhere; shortened as a whole it still moves no bead.
                longest = step.norm(dim=2).max(dim=0).values.clamp(min=1e-6)
                x = x + step * (wanted.mean(dim=0) / longest).clamp(max=1)[:, None]
            return x

        return self._each(go, position)


def _times(matrix: Float[Tensor, "n k"], x: Float[Tensor, "k F 3"]) -> Float[Tensor, "n F 3"]:
    """matrix x, as one product."""
    return (matrix @ x.reshape(len(x), 3 * x.shape[1])).view(len(matrix), *x.shape[1:])
