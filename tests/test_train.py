import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toys import toy_boxes, toy_systems, toy_trajectory

from mlcgmd.data.lammps import from_lammps
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.errors import MlcgmdError
from mlcgmd.model import training
from mlcgmd.model.model import CheckpointError, Model
from mlcgmd.model.samplers import Distilled, Flow
from mlcgmd.model.system import coarse_grain
from mlcgmd.model.windows import Windows
from mlcgmd.paper import datasets
from mlcgmd.paths import SHIPPED

CONFIG = training.TrainConfig(
    time_step=10,
    steps=12,
    history=2,
    width=16,
    layers=1,
    refiner_layers=1,
    systems_per_batch=2,
    windows_per_system=4,
    save_every=6,
    ema=0.9,
)


@pytest.fixture(scope="module")
def systems():
    return toy_systems()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_windows_hold_the_frames_they_say(systems):
    windows = Windows(systems, 20, 2)
    graph, x, size = windows.draw(np.random.default_rng(0), 2, 5)
    assert x.shape == (3, len(graph.node_source), 3) and size.shape == (x.shape[1],)
    assert graph.n_graphs == 10
    # Each window is three frames of one system, two frames apart, forwards or backwards.
    first = systems[int(np.random.default_rng(0).choice(3, size=2, replace=False)[0])]
    b = first.position.shape[1]
    for w in range(5):
        window = x[:, w * b : (w + 1) * b]
        at = [int((first.position - frame).abs().sum(dim=(1, 2)).argmin()) for frame in window]
        assert abs(at[1] - at[0]) == 2 and at[2] - at[1] == at[1] - at[0]
        assert torch.equal(size[w * b : (w + 1) * b], first.bead_rg2[at[1]])


def test_windows_refuse_what_they_cannot_give(systems):
    assert systems[0].stride(30) == 3
    for time_step in (15, 5, 0, 20.1):
        with pytest.raises(TrajectoryError, match="not a multiple of the frame interval 10"):
            Windows(systems, time_step, 2)
    with pytest.raises(TrajectoryError, match="too few"):
        Windows(systems, 500, 2)


def test_training_learns(systems, tmp_path):
    config = training.TrainConfig(
        time_step=10, steps=300, width=16, layers=2, refiner_layers=2, systems_per_batch=3, windows_per_system=8, save_every=50
    )
    _, curves = training.train(systems, systems, config, tmp_path, progress=False)
    assert curves.train_nll.iloc[-1] < curves.train_nll.iloc[0]
    # The Ornstein-Uhlenbeck toy can be predicted better than "nothing moves", whose error is 1 by normalisation.
    assert curves.validation_mse.iloc[-1] < 0.97


def test_training_shows_a_bar_with_rate_and_time_left_and_nothing_else(tmp_path):
    code = "import sys; from test_train import *; training.train(toy_systems(), [], CONFIG, sys.argv[1], progress=sys.argv[2] == 'yes')"

    def said(progress, environment):
        command = [sys.executable, "-c", code, str(tmp_path / f"{progress}{len(environment)}"), progress]
        return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, env=os.environ | environment)

    shown = said("yes", {})
    assert shown.stdout == ""
    lines = [line for line in re.split("[\r\n]+", shown.stderr) if line]
    assert lines and all(re.match(r"training: +\d+%.*\| \d+/12 \[\d\d:\d\d<.*(step/s|s/step)\]$", line) for line in lines), shown.stderr
    assert "12/12" in lines[-1]
    for nothing in (said("no", {}), said("yes", {"TQDM_DISABLE": "1"})):
        assert nothing.stdout + nothing.stderr == ""


def test_resumed_training_equals_uninterrupted_training(systems, tmp_path):
    whole, curves = training.train(systems, systems[:1], CONFIG, tmp_path / "whole", progress=False)

    class Killed(Exception):
        pass

    step = training.Training.training_step

    def dies(self, *args):
        if self.global_step == 9:
            raise Killed
        return step(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Training, "training_step", dies)
        with pytest.raises(Killed):
            training.train(systems, systems[:1], CONFIG, tmp_path / "cut", progress=False)
    resumed, resumed_curves = training.train(systems, systems[:1], CONFIG, tmp_path / "cut", progress=False)
    assert torch.equal(weights(whole), weights(resumed))
    columns = [c for c in curves if c.startswith("validation")]
    assert curves[columns].equals(resumed_curves[columns])


