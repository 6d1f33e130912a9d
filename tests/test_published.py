"""The published data become valid trajectories, or say what is wrong with them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from lammps_files import EDGE, unwrapped_positions, write_lammps

from mlcgmd.analysis.transport import endpoint_diffusion
from mlcgmd.data import published
from mlcgmd.data.lammps import from_lammps
from mlcgmd.data.published import from_polymer_folder, from_spe_folder, htpmd_groups
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.paths import SHIPPED

SAMPLE = SHIPPED / "spe_lammps_sample" / "9-0-246295613-0"


def rewrite(path: Path, key: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with h5py.File(path, "r+") as handle:
        values = change(handle[key][()])
        del handle[key]
        handle[key] = values


def test_polymer_folder(polymer_folder: Path) -> None:
    run = from_polymer_folder(polymer_folder, frame_interval=5.0)
    with h5py.File(polymer_folder / "position.h5") as handle:
        np.testing.assert_array_equal(run.position, handle["position"])
    assert run.bond.values.tolist() == [[i, i + 1] for i in range(5)]  # both directions are one bond
    assert run.type_name.values[run.particle_type.values].tolist() == ["B1", "B2", "S2"] * 2
    np.testing.assert_allclose(run.time, 5.0 * np.arange(5))
    centred = run.position - run.position.mean("particle")
    np.testing.assert_allclose(run.radius_of_gyration, np.sqrt((centred**2).sum("xyz").mean("particle")), rtol=1e-5)
    assert run.attrs["system"] == "poly00951" and run.attrs["length_unit"] == "sigma"
    assert "box" not in run and (run.lattice == 100).all()


def test_polymer_folder_with_one_direction_and_columns(polymer_folder: Path) -> None:
    both = from_polymer_folder(polymer_folder, frame_interval=5.0)
    for name, key, change in [
        ("bond.h5", "bond_indices", lambda v: v[:5]),
        ("ptype.h5", "particle_type", lambda v: v[:, None]),
        ("rgs.h5", "rgs", lambda v: v[:, None]),
    ]:
        rewrite(polymer_folder / name, key, change)
    assert from_polymer_folder(polymer_folder, frame_interval=5.0).identical(both)


def test_polymer_folder_wrapped(polymer_folder: Path) -> None:
    whole = from_polymer_folder(polymer_folder, frame_interval=5.0)
    rewrite(polymer_folder / "position.h5", "position", lambda v: (v + 47.5) % 100)
    with pytest.raises(TrajectoryError, match="look wrapped"):
        from_polymer_folder(polymer_folder, frame_interval=5.0)
    run = from_polymer_folder(polymer_folder, frame_interval=5.0, unwrap=True)
    shift = run.position.values - whole.position.values
    np.testing.assert_allclose(shift, shift[:1, :1].repeat(6, axis=1).repeat(5, axis=0), atol=1e-4)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("position", lambda v: v[:0], "position.h5, key 'position': the shape is (0, 6, 3)"),
        ("position", lambda v: v[..., :2], "position.h5, key 'position': the shape is (5, 6, 2)"),
        ("position", lambda v: np.where(v > 0, np.nan, v), "is not finite"),
        ("particle_type", lambda v: v[:5], "ptype.h5, key 'particle_type': the shape is (5,), but position has 5 frames of 6 particles"),
        ("particle_type", lambda v: v + 1, "particle 2 has unknown type 4"),
        ("bond_indices", lambda v: v + 1, "names a particle that is not there"),
        ("bond_indices", lambda v: v.ravel(), "bond.h5, key 'bond_indices': the shape is (20,)"),
        ("rgs", lambda v: v[:4], "rgs.h5, key 'rgs': the shape is (4,)"),
        ("rgs", lambda v: v**2, "rgs.h5, key 'rgs': the radius of gyration of frame 0 is"),
        ("rgs", lambda v: v * np.nan, "the radius of gyration of frame 0 is nan"),
        ("lattice", lambda v: v[0], "lattice.h5, key 'lattice': the shape is (3,)"),
    ],
)
def test_polymer_folder_refusals(key: str, change: object, message: str, polymer_folder: Path) -> None:
    rewrite(polymer_folder / published.POLYMER_FILES[key], key, change)
    with pytest.raises(TrajectoryError, match=re.escape(message)):
        from_polymer_folder(polymer_folder, frame_interval=5.0)


@pytest.mark.parametrize(("key", "name"), published.POLYMER_FILES.items())
def test_polymer_folder_damaged(key: str, name: str, polymer_folder: Path) -> None:
    path = polymer_folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(TrajectoryError, match=re.escape(f"{path} is truncated or not an HDF5 file")):
        from_polymer_folder(polymer_folder, frame_interval=5.0)
    with h5py.File(path, "w") as handle:
        handle["other"] = [1]
    with pytest.raises(TrajectoryError, match=re.escape(f"{path} has no dataset '{key}', only ['other']")):
        from_polymer_folder(polymer_folder, frame_interval=5.0)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path} is not there")):
        from_polymer_folder(polymer_folder, frame_interval=5.0)


@pytest.fixture
def truth() -> np.ndarray:
    return unwrapped_positions()


@pytest.fixture
def files(truth: np.ndarray, tmp_path: Path) -> tuple[Path, Path]:
    return write_lammps(truth, tmp_path / "mix")


def test_published_diffusivities() -> None:
    """htp_md's own results for this system, which it takes after removing the motion of the centre of mass."""
    sample = from_lammps(SAMPLE / "traj.lammpstrj.gz", SAMPLE / "relaxed.lmp.gz", time_step=0.002)
    expected = json.loads((SAMPLE / "expected_htpmd.json").read_text())
    position = sample.position.values.astype(np.float64)
    still = position - np.average(position, axis=1, weights=sample.mass)[:, None]
    groups = htpmd_groups(sample)
    for name, key in {"Li": "li_diffusivity", "TFSI": "tfsi_diffusivity", "polymer": "poly_diffusivity"}.items():
        assert endpoint_diffusion(still[:, groups[name]], 12.0) == pytest.approx(expected[key], rel=1e-6)
        assert endpoint_diffusion(position[:, groups[name]], 12.0) == pytest.approx(expected[key], rel=1e-5)
    assert {name: len(index) for name, index in groups.items()} == {"Li": 50, "TFSI": 50, "polymer": 672}


