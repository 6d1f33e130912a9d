"""The covariance of the simulator's Gaussian: how the beads of a molecule move together in one step.

The paper's Gaussian is diagonal: each bead has a standard deviation of its own, so that bonded beads move apart. Here the *precision*
(the inverse of the covariance) of the beads of a molecule is that of springs,

    P = diag(1 / s_i^2) + sum over pairs w_ij (e_i - e_j)(e_i - e_j)^T,    w_ij >= 0,

a Gaussian Markov random field on the graph of pairs along bonds (Rue & Held 2005), the same for x, y and z. It is positive definite
whatever the network says, has the paper's as the case w = 0, and is what an overdamped chain of springs has: after a time t the
covariance of a mode with spring constant k is (1 - exp(-2 k t)) / k, whose inverse is close to 1 / (2 t) + k / 2 for slow modes and to k
for fast ones. Molecules are independent of each other. The matrix of a small molecule is dense; the beads of a large one are numbered so
that pairs are near the diagonal (Cuthill & McKee 1969), and its blocks are factorised one after the other: what that takes grows with
the number of beads.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor

from .incidence import Movable

DENSE_BEADS = 32
"""Up to so many the matrix of a molecule is one block."""
BLOCK_BEADS = 16
"""Of a block of a larger one, or more where pairs are further apart than that."""


@dataclass(frozen=True)
class Blocks(Movable):
    """Where the nodes and pairs of a batch are in the matrices of its M molecules: symmetric, of K blocks of b beads along the diagonal
    (M, K, b, b), and those below them (M, K - 1, b, b); all others are zero.

    Attributes:
        node: place of each node among M x K x b.
        pair: places of each pair among all elements of the blocks along the diagonal, followed by those of the blocks below.
        mirrored: which pairs are in a block along the diagonal, and so in two places of it.
        mirror: the other places of these.
        unused: which of the M x K x b are of no node.
    """

    node: Int[Tensor, " n"]
    pair: Int[Tensor, " E"]
    mirrored: Int[Tensor, " I"]
    mirror: Int[Tensor, " I"]
    unused: Bool[Tensor, "M K b"]

    @functools.cached_property
    def diagonal(self) -> Int[Tensor, " n"]:
        """Place of each node's own element."""
        b = self.unused.shape[2]
        return (self.node // b) * b * b + (self.node % b) * (b + 1)

    @classmethod
    def of(cls, molecule: Int[Tensor, " n"], pair: Int[Tensor, "2 E"]) -> "Blocks":
        """Of nodes, each in a molecule of some number, and pairs of nodes of one molecule."""
        _, molecule, size = molecule.unique(return_inverse=True, return_counts=True)
        n, largest, dense = len(molecule), int(size.max()), int(size.max()) <= DENSE_BEADS
        order = torch.argsort(molecule * n + (torch.arange(n, device=molecule.device) if dense else _along(pair, n)))
        first = size.cumsum(0) - size
        place = torch.empty_like(molecule)
        place[order] = torch.arange(n, device=order.device) - first[molecule[order]]
        i, j = pair
        b = largest if dense else max(BLOCK_BEADS, int((place[i] - place[j]).abs().max()))
        k = -(-largest // b)
        later, earlier = torch.maximum(place[i], place[j]), torch.minimum(place[i], place[j])
        here = torch.nonzero(later // b == earlier // b).flatten()
        inside = (molecule[i] * k + later // b) * b * b + later % b * b + earlier % b
        below = (len(size) * k + molecule[i] * (k - 1) + earlier // b) * b * b + later % b * b + earlier % b
        return cls(
            node=molecule * k * b + place,
            pair=torch.where(later // b == earlier // b, inside, below),
            mirrored=here,
            mirror=(inside + (earlier - later) * (b - 1))[here],
            unused=(torch.arange(k * b, device=size.device) >= size[:, None]).view(-1, k, b),
        )


def _along(pair: Int[Tensor, "2 E"], n: int) -> Int[Tensor, " n"]:
    """Numbers of the nodes, such that those of pairs are close."""
    i, j = pair.cpu().numpy()
    order = reverse_cuthill_mckee(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)).tocsr(), symmetric_mode=False)
    return torch.from_numpy(np.argsort(order)).to(pair.device)


@dataclass(frozen=True)
class Covariance:
    """Of the displacements of all nodes in one step, per component; in units of length squared.

    The precision of each molecule is L L^T, with L the Cholesky factor of blocks, the identity where there is no node; R = L^-T is a
    root of the covariance R R^T.

    Attributes:
        std: marginal standard deviation of each node.
        blocks: of the molecules; None where all nodes are independent.
        factor: blocks of L along the diagonal.
        inverse: of each of these.
        below: blocks of L below the diagonal.
    """

    std: Float[Tensor, "n 1"]
    blocks: Blocks | None = None
    factor: Float[Tensor, "M K b b"] | None = None
    inverse: Float[Tensor, "M K b b"] | None = None
    below: Float[Tensor, "M K-1 b b"] | None = None

    @classmethod
    def of_springs(
        cls, blocks: Blocks, diagonal: Float[Tensor, " n"], weight: Float[Tensor, " E"], stiffness: Float[Tensor, " n"]
    ) -> "Covariance":
        """Of the precision diag(``diagonal``) + springs ``weight`` of the pairs along bonds, with ``stiffness`` their sum at each node."""
        m, k, b = blocks.unused.shape
        empty = torch.cat([torch.diag_embed(blocks.unused.to(diagonal.dtype)).view(-1), diagonal.new_zeros(m * (k - 1) * b * b)])
        places = torch.cat([blocks.diagonal, blocks.pair, blocks.mirror])
        values = torch.cat([diagonal + stiffness, -weight, -weight.index_select(0, blocks.mirrored)])
        here, under = empty.index_copy(0, places, values).split([m * k * b * b, m * (k - 1) * b * b])
        here, under = here.view(m, k, b, b).unbind(1), under.view(m, k - 1, b, b).unbind(1)
        eye = torch.eye(b, dtype=diagonal.dtype, device=diagonal.device).expand(m, b, b)
        factor: list[Tensor] = []
        inverse: list[Tensor] = []
        below: list[Tensor] = []
        for a in here:
            if below:
                a = a - below[-1] @ below[-1].mT
            factor.append(torch.linalg.cholesky(a))
            inverse.append(torch.linalg.solve_triangular(factor[-1], eye, upper=False))
            if len(factor) < k:
                below.append(under[len(below)] @ inverse[-1].mT)
        # Of the covariance, the blocks along the diagonal, from the last to the first: S = R (1 + C^T S' C) R^T, R = L^-T.
        variance, after = [], None
        for root, c in zip([x.mT for x in reversed(inverse)], [None, *reversed(below)], strict=True):
            if c is None or after is None:
                variance.append(root.square().sum(dim=2))
                after = root @ root.mT if below else None
            else:
                after = root @ (eye + c.mT @ after @ c) @ root.mT
                variance.append(after.diagonal(dim1=1, dim2=2))
        marginal = torch.stack(variance[::-1], dim=1).view(-1).index_select(0, blocks.node)
        lower = torch.stack(below, dim=1) if below else None
        return cls(marginal.sqrt()[:, None], blocks, torch.stack(factor, dim=1), torch.stack(inverse, dim=1), lower)

    def detach(self) -> "Covariance":
        """The same, of which no gradient is asked for."""
        matrices = (None if matrix is None else matrix.detach() for matrix in (self.factor, self.inverse, self.below))
        return Covariance(self.std.detach(), self.blocks, *matrices)

    def _of_blocks(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "M K b 3"]:
        assert self.blocks is not None
        m, k, b = self.blocks.unused.shape
        return x.new_zeros(m * k * b, 3).index_copy(0, self.blocks.node, x).view(m, k, b, 3)

    def _of_nodes(self, x: Float[Tensor, "M K b 3"]) -> Float[Tensor, "n 3"]:
        assert self.blocks is not None
        return x.reshape(-1, 3).index_select(0, self.blocks.node)

    def _rooted(self, x: Float[Tensor, "M K b 3"]) -> Float[Tensor, "M K b 3"]:
        """R x, from the last block to the first."""
        assert self.inverse is not None
        root = self.inverse.mT
        if self.below is None:
            return root @ x
        out = [root[:, -1] @ x[:, -1]]
        for k in range(self.below.shape[1] - 1, -1, -1):
            out.append(root[:, k] @ (x[:, k] - self.below[:, k].mT @ out[-1]))
        return torch.stack(out[::-1], dim=1)

    def _rooted_transposed(self, x: Float[Tensor, "M K b 3"]) -> Float[Tensor, "M K b 3"]:
        """R^T x, from the first block to the last."""
        assert self.inverse is not None
        if self.below is None:
            return self.inverse @ x
        out = [self.inverse[:, 0] @ x[:, 0]]
        for k in range(self.below.shape[1]):
            out.append(self.inverse[:, k + 1] @ (x[:, k + 1] - self.below[:, k] @ out[-1]))
        return torch.stack(out, dim=1)

    def colour(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Displacements of this covariance from independent standard normal numbers."""
        return self.std * u if self.blocks is None else self._of_nodes(self._rooted(self._of_blocks(u)))

    def whiten(self, r: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """The inverse of :meth:`colour`."""
        if self.factor is None:
            return r / self.std
        x = self._of_blocks(r)
        u = self.factor.mT @ x
        if self.below is not None:
            u = torch.cat([u[:, :-1] + self.below.mT @ x[:, 1:], u[:, -1:]], dim=1)
        return self._of_nodes(u)

    def spread(self, force: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Covariance times ``force``: where forces on some beads move all of them."""
        if self.blocks is None:
            return self.std.square() * force
        return self._of_nodes(self._rooted(self._rooted_transposed(self._of_blocks(force))))

    def log_std(self) -> Float[Tensor, " n"]:
        """ln of the diagonal of a triangular root: its sum over the nodes of a molecule is half the log-determinant of their covariance."""
        if self.factor is None:
            return self.std[:, 0].log()
        assert self.blocks is not None
        return -self.factor.diagonal(dim1=2, dim2=3).reshape(-1).index_select(0, self.blocks.node).log()
