"""Ways to cut the bond graph of a molecule into beads: METIS, as the paper, and others to compare it with.

A :class:`Family` takes a molecule of n particles and k, 1 <= k <= n, and gives the part (n,) of each particle: exactly k parts, which are
connected in all families but :func:`sides`. The same molecule is always cut alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pymetis
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra, minimum_spanning_tree

from ..errors import MlcgmdError


class Molecule(NamedTuple):
    """What is cut."""

    graph: csr_array
    """(n, n) symmetric, connected: a positive number for each bond"""
    kind: np.ndarray
    """(n,) names of the particles' types"""


Family = Callable[[Molecule, int], np.ndarray]
"""(molecule, k) -> part (n,) of each particle."""


@dataclass(frozen=True)
class Metis:
    """Parts of nearly equal weight that cut bonds of small weight (METIS, Karypis & Kumar 1998).

    Attributes:
        particle: weight of the particles of a type, 1 where there is none: beads are finer where particles are heavy.
        bond: weight of the bonds between two types, in alphabetical order.
        seed: of METIS's random numbers: another cuts as well, elsewhere.
    """

    particle: Mapping[str, int] = field(default_factory=dict)
    bond: Mapping[tuple[str, str], int] = field(default_factory=dict)
    seed: int = 0

    def __call__(self, molecule: Molecule, k: int) -> np.ndarray:
        """Connected parts."""
        graph, n = molecule.graph, molecule.graph.shape[0]
        if k in (1, n):
            return np.arange(n) if k == n else np.zeros(n, np.int64)
        ends = zip(np.repeat(molecule.kind, np.diff(graph.indptr)), molecule.kind[graph.indices], strict=True)
        eweights = [self.bond.get((min(pair), max(pair)), 1) for pair in ends] if self.bond else None
        vweights = [self.particle.get(kind, 1) for kind in molecule.kind] if self.particle else None
        adjacency = pymetis.CSRAdjacency(graph.indptr.tolist(), graph.indices.tolist())

        def cut(recursive: bool, **more: int) -> np.ndarray:
            options = pymetis.Options(seed=self.seed, **more)
            found = pymetis.part_graph(k, adjacency=adjacency, vweights=vweights, eweights=eweights, recursive=recursive, options=options)
            return np.asarray(found[1])

        parts = cut(recursive=True)
        if _whole(graph, parts, k):
            return parts
        # Recursive bisection balances best but may leave parts empty or in pieces; the k-way scheme forbids pieces but may omit parts.
        other = cut(recursive=False, contig=1)
        return other if _whole(graph, other, k) else _repair(graph, parts, k)


METIS = Metis()


@dataclass(frozen=True)
class Nested:
    """Each part of METIS at a coarser level cut again: its beads are known exactly from the smaller ones.

    Attributes:
        level: particles per part of the coarser cut, as of :func:`.mapping.partition`.
    """

    level: float

    def __call__(self, molecule: Molecule, k: int) -> np.ndarray:
        """Connected parts.

        Raises:
            MlcgmdError: ``k`` is below the number of parts of the coarser cut.
        """
        n = len(molecule.kind)
        coarse = max(1, round(n / self.level))
        if k < coarse:
            raise MlcgmdError(f"{k} beads cannot be parts of the {coarse} at level {self.level:g}; give a level below that")
        whole = METIS(molecule, coarse)
        size = np.bincount(whole)
        into = np.ones(coarse, int)
        for _ in range(k - coarse):
            into[np.argmax(size / into)] += 1
        parts, first = np.empty(n, np.int64), 0
        for part, count in enumerate(into):
            members = np.flatnonzero(whole == part)
            parts[members] = first + METIS(Molecule(molecule.graph[members][:, members], molecule.kind[members]), int(count))
            first += count
        return parts


def contiguous(molecule: Molecule, k: int) -> np.ndarray:
    """Blocks of equal numbers of particles along the backbone, side groups with the particle that they hang on."""
    place, depth, _ = _along_backbone(molecule.graph)
    order = np.lexsort((depth, place))
    parts = np.empty(len(order), np.int64)
    parts[order] = np.arange(len(order)) * k // len(order)
    return _repair(molecule.graph, parts, k)


