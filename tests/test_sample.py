"""The sampler: the same seed gives the same bytes, killed or not."""

import dataclasses
import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mlcgmd.data import trajectory
from mlcgmd.errors import DivergedError, MlcgmdError
from mlcgmd.md import run as sampler
from mlcgmd.md.chain import ChainSpec
from mlcgmd.md.engine import State
from mlcgmd.md.openmm import OpenMM
from mlcgmd.md.rouse import Exact, RouseSpec, linear
from mlcgmd.md.run import run_many, run_md

pytestmark = pytest.mark.usefixtures("one_core")

SPEC = ChainSpec(name="test/chain", sequence="abcd", seed=5, length=40.0, frame_interval=1.0, equilibration=5.0)

SCRIPT = """
import sys
from mlcgmd.md import run as sampler
from mlcgmd.md.chain import ChainSpec

sampler.SEGMENT = 4
sampler.run_md(ChainSpec(**{fields!r}), sys.argv[1])
"""


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "SEGMENT", 4)


def test_trajectory_is_what_the_spec_says(tmp_path: Path) -> None:
    run = trajectory.load(run_md(SPEC, tmp_path / "a.nc"))
    assert run.sizes["frame"] == 40
    np.testing.assert_allclose(run.time, np.arange(1, 41))
    np.testing.assert_array_equal(run.particle_type, SPEC.topology()[0])
    assert json.loads(run.attrs["provenance"])["spec"] == dataclasses.asdict(SPEC)
    assert run.attrs["length_unit"] == "sigma"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.nc"]


def test_same_seed_same_bytes_another_seed_differs(tmp_path: Path) -> None:
    first, again = (run_md(SPEC, tmp_path / name) for name in ("a.nc", "b.nc"))
    other = run_md(dataclasses.replace(SPEC, seed=6), tmp_path / "c.nc")
    assert first.read_bytes() == again.read_bytes()
    assert np.abs(trajectory.load(first).position - trajectory.load(other).position).max() > 0.1


def test_segments_join_without_a_jump(tmp_path: Path) -> None:
    """A fresh context every 4 frames: the mean step across the joints is that within segments."""
    run = trajectory.load(run_md(dataclasses.replace(SPEC, length=400.0), tmp_path / "a.nc"))
    step = (np.diff(run.position.values, axis=0) ** 2).sum(axis=2).mean(axis=1)
    joint = np.arange(1, 400) % 4 == 0
    assert step[joint].mean() == pytest.approx(step[~joint].mean(), rel=0.25)


