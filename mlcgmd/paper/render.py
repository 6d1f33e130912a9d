"""Pictures of molecules: moving (GIF, WebP) and to be turned by hand (3-D view)."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from scipy.spatial.transform import Rotation

from ..data.mapping import CoarseGraining
from ..paths import CHECKOUT, OWN, ROOT, atomic
from .drawing import (
    EDGES,
    LAYERS,
    bead_sizes,
    box_corners,
    centred,
    draw,
    draw_box,
    frame_axis,
    in_box,
    palette,
    sizes,
    type_colours,
)
from .figures import component_colours

if TYPE_CHECKING:  # in the extra ``notebooks``
    from IPython.display import HTML

VENDORED_3DMOL = "../vendor/3dmol/3Dmol-min.js"
"""The copy of 3Dmol.js that the book serves, seen from its page of a notebook; it is in the folder book/_extra."""
TILT = 0.25
"""Angle (radians) by which the turning axis of an animation leans towards the viewer."""
VIEW, SWAY = 0.45, 0.35
"""Angle (radians) from which a periodic box is seen, and by which the view sways about it: a whole turn would be too fast to follow."""
FRAME_TIME = 100
"""Milliseconds that a frame of an animation is shown."""
BEAD = 1.1
"""Drawn radius (sigma) of a bead where two simulations are shown side by side."""
COLOURS, GREYS = 128, 24
"""Size of the colour table of an animation, and how many of them are greys."""


def _upright(position: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Frames (F, N, 3) without translation and tumbling of the whole (Kabsch 1976)."""
    frames = centred(position.astype(float), mass)
    for f in range(1, len(frames)):
        rotation, _ = Rotation.align_vectors(frames[f - 1], frames[f], weights=mass)
        frames[f] = rotation.apply(frames[f])
    return frames


def _seen(frames: np.ndarray, periodic: bool) -> np.ndarray:
    """Points (F, n, 3) from a view that turns once about a tilted axis over all F, or sways about it."""
    tilt = Rotation.from_euler("x", TILT)
    angle = 2 * np.pi * np.arange(len(frames)) / len(frames)
    if periodic:
        angle = VIEW + SWAY * np.sin(angle)
    return np.stack([(tilt * Rotation.from_euler("y", a)).apply(points) for a, points in zip(angle, frames, strict=True)])


class Panel(NamedTuple):
    """One panel of an animation: ``position`` (F, n, 3), ``bond`` (n_bonds, 2), ``colour`` (n, 3), ``radius`` (n,), names of colours."""

    title: str
    position: np.ndarray
    bond: np.ndarray
    colour: np.ndarray
    radius: np.ndarray
    legend: Mapping[str, np.ndarray] = {}


def panels(fine: xr.Dataset, mapping: CoarseGraining, position: np.ndarray) -> list[Panel]:
    """Panels of the coarse-graining of ``fine`` at ``position`` (F, N, 3).

    Particles by type, particles by bead and beads; of a mixture also particles and beads by component.

    Raises:
        MappingError: ``mapping`` is of another number of particles.
    """
    beads = mapping.positions(position)
    colours, kinds, size = type_colours(fine), fine.particle_type.values, sizes(fine)
    present = np.unique(kinds)
    types = dict(zip(fine.type_name.values[present], colours[present], strict=True))
    particle = (position, fine.bond.values)
    bead = (beads, mapping.bond)
    volume = bead_sizes(mapping, size)
    by_bead = palette(np.arange(mapping.n_beads))
    component = fine.component.values
    if fine.sizes["species"] == 1:
        return [
            Panel("particles, by type", *particle, colours[kinds], size, types),
            Panel("particles, by bead", *particle, by_bead[mapping.bead], size),
            Panel(f"{mapping.n_beads} beads", *bead, by_bead, volume),
        ]
    names = component_colours(fine.component_name.values.tolist(), component, fine.molecule.values, fine.mass.values)
    components = {name: np.array(to_rgb(colour)) for name, colour in names.items()}
    by_component = np.array(list(components.values()))
    return [
        Panel("(a) atoms, by element", *particle, colours[kinds], size, types),
        Panel("(b) atoms, by component", *particle, by_component[component], size, components),
        Panel("(c) atoms, by bead", *particle, by_bead[mapping.bead], size),
        Panel("(d) beads", *bead, by_bead, volume),
        Panel("(e) beads, by component", *bead, by_component[mapping.first(component)], volume, components),
    ]


