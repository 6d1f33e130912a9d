"""Pictures of molecules: still, moving (GIF) and to be turned by hand (3-D view)."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from scipy.spatial.transform import Rotation

from .mapping import CoarseGraining
from .paths import atomic

if TYPE_CHECKING:  # in the extra ``notebooks``
    from IPython.display import HTML

RADIUS = 0.5
"""Drawn radius of a particle of unit mass (sigma); it grows with mass^(1/3), so that equal density looks equal."""
VENDORED_3DMOL = "../vendor/3dmol/3Dmol-min.js"
"""The copy of 3Dmol.js that the book serves, seen from its page of a notebook."""
TILT = 0.25
"""Angle (radians) by which the turning axis of an animation leans towards the viewer."""
FRAME_TIME = 100
"""Milliseconds that a frame of an animation is shown."""
COLOURS = 128
"""Size of the colour table of an animation."""


def palette(index: np.ndarray) -> np.ndarray:
    """Colours (n, 3), red, green, blue from 0 to 1, of types or beads (n,).

    Seaborn's colour-blind safe ten, which begin again after ten: beads are numbered along the chain, so neighbours differ.
    """
    return np.array(sns.color_palette("colorblind"))[np.asarray(index) % 10]


def radii(mass: np.ndarray) -> np.ndarray:
    """Drawn radii (n,) in sigma of particles or beads of ``mass`` (n,) in m."""
    return RADIUS * np.cbrt(mass)


def draw(axis: Axes, position: np.ndarray, bond: np.ndarray, colour: np.ndarray, radius: np.ndarray) -> None:
    """Draw one frame as seen along z: near spheres cover far ones, which fade.

    Parameters: ``position`` (n, 3), ``bond`` (n_bonds, 2), ``colour`` (n, 3), ``radius`` (n,) in the unit of ``position``.
    The limits of ``axis`` stay as they are.
    """
    z = position[:, 2]
    fade = 0.6 * (z.max() - z) / max(float(np.ptp(z)), 1e-6)
    shown = colour + (1 - colour) * fade[:, None]
    order = np.argsort(z, kind="stable")
    axis.add_collection(LineCollection(list(position[bond][:, :, :2]), colors="0.45", linewidths=1.2, zorder=1), autolim=False)
    size = 2 * radius[order]
    spheres = EllipseCollection(
        size,
        size,
        np.zeros(len(size)),
        units="xy",
        offsets=position[order, :2],
        offset_transform=axis.transData,
        facecolors=shown[order],
        edgecolors=0.55 * shown[order],
        linewidths=0.5,
        zorder=2,
    )
    axis.add_collection(spheres, autolim=False)


def frame_axis(axis: Axes, extent: float) -> None:
    """Show the square from -extent to extent, to scale and without a frame."""
    axis.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal")
    axis.axis("off")


def centred(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Positions (F, N, 3) relative to each frame's centre of mass, masses (N,)."""
    return position - np.average(position, axis=1, weights=mass)[:, None]


