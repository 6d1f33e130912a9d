"""Foreign files become valid trajectories, or say what is wrong with them."""

import re
from pathlib import Path

import h5py
import mdtraj
import numpy as np
import pytest
from mdtraj.core import element

from mlcgmd.data import readers
from mlcgmd.data.readers import from_mdtraj, from_polymer_folder
from mlcgmd.data.trajectory import TrajectoryError

EDGE = 20.0
"""Edge of the periodic box, angstrom."""


@pytest.fixture
def water() -> mdtraj.Trajectory:
    """12 frames, 0.5 ps apart, of two water molecules and a lithium that wander through several periodic images; unwrapped."""
    topology = mdtraj.Topology()
    residue = topology.add_residue("mix", topology.add_chain())
    atoms = [topology.add_atom(e.symbol, e, residue) for e in [element.oxygen, element.hydrogen, element.hydrogen] * 2 + [element.lithium]]
    for o in (0, 3):
        topology.add_bond(atoms[o], atoms[o + 1])
        topology.add_bond(atoms[o], atoms[o + 2])
    rng = np.random.default_rng(0)
    shape = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    walk = np.array([[1.0, 5.0, 9.0], [12.0, 6.0, 3.0], [18.0, 1.0, 1.0]]) + np.cumsum(rng.uniform(-6, 8, (12, 3, 3)), axis=0)
    position = np.concatenate([shape + walk[:, :1], shape + walk[:, 1:2], walk[:, 2:]], axis=1)
    return mdtraj.Trajectory(
        position / 10,
        topology,
        time=0.5 * np.arange(12),
        unitcell_lengths=np.full((12, 3), EDGE / 10),
        unitcell_angles=np.full((12, 3), 90.0),
    )


def wrapped(water: mdtraj.Trajectory, molecules_whole: bool) -> mdtraj.Trajectory:
    copy = water[:]
    anchor = water.xyz[:, [0, 0, 0, 3, 3, 3, 6]] if molecules_whole else water.xyz
    copy.xyz = water.xyz - EDGE / 10 * np.floor(anchor / (EDGE / 10))
    return copy


def test_real_units(water: mdtraj.Trajectory) -> None:
    run = from_mdtraj(water, system="water", units="real")
    np.testing.assert_allclose(run.position, water.xyz * 10, atol=1e-4)
    np.testing.assert_allclose(run.box, EDGE)
    np.testing.assert_allclose(run.time, water.time)
    assert run.type_name.values[run.particle_type.values].tolist() == ["O", "H", "H", "O", "H", "H", "Li"]
    np.testing.assert_allclose(run.mass, [15.999, 1.008, 1.008] * 2 + [6.941], rtol=1e-3)
    assert run.molecule.values.tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert (run.attrs["length_unit"], run.attrs["time_unit"], run.attrs["mass_unit"]) == ("angstrom", "ps", "amu")


def test_lj_units_pass_numbers_through(water: mdtraj.Trajectory) -> None:
    water.unitcell_lengths = water.unitcell_angles = None
    run = from_mdtraj(
        water,
        system="beads",
        units="lj",
        frame_interval=5.0,
        particle_type=list("BSSBSSC"),
        mass=np.arange(1.0, 8.0),
        bond=[[0, 1], [3, 4]],
    )
    np.testing.assert_array_equal(run.position, water.xyz)
    assert "box" not in run
    np.testing.assert_allclose(run.time, 5.0 * np.arange(12))
    assert run.type_name.values.tolist() == ["B", "C", "S"]
    assert run.mass.values.tolist() == list(range(1, 8))
    assert run.bond.values.tolist() == [[0, 1], [3, 4]]


@pytest.mark.parametrize("suffix", ["xtc", "dcd", "trr"])
def test_files_in_order_of_time(suffix: str, water: mdtraj.Trajectory, tmp_path: Path) -> None:
    paths = [tmp_path / f"{part}.{suffix}" for part in ("one", "two")]
    water[:6].save(paths[0])
    water[6:].save(paths[1])
    water[0].save(tmp_path / "top.pdb")
    run = from_mdtraj(paths, system="water", units="real", frame_interval=0.5, top=water.topology)
    np.testing.assert_allclose(run.position, water.xyz * 10, atol=0.006)  # XTC keeps 0.01 angstrom
    first = from_mdtraj(paths[0], system="water", units="real", frame_interval=0.5, top=tmp_path / "top.pdb", bond=run.bond.values)
    np.testing.assert_array_equal(first.position, run.position[:6])


