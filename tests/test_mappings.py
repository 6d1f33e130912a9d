"""What is said of mappings: right where the answer was put in, and nothing where there is none."""

import itertools
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from toys import toy_trajectories

from mlcgmd.analysis.particles import PROPERTIES
from mlcgmd.data.partitions import family
from mlcgmd.paper import figures, hypotheses, mappings
from mlcgmd.paper.mappings import ErrorModel, Judge, choose_mapping, joined

FAMILIES = ("metis", "contiguous", "pure", "spectral", "sides", "random", "random 1")
LEVELS = (25.0, 15.0, 10.0, 6.0)
LENGTH = 80000.0


def tables(true: bool, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and priors: errors of information and learning and of nothing else or, if not ``true``, of chance alone."""
    rng = np.random.default_rng(seed)
    priors: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for name, level in itertools.product(FAMILIES, LEVELS):
        rough = 3.0 if name.startswith("random") else rng.uniform(1, 1.5)
        prior: dict[str, Any] = {"family": name, "level": level, "beads": 150 / level, "imbalance": 1.5, "kinetic": 0.9}
        prior |= {"time": 0.9, "memory": 0.0}
        prior |= {"mapping_entropy": rng.uniform(), "fisher": rng.uniform(), **{f"r2.{of}": 0.9 for of in ("rg2", "ends", "contacts")}}
        prior |= {f"loss.{of}": 0.004 * rough * level for of in PROPERTIES}
        priors.append(prior)
        square = 1.5 * prior["loss.rg2"] ** 2 + 0.0002 * (prior["beads"] / 10) ** 2
        for repeat in (0, 1):
            row: dict[str, Any] = {"family": name, "level": level, "seed": repeat, "beads": prior["beads"], "speed": 4e4 / prior["beads"]}
            for of in PROPERTIES:
                error = np.sqrt(square) if true else rng.uniform(0.05, 0.5)
                row |= {f"particle.{of}{part}": error for part in ("", ".even", ".odd")} | {f"particle.{of}.sampling": 0.001}
            rows.append(row | {"time_step": 80})
    return pd.DataFrame(rows), pd.DataFrame(priors)


def test_an_error_model_finds_the_parts_that_errors_were_made_of() -> None:
    table = joined(*tables(true=True))
    assert len(table) == 28 and table.beads.max() == 25  # once, not of both tables
    model = ErrorModel.fit("ends.emd", table[hypotheses.halves(table) == 0], LENGTH)
    assert model.weight[[0, 2]] == pytest.approx([1.5, 0.0002], rel=0.05) and model.weight[[1, 3, 4]] == pytest.approx(0, abs=1e-4)
    assert model.predict(table) == pytest.approx(table["particle.ends.emd"], rel=0.02)
    assert model.speed == pytest.approx((-1, 4e4))
    # With ten beads a second is 4,000 of simulated time, so that twenty are as much as what was fitted to.
    one = table[:1].assign(beads=10.0)
    assert model.predict(one, 20.0) == pytest.approx(model.predict(one)) and model.predict(one, 0.0001) > 2 * model.predict(one)


def test_verdicts_are_those_of_what_was_put_in() -> None:
    found = {v.hypothesis: v for v in hypotheses.verdicts(*tables(true=True), LENGTH)}
    assert found[1].holds and found[4].holds and found[5].holds and found[6].holds
    assert not found[3].holds  # the loss grows with the square of the level, so it rules where there are few beads, not above ten
    chance = {v.hypothesis: v for v in hypotheses.verdicts(*tables(true=False), LENGTH)}
    assert not any(chance[k].holds for k in (1, 3, 4, 5, 6)) and chance[2].holds


def test_figures_are_drawn_of_what_there_is() -> None:
    rows, priors = tables(true=False)
    rows.loc[rows.family == "sides", "particle.rg2"] = np.inf
    table = joined(rows, priors)
    drawn = [
        figures.mapping_errors(table),
        figures.prior_ranks(hypotheses.ranks(table, 10)),
        figures.predicted_errors(hypotheses.predicted(table, LENGTH)),
        figures.mapping_errors(joined(rows[:1], priors)),
    ]
    for figure in drawn:
        figure.canvas.draw()
        assert figure.get_size_inches()[0] == figures.WIDTH
        assert all(axis.get_xlabel() for axis in figure.axes if axis.get_subplotspec().is_last_row())
        plt.close(figure)
    shown = [line.get_xdata() for line in drawn[0].axes[0].lines if line.get_label() == "sides"]
    assert [len(x) for x in shown] == [0]  # none survived


def test_what_did_not_survive_is_worst_and_no_part_of_a_fit() -> None:
    rows, priors = tables(true=True)
    dead = (rows.family == "random") & (rows.level == 6)
    rows.loc[dead, [c for c in rows if c.startswith("particle.")]] = np.inf
    table = joined(rows, priors)
    assert np.isinf(table["particle.rg2"]).sum() == 1
    model = ErrorModel.fit("rg2", table, LENGTH)
    assert np.isfinite(model.predict(table)).all() and np.isfinite(hypotheses.ranks(table, 10)["rank"].dropna()).all()
    with pytest.raises(ValueError, match="known of 0 mappings"):
        ErrorModel.fit("rg2", table[np.isinf(table["particle.rg2"])], LENGTH)


def test_few_mappings_have_no_verdicts() -> None:
    rows, priors = tables(true=True)
    assert hypotheses.verdicts(rows[:10], priors, LENGTH) == hypotheses.verdicts(pd.DataFrame(columns=rows.columns), priors, LENGTH) == []


def test_finer_beads_keep_more_and_the_better_mapping_is_chosen() -> None:
    fine = []
    for run in toy_trajectories(3, 800):
        bond = run.position.values[:, run.bond.values]
        energy = ((bond[:, :, 0] - bond[:, :, 1]) ** 2).sum(axis=(1, 2)) / (2 * 0.36)
        fine.append(run.assign(potential_energy=("frame", energy.astype(np.float32))))
    judge = Judge(fine, 10.0)
    few, many = judge(6, "metis"), judge(2, "metis")
    assert few["beads"] < many["beads"]
    for kept in ("r2.ends", "fisher"):
        assert few[kept] < many[kept] < 1
    assert few["loss.ends.emd"] > many["loss.ends.emd"] and few["mapping_entropy"] > many["mapping_entropy"]
    assert abs(many["memory"]) < 0.05  # the bonds of the toy have none
    model = ErrorModel("ends.emd", np.array([1.0, 0, 0, 0, 0]), 0.0, 1.0, (-1.0, 1.0), 10.0)
    choice = choose_mapping(fine, model, 1.0, [("metis", 6), ("metis", 2)])
    assert (choice.family, choice.level) == ("metis", 2) and choice.error == pytest.approx(many["loss.ends.emd"])


def test_random_families_have_their_seed_in_their_name_and_others_are_refused() -> None:
    assert family("random 1") != family("random") == family("random 0")
    with pytest.raises(ValueError, match="there is no family of mappings 'randomly'; the families are"):
        family("randomly")


def test_the_table_of_priors_is_made_once_and_what_it_lacks_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, float]] = []

    def judge(level: float, name: str) -> dict[str, float]:
        calls.append((name, level))
        return {"beads": 150 / level}

    monkeypatch.setattr(mappings, "DATA", tmp_path)
    monkeypatch.setattr(mappings.datasets, "register", lambda *_, **__: None)
    monkeypatch.setattr(mappings.datasets, "verify", lambda path: path)
    monkeypatch.setattr(mappings.datasets, "load", lambda *_: [])
    monkeypatch.setattr(mappings, "Judge", lambda *_: judge)
    mappings.prior("toy", ["metis"], [15], 80)
    table = mappings.prior("toy", ["metis", "pure"], [15], 80)
    assert calls == [("metis", 15.0), ("pure", 15.0)] and table.beads.tolist() == [10, 10]
    assert mappings.prior("toy", ["pure"], [15], 80).family.tolist() == ["pure"] and len(calls) == 2
