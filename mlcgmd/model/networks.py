"""Building blocks of the graph networks: MLP, interaction layer, invariant features, vector readout.

Encode-process-decode networks (Battaglia et al. 2018; Sanchez-Gonzalez et al. 2020) on undirected
pairs. Inputs are scalars that do not change under translation, rotation and reflection; vectors
leave as sums of the pair vectors that came in, with learned scalar coefficients. So the networks
are equivariant by construction and need not learn it from rotated copies of the data.

Memory layout: pair vectors and features are stored features first, (c, E), so that element-wise operations are contiguous; latent
states are (E, width), as matrix products need. Temporaries are updated in place.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from .incidence import Incidence


class MLP(nn.Sequential):
    """Linear layers with SiLU between them; ``sizes`` = [in, hidden..., out]."""

    def __init__(self, *sizes: int) -> None:
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.SiLU()]
        super().__init__(*layers[:-1])


def residual(x: Float[Tensor, "m width"], update: Float[Tensor, "m c"], layer: nn.Linear) -> Float[Tensor, "m width"]:
    """x + layer(update), fused by ``addmm_`` to avoid a temporary."""
    return (x + layer.bias).addmm_(update, layer.weight.T)


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
        self, h: Float[Tensor, "n width"], e: Float[Tensor, "E width"], incidence: Incidence
    ) -> tuple[Float[Tensor, "n width"], Float[Tensor, "E width"]]:
        """New node and pair states."""
        g = self.norm(h)
        # W e + b + W_h (h_i + h_j), the bias with the nodes, added up by the product itself.
        sent = linear(g, self.from_node.weight, self.from_edge.bias / 2)
        message = incidence.over_ends(sent).addmm_(e, self.from_edge.weight.T)
        e = residual(e, silu(message, inplace=True), self.edge_out)
        first, _, last = self.node
        assert isinstance(first, nn.Linear)
        own, around = first.weight.split(g.shape[1], dim=1)
        inner = linear(g, own, first.bias).addmm_(incidence.over_pairs(e), around.T, alpha=1 / self.neighbours)
        assert isinstance(last, nn.Linear)
        return residual(h, silu(inner, inplace=True), last), e


def contract(a: Float[Tensor, "m ..."], b: Float[Tensor, "m ..."]) -> Float[Tensor, "..."]:
    """Sum of products over the first dimension, one after the other: the products are never in memory together."""
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total.addcmul_(x, y)
    return total


def in_planes(layer: nn.Linear, e: Float[Tensor, "E width"]) -> Float[Tensor, "c E"]:
    """A linear layer of states, with the pairs along the last dimension."""
    return torch.addmm(layer.bias[:, None], layer.weight, e.T)


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

    def forward(self, e: Float[Tensor, "E width"], incidence: Incidence, vector: Float[Tensor, "k 3 E"]) -> Float[Tensor, "E width"]:
        """New pair states; ``vector`` are antisymmetric and of order one."""
        k, c = len(vector), self.channels
        weighted = contract(in_planes(self.from_edge, e).view(k, 1, c, -1), vector[:, :, None])
        summed = incidence.over_antisymmetric_pairs(weighted.view(3 * c, -1).T.contiguous())
        # Products of states feed back into states: vectors stay bounded.
        summed = (summed * (1 + summed.square().mean(dim=1, keepdim=True)).rsqrt()).T.contiguous()
        first, second = (summed.index_select(1, end).view(3, c, -1) for end in incidence.ends.T)
        along = contract((first - second)[:, None], vector.transpose(0, 1)[:, :, None]).view(k * c, -1)
        return residual(e, torch.cat([along, contract(first, second)]).T, self.out)


def pass_messages(
    layers: nn.ModuleList,
    directions: nn.ModuleList,
    h: Float[Tensor, "n width"],
    e: Float[Tensor, "E width"],
    incidence: Incidence,
    vector: Float[Tensor, "k 3 E"],
) -> tuple[Float[Tensor, "n width"], Float[Tensor, "E width"]]:
    """All :class:`Interaction` layers in turn, with the :class:`Directions`, where there are any, between them."""
    for k, layer in enumerate(layers):
        if k and directions:
            e = directions[k - 1](e, incidence, vector)
        h, e = layer(h, e, incidence)
    return h, e


def invariants(vectors: Float[Tensor, "k 3 E"]) -> Float[Tensor, "features E"]:
    """Scalars of k vectors per pair that are even under i <-> j: of each length r: r, r/(1+r), exp(-r^2/2);
    of each two vectors the bounded projection a.b / sqrt((1 + a^2)(1 + b^2))."""
    square = contract(vectors.transpose(0, 1), vectors.transpose(0, 1))
    length = (square + 1e-12).sqrt()
    features = [length, length / (1 + length), torch.exp(-square.clamp(max=120) / 2)]
    bounded = vectors * (1 + square).rsqrt()[:, None]
    for a in range(len(vectors) - 1):
        features.append(contract(bounded[a], bounded[a + 1 :].transpose(0, 1)))
    return torch.cat(features)


def n_invariants(k: int) -> int:
    """Number of features that :func:`invariants` makes of k vectors."""
    return 3 * k + k * (k - 1) // 2


def radial(vector: Float[Tensor, "3 E"], n: int, largest: float) -> Float[Tensor, "n E"]:
    """Gaussians of the length at ``n`` centres from 0 to ``largest``, as wide as their spacing: what resolves the shells of a liquid."""
    centre = torch.linspace(0, largest, n, dtype=vector.dtype, device=vector.device)
    spacing = largest / max(1, n - 1)
    length = contract(vector, vector).sqrt()
    # The exponential of what underflows takes thirty times as long.
    return torch.exp(-((length - centre[:, None]) / spacing).square().clamp(max=60))


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
        incidence: Incidence,
        pair_vector: Float[Tensor, "k 3 E"],
        node_vector: Float[Tensor, "n w 3"],
    ) -> Float[Tensor, "n 3"]:
        """One vector per node."""
        k, c = self.pair_vectors, self.channels
        weighted = in_planes(self.from_edge, e).view(k, c, 1, -1) * pair_vector[:, None]
        summed = incidence.over_antisymmetric_pairs(weighted.view(k * c * 3, -1).T.contiguous())
        gates = self.from_node(h)
        out = (summed.view(-1, k * c, 3) * gates[:, : k * c, None]).sum(dim=1) / Interaction.neighbours
        return out + (node_vector * gates[:, k * c :, None]).sum(dim=1)


def unit(vector: Float[Tensor, "k 3 E"]) -> Float[Tensor, "k 3 E"]:
    """Directions, which fade to zero within a hundredth of a unit of length.

    A readout of plain pair vectors cannot part two beads that nearly coincide: what it adds is as short as their vector.
    """
    return vector * (vector.square().sum(dim=1, keepdim=True) + 1e-4).rsqrt()
