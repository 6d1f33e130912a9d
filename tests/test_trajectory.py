"""The data type refuses what it cannot be, and a file gives back what was put in."""

import errno
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mlcgmd.data import trajectory
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.paths import atomic


def set_value(name: str, where: tuple, value: float) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(dataset: xr.Dataset) -> xr.Dataset:
        values = dataset[name].values.copy()
        values[where] = value
        return dataset.assign({name: (dataset[name].dims, values)})

    return change


def with_box(edge: float) -> Callable[[xr.Dataset], xr.Dataset]:
    """Periodic, the second chain cut by the face at z = 6 and wrapped."""

    def change(dataset: xr.Dataset) -> xr.Dataset:
        wrapped = dataset.position.values.copy()
        wrapped[:, 5, 2] -= edge
        return dataset.assign(position=(dataset.position.dims, wrapped), box=(("frame", "xyz"), np.full((20, 3), edge)))

    return change


BAD = {
    "zero frames": (lambda d: d.isel(frame=slice(0)), "zero frames"),
    "missing variable": (lambda d: d.drop_vars("mass"), "variables ['mass'] are missing"),
    "NaN position": (set_value("position", (3, 5, 1), np.nan), "particle 5 in frame 3 is not finite"),
    "infinite position": (set_value("position", (0, 1, 0), np.inf), "particle 1 in frame 0 is not finite"),
    "unknown type": (set_value("particle_type", (2,), 3), "particle 2 has unknown type 3"),
    "negative type": (set_value("particle_type", (2,), -1), "particle 2 has unknown type -1"),
    "no mass": (set_value("mass", (4,), 0.0), "mass of particle 4"),
    "NaN mass": (set_value("mass", (4,), np.nan), "mass of particle 4"),
    "infinite mass": (set_value("mass", (4,), np.inf), "mass of particle 4"),
    "bond to a missing particle": (set_value("bond", (1, 1), 8), "bond 1 = [1, 8] names a particle that is not there"),
    "bond to itself": (set_value("bond", (1, 1), 1), "bond 1 joins particle 1 to itself"),
    "disconnected molecule": (lambda d: d.isel(bond=[0, 2, 3, 4, 5]), "molecule 0 is disconnected"),
    "bond across molecules": (set_value("bond", (1, 1), 6), "bond 1 joins two molecules"),
    "unequal intervals": (lambda d: d.isel(frame=[0, 1, 3]), "not equally spaced"),
    "time runs backwards": (lambda d: d.isel(frame=slice(None, None, -1)), "time does not grow from frame 0 (40) to 1 (38)"),
    "wrapped, no box": (set_value("position", (0, 2, 2), 40.0), "look wrapped"),
    "wrapped, box": (with_box(12.0), "look wrapped"),
    "empty box": (lambda d: d.assign(box=(("frame", "xyz"), np.zeros((20, 3)))), "box has an edge"),
}


@pytest.mark.parametrize("bad", BAD)
def test_refuses(bad: str, small: xr.Dataset) -> None:
    change, message = BAD[bad]
    with pytest.raises(TrajectoryError, match=re.escape(message)):
        trajectory.validate(change(small))


def test_refuses_at_making(small: xr.Dataset) -> None:
    fields = {name: small[name].values for name in ("time", "particle_type", "mass")} | {"type_name": list("abc"), "system": "x"}
    with pytest.raises(TrajectoryError, match=re.escape("(frames, particles, 3), not (20, 8)")):
        trajectory.make(small.position.values[..., 0], bond=small.bond.values, units="lj", **fields)
    with pytest.raises(TrajectoryError, match="indices 1-based"):
        trajectory.make(small.position.values, bond=small.bond.values + 1, units="lj", **fields)
    with pytest.raises(TrajectoryError, match="units 'nm' are not known"):
        trajectory.make(small.position.values, bond=small.bond.values, units="nm", **fields)


def test_molecules_are_the_connected_components(small: xr.Dataset) -> None:
    assert small.molecule.values.tolist() == [0] * 4 + [1] * 4


def test_frame_interval(small: xr.Dataset) -> None:
    assert trajectory.frame_interval(small) == 2.0
    with pytest.raises(TrajectoryError, match="one frame has no frame interval"):
        trajectory.frame_interval(small.isel(frame=[0]))


@pytest.mark.parametrize(("shift", "resolution"), [(0.0, 0.01), (500.0, 0.01), (0.0, 1e-4)])
def test_round_trip(shift: float, resolution: float, small: xr.Dataset, tmp_path: Path) -> None:
    """Within half the resolution, in 16 bits or, far from the origin, in 32."""
    small["position"] = small.position + np.float32(shift)
    small["energy"] = ("frame", np.arange(20.0, dtype=np.float32))
    back = trajectory.load(trajectory.save(small, tmp_path / "a.nc", resolution))
    float32 = 2 * np.spacing(np.abs(small.position.values).max())  # packing divides and multiplies in single precision
    assert np.abs(back.position.values - small.position.values).max() <= resolution / 2 + float32
    xr.testing.assert_identical(back.drop_vars("position").drop_encoding(), small.drop_vars("position"))


