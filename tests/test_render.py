"""Pictures: what a reader sees is what the data say, and the same each time."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from mlcgmd import render
from mlcgmd.mapping import CoarseGraining, MappingError, coarse_grain

ROOT = Path(__file__).parents[1]


@pytest.fixture
def chain(small: xr.Dataset) -> xr.Dataset:
    """One molecule: 20 frames of 4 particles of masses 1, 2, 1, 3."""
    return small.isel(particle=slice(0, 4), bond=slice(0, 3))


@pytest.fixture
def pairs(chain: xr.Dataset) -> CoarseGraining:
    return coarse_grain(chain, 2)


def test_gif_is_an_animation_on_white_and_the_same_each_time(chain: xr.Dataset, pairs: CoarseGraining, tmp_path: Path) -> None:
    few = chain.isel(frame=slice(0, 5))
    path = render.chain_gif(few, pairs, tmp_path / "a.gif")
    again = render.chain_gif(few, pairs, tmp_path / "b.gif")
    assert path.read_bytes() == again.read_bytes()
    with Image.open(path) as image:
        assert (image.format, image.size[0], image.n_frames) == ("GIF", 700, 5)
        pictures = []
        for f in range(image.n_frames):
            image.seek(f)
            pictures.append(np.asarray(image.convert("RGB")).astype(int))
    for picture in pictures:
        assert (picture[[0, -1]][:, [0, -1]] == 255).all()
    thirds = [np.abs(pictures[0][:, k : k + 233] - pictures[2][:, k : k + 233]).max() for k in (0, 233, 466)]
    assert min(thirds) > 50, "each panel moves"


def test_the_view_turns_once_without_deforming(chain: xr.Dataset) -> None:
    position, mass = chain.position.values, chain.mass.values
    frames = render._turning(position, mass)
    np.testing.assert_allclose(np.average(frames, axis=1, weights=mass), 0, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(frames[:, 0] - frames[:, 3], axis=1), np.linalg.norm(position[:, 0] - position[:, 3], axis=1), rtol=1e-5
    )
    still = render._turning(np.repeat(position[:1], 4, axis=0), mass)
    half = still[0] - still[2]
    assert np.abs(half).max() > 0.5, "half a turn on, the other side is seen"
    np.testing.assert_allclose(still[0] + still[2], still[1] + still[3], atol=1e-5)  # both are twice the part along the axis


def test_beads_are_as_dense_as_particles() -> None:
    radius = render.radii(np.array([1.0, 8.0]))
    np.testing.assert_allclose(radius, [render.RADIUS, 2 * render.RADIUS])


def test_neighbouring_beads_differ_in_colour() -> None:
    colours = render.palette(np.arange(25))
    assert colours.shape == (25, 3)
    assert (np.abs(np.diff(colours, axis=0)).max(axis=1) > 0.1).all()


def test_draw_puts_near_spheres_last_and_fades_far_ones() -> None:
    axis = Figure().add_subplot()
    render.frame_axis(axis, 2.0)
    position = np.array([[0.0, 0, 1], [1, 0, -1]])
    render.draw(axis, position, np.array([[0, 1]]), np.zeros((2, 3)), np.array([0.5, 1.0]))
    spheres = axis.collections[-1]
    np.testing.assert_allclose(np.asarray(spheres.get_offsets()), [[1, 0], [0, 0]])
    far, near = np.asarray(spheres.get_facecolor())[:, 0]
    assert far > 0.5 and near == 0
    assert axis.get_xlim() == (-2.0, 2.0)


def test_view_needs_no_network_and_is_the_same_each_time(chain: xr.Dataset, pairs: CoarseGraining) -> None:
    pytest.importorskip("py3Dmol")
    html = render.view(chain, pairs).data
    assert html == render.view(chain, pairs).data
    assert html != render.view(chain, pairs, frame=1).data
    assert not re.search(r"https?://", html)
    assert render.VENDORED_3DMOL in html
    assert (ROOT / "book/_extra" / render.VENDORED_3DMOL.removeprefix("../")).exists()
    assert html.count("addSphere") == 4 + 2
    assert html.count("addCylinder") == 3 + 1


def test_a_mapping_of_another_system_is_refused(small: xr.Dataset, pairs: CoarseGraining, tmp_path: Path) -> None:
    pytest.importorskip("py3Dmol")
    with pytest.raises(MappingError, match="8, 3"):
        render.chain_gif(small, pairs, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())
    with pytest.raises(MappingError, match="8, 3"):
        render.view(small, pairs)
