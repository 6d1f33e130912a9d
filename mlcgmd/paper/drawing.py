"""One frame of molecules drawn flat: colours and radii of particles and beads, spheres, bonds, and the box around them."""

from itertools import combinations, product

import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgb

from ..data.mapping import CoarseGraining

RADIUS = 0.5
"""Drawn radius of a particle of unit mass (sigma); it grows with mass^(1/3), so that equal density looks equal."""
ELEMENTS = {
    "H": ("#e9e9e9", 1.10),
    "Li": ("#a259c4", 1.82),
    "C": ("#565656", 1.70),
    "N": ("#3b5fd0", 1.55),
    "O": ("#d8402f", 1.52),
    "F": ("#7ac36a", 1.47),
    "S": ("#e6c229", 1.80),
}
"""Customary colour and van der Waals radius (A; Bondi 1964, H from Rowland & Taylor 1996) of the elements of an electrolyte."""
BALL = 0.55
"""Drawn radius of an atom relative to its van der Waals radius: bonded atoms overlap, others let one look between them."""
LAYERS = 12
"""Depths at which bonds and spheres of a crowded box are drawn one after the other."""
CORNERS = np.array(list(product((0, 1), repeat=3)))
EDGES = np.array([(i, j) for i, j in combinations(range(8), 2) if np.abs(CORNERS[i] - CORNERS[j]).sum() == 1])
"""(12, 2) pairs of corners of a box, corners numbered as in :func:`box_corners`."""


def palette(index: np.ndarray) -> np.ndarray:
    """Colours (n, 3), red, green, blue from 0 to 1, of types or beads (n,).

    Seaborn's colour-blind safe ten, which begin again after ten: beads are numbered along the chain, so neighbours differ.
    """
    return np.array(sns.color_palette("colorblind"))[np.asarray(index) % 10]


def radii(mass: np.ndarray) -> np.ndarray:
    """Drawn radii (n,) in sigma of particles or beads of ``mass`` (n,) in m."""
    return RADIUS * np.cbrt(mass)


def sizes(fine: xr.Dataset) -> np.ndarray:
    """Drawn radii (N,) of the particles of ``fine`` in its length unit: of their elements, or, for other types, of their masses."""
    names = fine.type_name.values
    if set(names) <= set(ELEMENTS):
        return BALL * np.array([ELEMENTS[name][1] for name in names])[fine.particle_type.values]
    return radii(fine.mass.values)


def bead_sizes(mapping: CoarseGraining, size: np.ndarray) -> np.ndarray:
    """Drawn radii (B,) of beads: each has the volume of its particles, of radii ``size`` (N,)."""
    return np.cbrt(np.bincount(mapping.bead, weights=size**3, minlength=mapping.n_beads))


def type_colours(fine: xr.Dataset) -> np.ndarray:
    """Colours (n_types, 3) of the types of ``fine``: the customary ones of elements, or the palette."""
    names = fine.type_name.values
    return np.array([to_rgb(ELEMENTS[name][0]) for name in names]) if set(names) <= set(ELEMENTS) else palette(np.arange(len(names)))


def draw(axis: Axes, position: np.ndarray, bond: np.ndarray, colour: np.ndarray, radius: np.ndarray, layers: int = 1) -> None:
    """Draw one frame as seen along z: near spheres cover far ones, which fade.

    Parameters: ``position`` (n, 3), ``bond`` (n_bonds, 2), ``colour`` (n, 3), ``radius`` (n,) in the unit of ``position``;
    ``layers`` of depth: a bond is behind all spheres of the layer of its far end. The limits of ``axis`` stay as they are.
    """
    z = position[:, 2]
    fade = 0.6 * (z.max() - z) / max(float(np.ptp(z)), 1e-6)
    shown = colour + (1 - colour) * fade[:, None]
    parts = np.array_split(np.argsort(z, kind="stable"), layers)
    layer = np.empty(len(z), int)
    layer[np.concatenate(parts)] = np.repeat(np.arange(layers), [len(part) for part in parts])
    far = layer[bond].min(axis=1)
    for k, order in enumerate(parts):
        grey = f"{0.45 + 0.3 * (1 - (k + 1) / layers):g}"
        lines = LineCollection(list(position[bond[far == k]][:, :, :2]), colors=grey, linewidths=1.2, zorder=1 + 2 * k / layers)
        axis.add_collection(lines, autolim=False)
        size, place = 2 * radius[order], {"offsets": position[order, :2], "offset_transform": axis.transData}
        look = {"facecolors": shown[order], "edgecolors": 0.55 * shown[order], "linewidths": 0.5, "zorder": 1 + (2 * k + 1) / layers}
        axis.add_collection(EllipseCollection(size, size, np.zeros(len(size)), units="xy", **place, **look), autolim=False)


def draw_box(axis: Axes, corner: np.ndarray) -> None:
    """Draw the edges of a box with the corners (8, 3) of :func:`box_corners`, seen along z: behind what :func:`draw` shows, or in front."""
    hidden = (EDGES == corner[:, 2].argmin()).any(axis=1)
    for edges, grey, order in ((EDGES[hidden], "0.8", 0), (EDGES[~hidden], "0.35", 4)):
        axis.add_collection(LineCollection(list(corner[edges][:, :, :2]), colors=grey, linewidths=0.8, zorder=order), autolim=False)


def frame_axis(axis: Axes, extent: float) -> None:
    """Show the square from -extent to extent, to scale and without a frame."""
    axis.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")
    axis.axis("off")


def centred(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Positions (F, N, 3) relative to each frame's centre of mass, masses (N,)."""
    return position - np.average(position, axis=1, weights=mass)[:, None]


def in_box(fine: xr.Dataset) -> np.ndarray:
    """Positions (F, N, 3) of a periodic ``fine`` in a box about the origin: whole molecules, their mean centres of mass inside.

    A molecule is moved by the same image in all frames, so that it moves on across a face of the box. Where in the liquid the
    box begins is arbitrary: of a few places, the one from which they take the least room.
    """
    position, box = fine.position.values.astype(float), fine.box.values.astype(float)
    molecule = np.unique(fine.molecule.values, return_inverse=True)[1]
    mass = fine.mass.values
    relative = (position / box[:, None]).mean(axis=0)
    share = (mass / np.bincount(molecule, mass)[molecule])[:, None] * relative
    centre = np.stack([np.bincount(molecule, weights=share[:, x]) for x in range(3)], axis=1)
    begin = np.array(list(product(np.arange(5) / 5, repeat=3)))[:, None]
    middle = np.floor(centre - begin)[:, molecule] + begin + 0.5  # of the image of the box around each particle's molecule, (125, N, 3)
    room = np.ptp(relative - middle, axis=1).sum(axis=1)
    return position - middle[room.round(6).argmin()] * box[:, None]


def box_corners(box: np.ndarray) -> np.ndarray:
    """Corners (..., 8, 3) of boxes with edges (..., 3) about the origin; :data:`EDGES` joins them."""
    return (CORNERS - 0.5) * box[..., None, :]
