import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import toy_boxes, toy_systems, toy_trajectory

from mlcgmd.data import simulation, trajectory
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.model import batches, rollout, stepper
from mlcgmd.model.samplers import Gaussian, Multistep
from mlcgmd.model.system import MismatchError, coarse_grain
from mlcgmd.model.training import TrainConfig, build_model
from mlcgmd.model.windows import Windows

ARGUMENTS = {"steps": 25, "replicas": 2, "sampler": Multistep(evaluations=3), "seed": 0, "progress": False}


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(batches, "BLOCK", 10)


@pytest.fixture(scope="module")
def systems():
    return toy_systems()


@pytest.fixture(scope="module")
def model(systems):
    return build_model(Windows(systems, 10, 2), TrainConfig(time_step=10, steps=1, history=2, width=16, layers=1, refiner_layers=1)).eval()


def test_shapes_start_and_time(model, systems, tmp_path):
    result = rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS)
    for system, run in zip(systems, result, strict=True):
        assert run.position.shape == (2, 25, system.position.shape[1], 3)
        # The first frame is the last of the two frames of history.
        np.testing.assert_allclose(run.position.values[:, 0], system.position[1].expand(2, -1, -1), atol=0.006)
        assert run.time.values.tolist() == [10.0 * k for k in range(25)]
        assert not np.allclose(run.position.values[0, -1], run.position.values[1, -1]), "replicas must differ"
    assert not (tmp_path / "run.nc.partial").exists()


def test_keeps_one_frame_in_so_many(model, systems, tmp_path):
    every = rollout.simulate(model, systems, tmp_path / "every.nc", **ARGUMENTS)[0]
    some = rollout.simulate(model, systems, tmp_path / "some.nc", **ARGUMENTS | {"save_every": 4})[0]
    assert some.time.values.tolist() == [0, 40, 80, 120, 160, 200, 240]
    np.testing.assert_array_equal(some.position.values, every.position.values[:, ::4])


def test_same_seed_same_run_and_no_second_run(model, systems, tmp_path, monkeypatch):
    a = rollout.simulate(model, systems, tmp_path / "a.nc", **ARGUMENTS)
    b = rollout.simulate(model, systems, tmp_path / "b.nc", **ARGUMENTS)
    c = rollout.simulate(model, systems, tmp_path / "c.nc", **ARGUMENTS | {"seed": 1})
    assert a[0].position.equals(b[0].position) and not a[0].position.equals(c[0].position)
    monkeypatch.setattr(batches, "run", lambda *_: pytest.fail("a complete run was run again"))
    again = rollout.simulate(model, systems, tmp_path / "a.nc", **ARGUMENTS)
    np.testing.assert_allclose(again[0].position, a[0].position, atol=0.006)


def test_parts_run_on_all_cores_to_the_same_result(model, systems, tmp_path, monkeypatch):
    size = [len(s.mass) for s in systems]
    monkeypatch.setattr(batches, "PART", 2 * size[0] + 2 * size[1])
    shape = [([s.name for s in part.systems], part.replicas) for part in batches.parts_of(systems, 2)]
    assert shape == [([s.name for s in systems[:2]], 2), ([systems[2].name], 2)]
    arguments = ARGUMENTS | {"steps": 5}
    several = rollout.simulate(model, systems, tmp_path / "several.nc", **arguments)
    monkeypatch.setattr(rollout.parallel, "cores", lambda: [0])
    one = rollout.simulate(model, systems, tmp_path / "one.nc", **arguments)
    assert [run.attrs["system"] for run in one] == [s.name for s in systems]
    for a, b in zip(several, one, strict=True):
        assert a.position.equals(b.position) and a.bead_rg2.equals(b.bead_rg2)
    # Replicas of a system that is too large for one part.
    monkeypatch.setattr(batches, "PART", 2 * size[0])
    assert [part.replicas for part in batches.parts_of(systems[:1], 5)] == [2, 2, 1]
    (large,) = rollout.simulate(model, systems[:1], tmp_path / "large.nc", **arguments | {"replicas": 5})
    assert large.position.shape == (5, 5, size[0], 3) and large.mass.shape == (size[0],) and large.failure.shape == (5,)
    ends = large.position.values[:, -1].reshape(5, -1)
    assert len(np.unique(ends.round(3), axis=0)) == 5, "parts must differ"


