"""Runs that were cut, and runs that begin twice: nothing is lost, nothing is taken for whole, nothing goes on by itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from toys import toy_systems

from mlcgmd.errors import MlcgmdError
from mlcgmd.md.chain import ChainSpec
from mlcgmd.md.run import run_md
from mlcgmd.model import batches
from mlcgmd.model.model import Model
from mlcgmd.model.rollout import simulate
from mlcgmd.model.samplers import Gaussian
from mlcgmd.model.training import TrainConfig, build_model, in_common_terms, train
from mlcgmd.model.windows import Windows
from mlcgmd.paths import alone, atomic, read_npz

CONFIG = TrainConfig(time_step=10, steps=2, width=8, layers=1, refiner_layers=1, save_every=1)


@pytest.fixture(scope="module")
def model() -> Model:
    return build_model(Windows(in_common_terms(toy_systems(1)), 10, 1), CONFIG).eval()


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])


@pytest.mark.parametrize("how", ["missing", "cut", "empty", "flipped"])
@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_block_that_is_lost_or_damaged_is_made_again(
    how: str, block: int, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are counted: a gap is no shorter run."""
    monkeypatch.setattr(batches, "BLOCK", 2)
    options = {"steps": 6, "sampler": Gaussian(), "max_stretch": 1e6, "progress": False}
    (whole,) = simulate(model, toy_systems(1), tmp_path / "whole.nc", **options)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(batches, "assemble", killed)
        simulate(model, toy_systems(1), tmp_path / "cut.nc", **options)
    damaged(tmp_path / "cut.nc.partial" / "0000" / f"{block:05d}.npz", how)
    (again,) = simulate(model, toy_systems(1), tmp_path / "cut.nc", **options)
    xr.testing.assert_identical(again, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.nc", "whole.nc"]


@pytest.mark.parametrize("how", ["missing", "cut", "flipped"])
def test_a_segment_of_md_that_is_damaged_is_made_again(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlcgmd.md.run.SEGMENT", 2)
    spec = ChainSpec("x", "ab", 1, length=6.0, frame_interval=1.0, equilibration=1.0)
    whole = run_md(spec, tmp_path / "whole.nc")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mlcgmd.md.run._assemble", killed)
        run_md(spec, tmp_path / "cut.nc")
    damaged(tmp_path / "cut.nc.partial" / "00001.npz", how)
    assert run_md(spec, tmp_path / "cut.nc").read_bytes() == whole.read_bytes()


def test_the_second_of_two_at_once_is_refused(model: Model, tmp_path: Path) -> None:
    with (
        alone(tmp_path / "a.nc.partial", "simulation"),
        pytest.raises(MlcgmdError, match=r"\.partial is in use by another simulation"),
    ):
        simulate(model, toy_systems(1), tmp_path / "a.nc", steps=1, progress=False)
    with alone(tmp_path / "run", "training"), pytest.raises(MlcgmdError, match="in use by another training .* give another path"):
        train(toy_systems(1), [], CONFIG, tmp_path / "run", progress=False)
    with alone(tmp_path / "b.nc.partial", "MD run"), pytest.raises(MlcgmdError, match="in use by another MD run"):
        run_md(ChainSpec("x", "ab", 1, length=6.0, frame_interval=1.0), tmp_path / "b.nc")
    train(toy_systems(1), [], CONFIG, tmp_path / "run", progress=False)  # the lock is gone with who held it


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from mlcgmd.paths import alone\n"
    code += "with alone(Path(sys.argv[1]), 'x'): print(1, flush=True); time.sleep(99)"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"1\n"
    with pytest.raises(MlcgmdError, match="in use"), alone(tmp_path / "run", "x"):
        pass
    other.kill()
    other.communicate()
    with alone(tmp_path / "run", "x"):
        pass


PARENT = """
import os, time
from mlcgmd import parallel

def beat(k):
    for n in range(2000):
        with open(f"beat-{k}", "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(0.05)

if __name__ == "__main__":
    parallel.each(beat, [(0,), (1,)], 2, progress=False)
"""
"""Jobs that go on writing."""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script.name], cwd=tmp_path)
    beats = [tmp_path / f"beat-{k}" for k in range(2)]
    deadline = time.monotonic() + 120
    while not all(b.exists() and b.read_text() for b in beats) and time.monotonic() < deadline:
        time.sleep(0.1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    workers = [int(b.read_text().split()[0]) for b in beats]
    time.sleep(2)
    last = [b.read_text() for b in beats]
    time.sleep(1)
    assert [b.read_text() for b in beats] == last
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_what_a_killed_save_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    left, other, living = (tmp_path / f".{name}.partial" for name in (f"a.nc.{int(gone.stdout)}", f"b.nc.{int(gone.stdout)}", "a.nc.1"))
    for path in (left, other, living):
        path.write_text("half")
    with atomic(tmp_path / "a.nc") as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.name, living.name, "a.nc"])


def test_arrays_that_are_damaged_are_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(100.0))
    whole = (tmp_path / "a.npz").read_bytes()
    for at in range(0, len(whole), 7):
        (tmp_path / "a.npz").write_bytes(whole[:at])
        assert read_npz(tmp_path / "a.npz") is None
    found = 0
    for at in range(0, len(whole), 5):
        (tmp_path / "a.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        arrays = read_npz(tmp_path / "a.npz")
        found += arrays is None
        assert arrays is None or "x" not in arrays or np.array_equal(arrays["x"], np.arange(100.0))
    assert found > len(whole) / 5 / 2
