"""The covariance of the simulator's Gaussian: how the beads of a molecule move together in one step.

The paper's Gaussian is diagonal: each bead has a standard deviation of its own, so that bonded beads move apart. Here the *precision*
(the inverse of the covariance) of the beads of a molecule is that of springs,

    P = diag(1 / s_i^2) + sum over pairs w_ij (e_i - e_j)(e_i - e_j)^T,    w_ij >= 0,

a Gaussian Markov random field on the graph of pairs along bonds (Rue & Held 2005), the same for x, y and z. It is positive definite
whatever the network says, has the paper's as the case w = 0, and is what an overdamped chain of springs has: after a time t the
covariance of a mode with spring constant k is (1 - exp(-2 k t)) / k, whose inverse is close to 1 / (2 t) + k / 2 for slow modes and to k
for fast ones. Molecules are independent of each other; the matrices of one molecule are dense.
"""

import functools
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .incidence import Movable


@dataclass(frozen=True)
class Blocks(Movable):
    """Where the nodes and pairs of a batch are in the matrices (M, b, b) of its M molecules, of at most b beads each.

    Attributes:
        node: place of each node among M x b.
        pair: places of (i, j) and of (j, i) of each pair among M x b x b.
        unused: which of the M x b are of no node.
    """

    node: Int[Tensor, " n"]
    pair: Int[Tensor, "2 E"]
    unused: Bool[Tensor, "M b"]

    @functools.cached_property
    def diagonal(self) -> Int[Tensor, " n"]:
        """Place of each node's own element among M x b x b."""
        b = self.unused.shape[1]
        return (self.node // b) * b * b + (self.node % b) * (b + 1)

    @classmethod
    def of(cls, molecule: Int[Tensor, " n"], pair: Int[Tensor, "2 E"]) -> "Blocks":
        """Of nodes, each in a molecule of some number, and pairs of nodes of one molecule."""
        _, molecule, size = molecule.unique(return_inverse=True, return_counts=True)
        order = torch.argsort(molecule, stable=True)
        first = size.cumsum(0) - size
        place = torch.empty_like(molecule)
        place[order] = torch.arange(len(order), device=order.device) - first[molecule[order]]
        b = int(size.max())
        i, j = pair
        start = molecule[i] * b * b
        return cls(
            node=molecule * b + place,
            pair=torch.stack([start + place[i] * b + place[j], start + place[j] * b + place[i]]),
            unused=torch.arange(b, device=size.device) >= size[:, None],
        )


@dataclass(frozen=True)
class Covariance:
    """Of the displacements of all nodes in one step, per component; in units of length squared.

    Attributes:
        std: marginal standard deviation of each node.
        blocks: of the molecules; None where all nodes are independent.
        factor: Cholesky factor L of the precision L L^T of each molecule, the identity where there is no node.
        root: R = L^-T, of which R R^T is the covariance.
    """

    std: Float[Tensor, "n 1"]
    blocks: Blocks | None = None
    factor: Float[Tensor, "M b b"] | None = None
    root: Float[Tensor, "M b b"] | None = None

    @classmethod
    def of_springs(
        cls, blocks: Blocks, diagonal: Float[Tensor, " n"], weight: Float[Tensor, " E"], stiffness: Float[Tensor, " n"]
    ) -> "Covariance":
        """Of the precision diag(``diagonal``) + springs ``weight`` of the pairs along bonds, with ``stiffness`` their sum at each node."""
        precision = torch.diag_embed(blocks.unused.to(diagonal.dtype))
        places, values = torch.cat([blocks.diagonal, *blocks.pair]), torch.cat([diagonal + stiffness, -weight, -weight])
        factor = torch.linalg.cholesky(precision.view(-1).index_copy(0, places, values).view_as(precision))
        eye = torch.eye(factor.shape[1], dtype=factor.dtype, device=factor.device)
        root = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False).mT
        variance = root.square().sum(dim=2).view(-1).index_select(0, blocks.node)
        return cls(variance.sqrt()[:, None], blocks, factor, root)

    def detach(self) -> "Covariance":
        """The same, of which no gradient is asked for."""
        return Covariance(
            self.std.detach(), self.blocks, *(None if matrix is None else matrix.detach() for matrix in (self.factor, self.root))
        )

    def _times(self, matrix: Float[Tensor, "M b b"], x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        assert self.blocks is not None
        m, b = self.blocks.unused.shape
        dense = x.new_zeros(m * b, 3).index_copy(0, self.blocks.node, x)
        return (matrix @ dense.view(m, b, 3)).view(-1, 3).index_select(0, self.blocks.node)

    def colour(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Displacements of this covariance from independent standard normal numbers."""
        return self.std * u if self.root is None else self._times(self.root, u)

    def whiten(self, r: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """The inverse of :meth:`colour`."""
        return r / self.std if self.factor is None else self._times(self.factor.mT, r)

    def spread(self, force: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Covariance times ``force``: where forces on some beads move all of them."""
        return self.std.square() * force if self.root is None else self._times(self.root, self._times(self.root.mT, force))

    def log_std(self) -> Float[Tensor, " n"]:
        """ln of the diagonal of a triangular root: its sum over the nodes of a molecule is half the log-determinant of their covariance."""
        if self.factor is None:
            return self.std[:, 0].log()
        assert self.blocks is not None
        return -self.factor.diagonal(dim1=1, dim2=2).reshape(-1).index_select(0, self.blocks.node).log()