def test_killed_run_resumes_to_the_same_result(model, systems, tmp_path):
    whole = rollout.simulate(model, systems, tmp_path / "whole.nc", **ARGUMENTS)

    class Killed(BaseException):
        pass

    call, calls = stepper.Stepper.__call__, []

    def dies(self, *args):
        calls.append(1)
        if len(calls) == 18:
            raise Killed
        return call(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepper.Stepper, "__call__", dies)
        with pytest.raises(Killed):
            rollout.simulate(model, systems, tmp_path / "cut.nc", **ARGUMENTS)
    assert [p.name for p in (tmp_path / "cut.nc.partial").rglob("*.npz")] == ["00000.npz"]
    resumed = rollout.simulate(model, systems, tmp_path / "cut.nc", **ARGUMENTS)
    for a, b in zip(whole, resumed, strict=True):
        assert a.position.equals(b.position) and a.bead_rg2.equals(b.bead_rg2)


def test_a_replica_that_explodes_is_stopped_alone(model, systems, tmp_path, monkeypatch):
    call, calls = stepper.Stepper.__call__, []

    def explodes(self, history, generator):
        moved, size = call(self, history, generator)
        calls.append(1)
        assert torch.isfinite(history).all(), "nothing non-finite may enter the networks"
        if len(calls) == 7:
            moved[0] = float("nan")
        if len(calls) == 9:
            moved[-1] += 1e4
        return moved, size

    monkeypatch.setattr(stepper.Stepper, "__call__", explodes)
    # The untrained model is a random walk: the guard is set so wide that only what is injected counts.
    result = rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS | {"max_stretch": 100.0})
    first, last = result[0], result[-1]
    assert first.failure.values.tolist() == ["non-finite positions at time 70", ""]
    assert np.isfinite(first.position.values[0, :7]).all() and np.isnan(first.position.values[0, 7:]).all()
    assert np.isfinite(first.position.values[1]).all()
    assert last.failure.values[0] == "" and "CG bond" in last.failure.values[1] and "time 90" in last.failure.values[1]
    assert (result[1].failure == "").all()


@pytest.mark.parametrize(("change", "message"), [({"level": 4.0}, "particles per bead"), ({"type_name": ("X",) * 4}, "particle types")])
def test_refuses_systems_the_model_was_not_made_for(model, systems, tmp_path, change, message):
    with pytest.raises(MismatchError, match=message):
        rollout.simulate(model, [replace(systems[0], **change)], tmp_path / "run.nc", **ARGUMENTS)


def test_refuses_a_path_of_another_run(model, systems, tmp_path):
    rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS)
    with pytest.raises(ValueError, match="other arguments .*sampler is .*'few-step'.* there, not .*'none'"):
        rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS | {"sampler": Gaussian()})
    steps = ARGUMENTS["steps"]
    with pytest.raises(ValueError, match=rf"seed is .*; steps is {steps} there, not {steps + 1}\); give another path \(in notebook 4"):
        rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS | {"steps": steps + 1, "seed": 99})


def test_refuses_a_path_of_other_data_of_the_same_name(model, systems, tmp_path):
    rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS)
    other = coarse_grain(toy_trajectory(seed=7).assign_attrs(system=systems[0].name), level=6)
    with pytest.raises(ValueError, match="other data"):
        rollout.simulate(model, [other, *systems[1:]], tmp_path / "run.nc", **ARGUMENTS)


