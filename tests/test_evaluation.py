import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from toys import toy_systems

from mlcgmd.analysis import evaluation
from mlcgmd.paper import figures, provenance
from mlcgmd.paths import ROOT


@pytest.fixture(scope="module")
def systems():
    return toy_systems(3, frames=2000)


def test_a_run_compared_with_itself_is_perfect(systems):
    scores = evaluation.compare(evaluation.of_md(systems[0]), evaluation.of_md(systems[0]))
    assert set(scores) == set(evaluation.SCORES)
    assert scores["rg2"] == scores["rg2_md"] and scores["rg2_emd"] == 0 and scores["bond_emd"] == 0
    assert scores["contact_correlation"] == pytest.approx(1)
    assert scores["relaxation_model"] == scores["relaxation_md"]
    assert scores["rg2_emd_md"] > 0


def test_a_swollen_model_is_seen(systems):
    md = evaluation.of_md(systems[0])
    swollen = replace(md, position=1.1 * md.position)
    scores = evaluation.compare(md, swollen)
    assert scores["rg2"] / scores["rg2_md"] == pytest.approx(1.21, rel=1e-4)
    assert scores["bond_emd"] == pytest.approx(0.1, rel=1e-3)
    assert scores["rg2_emd"] == pytest.approx(0.21, rel=1e-3)


def test_particle_level_adds_what_is_inside_the_beads(systems):
    md = evaluation.of_md(systems[1])
    extra = (md.bead_rg2 * md.mass).sum(axis=2) / md.mass.sum()
    np.testing.assert_allclose(md.rg2_particle() - md.rg2(), extra, rtol=1e-5)


def simulation(system, failure):
    import xarray as xr

    position = np.stack([system.position.numpy()] * len(failure))
    for replica, why in enumerate(failure):
        if why:
            position[replica, 5:] = np.nan
    return xr.Dataset(
        {
            "position": (("replica", "frame", "particle", "xyz"), position),
            "bead_rg2": (("replica", "frame", "particle"), np.stack([system.bead_rg2.numpy()] * len(failure))),
            "mass": ("particle", system.mass),
            "bond": (("bond", "end"), system.bond),
            "failure": ("replica", np.array(failure, dtype=object)),
        },
        coords={"time": ("frame", system.frame_interval * np.arange(len(system.position)))},
        attrs={"system": system.name},
    )


def test_failed_replicas_do_not_count(systems):
    runs = [simulation(systems[0], ["", "gone"]), simulation(systems[1], ["", ""]), simulation(systems[2], ["gone", "gone"])]
    scores = evaluation.compare_all(systems, runs, discard=0.0)
    assert scores.failed.tolist() == [1, 0, 2]
    assert scores.rg2.notna().tolist() == [True, True, False]
    assert evaluation.summary(scores)["rg2.bias"] == pytest.approx(0, abs=1e-6)
    assert evaluation.summary(scores)["rg2.r2"] == pytest.approx(1)
    assert np.isnan(evaluation.summary(scores.iloc[2:])["rg2.r2"])


def test_discarded_frames_are_gone(systems):
    run = simulation(systems[0], [""])
    sample = evaluation.of_simulation(run, discard=100.0)
    np.testing.assert_array_equal(sample.position[0], systems[0].position[10:].numpy())


def test_saved_figures_are_the_same_twice(systems, tmp_path):
    figures.style()
    md = [evaluation.of_md(s) for s in systems]
    scores = evaluation.compare_all(systems, [simulation(s, [""]) for s in systems], 0.0)
    source = ROOT / "pyproject.toml"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name, figure in {
            "parity": figures.parity(scores, scores, "short"),
            "rg2": figures.rg2_distributions(md, md, scores),
            "bonds": figures.bond_distributions({"MD": md, "refined": md}),
            "acf": figures.autocorrelations(md, md, [0, 1]),
            "contacts": figures.contact_maps(md, md, [0, 1]),
        }.items():
            provenance.save(figure, name, notebook="test", parameters={"seed": 0}, inputs=[source], folder=tmp_path / folder)
            figures.plt.close(figure)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    sidecar = json.loads((tmp_path / "a" / "rg2.json").read_text())
    assert list(sidecar["inputs"]) == ["pyproject.toml"] and sidecar["function"] == "mlcgmd.paper.figures.rg2_distributions"


def test_a_sidecar_keeps_the_commit_at_which_its_picture_was_made(tmp_path):
    def save(colour):
        figure, axis = figures.plt.subplots()
        axis.plot([0, 1], color=colour)
        provenance.save(figure, "line", notebook="test", parameters={"sizes": (1, 2)}, inputs=[], folder=tmp_path)
        figures.plt.close(figure)
        return json.loads((tmp_path / "line.json").read_text())

    figures.style()
    first = save("red")
    assert first["commit"] == provenance.commit()
    (tmp_path / "line.json").write_text(json.dumps(first | {"commit": "an earlier one"}))
    assert save("red")["commit"] == "an earlier one"
    assert save("blue")["commit"] == provenance.commit()


def test_a_picture_that_differs_by_rounding_stays(tmp_path):
    def save(value):
        figure, axis = figures.plt.subplots()
        axis.plot([0, value, 1])
        axis.set(ylim=(0, 1))
        provenance.save(figure, "line", notebook="test", parameters={}, inputs=[], folder=tmp_path)
        figures.plt.close(figure)
        return [(tmp_path / f"line.{kind}").read_bytes() for kind in ("svg", "png", "json")]

    figures.style()
    first = save(0.5)
    assert save(0.50001) == first
    assert all(a != b for a, b in zip(save(0.51), first, strict=True))
    assert provenance.same_picture('x="1.00" id="m0123456789"', 'x="1.04" id="mabcdef0123"')
    assert not provenance.same_picture('x="1.00" fill="red"', 'x="1.00" fill="blue"') and not provenance.same_picture(
        'x="1.0"', 'x="1.0" y="2.0"'
    )


def test_the_commit_is_that_of_the_folder(tmp_path):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a", "-C", tmp_path, *words], check=True, capture_output=True)

    assert provenance.commit(tmp_path / "gone") == "unknown"

    def write(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    git("init")
    write("code/a.py", "1")
    git("add", ".")
    git("commit", "-m", "code")
    made = provenance.commit(tmp_path / "code")
    assert len(made) == 12
    write("other/b.py", "1")
    git("add", ".")
    git("commit", "-m", "other")
    assert provenance.commit(tmp_path / "code") == made
    write("code/a.py", "2")
    assert provenance.commit(tmp_path / "code") == f"{made}-dirty"