def _turning(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Frames (F, N, 3) without translation and tumbling of the whole (Kabsch 1976), turned once about a tilted axis over all F."""
    frames = centred(position.astype(float), mass)
    for f in range(1, len(frames)):
        rotation, _ = Rotation.align_vectors(frames[f - 1], frames[f], weights=mass)
        frames[f] = rotation.apply(frames[f])
    tilt = Rotation.from_euler("x", TILT)
    for f in range(len(frames)):
        frames[f] = (tilt * Rotation.from_euler("y", 2 * np.pi * f / len(frames))).apply(frames[f])
    return frames


def chain_gif(fine: xr.Dataset, mapping: CoarseGraining, path: Path) -> Path:
    """Write the coarse-graining of one molecule as a GIF, a picture per frame of ``fine``, 700 pixels wide on white.

    Three panels side by side: particles by type, particles by their bead, and beads at their centres of mass with CG bonds.
    The molecule stays centred, its own tumbling is taken out, and the view turns once around it. The same input gives the same bytes.

    Raises:
        MappingError: ``mapping`` is of another number of particles.
    """
    mass = fine.mass.values
    kinds = fine.particle_type.values
    particles = _turning(fine.position.values, mass)
    beads = mapping.positions(particles)
    bond = fine.bond.values
    grain, size = radii(mass), radii(mapping.mass)
    by_bead = palette(mapping.bead)
    panels = (
        ("particles, by type", particles, bond, palette(kinds), grain),
        ("particles, by bead", particles, bond, by_bead, grain),
        (f"{mapping.n_beads} beads", beads, mapping.bond, palette(np.arange(mapping.n_beads)), size),
    )
    extent = max(float(np.abs(particles[..., :2]).max()) + grain.max(), float(np.abs(beads[..., :2]).max()) + size.max())
    figure = Figure(figsize=(7, 2.75), dpi=100, facecolor="white")
    figure.set_layout_engine("none")  # whatever the style says: the panels are placed by hand
    canvas = FigureCanvasAgg(figure)
    axes = [figure.add_axes((k / 3, 0.09, 1 / 3, 0.8)) for k in range(3)]
    present = np.unique(kinds)
    marks = [Line2D([], [], marker="o", ls="", ms=6, mfc=c, mec=0.55 * c) for c in palette(present)]
    figure.legend(
        marks,
        fine.type_name.values[present],
        loc="lower center",
        bbox_to_anchor=(1 / 6, -0.01),
        ncols=4,
        frameon=False,
        fontsize=8,
        handletextpad=0.0,
        columnspacing=0.8,
    )
    clock = figure.text(0.5, 0.03, "", ha="center", fontsize=9)
    figure.text(5 / 6, 0.03, f"{mapping.level:g} particles per bead", ha="center", fontsize=9)
    unit = {"tau": r"\tau"}.get(fine.attrs["time_unit"], rf"\mathrm{{{fine.attrs['time_unit']}}}")
    elapsed = fine.time.values - fine.time.values[0]
    pictures: list[Image.Image] = []
    for f in range(len(particles)):
        for axis, (title, position, bonds, colour, radius) in zip(axes, panels, strict=True):
            axis.clear()
            frame_axis(axis, extent)
            axis.set_title(title, fontsize=10)
            draw(axis, position[f], bonds, colour, radius)
        clock.set_text(rf"$t = {elapsed[f]:g}\,{unit}$")
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    # One table of colours, with a pure white, and no dithering: still pixels stay still, which is small and free of flicker.
    sample = Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures[:: max(1, len(pictures) // 4)]]))
    table = sample.quantize(COLOURS)
    colours = np.reshape(table.getpalette() or [], (-1, 3))
    colours[colours.min(axis=1) > 248] = 255  # Pillow looks colours up in steps of 4, so near-white is white
    table.putpalette(colours.ravel().tolist())
    indexed = [picture.quantize(palette=table, dither=Image.Dither.NONE) for picture in pictures]
    with atomic(path) as temporary:
        indexed[0].save(temporary, format="GIF", save_all=True, append_images=indexed[1:], duration=FRAME_TIME, loop=0, optimize=True)
    return path


def view(fine: xr.Dataset, mapping: CoarseGraining, frame: int = 0, js: str = VENDORED_3DMOL) -> "HTML":
    """One frame to turn by hand: particles in the colours of their beads, and the beads as glass spheres (py3Dmol, extra ``notebooks``).

    ``js`` is where the browser finds 3Dmol.js; the default needs no network in the book. The same input gives the same HTML.

    Raises:
        ImportError: py3Dmol is not installed.
        MappingError: ``mapping`` is of another number of particles.
    """
    import py3Dmol  # an optional extra, so not at the top
    from IPython.display import HTML

    position = centred(fine.position.values[[frame]], fine.mass.values)
    scene = py3Dmol.view(width="100%", height=420, js=js)
    for points, bond, bead, radius, stick, opacity in (
        (position[0], fine.bond.values, mapping.bead, 0.7 * radii(fine.mass.values), 0.12, 1.0),
        (mapping.positions(position)[0], mapping.bond, np.arange(mapping.n_beads), radii(mapping.mass), 0.25, 0.45),
    ):
        xyz = [dict(zip("xyz", point, strict=True)) for point in np.round(points.astype(float), 2).tolist()]
        for centre, colour, r in zip(xyz, palette(bead), np.round(radius.astype(float), 2).tolist(), strict=True):
            scene.addSphere({"center": centre, "radius": r, "color": to_hex(colour), "opacity": opacity})
        for i, j in bond.tolist():
            scene.addCylinder({"start": xyz[i], "end": xyz[j], "radius": stick, "color": "#888888", "opacity": opacity})
    scene.zoomTo()
    html = scene.write_html()
    # py3Dmol names its elements after the clock.
    name = hashlib.sha256(html.replace(scene.uniqueid, "").encode()).hexdigest()[:12]
    return HTML(html.replace(scene.uniqueid, name))