def test_the_bar_counts_steps_in_one_part_in_several_and_after_a_break(model, systems, tmp_path, monkeypatch, capfd):
    """A part is one batch; of several each is seen by the blocks that it wrote."""
    arguments = {"steps": 25, "replicas": 2, "sampler": Gaussian()}
    rollout.simulate(model, systems, **arguments)
    assert re.search(r"simulation: .*/25 \[\d\d:\d\d<.*step.*25/25 \[", capfd.readouterr().err, re.DOTALL)
    monkeypatch.setattr(batches, "PART", 1)
    monkeypatch.setattr(rollout.simulation, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        rollout.simulate(model, systems, tmp_path / "run.nc", **arguments)
    shown = [int(n) for n in re.findall(r"(\d+)/25 \[", capfd.readouterr().err)]
    assert shown[0] == 0 and shown[-1] == 25 and len(set(shown)) > 3
    next((tmp_path / "run.nc.partial").glob("*/00002.npz")).unlink()
    with pytest.raises(KeyboardInterrupt):
        rollout.simulate(model, systems, tmp_path / "run.nc", **arguments)
    shown = [int(n) for n in re.findall(r"(\d+)/25 \[", capfd.readouterr().err)]
    assert 15 < shown[0] < 25 and shown[-1] == 25


def test_a_simulation_is_a_trajectory_and_can_be_started_from(model, systems, tmp_path):
    run = rollout.simulate(model, systems, **ARGUMENTS)[0]
    one = run.isel(replica=0)
    assert trajectory.validate(one).sizes["frame"] == 25 and trajectory.frame_interval(one) == 10
    np.testing.assert_array_equal(one.molecule, systems[0].coarse.molecule)
    assert run.attrs["length_unit"] == "sigma" and run.attrs["level"] == 6
    # In memory and through a file it is the same, up to the resolution of the file.
    kept = rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS)[0]
    np.testing.assert_allclose(run.position, kept.position, atol=0.0051)
    np.testing.assert_array_equal(simulation.load(tmp_path / "run.nc")[0].position, kept.position)


def test_a_simulation_with_what_is_missing_or_not_finite_is_refused(model, systems):
    run = rollout.simulate(model, systems, **ARGUMENTS)[0]
    broken = run.copy(deep=True)
    broken["position"][1, 3, 0, 0] = np.nan
    for bad, message in ((run.drop_vars("failure"), "failure"), (run.isel(replica=0), "replica"), (broken, "replica 1 .* no failure")):
        with pytest.raises(TrajectoryError, match=message):
            simulation.validate(bad)


def test_truncated_run_is_refused(model, systems, tmp_path):
    rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS)
    (tmp_path / "run.nc").write_bytes((tmp_path / "run.nc").read_bytes()[:500])
    with pytest.raises(ValueError, match="truncated"):
        simulation.load(tmp_path / "run.nc")


def test_silent_network_diffuses_as_its_gaussian_says(systems, tmp_path):
    """An untrained simulator has mean x(t) and one std: the sampler without refinement must give a random walk of that std."""
    config = TrainConfig(time_step=10, steps=1, width=16, layers=1, refiner_layers=1, covariance="diagonal")
    model = build_model(Windows(systems, 10, 1), config).eval()
    model.config = replace(model.config, centre_mobility=None)
    run = rollout.simulate(
        model, systems, tmp_path / "run.nc", **ARGUMENTS | {"sampler": Gaussian(), "replicas": 20, "steps": 2, "seed": 3}
    )[0]
    step = np.diff(run.position.values, axis=1)
    with torch.no_grad():
        from mlcgmd.model.graph import batch

        std = model.simulator(batch([systems[0].topology], 1), systems[0].position[:1]).std.mean()
    assert step.std() == pytest.approx(float(std), rel=0.1)


