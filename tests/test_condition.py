"""What determines an ensemble besides positions, such as a temperature: told, seen by networks where asked, kept to its range."""

import json

import numpy as np
import pytest
import torch
from toys import toy_trajectory

import mlcgmd
from mlcgmd.data import mapping, simulation, trajectory
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.errors import MlcgmdError
from mlcgmd.model.domain import OutOfRangeError
from mlcgmd.model.graph import batch
from mlcgmd.model.model import Model
from mlcgmd.model.rollout import simulate
from mlcgmd.model.stepper import fitted
from mlcgmd.model.system import CoarseSystem, MismatchError, coarse_grain
from mlcgmd.model.training import TrainConfig, build_model, train
from mlcgmd.model.windows import Windows

CONFIG = TrainConfig(time_step=10, steps=400, width=16, layers=1, refiner_layers=1, covariance="diagonal", condition=("kT",))


def at(energy: float | None, seed: int = 0, frames: int = 400) -> CoarseSystem:
    """A toy chain whose squared displacements and bonds are proportional to ``energy``."""
    run = toy_trajectory(frames=frames, seed=seed)
    run["position"] = run.position * np.float32(np.sqrt(energy or 1.0))
    run.attrs["system"] = f"toy-{energy}-{seed}"
    return coarse_grain(run if energy is None else run.assign_attrs(condition=json.dumps({"kT": energy})), level=6)


def test_it_stays_with_a_trajectory(tmp_path) -> None:
    run = toy_trajectory().assign_attrs(condition=json.dumps({"kT": 2.0}))
    again = trajectory.load(trajectory.save(run, tmp_path / "run.nc"))
    coarse = mapping.partition(again, 6).apply(again)
    assert trajectory.condition_of(again) == trajectory.condition_of(coarse) == {"kT": 2.0}
    assert trajectory.condition_of(toy_trajectory()) == {}


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ("{", "condition is '{', not JSON"),
        ("[1]", r"condition is \[1\]; give names with numbers"),
        ('{"kT": NaN}', "the condition kT is nan; give a finite number"),
        ('{"kT": true}', "the condition kT is True; give a finite number"),
        ('{"kT": "hot"}', "the condition kT is 'hot'; give a finite number"),
        ('{"": 1}', "condition"),
    ],
)
def test_what_is_no_condition_is_refused(held: str, message: str) -> None:
    with pytest.raises(TrajectoryError, match=message):
        trajectory.validate(toy_trajectory().assign_attrs(condition=held))


def test_readers_take_it(tmp_path) -> None:
    path = tmp_path / "run.pdb"
    path.write_text("MODEL 1\nATOM      1  C   UNK A   1       1.000   2.000   3.000  1.00  0.00           C\nENDMDL\nEND\n")
    run = mlcgmd.load(path, condition={"temperature": 353}, bond=np.empty((0, 2)))
    assert trajectory.condition_of(run) == {"temperature": 353.0}


def test_one_model_has_the_right_noise_between_the_values_of_its_training(tmp_path) -> None:
    model, _ = train([at(0.5), at(0.8), at(1.25), at(2.0)], [at(1.0, 2)], CONFIG, tmp_path / "run", progress=False)
    assert model.config.condition == (("kT", 1.25, 0.75),)
    model = Model.load(model.save(tmp_path / "model.safetensors"))

    def noise(energy: float) -> float:
        system = fitted(model, at(energy, 3))
        history = system[0].position[:50].flatten(0, 1)[None]
        with torch.no_grad():
            return float(model.simulator(batch([system[0].topology], 50), history).std.mean())

    cold, warm, hot = (noise(energy) for energy in (0.5, 1.0, 2.0))
    assert hot / cold == pytest.approx(2.0, rel=0.15)
    assert warm / cold == pytest.approx(2.0**0.5, rel=0.15)
    (run,) = simulate(model, at(1.0, 3), steps=2, progress=False)
    assert trajectory.condition_of(run) == {"kT": 1.0}
    simulation.validate(run)