def test_distillation_learns_what_the_refiner_gives_and_resumes(systems, tmp_path):
    config = replace(CONFIG, steps=30, refiner_layers=2, distillation=60, distilled_layers=1, learning_rate=0.01, save_every=20)
    model, curves = training.train(systems, systems[:1], config, tmp_path / "a")
    plain, _ = training.train(systems, systems[:1], replace(config, distillation=0), tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(plain.refiner.parameters(), model.refiner.parameters(), strict=True)), "left as it was"
    assert curves.step.tolist() == [20, 30, 50, 70, 90]
    learned = curves.validation_distilled.dropna().tolist()
    assert learned[-1] < 0.8 * learned[0]
    (tmp_path / "a" / "distillation" / "last.ckpt").unlink()
    (tmp_path / "a" / "distillation" / "curves.jsonl").unlink()
    again, _ = training.train(systems, systems[:1], config, tmp_path / "a")
    torch.testing.assert_close(weights(again), weights(model), rtol=0, atol=0)
    loaded = Model.load(model.save(tmp_path / "distilled.safetensors"))
    torch.testing.assert_close(weights(loaded), weights(model), rtol=0, atol=0)
    assert isinstance(loaded.sampler, Distilled) and isinstance(plain.sampler, Flow)
    with pytest.raises(MlcgmdError, match="this model was not distilled"):
        plain.network(Distilled())


def test_seed_decides(systems, tmp_path):
    short = replace(CONFIG, steps=3, save_every=3)
    a, _ = training.train(systems, [], short, tmp_path / "a", progress=False)
    b, _ = training.train(systems, [], short, tmp_path / "b", progress=False)
    c, _ = training.train(systems, [], replace(short, seed=1), tmp_path / "c", progress=False)
    assert torch.equal(weights(a), weights(b)) and not torch.equal(weights(a), weights(c))


def test_refuses_a_folder_of_another_run(systems, tmp_path):
    training.train(systems, [], replace(CONFIG, steps=2, save_every=1), tmp_path, progress=False)
    with pytest.raises(ValueError, match="another config"):
        training.train(systems, [], CONFIG, tmp_path, progress=False)


def test_refuses_a_folder_of_other_data_of_the_same_name(tmp_path):
    """Equal names are common: the data tell runs apart."""
    system, other = (coarse_grain(toy_trajectory(seed=seed).assign_attrs(system="mine"), level=6) for seed in (0, 1))
    short = replace(CONFIG, steps=2, save_every=1)
    training.train([system], [], short, tmp_path, progress=False)
    with pytest.raises(ValueError, match="of other data"):
        training.train([other], [], short, tmp_path, progress=False)
    with pytest.raises(ValueError, match="of other data"):
        training.train([system], [other], short, tmp_path, progress=False)


def test_a_training_that_could_not_begin_leaves_its_folder_free(systems, tmp_path):
    with pytest.raises(TrajectoryError, match="not a multiple"):
        training.train(systems, [], replace(CONFIG, time_step=7), tmp_path, progress=False)
    training.train(systems, [], replace(CONFIG, steps=2, save_every=1), tmp_path, progress=False)


def test_refuses_systems_of_different_kinds_and_none(systems, tmp_path):
    for mixed, message in (
        ([systems[0], toy_systems(2, level=4)[1]], "the level of the systems is 4 to 6.*name it in condition"),
        ([systems[0], toy_boxes(1, level=6)[0]], "in a box"),
        ([], "no systems"),
    ):
        with pytest.raises(ValueError, match=message):
            training.train(mixed, [], CONFIG, tmp_path / message, progress=False)


def test_a_family_with_other_particle_types_trains_together(tmp_path):
    """Types are known by name: a model learns those of all systems, whatever their order in each."""
    one = toy_trajectory("ab" * 12)
    kinds = one.type_name.values[one.particle_type.values]
    few = (
        one.assign(particle_type=("particle", (kinds == "B1").astype(np.int16)))
        .drop_vars("type_name")
        .assign_coords(type_name=("type", ["B2", "B1"]))
    )
    a, b = coarse_grain(few.assign_attrs(system="few"), level=6), coarse_grain(toy_trajectory("c" * 18), level=6)
    model, _ = training.train([a, b], [], replace(CONFIG, steps=2, save_every=1), tmp_path, progress=False)
    assert model.config.type_name == ("B2", "B1", "S1", "S2")
    whole = coarse_grain(one, level=6).in_terms_of(model.config.type_name, ())
    assert torch.equal(a.in_terms_of(model.config.type_name, ()).topology.particle_type, whole.topology.particle_type)