def pure(molecule: Molecule, k: int) -> np.ndarray:
    """Blocks of one type of particle, as far as k lets them be: the smallest join a neighbour, or the largest are halved."""
    return _repair(molecule.graph, np.unique(molecule.kind, return_inverse=True)[1], k)


def spectral(molecule: Molecule, k: int) -> np.ndarray:
    """Recursive bisection at the slowest mode of the bond graph (Pothen, Simon & Liou 1990): parts that move together."""
    parts = np.zeros(molecule.graph.shape[0], np.int64)

    def split(members: np.ndarray, first: int, count: int) -> None:
        parts[members] = first
        if count == 1:
            return
        dense = molecule.graph[members][:, members].toarray()
        mode = np.linalg.eigh(np.diag(dense.sum(axis=1)) - dense)[1][:, 1]
        mode *= np.sign(mode[np.abs(mode).argmax()])  # the sign of an eigenvector is the processor's choice
        few = count // 2
        cut = np.argsort(np.round(mode, 9), kind="stable")
        taken = min(max(few, round(len(members) * few / count)), len(members) - (count - few))
        split(members[cut[:taken]], first, few)
        split(members[cut[taken:]], first + few, count - few)

    split(np.arange(len(parts)), 0, k)
    return _repair(molecule.graph, parts, k)


def sides(molecule: Molecule, k: int) -> np.ndarray:
    """Backbone and side groups apart: each stretch of the backbone is a bead, and so are all of its side groups together.

    A bead of side groups is in pieces, which move together no more than the stretch lets them. The smallest of them join their stretch
    where there would be more than k beads. Without side groups: as :func:`contiguous`.
    """
    place, depth, length = _along_backbone(molecule.graph)
    side = depth > 0
    for stretches in range(1, length + 1):
        block = place * stretches // length
        parts = 2 * block + side
        if len(np.unique(parts)) >= k:
            break
    while len(size := np.unique(parts[side], return_counts=True)[1]) + stretches > k and len(size):
        smallest = np.unique(parts[side])[size.argmin()]
        side &= parts != smallest
        parts[parts == smallest] -= 1
    return parts if len(np.unique(parts)) == k else _repair(molecule.graph, parts, k)


@dataclass(frozen=True)
class Random:
    """Connected parts of any size: the bonds of a random spanning tree, k - 1 of which are cut. What a mapping must be better than."""

    seed: int = 0

    def __call__(self, molecule: Molecule, k: int) -> np.ndarray:
        """Connected parts."""
        rng = np.random.default_rng([self.seed, k])
        weighted = csr_array(molecule.graph, copy=True)
        weighted.data = rng.uniform(1, 2, weighted.nnz)
        tree = minimum_spanning_tree(weighted).tocoo()
        kept = rng.permutation(tree.nnz)[k - 1 :]
        n = molecule.graph.shape[0]
        left = csr_array((np.ones(len(kept)), (tree.row[kept], tree.col[kept])), shape=(n, n))
        return connected_components(left, directed=False)[1]


FAMILIES: dict[str, Family] = {
    "metis": METIS,
    "contiguous": contiguous,
    "pure": pure,
    "spectral": spectral,
    "sides": sides,
    "random": Random(),
}
"""By name."""


def family(name: str) -> Family:
    """One of :data:`FAMILIES`; "random 3" is random with the seed 3, "nested 15" cuts the beads of METIS at level 15 again.

    >>> family("random 3"), family("nested 15")
    (Random(seed=3), Nested(level=15.0))

    Raises:
        MlcgmdError: there is no such family.
    """
    kind, _, seed = name.partition(" ")
    if kind == "random" and seed.isdecimal():
        return Random(int(seed))
    if kind == "nested" and seed.isdecimal() and int(seed):
        return Nested(float(seed))
    if name not in FAMILIES:
        known = f"{list(FAMILIES)}, 'random 1', 'random 2' ..., and 'nested 15'"
        raise MlcgmdError(f"there is no family of mappings {name!r}; the families are {known}")
    return FAMILIES[name]