@pytest.mark.parametrize("molecules_whole", [True, False])
def test_wrapped_coordinates_are_refused_or_unwrapped(molecules_whole: bool, water: mdtraj.Trajectory) -> None:
    given = wrapped(water, molecules_whole)
    with pytest.raises(TrajectoryError, match=r"look wrapped.*unwrapped coordinates"):
        from_mdtraj(given, system="water", units="real")
    run = from_mdtraj(given, system="water", units="real", unwrap=True)
    shift = (run.position.values - water.xyz * 10)[:, [0, 0, 0, 3, 3, 3, 6]]
    np.testing.assert_allclose(run.position.values - water.xyz * 10, shift, atol=1e-3)  # molecules are whole
    np.testing.assert_allclose(shift, shift[:1].repeat(12, axis=0), atol=1e-3)  # and move as they did
    np.testing.assert_allclose(shift / EDGE, np.round(shift / EDGE), atol=1e-4)  # up to periodic images


def test_mdtraj_refusals(water: mdtraj.Trajectory, tmp_path: Path) -> None:
    def refused(message: str, given: mdtraj.Trajectory | Path = water, **options: object) -> None:
        with pytest.raises(TrajectoryError, match=re.escape(message)):
            from_mdtraj(given, **({"system": "water", "units": "real"} | options))  # type: ignore[arg-type]

    refused("units 'nm' are not known", units="nm")
    refused("2 particle types and 7 masses were given for 7 particles", particle_type=["O", "H"])
    refused("names a particle that is not there", bond=np.array([[0, 7]]))
    refused("names a particle that is not there", bond=np.array([[0, 7]]), unwrap=True)
    bare = water[:]
    bare.topology = mdtraj.Topology.from_dataframe(water.topology.to_dataframe()[0])
    refused("the topology has no bonds; give bond=", bare)
    virtual = water[:]
    virtual.topology.atom(6).element = element.virtual
    refused("particle 6 has no element; give particle_type=", virtual)
    virtual.topology.atom(6).element = element.lithium
    skewed = water[:]
    skewed.unitcell_angles = np.full((12, 3), 80.0)
    refused("not orthorhombic", skewed)
    skewed.unitcell_lengths = skewed.unitcell_angles = None
    refused("unwrap=True needs a box", skewed, unwrap=True)
    with pytest.raises(FileNotFoundError, match=r"none\.xtc is not there"):
        from_mdtraj(tmp_path / "none.xtc", system="water", units="real", top=water.topology)
    water.save(tmp_path / "a.dcd")
    refused("its format need top=?", tmp_path / "a.dcd")
    (tmp_path / "b.dcd").write_bytes((tmp_path / "a.dcd").read_bytes()[:100])
    refused("mdtraj cannot read", tmp_path / "b.dcd", top=water.topology)


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


def rewrite(path: Path, key: str, change: object) -> None:
    with h5py.File(path, "r+") as handle:
        values = change(handle[key][()])  # type: ignore[operator]
        del handle[key]
        handle[key] = values


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
    rewrite(polymer_folder / readers.POLYMER_FILES[key], key, change)
    with pytest.raises(TrajectoryError, match=re.escape(message)):
        from_polymer_folder(polymer_folder, frame_interval=5.0)


@pytest.mark.parametrize(("key", "name"), readers.POLYMER_FILES.items())
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


def test_mdtraj_is_given_the_numbers_of_a_lammps_dump(tmp_path: Path, water: mdtraj.Trajectory) -> None:
    """mdtraj divides the angstrom of a dump by 10; "real" gives the dump's numbers back."""
    water.save(tmp_path / "a.lammpstrj")
    run = from_mdtraj(tmp_path / "a.lammpstrj", top=water.topology, system="water", units="real", frame_interval=0.5, unwrap=True)
    np.testing.assert_allclose(np.diff(run.position, axis=0), np.diff(water.xyz * 10, axis=0), atol=0.01)
