"""Building blocks of the graph networks: MLP, interaction layer, invariant features, vector readout.

Encode-process-decode networks (Battaglia et al. 2018; Sanchez-Gonzalez et al. 2020) on undirected
pairs. Inputs are scalars that do not change under translation, rotation and reflection; vectors
leave as sums of the pair vectors that came in, with learned scalar coefficients. So the networks
are equivariant by construction and need not learn it from rotated copies of the data.
"""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class MLP(nn.Sequential):
    """Linear layers with SiLU between them; ``sizes`` = [in, hidden..., out]."""

    def __init__(self, *sizes: int) -> None:
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.SiLU()]
        super().__init__(*layers[:-1])


class Interaction(nn.Module):
    """One round of message passing on pairs (i, j) with symmetric pair states.

    e_ij <- e_ij + W2 silu(W_e e_ij + W_h h_i + W_h h_j); h_i <- h_i + MLP(h_i, sum_j e_ij / c).
    The first layer is factorised: W_h acts on nodes, of which there are fewer than pairs.
    """

    neighbours = 8.0
    """c: a typical number of neighbours, so that sums are of order one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_edge = nn.Linear(width, width)
        self.from_node = nn.Linear(width, width, bias=False)
        self.edge_out = nn.Linear(width, width)
        self.node = MLP(2 * width, width, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, h: Float[Tensor, "n width"], e: Float[Tensor, "E width"], pair: Int[Tensor, "2 E"]
    ) -> tuple[Float[Tensor, "n width"], Float[Tensor, "E width"]]:
        """New node and pair states."""
        g = self.norm(h)
        sent = self.from_node(g)
        message = self.from_edge(e) + sent.index_select(0, pair[0]) + sent.index_select(0, pair[1])
        e = e + self.edge_out(nn.functional.silu(message))
        return h + self.node(torch.cat([g, gather(e, pair, len(h)) / self.neighbours], dim=1)), e


def gather(e: Float[Tensor, "E c"], pair: Int[Tensor, "2 E"], n: int) -> Float[Tensor, "n c"]:
    """Sum over the pairs of each node."""
    return e.new_zeros(n, e.shape[1]).index_add_(0, pair[0], e).index_add_(0, pair[1], e)


class Directions(nn.Module):
    """What a pair learns from the directions of the pairs around it, so that states can tell angles (as in Schuett et al. 2021).

    V_i^c = sum_j sum_k a_ij^kc r_ij^k, with a linear in e_ij, over sqrt(1 + mean_c V_i^2);
    e_ij <- e_ij + W [(V_i^c - V_j^c).r_ij^k, V_i^c.V_j^c].
    """

    channels = 8

    def __init__(self, width: int, vectors: int) -> None:
        super().__init__()
        self.from_edge = nn.Linear(width, vectors * self.channels)
        self.out = nn.Linear((vectors + 1) * self.channels, width)

    def forward(
        self, e: Float[Tensor, "E width"], pair: Int[Tensor, "2 E"], vector: Float[Tensor, "E k 3"], n: int
    ) -> Float[Tensor, "E width"]:
        """New pair states, of ``n`` nodes; ``vector`` are antisymmetric and of order one."""
        k, c = vector.shape[1], self.channels
        weighted = (self.from_edge(e).view(-1, k, c, 1) * vector[:, :, None]).sum(dim=1).flatten(1)
        summed = weighted.new_zeros(n, 3 * c).index_add_(0, pair[0], weighted).index_add_(0, pair[1], weighted, alpha=-1)
        # Products of states feed back into states: vectors stay bounded.
        summed = summed * (1 + summed.square().mean(dim=1, keepdim=True)).rsqrt()
        first, second = (summed.index_select(0, end).view(-1, 1, c, 3) for end in pair)
        along = ((first - second) * vector[:, :, None]).sum(dim=3).flatten(1)
        return e + self.out(torch.cat([along, (first * second).sum(dim=3).flatten(1)], dim=1))


def pass_messages(
    layers: nn.ModuleList,
    directions: nn.ModuleList,
    h: Float[Tensor, "n width"],
    e: Float[Tensor, "E width"],
    pair: Int[Tensor, "2 E"],
    vector: Float[Tensor, "E k 3"],
) -> tuple[Float[Tensor, "n width"], Float[Tensor, "E width"]]:
    """All :class:`Interaction` layers in turn, with the :class:`Directions`, where there are any, between them."""
    for k, layer in enumerate(layers):
        if k and directions:
            e = directions[k - 1](e, pair, vector, len(h))
        h, e = layer(h, e, pair)
    return h, e


def invariants(vectors: Float[Tensor, "E k 3"]) -> Float[Tensor, "E features"]:
    """Scalars of k vectors per pair that are even under i <-> j: of each length r: r, r/(1+r), exp(-r^2/2);
    of each two vectors the bounded projection a.b / sqrt((1 + a^2)(1 + b^2))."""
    square = vectors.square().sum(dim=2)
    length = (square + 1e-12).sqrt()
    features = [length, length / (1 + length), torch.exp(-square / 2)]
    k = vectors.shape[1]
    scale = (1 + square).rsqrt()
    for a in range(k):
        for b in range(a + 1, k):
            features.append(((vectors[:, a] * vectors[:, b]).sum(dim=1) * scale[:, a] * scale[:, b])[:, None])
    return torch.cat(features, dim=1)


def n_invariants(k: int) -> int:
    """Number of features that :func:`invariants` makes of k vectors."""
    return 3 * k + k * (k - 1) // 2


def radial(vector: Float[Tensor, "E 3"], n: int, largest: float) -> Float[Tensor, "E n"]:
    """Gaussians of the length at ``n`` centres from 0 to ``largest``, as wide as their spacing: what resolves the shells of a liquid."""
    centre = torch.linspace(0, largest, n, dtype=vector.dtype, device=vector.device)
    spacing = largest / max(1, n - 1)
    return torch.exp(-(((vector.norm(dim=1, keepdim=True) - centre) / spacing) ** 2))


class VectorReadout(nn.Module):
    """Vectors from scalar states: v_i = sum_k sum_c g_i^kc sum_j a_ij^kc r_ij^k + sum_k b_i^k w_i^k.

    a (pairs), g and b (nodes) are linear in the states; r_ij^k are k antisymmetric pair vectors,
    w_i^k vectors of the nodes themselves.
    """

    channels = 4

    def __init__(self, width: int, pair_vectors: int, node_vectors: int) -> None:
        super().__init__()
        self.pair_vectors, self.node_vectors = pair_vectors, node_vectors
        self.from_edge = nn.Linear(width, pair_vectors * self.channels)
        self.from_node = nn.Linear(width, pair_vectors * self.channels + node_vectors)
        # An untrained readout says zero: the simulator starts from "nothing moves", the refiner from "all of it is noise".
        nn.init.zeros_(self.from_node.weight)
        nn.init.zeros_(self.from_node.bias)

    def forward(
        self,
        h: Float[Tensor, "n width"],
        e: Float[Tensor, "E width"],
        pair: Int[Tensor, "2 E"],
        pair_vector: Float[Tensor, "E k 3"],
        node_vector: Float[Tensor, "n w 3"],
    ) -> Float[Tensor, "n 3"]:
        """One vector per node."""
        k, c = self.pair_vectors, self.channels
        weighted = (self.from_edge(e).view(-1, k, c, 1) * pair_vector[:, :, None, :]).reshape(len(e), k * c * 3)
        summed = weighted.new_zeros(len(h), k * c * 3).index_add_(0, pair[0], weighted).index_add_(0, pair[1], weighted, alpha=-1)
        gates = self.from_node(h)
        out = (summed.view(-1, k * c, 3) * gates[:, : k * c, None]).sum(dim=1) / Interaction.neighbours
        return out + (node_vector * gates[:, k * c :, None]).sum(dim=1)


def unit(vector: Float[Tensor, "... 3"]) -> Float[Tensor, "... 3"]:
    """Directions, which fade to zero within a hundredth of a unit of length.

    A readout of plain pair vectors cannot part two beads that nearly coincide: what it adds is as short as their vector.
    """
    return vector * (vector.square().sum(dim=-1, keepdim=True) + 1e-4).rsqrt()
