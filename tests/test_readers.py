"""Foreign files become valid trajectories, or say what is wrong with them."""

import re
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from mdtraj.core import element

from mlcgmd.data.readers import from_mdtraj
from mlcgmd.data.trajectory import TrajectoryError

EDGE = 20.0
"""Edge of the periodic box, angstrom."""


@pytest.fixture
def water() -> mdtraj.Trajectory:
    """12 frames, 0.5 ps apart, of two water molecules and a lithium that wander through several periodic images; unwrapped."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    kinds = [("WAT", [element.oxygen, element.hydrogen, element.hydrogen])] * 2 + [("LI", [element.lithium])]
    residues = [(topology.add_residue(name, chain), elements) for name, elements in kinds]
    atoms = [topology.add_atom(e.symbol, e, residue) for residue, elements in residues for e in elements]
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
    refused("particle_type= has 2 values, but there are 7 particles", particle_type=["O", "H"])
    refused("mass= has 6 values, but there are 7 particles", mass=np.ones(6))
    refused("names a particle that is not there", bond=np.array([[0, 7]]))
    refused("names a particle that is not there", bond=np.array([[0, 7]]), unwrap=True)
    bare = water[:]
    bare.topology = mdtraj.Topology.from_dataframe(water.topology.to_dataframe()[0])
    refused("the topology has no bonds; give bond=", bare)
    virtual = water[:]
    virtual.topology.atom(6).element = element.virtual
    refused("particle 6 (Li of LI2) has no mass; drop_massless=True", virtual)
    virtual.topology.atom(6).element = None
    refused("particle 6 (Li of LI2) has no element, or one that could only be guessed from its name; give particle_type=", virtual)
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


def test_mdtraj_is_given_the_numbers_of_a_lammps_dump(tmp_path: Path, water: mdtraj.Trajectory) -> None:
    """mdtraj divides the angstrom of a dump by 10; "real" gives the dump's numbers back."""
    water.save(tmp_path / "a.lammpstrj")
    run = from_mdtraj(tmp_path / "a.lammpstrj", top=water.topology, system="water", units="real", frame_interval=0.5, unwrap=True)
    np.testing.assert_allclose(np.diff(run.position, axis=0), np.diff(water.xyz * 10, axis=0), atol=0.01)
