"""Pictures: what a reader sees is what the data say, and the same each time."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image, ImageSequence
from toys import toy_electrolyte

from mlcgmd.data import trajectory
from mlcgmd.data.mapping import CoarseGraining, MappingError, partition
from mlcgmd.paper import drawing, figures, render

ROOT = Path(__file__).parents[1]


@pytest.fixture
def chain(small: xr.Dataset) -> xr.Dataset:
    """One molecule: 20 frames of 4 particles of masses 1, 2, 1, 3."""
    return small.isel(particle=slice(0, 4), bond=slice(0, 3))


@pytest.fixture
def pairs(chain: xr.Dataset) -> CoarseGraining:
    return partition(chain, 2)


@pytest.fixture
def electrolyte() -> xr.Dataset:
    """Two chains and 2 LiTFSI in a box, 3 frames."""
    return toy_electrolyte(frames=3)


def pictures(path: Path) -> list[np.ndarray]:
    """Frames (height, width, 3) of a GIF."""
    with Image.open(path) as image:
        assert image.format == "GIF"
        return [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]


def test_gif_is_an_animation_on_white_and_the_same_each_time(chain: xr.Dataset, pairs: CoarseGraining, tmp_path: Path) -> None:
    few = chain.isel(frame=slice(0, 5))
    path = render.animation(few, pairs, tmp_path / "a.gif")
    again = render.animation(few, pairs, tmp_path / "b.gif")
    assert path.read_bytes() == again.read_bytes()
    frames = pictures(path)
    assert (len(frames), frames[0].shape[1]) == (5, 700)
    for picture in frames:
        assert (picture[[0, -1]][:, [0, -1]] == 255).all()
    thirds = [np.abs(frames[0][:, k : k + 233] - frames[2][:, k : k + 233]).max() for k in (0, 233, 466)]
    assert min(thirds) > 50, "each panel moves"


def test_gif_of_an_electrolyte_has_five_moving_panels_and_the_same_bytes_each_time(electrolyte: xr.Dataset, tmp_path: Path) -> None:
    mapping = partition(electrolyte, 7)
    path = render.animation(electrolyte, mapping, tmp_path / "a.gif")
    again = render.animation(electrolyte, mapping, tmp_path / "b.gif")
    assert path.read_bytes() == again.read_bytes()
    assert path.stat().st_size < 2e6
    frames = pictures(path)
    assert (len(frames), frames[0].shape) == (3, (550, 700, 3))
    for row in (0, 275):
        for column in (0, 233, 466):
            a, b = (frame[row : row + 275, column : column + 233] for frame in frames[:2])
            changed = (np.abs(a - b).max(axis=2) > 50).mean()
            assert (changed > 0.02) == ((row, column) != (275, 466)), "five panels move, the clock's cell hardly does"
    grey = np.ptp(frames[0][:275, :233], axis=2) < 3
    assert grey.mean() > 0.9 and ((frames[0][:275, :233].max(axis=2) < 200) & grey).any(), "carbon is grey, without a tint"


def test_components_and_elements_have_their_colours(electrolyte: xr.Dataset) -> None:
    mapping = partition(electrolyte, 7)
    shown = render.panels(electrolyte, mapping, electrolyte.position.values)
    assert [len(panel.colour) for panel in shown] == 3 * [len(mapping.bead)] + 2 * [mapping.n_beads]
    component = electrolyte.component.values
    for panel, kind in ((shown[1], component), (shown[4], mapping.first(component))):
        assert list(panel.legend) == ["polymer", "TFSI", "Li"]
        brown, yellow, violet = (panel.colour[kind == k] for k in range(3))
        assert (np.diff(brown) < 0).all() and np.ptp(brown) < 0.3
        assert (yellow[:, :2] > 0.65).all() and (yellow[:, 2] < 0.3).all()
        np.testing.assert_allclose(violet, np.tile(to_rgb(drawing.ELEMENTS["Li"][0]), (len(violet), 1)))
    assert list(shown[0].legend) == ["H", "Li", "C", "N", "O", "F", "S"]
    np.testing.assert_array_equal(shown[2].colour, shown[3].colour[mapping.bead])
    np.testing.assert_allclose((shown[2].radius ** 3).sum(), (shown[3].radius ** 3).sum())


def test_md_and_model_move_side_by_side_with_their_clocks(chain: xr.Dataset, tmp_path: Path) -> None:
    position, mass = chain.position.values[:6], chain.mass.values
    movies = [render.Moving("MD", position, figures.MD, 50.0), render.Moving("learned", position[:, ::-1], figures.MODEL, 1e5)]
    paths = [render.beside(movies, chain.bond.values, mass, 80.0, r"\tau", tmp_path / name) for name in ("a.webp", "b.webp")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as image:
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]
    assert len(frames) == 6 and frames[0].shape == (360, 640, 3)
    left, right = (frames[0][60:290, half] for half in (slice(0, 320), slice(320, 640)))
    blue = (right[..., 2] - right[..., 0] > 60).mean()
    assert blue > 0.01 and not (np.ptp(left, axis=2) > 60).any(), "MD is grey and the model blue"


def test_molecules_are_drawn_whole_in_the_box_and_move_on(electrolyte: xr.Dataset) -> None:
    box, bond = electrolyte.box.values[0], electrolyte.bond.values
    rng = np.random.default_rng(0)
    molecule = electrolyte.molecule.values
    moved = electrolyte.copy()
    moved["position"] = electrolyte.position + (rng.integers(-3, 4, size=(molecule.max() + 1, 3)) * box)[molecule]
    placed = drawing.in_box(moved)
    np.testing.assert_allclose(placed, drawing.in_box(electrolyte), atol=1e-3)  # whichever image was given
    np.testing.assert_allclose(np.diff(placed, axis=0), np.diff(electrolyte.position, axis=0), atol=1e-3)
    ends = placed[:, bond]
    assert np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=2).max() < 3
    for m in range(molecule.max() + 1):
        centre = np.average(placed[:, molecule == m], axis=1, weights=electrolyte.mass.values[molecule == m])
        assert (np.abs(centre.mean(axis=0)) <= box / 2 + 1e-3).all()


@pytest.mark.slow
def test_the_animation_of_the_book_is_what_its_files_give(tmp_path: Path) -> None:
    """To the byte: by hand on any machine the same picture, which git does not see as another."""
    sidecar = json.loads((ROOT / "figures" / "chain_coarse_graining.json").read_text())
    (closeup,) = (trajectory.load(ROOT / name) for name in sidecar["inputs"])
    figures.style()
    path = render.animation(closeup, partition(closeup, sidecar["parameters"]["level"]), tmp_path / "a.gif")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sidecar["sha256"]


def test_a_box_has_twelve_edges() -> None:
    corners = drawing.box_corners(np.array([2.0, 3.0, 4.0]))
    lengths = np.linalg.norm(corners[drawing.EDGES[:, 0]] - corners[drawing.EDGES[:, 1]], axis=1)
    np.testing.assert_allclose(np.sort(lengths), [2.0] * 4 + [3.0] * 4 + [4.0] * 4)
    np.testing.assert_allclose(corners.mean(axis=0), 0)
    axis = Figure().add_subplot()
    drawing.draw_box(axis, corners + [0, 0, 1])
    shown: list[Any] = list(axis.collections)
    assert [len(lines.get_segments()) for lines in shown] == [3, 9]


def test_the_view_turns_once_without_deforming(chain: xr.Dataset) -> None:
    position, mass = chain.position.values, chain.mass.values
    frames = render._seen(render._upright(position, mass), periodic=False)
    np.testing.assert_allclose(np.average(frames, axis=1, weights=mass), 0, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(frames[:, 0] - frames[:, 3], axis=1), np.linalg.norm(position[:, 0] - position[:, 3], axis=1), rtol=1e-5
    )
    same = render._upright(np.repeat(position[:1], 4, axis=0), mass)
    still = render._seen(same, periodic=False)
    half = still[0] - still[2]
    assert np.abs(half).max() > 0.5, "half a turn on, the other side is seen"
    np.testing.assert_allclose(still[0] + still[2], still[1] + still[3], atol=1e-5)  # both are twice the part along the axis
    sway = render._seen(same, periodic=True)
    np.testing.assert_allclose(sway[0], sway[2], atol=1e-6)
    assert np.abs(sway[1] - sway[3]).max() > 0.1


def test_beads_are_as_dense_as_particles() -> None:
    radius = drawing.radii(np.array([1.0, 8.0]))
    np.testing.assert_allclose(radius, [drawing.RADIUS, 2 * drawing.RADIUS])


def test_neighbouring_beads_differ_in_colour() -> None:
    colours = drawing.palette(np.arange(25))
    assert colours.shape == (25, 3)
    assert (np.abs(np.diff(colours, axis=0)).max(axis=1) > 0.1).all()


def test_draw_puts_near_spheres_last_and_fades_far_ones() -> None:
    axis = Figure().add_subplot()
    drawing.frame_axis(axis, 2.0)
    position = np.array([[0.0, 0, 1], [1, 0, -1]])
    drawing.draw(axis, position, np.array([[0, 1]]), np.zeros((2, 3)), np.array([0.5, 1.0]))
    spheres = axis.collections[-1]
    np.testing.assert_allclose(np.asarray(spheres.get_offsets()), [[1, 0], [0, 0]])
    far, near = np.asarray(spheres.get_facecolor())[:, 0]
    assert far > 0.5 and near == 0
    assert axis.get_xlim() == (-2.0, 2.0)


def test_draw_puts_bonds_between_the_spheres_of_different_layers() -> None:
    axis = Figure().add_subplot()
    position = np.array([[0.0, 0, 3], [1, 0, 2], [1, 0, 1], [1, 0, 0]])
    drawing.draw(axis, position, np.array([[0, 1], [2, 3]]), np.zeros((4, 3)), np.ones(4), layers=2)
    shown: list[Any] = sorted(axis.collections, key=lambda part: part.get_zorder())
    behind, far, between, near = shown
    assert [len(lines.get_segments()) for lines in (behind, between)] == [1, 1]
    assert np.asarray(behind.get_segments())[0, 0, 0] == 1 and np.asarray(between.get_segments())[0, 0, 0] == 0
    assert [len(spheres.get_offsets()) for spheres in (far, near)] == [2, 2]


def test_view_needs_no_network_and_is_the_same_each_time(chain: xr.Dataset, pairs: CoarseGraining, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the book the script lies beside the page; by hand it is in the view, since JupyterLab has no such file to serve."""
    pytest.importorskip("py3Dmol")
    script = ROOT / "book/_extra" / render.VENDORED_3DMOL.removeprefix("../")
    monkeypatch.setattr(render, "OWN", Path("by hand"))
    (inside,) = re.findall("data:text/javascript;base64,([A-Za-z0-9+/=]+)", render.view(chain, pairs).data)
    assert base64.b64decode(inside) == script.read_bytes()
    monkeypatch.setattr(render, "OWN", render.ROOT)
    html = render.view(chain, pairs).data
    assert html == render.view(chain, pairs).data
    assert html != render.view(chain, pairs, frame=1).data
    assert not re.search(r"https?://", html)
    assert render.VENDORED_3DMOL in html and len(html) < script.stat().st_size / 10
    assert html.count("addSphere") == 4 + 2
    assert html.count("addCylinder") == 3 + 1


def test_view_of_an_electrolyte_has_the_edges_of_its_box(electrolyte: xr.Dataset) -> None:
    pytest.importorskip("py3Dmol")
    mapping = partition(electrolyte, 7)
    html = render.view(electrolyte, mapping).data
    assert html == render.view(electrolyte, mapping).data
    assert html.count("addSphere") == len(mapping.bead) + mapping.n_beads
    assert html.count("addCylinder") == len(electrolyte.bond) + len(mapping.bond) + 12
    corner = round(float(electrolyte.box.values[0, 0]) / 2, 2)
    assert html.count(f'"x": {corner}, "y": {corner}, "z": {corner}') == 3, "three edges meet in a corner"


def test_a_mapping_of_another_system_is_refused(small: xr.Dataset, pairs: CoarseGraining, tmp_path: Path) -> None:
    pytest.importorskip("py3Dmol")
    with pytest.raises(MappingError, match="8, 3"):
        render.animation(small, pairs, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())
    with pytest.raises(MappingError, match="8, 3"):
        render.view(small, pairs)