def test_same_trajectory_same_bytes(small: xr.Dataset, tmp_path: Path) -> None:
    first, second = (trajectory.save(small, tmp_path / name) for name in ("a.nc", "b.nc"))
    assert first.read_bytes() == second.read_bytes()


def test_load_refuses_damaged_files(small: xr.Dataset, tmp_path: Path) -> None:
    path = trajectory.save(small, tmp_path / "a.nc")
    whole = path.read_bytes()
    with pytest.raises(FileNotFoundError, match=r"b\.nc is not there"):
        trajectory.load(tmp_path / "b.nc")
    for damaged in (whole[: len(whole) // 2], b"", b"no NetCDF" * 100, whole[:8] + bytes(64) + whole[72:]):
        path.write_bytes(damaged)
        with pytest.raises(TrajectoryError, match=r"a\.nc is truncated or not a NetCDF-4 file"):
            trajectory.load(path)


def test_load_refuses_another_format_version(small: xr.Dataset, tmp_path: Path) -> None:
    path = trajectory.save(small.assign_attrs(format_version=99), tmp_path / "a.nc")
    with pytest.raises(TrajectoryError, match="trajectory format 99"):
        trajectory.load(path)


def test_full_disk_loses_nothing(small: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trajectory.save(small, tmp_path / "a.nc")
    before = path.read_bytes()

    def full(self: xr.Dataset, target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(OSError, match=r"the disk is full: .*a\.nc was not written"):
        trajectory.save(small, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder_leaves_nothing_half_made(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), atomic(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "file").write_text("half")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def with_times(dataset: xr.Dataset, time: np.ndarray) -> xr.Dataset:
    return dataset.assign_coords(time=("frame", time, dataset.time.attrs))


@pytest.mark.parametrize("start", [0.0, 1000.0, 1e5])
def test_times_of_single_precision_are_equally_spaced(start: float, small: xr.Dataset) -> None:
    """float32 near 1e5 resolves 0.008: frames 0.1 apart look 0.094 to 0.102 apart."""
    time = (start + 0.1 * np.arange(20)).astype(np.float32).astype(np.float64)
    run = trajectory.validate(with_times(small, time))
    assert trajectory.frame_interval(run) == pytest.approx(0.1, abs=1e-7 * start + 1e-7)


@pytest.mark.parametrize("start", [0.0, 1000.0, 1e5])
@pytest.mark.parametrize("lost", [1, 10, 19])
def test_a_lost_frame_is_refused(start: float, lost: int, small: xr.Dataset) -> None:
    time = np.delete(start + 0.1 * np.arange(21), lost).astype(np.float32).astype(np.float64)
    with pytest.raises(TrajectoryError, match=rf"the latter after frame {lost - 1}\): is a frame lost"):
        trajectory.validate(with_times(small, time))


def test_times_that_single_precision_cannot_tell(small: xr.Dataset) -> None:
    """Near 1e6 it resolves 0.06; exact times are fine there."""
    exact = 1e6 + 0.1 * np.arange(20)
    trajectory.validate(with_times(small, exact))
    with pytest.raises(TrajectoryError, match=r"times near 1e\+06 are 0\.062 apart, too far to tell; give frame_interval="):
        trajectory.validate(with_times(small, exact.astype(np.float32).astype(np.float64)))


def test_time_that_does_not_grow(small: xr.Dataset) -> None:
    time = small.time.values.copy()
    time[7] = time[6]
    with pytest.raises(TrajectoryError, match=r"time does not grow from frame 6 \(14\) to 7 \(14\)"):
        trajectory.validate(with_times(small, time))


@pytest.mark.parametrize("edge", [None, 12.0])
def test_wrapped_in_one_of_many_frames(edge: float | None, small: xr.Dataset) -> None:
    """Every frame is looked at, also in a run that is checked in parts."""
    many = small.isel(frame=np.arange(1003) % 20)
    many = with_times(many, np.arange(1003.0))
    if edge is not None:
        many = many.assign(box=(("frame", "xyz"), np.full((1003, 3), edge)))
    trajectory.validate(many)
    position = many.position.values.copy()
    position[777, 5, 2] -= 12.0
    with pytest.raises(TrajectoryError, match=r"in frame 777: the coordinates look wrapped"):
        trajectory.validate(many.assign(position=(many.position.dims, position)))


def test_a_network_through_the_box_is_named(small: xr.Dataset) -> None:
    """A chain of four that closes through the face of its box."""
    position = np.tile(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]), (20, 2, 1)) + np.repeat(
        [[0, 0, 0], [0, 2.0, 0]], 4, axis=0
    )
    bond = np.array([[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 7], [7, 4]])
    ring = small.drop_vars("bond").assign(
        position=(small.position.dims, position), bond=(("bond", "end"), bond), box=(("frame", "xyz"), np.full((20, 3), 4.0))
    )
    with pytest.raises(TrajectoryError, match=r"bond 6 \(7-4\) is 3 long in frame 0: it is bonded to its own periodic image: a network"):
        trajectory.validate(ring)