def test_killed_and_resumed_is_the_same_as_uninterrupted(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, length=400.0, frame_interval=10.0)
    path, work = tmp_path / "killed.nc", tmp_path / "killed.nc.partial"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT.format(fields=dataclasses.asdict(spec)), str(path)])
    deadline = time.monotonic() + 60
    while not list(work.glob("0*.npz")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not path.exists()
    left = sorted(work.glob("0*.npz"))
    assert 1 <= len(left) < 10
    (work / f".{len(left):05d}.npz.1.partial").write_bytes(b"half a segment")
    run_md(spec, path)
    assert path.read_bytes() == run_md(spec, tmp_path / "whole.nc").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed.nc", "whole.nc"]


def test_what_drifts_is_given_up_by_halves(tmp_path: Path) -> None:
    seen: list[xr.Dataset] = []

    def drifts(run: xr.Dataset) -> str:
        seen.append(run)
        return "energy" if len(seen) < 3 else ""

    spec = dataclasses.replace(SPEC, length=100.0, frame_interval=10.0)  # 10 frames; segments have 4
    run = trajectory.load(run_md(spec, tmp_path / "a.nc", drifts=drifts))
    assert len(seen) == 3 and all(r.sizes["frame"] == 10 for r in seen)
    np.testing.assert_allclose(run.position, seen[2].position, atol=0.006)  # as it is packed
    for before, after in itertools.pairwise(seen):
        np.testing.assert_array_equal(after.position[:5], before.position[5:])
        np.testing.assert_array_equal(after.potential_energy[:5], before.potential_energy[5:])
    assert "given_up" not in json.loads(seen[0].attrs["provenance"]) and json.loads(run.attrs["provenance"])["given_up"] == 100.0
    assert np.isclose(run.time, 10.0 * np.arange(1, 11)).all() and list(tmp_path.iterdir()) == [tmp_path / "a.nc"]
    seen.clear()
    assert run_md(spec, tmp_path / "b.nc", drifts=drifts).read_bytes() == (tmp_path / "a.nc").read_bytes()


def test_a_run_that_never_settles_is_no_run(tmp_path: Path) -> None:
    spec, path = dataclasses.replace(SPEC, length=40.0, frame_interval=10.0), tmp_path / "a.nc"
    with pytest.raises(MlcgmdError, match=f"still drifts after {40 + sampler.PATIENCE * 20}: energy; give it a longer equilibration"):
        run_md(spec, path, drifts=lambda run: "energy")
    assert not path.exists() and len(list((tmp_path / "a.nc.partial").glob("0*.npz"))) == 1 + sampler.PATIENCE
    assert run_md(spec, path, drifts=lambda run: "" if run.position[0, 0, 0] else "x").exists()  # goes on with what is there


def test_resume_reuses_finished_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the third segment: only segments 2 to 9 are run afterwards."""
    segment, done = OpenMM.segment, []

    def stop(engine: OpenMM, k: int, *rest: object) -> object:
        if k == 2 and len(done) == 2:
            done.append(-1)
            raise KeyboardInterrupt
        done.append(k)
        return segment(engine, k, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(OpenMM, "segment", stop)
    with pytest.raises(KeyboardInterrupt):
        run_md(SPEC, tmp_path / "a.nc")
    assert not (tmp_path / "a.nc").exists()
    run_md(SPEC, tmp_path / "a.nc")
    assert done == [0, 1, -1, *range(2, 10)]


def test_leftovers_of_another_spec_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    segment = OpenMM.segment
    other = dataclasses.replace(SPEC, seed=6)
    monkeypatch.setattr(OpenMM, "segment", lambda engine, k, *rest: segment(engine, k, *rest) if k == 0 else stop())
    with pytest.raises(KeyboardInterrupt):
        run_md(other, tmp_path / "a.nc")
    monkeypatch.setattr(OpenMM, "segment", segment)
    assert run_md(SPEC, tmp_path / "a.nc").read_bytes() == run_md(SPEC, tmp_path / "b.nc").read_bytes()


def test_keeps_a_whole_file_and_refuses_that_of_another_spec(tmp_path: Path) -> None:
    path = run_md(SPEC, tmp_path / "a.nc")
    age = path.stat().st_mtime_ns
    assert run_md(SPEC, path).stat().st_mtime_ns == age
    with pytest.raises(ValueError, match=r"a\.nc was made from another spec"):
        run_md(dataclasses.replace(SPEC, seed=6), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(trajectory.TrajectoryError, match="truncated"):
        run_md(SPEC, path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 40.5}, "length 40.5 is not a multiple of the frame interval 1"),
        ({"length": 0.0}, r"length is 0\.0; give a finite number above 0, in tau"),
        ({"frame_interval": 0.02, "length": 0.2}, "0.02 is not a whole number of MD steps of 0.0125"),
        ({"equilibration": 0.01}, "0.01 is not a whole number of MD steps"),
    ],
)
def test_refuses_durations_that_do_not_fit(changes: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        run_md(dataclasses.replace(SPEC, **changes), tmp_path / "a.nc")  # type: ignore[arg-type]


def test_instability_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"test/chain: MD blew up in segment 0, frame \d+; use a shorter time_step than 0\.25"):
        run_md(dataclasses.replace(SPEC, time_step=0.25), tmp_path / "a.nc")
    assert not (tmp_path / "a.nc").exists()


def test_an_engine_is_what_the_spec_brings(tmp_path: Path) -> None:
    """Another one needs no change of the sampler: here particles that stand still."""

    class Still(Exact):
        def version(self) -> str:
            return "still 1"

        def segment(self, k: int, frames: int, start: State) -> tuple[dict[str, np.ndarray], State]:
            return {"position": np.repeat(start.position[None], frames, axis=0), "potential_energy": np.full(frames, 1.0 + k)}, start

    class StillSpec(RouseSpec):
        @property
        def engine(self) -> Exact:
            return Still(self)

    spec = StillSpec("test/still", linear(3), seed=1, length=10.0)
    run = trajectory.load(run_md(spec, tmp_path / "a.nc"))
    assert json.loads(run.attrs["provenance"])["engine"] == "still 1"
    np.testing.assert_allclose(run.position, np.repeat(spec.start()[None], 10, axis=0), atol=0.006)
    np.testing.assert_array_equal(run.potential_energy, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3])  # segments of 4 frames


def test_many_runs_in_processes_give_the_same_files(tmp_path: Path) -> None:
    specs = [dataclasses.replace(SPEC, seed=s) for s in (5, 6)]
    paths = run_many([(s, tmp_path / f"many-{s.seed}.nc") for s in specs], processes=2)
    for s, path in zip(specs, paths, strict=True):
        run, alone = trajectory.load(path), trajectory.load(run_md(s, tmp_path / f"alone-{s.seed}.nc"))
        # The processes use the default segment length, so another random stream after the first 4 frames.
        np.testing.assert_array_equal(run.position[:4], alone.position[:4])