@pytest.fixture
def saved(systems, tmp_path):
    model = training.build_model(Windows(systems, 10, 2), CONFIG)
    return model, model.save(tmp_path / "model.safetensors", {"seed": 0})


def test_checkpoint_round_trip(saved):
    model, path = saved
    again = Model.load(path)
    assert again.config == model.config
    assert torch.equal(weights(again), weights(model))


def rewritten(path, **changes):
    """The file with other fields in its header."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["mlcgmd"])
    save_file(load_file(path), path, {"mlcgmd": json.dumps(header | changes)})


@pytest.mark.parametrize("damage", ["truncated", "corrupted", "no header", "version", "weights"])
def test_damaged_checkpoints_are_refused(saved, damage):
    _, path = saved
    match = "truncated or corrupted"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "corrupted":
        path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:])
    elif damage == "no header":
        save_file(load_file(path), path)
        match = "was not written by mlcgmd"
    elif damage == "version":
        rewritten(path, version=99)
        match = "checkpoint format 99"
    else:
        rewritten(path, refiner_layers=2)
        match = "not those that were saved together"
    with pytest.raises(CheckpointError, match=match):
        Model.load(path)


def test_missing_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="train one"):
        Model.load(tmp_path / "none.safetensors")


def test_two_processes_train_as_one_with_both_their_batches(tmp_path, monkeypatch):
    """The command line under torchrun: DDP on two processes, one checkpoint. Each process draws its own windows, and the gradient is the
    mean of theirs: one process whose loss is the mean of both makes the same model within rounding, one with the first batch does not."""
    run = {"dataset": "chain-smoke", "level": 8, "folder": str(tmp_path / "run"), "model": str(tmp_path / "model.safetensors")}
    run |= {"time_step": 20, "steps": 4, "width": 16, "layers": 1, "refiner_layers": 1, "save_every": 2}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "mlcgmd",
        "train",
        "run.yaml",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert Model.load(tmp_path / "model.safetensors").config.time_step == 20
    two = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert two["global_step"] == 4
    two = weights(Model.load(tmp_path / "model.safetensors"))
    systems = [coarse_grain(t, 8) for t in datasets.load("chain-smoke", "train")]
    losses = training.Training.losses

    def of_ranks(count):
        def mean(self, model, windows, stream, batch):
            found = [losses(self, model, windows, (*stream[:-1], rank), batch) for rank in range(count)]
            return {name: sum(one[name] for one in found) / count for name in found[0]}

        return mean

    alone = []
    for count in (1, 2):
        monkeypatch.setattr(training.Training, "losses", of_ranks(count))
        config = training.TrainConfig(time_step=20, steps=4, width=16, layers=1, refiner_layers=1, save_every=2)
        model, _ = training.train(systems, [], config, tmp_path / f"alone-{count}", progress=False)
        alone.append(weights(model))
    first, both = ((weight - two).abs().max() for weight in alone)
    assert both < 1e-5 < 1e-4 < first


def test_a_published_electrolyte_goes_through_windows_and_one_training_step(tmp_path):
    folder = SHIPPED / "spe_lammps_sample" / "9-0-246295613-0"
    fine = from_lammps(folder / "traj.lammpstrj.gz", folder / "relaxed.lmp.gz", time_step=0.002)
    system = coarse_grain(fine, 7)
    config = training.TrainConfig(
        time_step=4, steps=1, radius=6.0, radial=8, width=16, layers=2, refiner_layers=1, windows_per_system=1, save_every=1
    )
    model, curves = training.train([system], [], config, tmp_path, progress=False)
    assert len(system.mass) == 954 and len(curves) == 1
    assert np.isfinite(curves[["train_nll", "train_score"]].to_numpy()).all()
    assert model.config.fixed_centre
