"""Figures that answer to the reader show what the data say, and hold together."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

from mlcgmd.analysis import scores
from mlcgmd.analysis.ensemble import Ensemble
from mlcgmd.data.mapping import partition
from mlcgmd.model.system import coarse_grain
from mlcgmd.paper import interactive


def parsed(html: str) -> ElementTree.Element:
    """The page; malformed HTML raises. Attributes that stand alone are not used."""
    return ElementTree.fromstring(re.sub(r"(<input [^>]*[^/])>", r"\1/>", html))


@pytest.fixture
def chain(small: xr.Dataset) -> xr.Dataset:
    """One molecule: 20 frames of 4 particles."""
    return small.isel(particle=slice(0, 4), bond=slice(0, 3))


def test_a_point_stands_at_its_values_and_says_its_sequence(chain: xr.Dataset) -> None:
    samples = [Ensemble.of(coarse_grain(chain, 1))] * 2
    table = scores.conformations(samples, samples).assign(system=["set/one", "set/two"], rg2_md=[10.0, 20.0], rg2=[20.0, 15.0])
    table = table.assign(rg2_error=1.0, rg2_md_error=np.nan)
    page = parsed(interactive.parity(table, samples, samples, {"set/one": "aab<"}))
    points = page.findall(".//circle")
    assert len(points) == 2
    low, high = 9.0, 21.0  # the least and the most, with an error
    for point, (x, y) in zip(points, ((10, 20), (20, 15)), strict=True):
        assert float(point.get("cx", "")) == pytest.approx(interactive.SIZE * (x - low) / (high - low), abs=0.06)
        assert float(point.get("cy", "")) == pytest.approx(interactive.SIZE * (high - y) / (high - low), abs=0.06)
        assert point.get("data-md") == point.get("data-model"), "the same samples have the same distribution"
        assert point.get("tabindex") == "0" and point.get("role") == "button"
    assert "one: MD 10.0" in points[0].get("aria-label", "") and "aab<" in points[0].get("aria-label", "")
    assert not interactive.parity(table.assign(rg2=np.nan), samples, samples, {})


def test_a_distribution_has_area_one(chain: xr.Dataset) -> None:
    density = np.array([0.0, 2.0, 1.0, 1.0])
    points = np.array([pair.split() for pair in re.findall(r"[\d.]+ [\d.]+", interactive._curve(density, 2.0))], dtype=float)
    heights = interactive.SIZE - points[:, 1]
    assert np.trapezoid(heights, points[:, 0]) == pytest.approx(0.95 * interactive.SIZE**2 * density.mean() / 2, rel=0.01)


def test_a_level_shows_its_beads_at_their_places(chain: xr.Dataset) -> None:
    cuts = {k: partition(chain, k) for k in (1, 2)}
    page = parsed(interactive.levels(chain.position.values[0], chain.bond.values, cuts, 2))
    groups = page.findall(".//g[@data-level]")
    assert [len(group.findall("circle")) for group in groups] == [4 + 4, 4 + 2], "particles and beads"
    assert [group.get("style") for group in groups] == ["display:none", None]
    places = np.array([[float(c.get(k, "")) for k in ("cx", "cy")] for c in groups[1].findall("circle")])
    cut, mass = cuts[2], chain.mass.values
    for bead in range(2):
        inside = cut.bead == bead
        assert places[4 + bead] == pytest.approx(np.average(places[:4][inside], axis=0, weights=mass[inside]), abs=1.5)
    slider = page.find(".//input")
    assert slider is not None and slider.get("value") == "1" and slider.get("data-levels") == "1 2"