def test_outside_of_the_range_is_refused() -> None:
    model = build_model(Windows([s.under([("kT", 1.25, 0.75)]) for s in (at(0.5), at(2.0))], 10, 1), CONFIG)
    assert model.domain.condition == {"kT": (0.5, 2.0)}
    with pytest.raises(OutOfRangeError, match=r"toy-3.0-0 has a kT of 3, the model was trained at 0.5 to 2; train on such systems too"):
        simulate(model, at(3.0), steps=1, progress=False)
    simulate(model, at(3.0), steps=1, progress=False, extrapolate=True)
    with pytest.raises(MismatchError, match=r"nothing says which kT toy-None-0 has, which the model must know; give condition={'kT': ...}"):
        simulate(model, at(None), steps=1, progress=False)


def test_a_model_that_does_not_see_it_keeps_to_it_all_the_same() -> None:
    model = build_model(Windows([at(1.0), at(1.0, 1)], 10, 1), TrainConfig(time_step=10, steps=1, width=16, layers=1, refiner_layers=1))
    assert model.config.condition == () and model.domain.condition == {"kT": (1.0, 1.0)}
    with pytest.raises(OutOfRangeError, match="a kT of 2, the model was trained at 1 to 1"):
        simulate(model, at(2.0), steps=1, progress=False)
    with pytest.raises(OutOfRangeError, match="a kT that nothing tells, the model was trained at 1 to 1"):
        simulate(model, at(None), steps=1, progress=False)


def test_systems_that_differ_in_it_are_not_mixed_without_a_word(tmp_path) -> None:
    config = TrainConfig(time_step=10, steps=1, width=8, layers=1, refiner_layers=1)
    with pytest.raises(MismatchError, match=r"the kT of the systems is 0.5 to 2, which the model would not see; name it in condition"):
        train([at(0.5), at(2.0)], [], config, tmp_path / "run", progress=False)
    with pytest.raises(MismatchError, match="nothing says which kT toy-None-0 has"):
        train([at(0.5), at(None)], [], CONFIG, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("condition", ["temperature", [300.0], 5])
def test_the_option_is_a_list_of_names(condition) -> None:
    with pytest.raises(MlcgmdError, match=r"TrainConfig: condition is .*; give a list of names, such as \['temperature'\]"):
        TrainConfig(time_step=10, steps=1, condition=condition)


SEES_LEVEL = TrainConfig(time_step=10, steps=2, width=8, layers=1, refiner_layers=1, condition=("level",))


def test_one_model_serves_several_levels(tmp_path) -> None:
    fine = toy_trajectory(frames=100)
    few, many = (coarse_grain(fine, level) for level in (4, 8))
    model, _ = train([few, many], [coarse_grain(toy_trajectory(frames=100, seed=1), 6)], SEES_LEVEL, tmp_path / "run", progress=False)
    model = Model.load(model.save(tmp_path / "model.safetensors"))
    assert model.config.levels == (4, 8) and model.config.condition == (("level", 6.0, 2.0),)
    for system, seen in ((few, -1.0), (coarse_grain(fine, 6), 0.0), (many, 1.0)):
        (known,) = fitted(model, system)
        assert known.topology.condition.unique().tolist() == [seen] and known.level == system.level
        simulation.validate(*simulate(model, system, steps=2, progress=False, extrapolate=True))
    with pytest.raises(MismatchError, match="has 3 particles per bead, the model was trained with 4 to 8; coarse-grain at one of these"):
        fitted(model, coarse_grain(fine, 3))


def test_levels_are_not_mixed_without_a_word(tmp_path) -> None:
    systems = [coarse_grain(toy_trajectory(), level) for level in (4, 8)]
    with pytest.raises(MismatchError, match="the level of the systems is 4 to 8, which the model would not see; name it in condition"):
        train(systems, [], TrainConfig(time_step=10, steps=1), tmp_path / "run", progress=False)
    one = build_model(Windows([systems[0]], 10, 1), TrainConfig(time_step=10, steps=1, width=8, layers=1, refiner_layers=1))
    assert one.config.levels == (4, 4)
    with pytest.raises(MismatchError, match="has 8 particles per bead, the model was trained with 4; coarse-grain at that level"):
        fitted(one, systems[1])
