"""Figures are drawn of what there is, the same twice."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from mixtures import ensemble
from test_scores import boxes, chains, compositions, simulated  # noqa: F401

from mlcgmd.analysis import scores
from mlcgmd.analysis.ensemble import Ensemble, composition
from mlcgmd.model.system import CoarseSystem
from mlcgmd.paper import figures, provenance
from mlcgmd.paper.headlines import PAIRS, SPECIES
from mlcgmd.paths import ROOT


def test_saved_figures_are_the_same_twice(chains: list[CoarseSystem], tmp_path) -> None:  # noqa: F811
    figures.style()
    md = [Ensemble.of(s) for s in chains]
    table = scores.conformations(md, md)
    source = ROOT / "pyproject.toml"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name, figure in {
            "parity": figures.parity(table, table, "short"),
            "rg2": figures.rg2_distributions(md, md, table),
            "bonds": figures.bond_distributions({"MD": md, "refined": md}),
            "acf": figures.autocorrelations(md, md, [0, 1]),
            "contacts": figures.contact_maps(md, md, [0, 1]),
        }.items():
            provenance.save(figure, name, notebook="test", parameters={"seed": 0}, inputs=[source], folder=tmp_path / folder)
            plt.close(figure)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    sidecar = json.loads((tmp_path / "a" / "rg2.json").read_text())
    assert list(sidecar["inputs"]) == ["pyproject.toml"]
    assert sidecar["function"] == "mlcgmd.paper.figures.conformations.rg2_distributions"


def test_contacts_of_md_are_where_the_map_says_so(chains: list[CoarseSystem]) -> None:  # noqa: F811
    md = Ensemble.of(chains[0])
    apart = replace(md, position=100 * md.position)
    figure = figures.contact_maps([md], [apart], [0])
    axis = figure.axes[0]
    (image,) = axis.images
    assert image.origin == "lower"
    shown, above = np.asarray(image.get_array()), np.tri(len(md.mass), k=-1, dtype=bool)  # rows go up
    assert shown[above].max() < 0.01 and shown[above.T].max() > 0.5
    corners = {text.get_text(): text.get_position() for text in axis.texts}
    assert corners["learned"][0] < corners["learned"][1] and corners["MD"][0] > corners["MD"][1]
    plt.close(figure)


def test_figures_are_drawn_where_a_composition_has_no_simulation_too(boxes: list[CoarseSystem]) -> None:  # noqa: F811
    figures.style()
    runs = [simulated(boxes[0]), simulated(boxes[2], ["gone", "gone"])]
    by_name = compositions(boxes, runs)
    unrefined = {composition(run.attrs["system"]): Ensemble.until_failure(run) for run in runs}
    table = scores.diffusion(by_name, {"short": 80.0}, SPECIES)
    published = pd.read_csv(ROOT / "data" / "spe_reference_values.csv")
    sources = {"short": "short MD", "model": "learned"}
    md = [s for case in by_name.values() for s in case.md]
    drawn = {
        "rdf": figures.rdfs(by_name, unrefined, PAIRS),
        "msd": figures.displacements(by_name["toy/test-000"], SPECIES),
        "parity": figures.diffusion_parity(table, sources),
        "local": figures.bond_distributions({"MD": md, "learned": [], "not refined": list(unrefined.values())}),
        "survival": figures.survival({"refined": runs[:1], "not refined": runs[1:]}, 3.0),
        "published": figures.short_against_long(published, table, sources),
    }
    for name, figure in drawn.items():
        figure.canvas.draw()
        assert figure.get_size_inches()[0] == figures.WIDTH, name
        assert all(axis.get_xlabel() for axis in figure.axes if axis.get_subplotspec().is_last_row()), name
        plt.close(figure)


def test_a_colour_means_the_same_in_every_figure() -> None:
    assert figures.hues(["not refined", "few-step, 6 evaluations", "Langevin, 200 evaluations"]) == [
        figures.OTHER,
        figures.MODEL,
        figures.LANGEVIN,
    ]
    assert figures.hues(["refined", "none"]) == [figures.MODEL, figures.OTHER]
    twice = figures.hues(["few-step, 3 evaluations", "few-step, 6 evaluations"])
    assert twice[0] == figures.MODEL and sum(twice[1]) < sum(twice[0])
    meant = {tuple(np.round(colour, 2)) for colour in (figures.MD, figures.MODEL, figures.OTHER, figures.LANGEVIN)}
    without = [*figures.hues(["diagonal", "springs"]), *map(to_rgb, figures.COMPONENT_COLOURS)]
    assert not meant & {tuple(np.round(colour, 2)) for colour in without}


def test_points_carry_a_number_and_panels_a_line_where_md_is() -> None:
    table = pd.DataFrame({"cost": [1.0, 2.0], "n": [2, 6], "sampler": ["few-step"] * 2, "rdf.distance_over_md": [3.0, 2.0]})
    figure = figures.sweep(table, ("cost", "ms"), {"rdf.distance_over_md": "g(r)"}, "sampler", ["cost"], "n")
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["2", "6"]
    assert [line.get_color() for line in axis.lines if line.get_label() == "MD's own distance"] == [figures.MD]
    plt.close(figure)


def test_the_first_page_is_drawn_of_all_engines(boxes: list[CoarseSystem], chains: list[CoarseSystem]) -> None:  # noqa: F811
    figures.style()
    md = [Ensemble.of(s) for s in chains]
    table = scores.conformations(md, md)
    diffusion = scores.diffusion(compositions(boxes, [simulated(boxes[0])]), {}, SPECIES)
    figure = figures.at_a_glance(table, diffusion, {"chain": {"OpenMM": 50.0, "LAMMPS": 200.0, "learned": 1e5}})
    assert [text.get_text() for text in figure.axes[2].texts] == ["× 1", "× 4", "× 2,000"]
    figure.canvas.draw()
    plt.close(figure)


def test_colours_go_by_name_and_size_of_molecules() -> None:
    # One chain of three beads among many ions, which together weigh more.
    component, molecule = np.array([0] * 9 + [1] * 3 + [2] * 9), np.r_[np.arange(9), [9] * 3, np.arange(10, 19)]
    mass = np.array([7.0] * 9 + [50.0] * 3 + [90.0] * 9)
    brown, yellow, violet = figures.COMPONENT_COLOURS[:3]
    assert figures.component_colours(("Li", "polymer", "TFSI"), component, molecule, mass) == {
        "polymer": brown,
        "TFSI": yellow,
        "Li": violet,
    }
    many = figures.component_colours([str(k) for k in range(9)], np.arange(9), np.arange(9), np.arange(9, 0, -1.0))
    assert len(set(many.values())) == 9


@pytest.mark.parametrize("kind", ["molecule", "salt"])
def test_a_frame_is_drawn_in_its_box_or_centred(kind: str) -> None:
    e = ensemble(kind, frames=3)
    _, axis = plt.subplots()
    figures.beads(axis, e, 1)
    shown = axis.collections[-1].get_offsets()
    assert len(shown) == len(e.mass)
    if e.box is None:
        assert np.abs(np.asarray(shown).mean(axis=0)).max() < 1e-5
    else:
        assert (np.asarray(shown) >= 0).all() and (np.asarray(shown) <= e.box[:2]).all()
    plt.close()


def test_the_break_even_is_drawn_where_it_is_finite() -> None:
    table = pd.DataFrame({"copies": [1, 16] * 2, "systems": [np.inf, 30.0, 12.0, 9.0], "needed": ["short MD"] * 2 + ["long MD"] * 2})
    figure = figures.break_even(table, "chains")
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["short MD", "long MD"] and axis.get_yscale() == "log"
    figure.canvas.draw()
    plt.close(figure)
