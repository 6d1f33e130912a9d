from pathlib import Path

import numpy as np
import pytest
import torch
from toys import toy_systems

from mlcgmd.md.chain import TYPE_NAME
from mlcgmd.model import training
from mlcgmd.model.model import Model
from mlcgmd.model.samplers import Gaussian, Multistep
from mlcgmd.paper import speed


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    config = training.TrainConfig(time_step=10, steps=1, history=2, width=16, systems_per_batch=2, windows_per_system=2, save_every=1)
    folder: Path = tmp_path_factory.mktemp("run")
    return training.train(toy_systems(2), [], config, folder, progress=False)[0]


def test_engines_are_measured_in_turn() -> None:
    calls: list[str] = []
    values = {"a": iter([1.0, 9.0, 2.0]), "b": iter([5.0, 4.0, 6.0])}
    table = speed.interleaved({name: lambda name=name: calls.append(name) or next(values[name]) for name in values}, rounds=3)
    assert "".join(calls) == "ababab"
    table = table.set_index("engine")[["median", "lowest", "highest", "error"]]
    assert table.loc["a"].tolist() == [2, 1, 9, pytest.approx(np.std([2, 1, 9], ddof=1) / 3**0.5)]
    assert table.loc["b"].tolist() == [5, 4, 6, pytest.approx(1 / 3**0.5)]


def test_a_larger_matrix_runs_at_a_higher_rate_and_networks_below_it(model: Model) -> None:
    torch.set_num_threads(1)
    peak = speed.matrix_rate(512)
    assert peak > 2 * speed.matrix_rate(8) and peak > speed.layer_rate(64) > speed.layer_rate(8)
    assert 0 < speed.network_rate(model, toy_systems(2), 4, Multistep(evaluations=2)) < peak


def test_the_profile_names_what_takes_the_time(model: Model) -> None:
    table = speed.where_time_goes(model, toy_systems(2), 2, Gaussian(), most=1000)
    assert table.share.sum() == pytest.approx(1) and table.share.is_monotonic_decreasing
    assert "aten::addmm" in set(table.operator)
    assert len(speed.where_time_goes(model, toy_systems(2), 2, Gaussian(), most=3)) == 3


def test_chains_of_any_length_can_be_timed(model: Model) -> None:
    spec, system = speed.stretched_chain(40, model)
    assert len(spec.sequence) == 40 and system.type_name == tuple(TYPE_NAME) and len(system.mass) == round(len(spec.topology()[0]) / 6)
    moved, _ = speed.ml_step(model, [system], 3, Gaussian())()
    assert moved.shape == (3 * len(system.mass), 3) and bool(np.isfinite(moved.detach().numpy()).all())


def test_memory_grows_with_the_number_of_copies(model: Model) -> None:
    small, large = (speed.peak_memory(model, toy_systems(2), copies, Gaussian()) for copies in (10, 40))
    nodes = 2 * 40 * len(toy_systems(1)[0].mass)
    assert 3.5 < large / small < 4.5 and large > 2 * 4 * 16 * nodes  # node states before and after a layer, at least