def animation(fine: xr.Dataset, mapping: CoarseGraining, path: Path) -> Path:
    """Coarse-graining in motion: particles by type, particles by bead, beads alone; of a mixture by component as well.

    A GIF of ``fine``, a picture per frame, 700 pixels wide on white, rows of three :func:`panels`. A molecule stays centred, its own
    tumbling is taken out, and the view turns once around it. A periodic box is drawn with whole molecules
    (:func:`.drawing.in_box`) and a view that sways. The same input gives the same bytes.

    Raises:
        MappingError: ``mapping`` is of another number of particles.
    """
    periodic = "box" in fine
    if periodic:
        seen = _seen(np.concatenate([in_box(fine), box_corners(fine.box.values)], axis=1), periodic)
        seen -= (seen.max(axis=(0, 1)) + seen.min(axis=(0, 1))) / 2  # the middle of what sticks out where it may
        position, corners = seen[:, :-8], seen[:, -8:]
    else:
        position, corners = _seen(_upright(fine.position.values, fine.mass.values), periodic), None
    shown = panels(fine, mapping, position)
    extent = max(float(np.abs(panel.position[..., :2]).max()) + panel.radius.max() for panel in shown)
    rows = -(-len(shown) // 3)
    figure = Figure(figsize=(7, 2.75 * rows), dpi=100, facecolor="white")
    figure.set_layout_engine("none")  # whatever the style says: the panels are placed by hand
    canvas = FigureCanvasAgg(figure)
    cells = [(k % 3 / 3, (rows - 1 - k // 3) / rows) for k in range(3 * rows)]
    axes = [figure.add_axes((x, y + 0.09 / rows, 1 / 3, 0.8 / rows)) for x, y in cells[: len(shown)]]
    for panel, (x, y) in zip(shown, cells, strict=False):
        marks = [Line2D([], [], marker="o", ls="", ms=6, mfc=colour, mec=0.55 * colour) for colour in panel.legend.values()]
        tight = {"frameon": False, "fontsize": 8, "handlelength": 1.4, "handletextpad": 0.1, "columnspacing": 0.7}
        figure.legend(marks, list(panel.legend), loc="lower center", bbox_to_anchor=(x + 1 / 6, y - 0.01 / rows), ncols=7, **tight)
    size = f"{mapping.level:g} {'atoms' if len(shown) == 5 else 'particles'} per bead"
    if rows == 1:
        clock = figure.text(0.5, 0.03, "", ha="center", fontsize=9)
        figure.text(5 / 6, 0.03, size, ha="center", fontsize=9)
    else:  # the last cell is free
        clock = figure.text(5 / 6, 0.2, "", ha="center", fontsize=11)
        figure.text(5 / 6, 0.26, f"{len(mapping.bead)} atoms\n{mapping.n_beads} beads\n{size}", ha="center", fontsize=10, linespacing=1.6)
    unit = {"tau": r"\tau"}.get(fine.attrs["time_unit"], rf"\mathrm{{{fine.attrs['time_unit']}}}")
    elapsed = fine.time.values - fine.time.values[0]
    pictures: list[Image.Image] = []
    for f in range(len(position)):
        for axis, panel in zip(axes, shown, strict=True):
            axis.clear()
            frame_axis(axis, extent)
            axis.set_title(panel.title, fontsize=10)
            draw(axis, panel.position[f], panel.bond, panel.colour, panel.radius, LAYERS if periodic else 1)
            if corners is not None:
                draw_box(axis, corners[f])
        clock.set_text(rf"$t = {elapsed[f]:g}\,{unit}$")
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    # One table of colours and no dithering: still pixels stay still, which is small and free of flicker. It has greys of its own, since
    # greys that take the nearest of few colours look tinted.
    sample = Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures[:: max(1, len(pictures) // 4)]]))
    table = sample.quantize(COLOURS - GREYS, Image.Quantize.MAXCOVERAGE)
    colours = np.reshape(table.getpalette() or [], (-1, 3))[: COLOURS - GREYS]
    colours[np.ptp(colours, axis=1) < 16] = 255  # Pillow looks colours up in steps of 4: else white and greys may find a neighbour
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(int), 3)
    table.putpalette([*colours.ravel().tolist(), *greys.tolist()])
    indexed = [picture.quantize(palette=table, dither=Image.Dither.NONE) for picture in pictures]
    with atomic(path) as temporary:
        indexed[0].save(temporary, format="GIF", save_all=True, append_images=indexed[1:], duration=FRAME_TIME, loop=0, optimize=True)
    return path


class Moving(NamedTuple):
    """What is shown beside another: its title, beads (F, n, 3), their colour, and simulated time per second of computing."""

    title: str
    position: np.ndarray
    colour: tuple[float, float, float]
    speed: float


def beside(movies: Sequence[Moving], bond: np.ndarray, mass: np.ndarray, interval: float, unit: str, path: Path) -> Path:
    """The same molecule by MD and by the learned simulator, from the same positions, with the time that each took to compute.

    An animation (WebP), a picture per frame. Translation and tumbling are taken out. The same input gives the same bytes.

    Args:
        movies: as many frames of each.
        bond: CG bonds (n_bonds, 2).
        mass: of beads, (n,).
        interval: between frames, in ``unit``.
        unit: of time, in LaTeX.
        path: of the file.
    """
    turned = [_seen(_upright(movie.position, mass), periodic=False) for movie in movies]
    extent = max(float(np.abs(frames[..., :2]).max()) for frames in turned) + BEAD
    figure = Figure(figsize=(3.2 * len(movies), 3.6), dpi=100, facecolor="white")
    figure.set_layout_engine("none")
    canvas = FigureCanvasAgg(figure)
    axes = [figure.add_axes((k / len(movies), 0.14, 1 / len(movies), 0.72)) for k in range(len(movies))]
    middles = [(k + 0.5) / len(movies) for k in range(len(movies))]
    for movie, x in zip(movies, middles, strict=True):
        figure.text(x, 0.94, movie.title, ha="center", fontsize=11, weight="bold", color=movie.colour)
        figure.text(x, 0.885, rf"{float(f'{movie.speed:.2g}'):,g} ${unit}$ per second", ha="center", fontsize=9, color="0.3")
    clocks = [figure.text(x, 0.03, "", ha="center", fontsize=9, linespacing=1.5) for x in middles]
    pictures = []
    for f in range(len(turned[0])):
        for axis, movie, frames, clock in zip(axes, movies, turned, clocks, strict=True):
            axis.clear()
            frame_axis(axis, extent)
            draw(axis, frames[f], bond, np.tile(np.array(movie.colour), (len(mass), 1)), np.full(len(mass), BEAD))
            time = f * interval
            clock.set_text(f"simulated: {time:,.0f} ${unit}$\ncomputed for {time / movie.speed:.{1 if movie.speed < 1e3 else 3}f} s")
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    with atomic(path) as temporary:
        pictures[0].save(
            temporary,
            format="WEBP",
            save_all=True,
            append_images=pictures[1:],
            duration=FRAME_TIME,
            loop=0,
            quality=60,
            method=6,
            minimize_size=True,
        )
    return path


def _points(position: np.ndarray) -> list[dict[str, float]]:
    return [dict(zip("xyz", point, strict=True)) for point in np.round(position.astype(float), 2).tolist()]


def _script() -> str:
    """Where the browser finds 3Dmol.js without a network: beside the book's page, or, by hand, in the address itself, as JupyterLab
    serves no such file.
    """
    if OWN == ROOT:
        return VENDORED_3DMOL
    script = (CHECKOUT / "book" / "_extra" / VENDORED_3DMOL.removeprefix("../")).read_bytes()
    return f"data:text/javascript;base64,{base64.b64encode(script).decode()}"


def view(fine: xr.Dataset, mapping: CoarseGraining, frame: int = 0) -> "HTML":
    """One frame to turn by hand: particles in the colours of their beads, and the beads as glass spheres (py3Dmol, extra ``notebooks``).

    A periodic frame has the edges of its box, as in :func:`animation`. It needs no network, and the same input gives the same HTML.

    Raises:
        ImportError: py3Dmol is not installed.
        MappingError: ``mapping`` is of another number of particles.
    """
    import py3Dmol  # an optional extra, so not at the top
    from IPython.display import HTML

    fine = fine.isel(frame=[frame])
    position = in_box(fine) if "box" in fine else centred(fine.position.values, fine.mass.values)
    size = sizes(fine)
    scene = py3Dmol.view(width="100%", height=420, js=_script())
    for points, bond, bead, radius, stick, opacity in (
        (position[0], fine.bond.values, mapping.bead, 0.7 * size, 0.12, 1.0),
        (mapping.positions(position)[0], mapping.bond, np.arange(mapping.n_beads), bead_sizes(mapping, size), 0.25, 0.45),
    ):
        xyz = _points(points)
        for centre, colour, r in zip(xyz, palette(bead), np.round(radius.astype(float), 2).tolist(), strict=True):
            scene.addSphere({"center": centre, "radius": r, "color": to_hex(colour), "opacity": opacity})
        for i, j in bond.tolist():
            scene.addCylinder({"start": xyz[i], "end": xyz[j], "radius": stick, "color": "#888888", "opacity": opacity})
    if "box" in fine:
        xyz = _points(box_corners(fine.box.values[0]))
        for i, j in EDGES.tolist():
            scene.addCylinder({"start": xyz[i], "end": xyz[j], "radius": 0.06, "color": "#444444"})
    scene.zoomTo()
    html = scene.write_html()
    # py3Dmol names its elements after the clock.
    name = hashlib.sha256(html.replace(scene.uniqueid, "").encode()).hexdigest()[:12]
    return HTML(html.replace(scene.uniqueid, name))
