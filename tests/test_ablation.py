from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toys import toy_systems, toy_trajectories

from mlcgmd.model import training
from mlcgmd.model.samplers import Gaussian, Langevin, Multistep
from mlcgmd.paper import ablation, experiment
from mlcgmd.paper.sets import DATASETS, ChainSet


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ablation, "FOLDER", tmp_path)
    monkeypatch.setattr(ablation, "prepared", lambda dataset, split, level, family="metis": tuple(toy_systems(3, level, family=family)))
    monkeypatch.setattr(ablation, "particles_of", lambda dataset, split: toy_trajectories(3))
    return tmp_path


SMALL = training.TrainConfig(time_step=10, steps=4, width=16, systems_per_batch=2, windows_per_system=2, save_every=4)


def test_samplers_of_a_training_share_it_and_a_second_run_only_reads(scratch: Path) -> None:
    settings = [ablation.Setting(6, SMALL, sampler) for sampler in (Gaussian(), Multistep(evaluations=2), Langevin(levels=2, steps=30))]
    rows, courses = ablation.run("toy", settings, length=400, replicas=2, progress=False)
    assert rows.sampler.tolist() == ["none", "few-step", "Langevin"] and rows.evaluations.tolist() == [0, 2, 60]
    assert len(list(scratch.glob("*/training/*"))) == 1 and not list(scratch.rglob("*.nc*"))
    assert (rows.speed.diff()[1:] < 0).all() and np.allclose(rows.milliseconds, 1e3 * 10 * 6 / rows.speed, rtol=0.01)
    assert courses.groupby("evaluations").time.max().tolist() == [390, 390, 30]  # many evaluations: a tenth of the length
    stamps = {path: path.stat().st_mtime_ns for path in scratch.rglob("*.json")}
    again, _ = ablation.run("toy", settings, length=400, replicas=2, progress=False)
    assert "rg2.bias" in rows and rows["rg2.bias"].isna().tolist() == [False, False, True]  # too short for sizes
    assert again.equals(rows) and stamps == {path: path.stat().st_mtime_ns for path in scratch.rglob("*.json")}


def test_a_part_of_the_training_systems_is_another_training_and_all_of_them_are_known_as_before(scratch: Path) -> None:
    whole = ablation.Setting(6, SMALL, Gaussian())
    assert ablation._key("toy", ("validation",), 400, 2, whole) == "ed01ca38b7b71593"  # of shipped tables
    settings = [whole, replace(whole, systems=(1, 3)), replace(whole, systems=(0, 2))]
    rows = pd.concat([ablation.run("toy", [s], length=400, replicas=2, progress=False)[0] for s in settings], ignore_index=True)
    assert rows.systems.tolist()[1:] == [2, 2] and rows["first"].tolist()[1:] == [1, 0] and rows.nll.nunique() == 3
    alone = training.train(toy_systems(3, 6)[1:3], toy_systems(3, 6), SMALL, scratch / "alone", progress=False)[0]
    assert rows.nll[1] == pytest.approx(experiment.one_step(alone, toy_systems(3, 6))["nll"], abs=1e-12)


