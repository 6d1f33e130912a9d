"""Neighbour lists: non-bonded pairs within the cutoff, rebuilt at every step.

In small systems all distances are computed, in large ones cell lists are: the pairs are the same.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from vesin import NeighborList

from ..errors import MlcgmdError
from .graph import DENSE, Batch, Edges, across
from .incidence import incidence


def image_shift(displacement: Float[Tensor, "*shape"], box: Float[Tensor, "*edges"]) -> Float[Tensor, "*shape"]:
    """The multiple of the box edges that leaves the shortest displacement - shift; zero along infinite edges."""
    return torch.where(torch.isfinite(box), box * torch.round(displacement / box), 0.0)


def edges(graph: Batch, position: Float[Tensor, "n 3"], radius: float | None) -> Edges:
    """The pairs along bonds and, in a box or with a ``radius``, all others nearer than that; never a cap on their number.

    Raises:
        MlcgmdError: those of :func:`near`.
    """
    along = graph.along
    if radius is None and not graph.periodic:
        return along
    found, shift = near(graph, position, radius)
    pair = torch.cat([along.pair, found], dim=1)
    feature = torch.cat([along.feature, along.feature.new_zeros(found.shape[1], 2)])
    return Edges(pair, feature, torch.cat([along.shift, shift], dim=1), incidence(pair, len(position)))


def near(graph: Batch, position: Float[Tensor, "n 3"], radius: float | None) -> tuple[Int[Tensor, "2 E"], Float[Tensor, "3 E"]]:
    """Pairs that are nearer than ``radius``, besides those along bonds at the same image; and their shifts.

    Raises:
        MlcgmdError: no radius, or one above half an edge: a bead would meet two images of another.
    """
    shortest = float(graph.fine.box.min())
    if radius is None or radius > shortest / 2:
        raise MlcgmdError(
            f"a radius of {radius} does not go with a periodic box of edge {shortest:.4g}: give TrainConfig a radius of at most half of it"
        )
    found = [_dense(graph, position, radius)]
    box = graph.fine.box.index_select(0, graph.graph_system)
    counts = torch.bincount(graph.node_graph, minlength=graph.n_graphs)
    for g in torch.nonzero(counts > DENSE).flatten().tolist():
        nodes = slice(int(counts[:g].sum()), int(counts[: g + 1].sum()))
        found.append(_cells(graph, position, nodes, box[g], radius))
    pairs, shifts = zip(*found, strict=True)
    return torch.cat(pairs, dim=1), torch.cat(shifts, dim=1)


def push_apart(graph: Batch, position: Float[Tensor, "n 3"], core: Float[Tensor, "C C"]) -> Float[Tensor, "n 3"]:
    """Push overlapping non-bonded beads of a periodic box apart, half the overlap each, to the distance ``core`` of their components.

    One pass: with a third bead between them two may stay a little nearer.
    """
    pair, shift = near(graph, position, float(core.max()))
    vector = across(position, pair) - shift
    distance = vector.norm(dim=0)
    component = graph.fine.component.index_select(0, graph.node_source)
    overlap = core[component[pair[0]], component[pair[1]]] - distance
    close = torch.nonzero(overlap > 0).flatten()
    move = vector[:, close] * (0.5 * overlap[close] / distance[close].clamp(min=1e-3))
    i, j = pair[:, close]
    return position.index_add(0, i, move.T).index_add(0, j, move.T, alpha=-1)


def _dense(graph: Batch, position: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Near pairs among the candidates, without those along bonds at the same image."""
    displacement = across(position, graph.candidate)
    if not graph.periodic:
        known = graph.fine.candidate_known.index_select(0, graph.candidate_source)
        found = torch.nonzero((displacement.square().sum(dim=0) < radius**2) & ~known).flatten()
        return graph.candidate.index_select(1, found), displacement.new_zeros(3, len(found))
    shift = image_shift(displacement, graph.candidate_box)
    close = (displacement - shift).square().sum(dim=0) < radius**2
    known = graph.fine.candidate_known.index_select(0, graph.candidate_source) & (shift == 0).all(dim=0)
    chosen = torch.nonzero(close & ~known).flatten()
    return graph.candidate.index_select(1, chosen), shift.index_select(1, chosen)


def _cells(graph: Batch, position: Tensor, nodes: slice, box: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """The same for one large copy, by cell lists (vesin), in time linear in its number of beads."""
    x = position[nodes].double().cpu()
    # Wrapped before and unwrapped after: an unwrapped coordinate may be many boxes away.
    periodic = bool(torch.isfinite(box).all())
    edge = box.double().cpu() if periodic else torch.zeros(3, dtype=x.dtype)
    cell = torch.floor(x / edge) if periodic else torch.zeros_like(x)
    lists = NeighborList(cutoff=radius, full_list=False)
    i, j, images = lists.compute(points=(x - cell * edge).numpy(), box=torch.diag(edge).numpy(), periodic=periodic, quantities="ijS")
    i, j = torch.from_numpy(i.astype(np.int64)), torch.from_numpy(j.astype(np.int64))
    # vesin: x_ij = x_j - x_i + S box of the wrapped points.
    shift = ((cell[i] - cell[j] + torch.from_numpy(images.astype(np.float64))) * edge).to(position.dtype).T
    inside = (graph.pair[0] >= nodes.start) & (graph.pair[0] < nodes.stop)
    n = len(x)
    along = (graph.pair[:, inside] - nodes.start).cpu()
    low, high = torch.minimum(i, j), torch.maximum(i, j)
    known = torch.isin(low * n + high, along[0] * n + along[1]) & (shift == 0).all(dim=0)
    chosen = torch.nonzero(~known & (i != j)).flatten()
    return (torch.stack([i, j]) + nodes.start)[:, chosen].to(position.device), shift[:, chosen].to(position.device)
