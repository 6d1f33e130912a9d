"""Graphs: the static topology of a system at both levels, and batches of many systems.

Pairs are undirected (i < j): the networks keep one symmetric state per pair, which halves the cost
of directed edges. Networks with a radius see the pairs along bonds, up to :data:`HOPS` bonds apart,
and after them those that are nearer than the radius at the time (:func:`.neighbours.edges`): what it
takes grows with the number of beads. Without a radius they see all pairs of a molecule always, which
is simple and good for small ones.

Positions are unwrapped. A pair along bonds has the plain displacement x_i - x_j, however large the
molecule is beside the box; another pair has that of its nearest image, x_i - x_j - shift. The shift
is a multiple of the box, found with the pair.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from ..data.mapping import CoarseGraining
from ..errors import MlcgmdError
from .covariance import Blocks
from .incidence import Incidence, Movable, incidence

HOPS = 3
"""Bonds, angles and torsions are pairs at any distance."""
DENSE = 400
"""Beads up to which all distances are computed; beyond it cell lists are faster (notebook 4 shows the cost)."""


@dataclass(frozen=True)
class Topology(Movable):
    """What does not move in S systems (one, or several joined): N particles, B beads, P pairs of beads.

    Attributes:
        particle_type: type index of each particle.
        particle_bond: bonds of the fine graph, one column per bond.
        bead: bead of each particle.
        bead_mass: in the trajectory's mass unit.
        component: of each bead, index into the system's component names.
        molecule: of each bead, counted from 0.
        weight: of each bead in a training loss, proportional to 1 / sqrt(beads of its component), with mean 1 in each
            system: a box has few ions, and they carry the quantities of interest.
        pair: beads i < j of each pair along bonds.
        pair_feature: [1 if bonded, 1 / number of CG bonds between i and j].
        box: edges of each system's periodic box, infinite where there is none.
        condition: what each bead's system is under, as far as a model knows it (:meth:`.system.CoarseSystem.under`).
        candidate: beads i < j of all pairs of a local graph of at most :data:`DENSE` beads; else none.
        candidate_known: whether that pair is in ``pair`` too.
    """

    particle_type: Int[Tensor, " N"]
    particle_bond: Int[Tensor, "2 n_bonds"]
    bead: Int[Tensor, " N"]
    bead_mass: Float[Tensor, " B"]
    component: Int[Tensor, " B"]
    molecule: Int[Tensor, " B"]
    weight: Float[Tensor, " B"]
    pair: Int[Tensor, "2 P"]
    pair_feature: Float[Tensor, "P 2"]
    box: Float[Tensor, "S 3"]
    condition: Float[Tensor, "B c"]
    candidate: Int[Tensor, "2 C"]
    candidate_known: Bool[Tensor, " C"]

    @property
    def complete(self) -> bool:
        """Whether all pairs of each molecule are along bonds."""
        size = self.molecule.bincount()
        return int((size * (size - 1) // 2).sum()) == self.pair.shape[1]

    def local(self) -> "Topology":
        """The same with the pairs up to :data:`HOPS` bonds apart alone, beside which others are found by distance."""
        near = self.pair_feature[:, 1] * (HOPS + 0.5) > 1
        pair = self.pair[:, near]
        candidate, known = _candidates(pair, len(self.bead_mass))
        return replace(self, pair=pair, pair_feature=self.pair_feature[near], candidate=candidate, candidate_known=known)


def topology(fine: xr.Dataset, mapping: CoarseGraining) -> Topology:
    """The static graphs of a trajectory under a mapping. A box is that of the first frame.

    In a box the graph is local, without one it is complete (of more than :data:`DENSE` beads it is local there too).
    """
    b = mapping.n_beads
    bonds = csr_array((np.ones(len(mapping.bond)), (mapping.bond[:, 0], mapping.bond[:, 1])), shape=(b, b))
    periodic = "box" in fine
    if periodic or b > DENSE:
        hops = _hops(bonds)
        i, j = hops.nonzero()
        i, j = i[i < j], j[i < j]
        order = np.lexsort((j, i))
        i, j = i[order], j[order]
        hops = np.asarray(hops[i, j]).ravel() if len(i) else np.empty(0)  # scipy leaves no values sparse
    else:
        i, j = np.triu_indices(b, 1)
        together = mapping.molecule[i] == mapping.molecule[j]
        i, j = i[together], j[together]
        hops = shortest_path(bonds, directed=False, unweighted=True)[i, j]
    component = mapping.first(fine.component.values)
    weight = np.bincount(component)[component] ** -0.5
    pair = torch.from_numpy(np.stack([i, j]).astype(np.int64))
    candidate, known = _candidates(pair, b if periodic else 0)
    return Topology(
        particle_type=torch.from_numpy(fine.particle_type.values.astype(np.int64)),
        particle_bond=torch.from_numpy(fine.bond.values.astype(np.int64).T.copy()),
        bead=torch.from_numpy(mapping.bead.copy()),
        bead_mass=torch.from_numpy(mapping.mass.astype(np.float32)),
        component=torch.from_numpy(component.astype(np.int64)),
        molecule=torch.from_numpy(np.unique(mapping.molecule, return_inverse=True)[1].astype(np.int64)),
        weight=torch.from_numpy((weight / weight.mean()).astype(np.float32)),
        pair=pair,
        pair_feature=torch.from_numpy(np.stack([hops == 1, 1 / hops], axis=1).astype(np.float32)),
        box=torch.from_numpy(fine.box.values[:1].astype(np.float32)) if periodic else torch.full((1, 3), torch.inf),
        condition=torch.empty(b, 0),
        candidate=candidate,
        candidate_known=known,
    )


def _candidates(pair: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """All pairs of ``b`` beads, none beyond :data:`DENSE`, and whether each is in ``pair`` too."""
    candidate = torch.triu_indices(b, b, 1) if b <= DENSE else pair[:, :0]
    return candidate, torch.isin(candidate[0] * b + candidate[1], pair[0] * b + pair[1])


def _hops(bonds: csr_array) -> csr_array:
    """Number of bonds between the beads that are at most :data:`HOPS` bonds apart, sparse."""
    step = ((bonds + bonds.T) > 0).astype(np.int64)
    hops, reached = step.copy(), step.copy()
    for n in range(2, HOPS + 1):
        reached = ((reached @ step) > 0).astype(np.int64)
        new = reached - reached.multiply(hops > 0)
        hops = (hops + n * new).tocsr()
    hops.setdiag(0)
    hops.eliminate_zeros()
    return hops


@dataclass(frozen=True)
class Batch(Movable):
    """Copies of several systems as one graph with n nodes (copies of beads), ordered system, copy, bead.

    The fine graphs are there once per system (their embedding is computed once); ``node_source``
    says which bead of ``fine`` a node is a copy of.

    Attributes:
        fine: the systems' topologies joined, each once.
        node_source: bead of ``fine`` behind each node.
        node_graph: copy that each node belongs to, 0 .. n_graphs - 1.
        pair: nodes i < j of each pair along bonds.
        pair_source: pair of ``fine`` behind each pair.
        candidate: nodes i < j of each copy of a candidate.
        candidate_source: candidate of ``fine`` behind each candidate.
        graph_system: system of each copy.
    """

    fine: Topology
    node_source: Int[Tensor, " n"]
    node_graph: Int[Tensor, " n"]
    pair: Int[Tensor, "2 E"]
    pair_source: Int[Tensor, " E"]
    candidate: Int[Tensor, "2 C"]
    candidate_source: Int[Tensor, " C"]
    graph_system: Int[Tensor, " G"]

    @property
    def n_graphs(self) -> int:
        """G, the number of copies of all systems."""
        return len(self.graph_system)

    @property
    def periodic(self) -> bool:
        """Whether any system has a box."""
        return bool(torch.isfinite(self.fine.box).any())

    @functools.cached_property
    def along(self) -> "Edges":
        """The pairs along bonds, which never change."""
        feature = self.fine.pair_feature.index_select(0, self.pair_source)
        return Edges(self.pair, feature, feature.new_zeros(3, len(feature)), incidence(self.pair, len(self.node_source)))

    @functools.cached_property
    def blocks(self) -> Blocks:
        """Where nodes and pairs are in matrices of the molecules."""
        molecule = self.fine.molecule.index_select(0, self.node_source)
        return Blocks.of(self.node_graph * (int(self.fine.molecule.max()) + 1) + molecule, self.pair)

    @functools.cached_property
    def candidate_box(self) -> Float[Tensor, "3 C"]:
        """Box edges of each candidate."""
        system = self.graph_system.index_select(0, self.node_graph.index_select(0, self.candidate[0]))
        return self.fine.box.index_select(0, system).T.contiguous()


def join(systems: Sequence[Topology]) -> Topology:
    """Several topologies as one, indices shifted."""
    particles = np.cumsum([0] + [len(s.bead) for s in systems])
    beads = np.cumsum([0] + [len(s.bead_mass) for s in systems])
    molecules = np.cumsum([0] + [int(s.molecule.max()) + 1 for s in systems])
    return Topology(
        particle_type=torch.cat([s.particle_type for s in systems]),
        particle_bond=torch.cat([s.particle_bond + int(o) for s, o in zip(systems, particles, strict=False)], dim=1),
        bead=torch.cat([s.bead + int(o) for s, o in zip(systems, beads, strict=False)]),
        bead_mass=torch.cat([s.bead_mass for s in systems]),
        component=torch.cat([s.component for s in systems]),
        molecule=torch.cat([s.molecule + int(o) for s, o in zip(systems, molecules, strict=False)]),
        weight=torch.cat([s.weight for s in systems]),
        pair=torch.cat([s.pair + int(o) for s, o in zip(systems, beads, strict=False)], dim=1),
        pair_feature=torch.cat([s.pair_feature for s in systems]),
        box=torch.cat([s.box for s in systems]),
        condition=torch.cat([s.condition for s in systems]),
        candidate=torch.cat([s.candidate + int(o) for s, o in zip(systems, beads, strict=False)], dim=1),
        candidate_known=torch.cat([s.candidate_known for s in systems]),
    )


def tile(system: Topology, n: int) -> Topology:
    """One larger periodic box, of ``n`` copies of the system's box along each axis; copy (a, b, c) has index (a n + b) n + c.

    Raises:
        MlcgmdError: the system has no box.
    """
    if not torch.isfinite(system.box).all():
        raise MlcgmdError("a system without a periodic box cannot be repeated")
    whole = join([system] * n**3)
    candidate, known = _candidates(whole.pair, len(whole.bead_mass))
    return replace(whole, box=n * system.box, candidate=candidate, candidate_known=known)


def batch(systems: Sequence[Topology], copies: int) -> Batch:
    """``copies`` copies of each system as one graph.

    Raises:
        MlcgmdError: no systems or no copies.
    """
    if not systems or copies < 1:
        raise MlcgmdError(f"a batch needs systems and copies, not {len(systems)} systems x {copies} copies")
    sizes = [(len(s.bead_mass), s.pair.shape[1], s.candidate.shape[1]) for s in systems]
    bead0, pair0, candidate0 = np.cumsum([(0, 0, 0), *sizes], axis=0).T.tolist()
    copy = torch.arange(copies)[:, None]

    def repeated(ends: Sequence[Tensor]) -> Tensor:
        """Pairs of beads of each system -> pairs of nodes of all copies."""
        nodes = [bead0[k] * copies + sizes[k][0] * copy[None] + pair[:, None] for k, pair in enumerate(ends)]
        return torch.cat([pair.reshape(2, -1) for pair in nodes], dim=1)

    def source(first: Sequence[int], column: int) -> Tensor:
        return torch.cat([(first[k] + torch.arange(sizes[k][column])).repeat(copies) for k in range(len(systems))])

    return Batch(
        fine=join(systems),
        node_source=source(bead0, 0),
        node_graph=torch.cat([(k * copies + copy).expand(copies, sizes[k][0]).reshape(-1) for k in range(len(systems))]),
        pair=repeated([s.pair for s in systems]),
        pair_source=source(pair0, 1),
        candidate=repeated([s.candidate for s in systems]),
        candidate_source=source(candidate0, 2),
        graph_system=torch.arange(len(systems)).repeat_interleave(copies),
    )


@dataclass(frozen=True)
class Edges(Movable):
    """The pairs of a batch at one moment: x_ij = x_i - x_j - shift.

    Attributes:
        pair: nodes of each pair.
        feature: [1 if bonded, 1 / number of CG bonds between i and j]; zero for pairs found by distance.
        shift: a multiple of the box.
        incidence: which of them each node is in.
    """

    pair: Int[Tensor, "2 E"]
    feature: Float[Tensor, "E 2"]
    shift: Float[Tensor, "3 E"]
    incidence: Incidence

    def displacement(self, position: Float[Tensor, "n 3"], scale: Float[Tensor, " E"] | float = 1.0) -> Float[Tensor, "3 E"]:
        """x_ij of ``position``, which are positions times ``scale``."""
        return across(position, self.pair) - scale * self.shift


def across(x: Float[Tensor, "n 3"], pair: Int[Tensor, "2 E"]) -> Float[Tensor, "3 E"]:
    """x_i - x_j."""
    planes = x.T.contiguous()
    return planes.index_select(1, pair[0]) - planes.index_select(1, pair[1])