def test_groups_need_raw_types(files: tuple[Path, Path]) -> None:
    run = from_lammps(*files, time_step=0.002)
    with pytest.raises(TrajectoryError, match="mix: no atom has the raw type of Li"):
        htpmd_groups(run)
    with pytest.raises(TrajectoryError, match="mix: there is no raw_type"):
        htpmd_groups(run.drop_vars("raw_type"))


@pytest.fixture
def spe_folder(files: tuple[Path, Path], truth: np.ndarray, tmp_path: Path) -> Path:
    """The made-up system in the published h5 layout, bonds in one direction."""
    lithium = ((truth[-1, 3] - truth[:-1, 3]) ** 2).sum(axis=1) / (6 * 2.0 * np.arange(3, 0, -1)) * 1e-4
    content = {
        ("unwrapped_position.h5", "unwrapped_position"): truth,
        ("wrapped_position.h5", "wrapped_position"): truth % EDGE,
        ("lattice.h5", "lattice"): np.full((4, 3), EDGE, np.float32),
        ("ptype.h5", "particle_type"): np.array([1, 6, 8, 3, 8], np.int32),
        ("raw_ptype.h5", "raw_particle_type"): np.array([2, 1, 3, 5, 3], np.int32),
        ("bond.h5", "bond_indices"): np.array([[1, 0], [1, 2]]),
        ("bond_type.h5", "bond_type"): np.array([1, 1]),
        ("diffusivity.h5", "diffusivity"): lithium,
    }
    folder = tmp_path / "9-0-1"
    folder.mkdir()
    for (name, key), values in content.items():
        with h5py.File(folder / name, "w") as handle:
            handle[key] = values
    return folder


def test_spe_folder_is_the_dump(spe_folder: Path, files: tuple[Path, Path]) -> None:
    """What the folder holds is what the dump it was made from holds."""
    run, dump = from_spe_folder(spe_folder), from_lammps(*files, time_step=0.002, system="9-0-1")
    np.testing.assert_allclose(run.mass, dump.mass, atol=0.01)
    np.testing.assert_array_equal(np.sort(run.bond, axis=1), np.sort(dump.bond, axis=1))
    assert run.component_name.values.tolist() == ["polymer", "Li"] and run.component.values.tolist() == [0, 0, 0, 1, 0]
    same = ["mass", "bond", "component", "component_name", "charge"]
    xr.testing.assert_allclose(run.drop_vars(same, errors="ignore").drop_attrs(), dump.drop_vars(same).drop_attrs(), atol=1e-5)
    assert run.attrs["system"] == "9-0-1"
    rewrite(spe_folder / "bond.h5", "bond_indices", lambda v: np.concatenate([v, v[:, ::-1]]))
    rewrite(spe_folder / "ptype.h5", "particle_type", lambda v: v[:, None])
    assert from_spe_folder(spe_folder).identical(run)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("unwrapped_position", lambda v: v[:0], "key 'unwrapped_position': the shape is (0, 5, 3)"),
        ("unwrapped_position", lambda v: v % EDGE, "look wrapped"),
        ("lattice", lambda v: v[:3], "lattice.h5, key 'lattice': the shape is (3, 3), but unwrapped_position has 4 frames"),
        ("particle_type", lambda v: v[:4], "ptype.h5, key 'particle_type': the shape is (4,)"),
        ("particle_type", lambda v: v - 1, "there is no element of atomic number 0; are these raw types?"),
        ("raw_particle_type", lambda v: v[:4], "raw_ptype.h5, key 'raw_particle_type': the shape is (4,)"),
        ("bond_indices", lambda v: v + 3, "names a particle that is not there"),
        ("bond_indices", lambda v: v.ravel(), "bond.h5, key 'bond_indices': the shape is (4,)"),
        ("diffusivity", lambda v: v[:2], "diffusivity.h5, key 'diffusivity': the shape is (2,)"),
        ("diffusivity", lambda v: v * 1.1, "is frame_interval= right, and do the files belong together?"),
        ("diffusivity", lambda v: v * np.nan, "that of Li over all frames is nan cm^2/s"),
    ],
)
def test_spe_folder_refusals(key: str, change: Callable[[np.ndarray], np.ndarray], message: str, spe_folder: Path) -> None:
    rewrite(spe_folder / published.SPE_FILES[key], key, change)
    with pytest.raises(TrajectoryError, match=re.escape(message)):
        from_spe_folder(spe_folder)


def test_spe_folder_frame_interval_and_files(spe_folder: Path) -> None:
    with pytest.raises(TrajectoryError, match="is frame_interval= right"):
        from_spe_folder(spe_folder, frame_interval=1.0)
    path = spe_folder / "lattice.h5"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(TrajectoryError, match=re.escape(f"{path} is truncated or not an HDF5 file")):
        from_spe_folder(spe_folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path} is not there; this folder should hold")):
        from_spe_folder(spe_folder)