def test_one_frame_starts_a_model_without_history(systems, tmp_path):
    model = build_model(Windows(systems, 10, 1), TrainConfig(time_step=10, steps=1, width=16, layers=1, refiner_layers=1)).eval()
    one = coarse_grain(toy_trajectory(frames=1), level=6)
    run = rollout.simulate(model, [one], tmp_path / "run.nc", **ARGUMENTS)[0]
    np.testing.assert_allclose(run.position.values[0, 0], one.position[0], atol=0.006)


def test_too_short_a_start_is_refused(model, systems, tmp_path):
    short = replace(systems[0], position=systems[0].position[:1], bead_rg2=systems[0].bead_rg2[:1])
    with pytest.raises(TrajectoryError, match="a history of 2 positions takes 2"):
        rollout.simulate(model, [short], tmp_path / "run.nc", **ARGUMENTS)


@pytest.fixture(scope="module")
def boxes():
    systems = toy_boxes(2)
    config = TrainConfig(time_step=4, steps=1, history=2, width=16, layers=1, refiner_layers=1, radius=7.0, radial=8)
    return systems, build_model(Windows(systems, 4, 2), config).eval()


def test_boxes_keep_their_centre_of_mass_and_tell_what_they_are(boxes, tmp_path):
    systems, model = boxes
    runs = rollout.simulate(model, systems, tmp_path / "run.nc", steps=5, replicas=2, sampler=Multistep(2), seed=0, progress=False)
    for s, run in zip(systems, runs, strict=True):
        centre = np.average(run.position.values, axis=2, weights=s.mass)
        np.testing.assert_allclose(centre, centre[:, :1].repeat(5, axis=1), atol=0.02)
        assert np.ptp(run.position.values, axis=1).max() > 0.1, "beads must move"
        np.testing.assert_allclose(run.box, s.box.expand(5, 3))
        np.testing.assert_array_equal(run.component, s.component)


def test_a_rollout_does_not_depend_on_which_box_a_molecule_is_in(boxes, tmp_path):
    systems, model = boxes
    s = systems[0]
    shift = torch.zeros_like(s.position[0])
    shift[np.flatnonzero(s.component == 2)[0]] = s.box * torch.tensor([2.0, -1.0, 0.0])
    moved = replace(s, position=s.position + shift)
    a, b = (
        rollout.simulate(model, [system], tmp_path / name, steps=4, replicas=1, sampler=Multistep(2), seed=0, progress=False)[0]
        for system, name in ((s, "a.nc"), (moved, "b.nc"))
    )
    np.testing.assert_allclose(b.position.values[0] - shift.numpy(), a.position.values[0], atol=0.03)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"replicas": 0}, {"save_every": 0}, {"steps": 2.5}])
def test_numbers_that_make_no_run_are_named(model, systems, tmp_path, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*whole number"):
        rollout.simulate(model, systems, tmp_path / "run.nc", **ARGUMENTS | wrong)
    assert not list(tmp_path.iterdir())


def test_systems_of_one_name_are_told_apart_by_their_data(model, tmp_path):
    named = zip(range(3), ("traj", "traj", "other"), strict=True)
    a, b, c = (coarse_grain(toy_trajectory(seed=seed).assign_attrs(system=name), level=6) for seed, name in named)
    rollout.simulate(model, [a, c], tmp_path / "run.nc", **ARGUMENTS)
    for others in ([b, c], [c]):
        with pytest.raises(ValueError, match="other data"):
            rollout.simulate(model, others, tmp_path / "run.nc", **ARGUMENTS)


def test_other_units_and_what_is_no_system_are_refused(model, systems):
    real = coarse_grain(toy_trajectory().assign_attrs(length_unit="angstrom", time_unit="ps", mass_unit="amu"), level=6)
    with pytest.raises(MismatchError, match="in angstrom, ps, amu, the model was trained in sigma, tau, m"):
        rollout.simulate(model, real, **ARGUMENTS)
    with pytest.raises(ValueError, match="mlcgmd.coarse_grain"):
        rollout.simulate(model, [toy_trajectory()], **ARGUMENTS)