def test_other_code_or_data_start_anew_and_an_error_names_its_experiment(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [ablation.Setting(6, SMALL, Gaussian())]
    ablation.run("toy", settings, length=200, replicas=2, progress=False)
    monkeypatch.setattr(ablation, "_made_of", lambda dataset: "other")
    monkeypatch.setattr(ablation.training, "train", lambda *_, **__: pytest.fail("trained anew"))
    with pytest.raises(pytest.fail.Exception):
        ablation.run("toy", settings, length=200, replicas=2, progress=False)

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(ablation.training, "train", breaks)
    with pytest.raises(RuntimeError, match="no memory") as caught:
        ablation.run("toy", settings, length=200, replicas=2, progress=False)
    assert "in the experiment on toy with Setting(level=6" in caught.value.__notes__[0]


def test_what_one_step_says_about_a_model_that_knows_nothing(scratch: Path) -> None:
    systems = toy_systems(2)
    model = ablation.trained("toy", 6, replace(SMALL, steps=1, learning_rate=1e-12))
    step = experiment.one_step(model, systems)
    assert step["noise"] > 0 and step["unexplained"] == pytest.approx(1, abs=0.5)
    assert step["drift"] ** 2 <= (1 + step["unexplained"] ** 0.5) ** 2


def test_tables_are_made_once_and_refuse_other_settings(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "DATA", scratch)
    monkeypatch.setattr(ablation.datasets, "register", lambda *_, **__: None)
    monkeypatch.setattr(ablation.datasets, "verify", lambda path: path)
    settings = [ablation.Setting(6, SMALL, Gaussian())]
    made = ablation.tables("toy", "toy-set", settings, length=400, replicas=2)
    monkeypatch.setattr(ablation, "run", lambda *_, **__: pytest.fail("the tables are there"))
    again = ablation.tables("toy", "toy-set", settings, length=400, replicas=2)
    assert all(a.equals(b) for a, b in zip(made, again, strict=True)) and made[0].sampler.tolist() == ["none"]
    for other in (ablation.Setting(6, replace(SMALL, seed=1), Gaussian()), ablation.Setting(6, replace(SMALL, clip=1.0), Gaussian())):
        with pytest.raises(ValueError, match=r"toy-set\.toy\.csv holds the results of other settings; remove it"):
            ablation.tables("toy", "toy-set", [other], length=400, replicas=2)
    with pytest.raises(ValueError, match="other settings"):
        ablation.tables("toy", "toy-set", settings, length=800, replicas=2)
    assert ablation.tables("toy", "toy-set", settings, length=400, replicas=2, splits=["validation"])[0].equals(again[0])
    with pytest.raises(ValueError, match="other settings"):
        ablation.tables("toy", "toy-set", settings, length=400, replicas=2, splits=["test"])


def test_what_is_missing_is_made_so_many_at_a_time_and_nothing_twice(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "DATA", scratch)
    monkeypatch.setattr(ablation.datasets, "register", lambda *_, **__: None)
    monkeypatch.setattr(ablation.datasets, "verify", lambda path: path)
    monkeypatch.setattr(ablation.parallel, "cores", lambda: [0])
    settings = [ablation.Setting(6, SMALL, Gaussian(), family) for family in ("metis", "pure", "random 1")]
    made, calls, run = [], [], ablation.run

    def fails_at_the_third(dataset: str, some: list[ablation.Setting], *rest: object) -> object:
        calls.append([s.family for s in some])
        if some[0].family == "random 1" and len(calls) == 3:
            raise KeyboardInterrupt
        return run(dataset, some, *rest, progress=False)

    monkeypatch.setattr(ablation, "run", fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        ablation.tables("toy", "toy-set", settings, 400, 2, missing="make")
    made, _ = ablation.tables("toy", "toy-set", settings, 400, 2, missing="leave")
    assert made.family.tolist() == ["metis", "pure"] and calls == [["metis"], ["pure"], ["random 1"]]
    with pytest.raises(ValueError, match="other settings"):
        ablation.tables("toy", "toy-set", settings, 400, 2)
    rows, courses = ablation.tables("toy", "toy-set", settings, 400, 2, missing="make")
    assert calls[3:] == [["random 1"]] and rows[:2].equals(made) and courses.family.unique().tolist() == ["metis", "pure", "random 1"]
    assert (rows["particle.rg2"] > 0).all() and rows["particle.ends.emd.sampling"].notna().all()
    assert ablation.tables("toy", "toy-set", settings, 400, 2)[0].equals(rows)


def test_two_columns_cross_between_rows() -> None:
    rows = pd.DataFrame({"a": [3.0, 2.0, np.nan, 0.0], "b": [0.0, 1.0, 1.0, 1.0]}, index=[1.0, 2.0, 4.0, 8.0])
    assert ablation.crossing(rows, "a", "b") == pytest.approx(4)  # halfway between 2 and 8 in the logarithm
    assert ablation.crossing(rows, "b", "a") is None and ablation.crossing(rows[:2], "a", "b") is None


def test_a_set_that_is_not_shipped_is_made_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "FOLDER", tmp_path / "ablation")
    monkeypatch.setattr(ablation, "RUNS", tmp_path)
    tiny = ChainSet(6, 16, (2, 1, 1), (40, 40, 40), (1, 1, 1), (5, 5, 5))
    monkeypatch.setitem(DATASETS, "chain-tiny", tiny)
    settings = [ablation.Setting(4, replace(SMALL, time_step=2), Gaussian())]
    rows, _ = ablation.run("chain-tiny", settings, length=20, replicas=2, progress=False)
    assert len(list((tmp_path / "md" / "chain-tiny").glob("*.nc"))) == 4 and rows.failed.tolist() == [0]


def test_results_are_means_over_seeds() -> None:
    rows = pd.DataFrame({"level": [4.0, 4.0, 8.0], "refinement": ["not refined"] * 3, "failed": [0.0, 1.0, 0.5], "size": [np.nan] * 3})
    first, second = ablation.results_of(rows, "ablation.x.chain", ["level", "refinement"], {"failed": "failures", "size": "s", "gone": "g"})
    assert first["id"] == "ablation.x.chain.level_4.not_refined.failed" and first["quantity"] == "chain, level 4, not refined: failures"
    assert (first["value"], first["error"], first["n"]) == (0.5, 0.5, 2)
    assert (second["value"], second["error"], second["n"]) == (0.5, None, 1)
