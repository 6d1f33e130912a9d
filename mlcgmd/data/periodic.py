"""Molecules in a periodic box: which particles make one, whole along their bonds, continuous in time.

Positions are (F, N, 3), boxes (F, 3) edges in the same unit, bonds (n_bonds, 2) particle indices.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components


def molecules_from_bonds(bond: np.ndarray, n: int) -> np.ndarray:
    """Molecule index (N,) of each particle: the connected components of the bond graph."""
    return connected_components(_graph(bond, n), directed=False)[1].astype(np.int32)


def centres_of_mass(position: np.ndarray, molecule: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Centres of mass (F, M, 3) of the molecules."""
    n = len(molecule)
    weight = coo_array((mass / np.bincount(molecule, mass)[molecule], (molecule, np.arange(n)))).tocsr()
    return (weight @ position.transpose(1, 0, 2).reshape(n, -1)).reshape(weight.shape[0], -1, 3).transpose(1, 0, 2)


def jumps(
    position: np.ndarray, box: np.ndarray, molecule: np.ndarray, mass: np.ndarray, share: float = 0.5
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Where molecules jump by more than a ``share`` of the box between frames, in parts of frames that overlap by one.

    Yields:
        The first frame of a part, the centres of mass (f, M, 3) of its frames, and whether each jumps to the next (f - 1, M, 3).
    """
    chunk = max(2, 2**21 // position.shape[1])
    for start in range(0, max(1, len(position) - 1), chunk):
        part = slice(start, start + chunk + 1)
        centres = centres_of_mass(position[part], molecule, mass)
        yield start, centres, np.abs(np.diff(centres, axis=0)) > share * box[part][1:, None]


def whole(position: np.ndarray, box: np.ndarray, bond: np.ndarray) -> np.ndarray:
    """Positions (F, N, 3) with molecules made whole along a spanning tree of their bonds, each bond at its minimum image."""
    position, n = np.array(position, dtype=np.float64), position.shape[1]
    graph = _graph(bond, n).tocsr()
    for first in np.unique(molecules_from_bonds(bond, n), return_index=True)[1]:
        order, parent = breadth_first_order(graph, first, directed=False)
        for i in order[1:]:
            step = position[:, i] - position[:, parent[i]]
            position[:, i] -= box * np.round(step / box)
    return position


def through_box(position: np.ndarray, box: np.ndarray, bond: np.ndarray) -> np.ndarray:
    """Indices of the bonds that stay longer than half the box in ``position`` of :func:`whole`: they close a ring through it."""
    vectors = np.abs(position[:, bond[:, 0]] - position[:, bond[:, 1]])
    return np.flatnonzero((vectors > 0.5 * box[:, None]).any(axis=(0, 2)))


def unwrapped(position: np.ndarray, box: np.ndarray, bond: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Make molecules whole along their bonds, then continuous in time.

    Right as long as bonds are shorter than half the box, centres of mass of molecules move by less than that between frames,
    and the box keeps its size.

    Args:
        position: (F, N, 3), in any periodic image.
        box: (F, 3) edges in the same unit.
        bond: (n_bonds, 2) particle indices.
        mass: (N,).

    Returns:
        Unwrapped positions (F, N, 3).
    """
    position = whole(position, box, bond)
    molecule = molecules_from_bonds(bond, position.shape[1])
    jumps = np.diff(centres_of_mass(position, molecule, mass), axis=0)
    edges = box[1:, None]
    shift = np.cumsum(edges * np.round(jumps / edges), axis=0)
    position[1:] -= shift[:, molecule]
    return position


def _graph(bond: np.ndarray, n: int) -> coo_array:
    return coo_array((np.ones(len(bond)), (bond[:, 0], bond[:, 1])), shape=(n, n))