def annealed(
    kinds: Sequence[str], bonds: Sequence[tuple[str, str]], cost: Callable[[Metis], float], steps: int = 100, seed: int = 0
) -> Metis:
    """METIS with the weights of types and bonds of least ``cost``, by simulated annealing: a rule that serves other molecules too.

    A step doubles or halves one weight, between 1 and 16. The temperature falls from the spread of the costs of the first ten steps to a
    hundredth of it.

    Args:
        kinds: the types of particles.
        bonds: pairs of types that are bonded, in alphabetical order.
        cost: of a rule, on training data only: what it loses of a property, say.
        steps: evaluations of ``cost``, but for the first.
        seed: of the random numbers.

    Returns:
        The best rule that was met; METIS itself is where it begins.
    """
    rng = np.random.default_rng(seed)

    def rule(power: np.ndarray) -> Metis:
        weight = (2**power).tolist()
        return Metis(dict(zip(kinds, weight, strict=False)), dict(zip(bonds, weight[len(kinds) :], strict=True)))

    now = np.zeros(len(kinds) + len(bonds), int)
    best, best_cost = METIS, cost(METIS)
    current, seen = best_cost, [best_cost]
    for step in range(steps):
        trial = now.copy()
        trial[rng.integers(len(now))] += rng.choice([-1, 1])
        if trial.min() < 0 or trial.max() > 4:
            trial = np.clip(-trial + 2 * now, 0, 4)  # the other way
        found = cost(rule(trial))
        seen.append(found)
        temperature = np.std(seen[:11]) * 100 ** (-step / steps) + 1e-300
        if found <= current or rng.random() < np.exp((current - found) / temperature):
            now, current = trial, found
        if found < best_cost:
            best, best_cost = rule(trial), found
    return best


def _along_backbone(graph: csr_array) -> tuple[np.ndarray, np.ndarray, int]:
    """The backbone is the longest of the shortest paths. Of each particle the place along it that it hangs on, from 0, and how many bonds
    away (n,); and the length of the backbone in particles."""
    n = graph.shape[0]
    start = int(dijkstra(graph, indices=0, unweighted=True).argmax())
    distance, before = dijkstra(graph, indices=start, unweighted=True, return_predecessors=True)
    path = [int(distance.argmax())]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    backbone = np.array(path[::-1])
    if backbone[0] > backbone[-1]:
        backbone = backbone[::-1]
    depth, _, source = dijkstra(graph, indices=backbone, unweighted=True, min_only=True, return_predecessors=True)
    place = np.empty(n, np.int64)
    place[backbone] = np.arange(len(backbone))
    return place[source], depth, len(backbone)


def _pieces(graph: csr_array, parts: np.ndarray) -> np.ndarray:
    """(n,) connected piece of each particle: the pieces of all parts, counted through."""
    i, j = graph.nonzero()
    inside = parts[i] == parts[j]
    return connected_components(csr_array((np.ones(inside.sum()), (i[inside], j[inside])), shape=graph.shape), directed=False)[1]


def _whole(graph: csr_array, parts: np.ndarray, k: int) -> bool:
    return len(np.unique(parts)) == k == _pieces(graph, parts).max() + 1


def _repair(graph: csr_array, parts: np.ndarray, k: int) -> np.ndarray:
    """Exactly ``k`` connected parts: the smallest pieces join their smallest neighbour, or the largest piece is halved."""
    piece = _pieces(graph, parts)
    i, j = graph.nonzero()
    while (size := np.bincount(piece)).size > k:
        smallest = int(size.argmin())
        neighbours = np.unique(piece[j[(piece[i] == smallest) & (piece[j] != smallest)]])
        piece[piece == smallest] = neighbours[size[neighbours].argmin()]
        piece = np.unique(piece, return_inverse=True)[1]
    while (size := np.bincount(piece)).size < k:
        members = np.flatnonzero(piece == size.argmax())
        order, parent = breadth_first_order(graph[members][:, members], 0, directed=False)
        below = np.ones(len(members), int)  # size of the subtree under each particle
        for v in order[:0:-1]:
            below[parent[v]] += below[v]
        cut = order[1:][np.abs(below[order[1:]] - len(members) / 2).argmin()]
        taken = np.zeros(len(members), bool)
        for v in order:  # parents come before children
            taken[v] = v == cut or (v != order[0] and taken[parent[v]])
        piece[members[taken]] = size.size
    return piece
