"""Graphs: the static topology of a system at both levels, and batches of many systems.

Pairs are undirected (i < j): the networks keep one symmetric state per pair, which halves the cost
of directed edges. Within a molecule every pair of beads is joined, so the graph of a chain never
changes and is built once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from .mapping import CoarseGraining

_T = TypeVar("_T", bound="_Movable")


class _Movable:
    def to(self: _T, device: torch.device | str) -> _T:
        """The same on another device."""
        return type(self)(*(getattr(self, f.name).to(device) for f in fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Topology(_Movable):
    """What does not move in one system: N particles, B beads, P pairs of beads.

    Attributes:
        particle_type: type index of each particle.
        particle_bond: bonds of the fine graph, one column per bond.
        bead: bead of each particle.
        bead_mass: in the trajectory's mass unit.
        pair: beads i < j of each pair of one molecule.
        pair_feature: [1 if bonded, 1 / number of CG bonds between i and j].
    """

    particle_type: Int[Tensor, " N"]
    particle_bond: Int[Tensor, "2 n_bonds"]
    bead: Int[Tensor, " N"]
    bead_mass: Float[Tensor, " B"]
    pair: Int[Tensor, "2 P"]
    pair_feature: Float[Tensor, "P 2"]


def topology(fine: xr.Dataset, mapping: CoarseGraining) -> Topology:
    """The static graphs of a trajectory under a mapping."""
    b = mapping.n_beads
    i, j = np.triu_indices(b, 1)
    together = mapping.molecule[i] == mapping.molecule[j]
    i, j = i[together], j[together]
    bonds = csr_array((np.ones(len(mapping.bond)), (mapping.bond[:, 0], mapping.bond[:, 1])), shape=(b, b))
    hops = shortest_path(bonds, directed=False, unweighted=True)[i, j]
    return Topology(
        particle_type=torch.from_numpy(fine.particle_type.values.astype(np.int64)),
        particle_bond=torch.from_numpy(fine.bond.values.astype(np.int64).T.copy()),
        bead=torch.from_numpy(mapping.bead.copy()),
        bead_mass=torch.from_numpy(mapping.mass.astype(np.float32)),
        pair=torch.from_numpy(np.stack([i, j])),
        pair_feature=torch.from_numpy(np.stack([hops == 1, 1 / hops], axis=1).astype(np.float32)),
    )


@dataclass(frozen=True)
class Batch(_Movable):
    """Copies of several systems as one graph with n nodes (copies of beads), ordered system, copy, bead.

    The fine graphs are there once per system (their embedding is computed once); ``node_source``
    says which bead of ``fine`` a node is a copy of.

    Attributes:
        fine: the systems' topologies joined, each once.
        node_source: bead of ``fine`` behind each node.
        node_graph: copy that each node belongs to, 0 .. n_graphs - 1.
        pair: nodes i < j of each pair.
        pair_source: pair of ``fine`` behind each pair.
        graph_system: system of each copy.
    """

    fine: Topology
    node_source: Int[Tensor, " n"]
    node_graph: Int[Tensor, " n"]
    pair: Int[Tensor, "2 E"]
    pair_source: Int[Tensor, " E"]
    graph_system: Int[Tensor, " G"]

    @property
    def n_graphs(self) -> int:
        """G, the number of copies of all systems."""
        return len(self.graph_system)


def join(systems: Sequence[Topology]) -> Topology:
    """Several topologies as one, indices shifted."""
    particles = np.cumsum([0] + [len(s.bead) for s in systems])
    beads = np.cumsum([0] + [len(s.bead_mass) for s in systems])
    return Topology(
        particle_type=torch.cat([s.particle_type for s in systems]),
        particle_bond=torch.cat([s.particle_bond + int(o) for s, o in zip(systems, particles, strict=False)], dim=1),
        bead=torch.cat([s.bead + int(o) for s, o in zip(systems, beads, strict=False)]),
        bead_mass=torch.cat([s.bead_mass for s in systems]),
        pair=torch.cat([s.pair + int(o) for s, o in zip(systems, beads, strict=False)], dim=1),
        pair_feature=torch.cat([s.pair_feature for s in systems]),
    )


def batch(systems: Sequence[Topology], copies: int) -> Batch:
    """``copies`` copies of each system as one graph.

    Raises:
        ValueError: no systems or no copies.
    """
    if not systems or copies < 1:
        raise ValueError(f"a batch needs systems and copies, not {len(systems)} systems x {copies} copies")
    node_source, node_graph, pair, pair_source = [], [], [], []
    bead0 = pair0 = node0 = 0
    copy = torch.arange(copies)[:, None]
    for k, s in enumerate(systems):
        b, p = len(s.bead_mass), s.pair.shape[1]
        node_source.append((bead0 + torch.arange(b)).repeat(copies))
        node_graph.append((k * copies + copy).expand(copies, b).reshape(-1))
        pair.append((node0 + b * copy[None] + s.pair[:, None]).reshape(2, -1))
        pair_source.append((pair0 + torch.arange(p)).repeat(copies))
        bead0, pair0, node0 = bead0 + b, pair0 + p, node0 + b * copies
    return Batch(
        fine=join(systems),
        node_source=torch.cat(node_source),
        node_graph=torch.cat(node_graph),
        pair=torch.cat(pair, dim=1),
        pair_source=torch.cat(pair_source),
        graph_system=torch.arange(len(systems)).repeat_interleave(copies),
    )
