"""Foreign files become valid trajectories, or say what is wrong with them."""

import json
import re
import struct
import sys
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from mdtraj.core import element

from mlcgmd.data import formats, trajectory
from mlcgmd.data.mdtraj import from_mdtraj
from mlcgmd.data.readers import load
from mlcgmd.data.trajectory import TrajectoryError

CASES = Path(__file__).parent / "cases"
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


def one_frame(names: list[tuple[str, str]], bonds: list[tuple[int, int]], folder: Path, ending: str, elements: bool = False) -> Path:
    """A file of atoms 1.5 angstrom apart, (atom name, residue name) each, a residue for each run of one name."""
    number = np.cumsum([i == 0 or names[i][1] != names[i - 1][1] for i in range(len(names))])
    rows = [(i, atom, residue, number[i]) for i, (atom, residue) in enumerate(names)]
    if ending == "gro":
        atoms = [f"{k:5d}{residue:<5}{atom:>5}{i + 1:5d}{0.15 * i:8.3f}{0:8.3f}{0:8.3f}" for i, atom, residue, k in rows]
        lines = ["made up", str(len(names)), *atoms, "   6.00000   6.00000   6.00000"]
    else:
        lines = ["CRYST1   60.000   60.000   60.000  90.00  90.00  90.00 P 1           1"]
        for i, atom, residue, k in rows:
            place = f"{1.5 * i:8.3f}{0:8.3f}{0:8.3f}  1.00  0.00          {atom[0] if elements else '':>2}"
            lines.append(f"HETATM{i + 1:5d} {atom:<4} {residue:>3} A{k:4d}    {place}")
        lines += [f"CONECT{a + 1:5d}{b + 1:5d}" for a, b in bonds] + ["END"]
    path = folder / f"a.{ending}"
    path.write_text("\n".join(lines) + "\n")
    return path


# Frame times


def test_dcd_time_from_its_header() -> None:
    """25 ps by the header (case of the review; MDAnalysis reads the same)."""
    folder = CASES / "frame-times"
    run = load(folder / "chain.dcd", top=folder / "chain.pdb")
    np.testing.assert_allclose(run.time, 25.0 * np.arange(50))
    assert run.attrs["system"] == "chain"
    with pytest.raises(TrajectoryError, match=r"header of chain\.dcd does not tell the time between frames in tau; give frame_interval="):
        load(folder / "chain.dcd", top=folder / "chain.pdb", units="lj")


def test_xtc_times_are_single_precision() -> None:
    folder = CASES / "frame-times"
    run = load(folder / "tenth.xtc", top=folder / "chain.pdb")
    assert trajectory.frame_interval(run) == pytest.approx(0.1, rel=1e-9) and run.time[0] == 1000


@pytest.mark.parametrize("suffix", ["dcd", "xyz", "pdb", "lammpstrj", "mdcrd"])
def test_times_are_never_made_up(suffix: str, water: mdtraj.Trajectory, tmp_path: Path) -> None:
    """mdtraj numbers the frames of these; the DCD that it writes itself, like VMD's, has a header that tells nothing."""
    water.save(tmp_path / f"a.{suffix}")
    with pytest.raises(TrajectoryError, match=r"a\.\w+ .*give frame_interval=, (the time between frames )?in ps"):
        from_mdtraj(tmp_path / f"a.{suffix}", top=water.topology)
    run = from_mdtraj(tmp_path / f"a.{suffix}", top=water.topology, frame_interval=0.5, unwrap=suffix == "lammpstrj")
    np.testing.assert_allclose(run.time, 0.5 * np.arange(12))


def test_one_frame_needs_no_interval(water: mdtraj.Trajectory, tmp_path: Path) -> None:
    water[0].save(tmp_path / "a.pdb")
    assert load(tmp_path / "a.pdb").sizes["frame"] == 1


def test_numbered_frames_in_memory(water: mdtraj.Trajectory, tmp_path: Path) -> None:
    """0, 1, 2 ... is what mdtraj makes up; XTC holds its times, so that they may be that."""
    water.time = np.arange(12)
    with pytest.raises(TrajectoryError, match="the trajectory holds no times"):
        from_mdtraj(water)
    water.save(tmp_path / "a.xtc")
    np.testing.assert_allclose(from_mdtraj(tmp_path / "a.xtc", top=water.topology).time, np.arange(12))


@pytest.mark.parametrize(
    ("title", "step", "between", "interval"),
    [
        (b"REMARKS CREATED BY NAMD", 0.02045482949774598, 500, 0.5),
        (b"Created by OpenMM", 0.08181931799, 250, 1.0),
        (b"Created by DCD plugin", 1.0, 1, None),
        (b"Written by LAMMPS", 2.0, 250, None),
        (b"unknown", 0.0, 1, None),
        (b"unknown", 0.02, 0, None),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_dcd_headers(title: bytes, step: float, between: int, interval: float | None, order: str, tmp_path: Path) -> None:
    numbers = [10, 0, between, *[0] * 6]
    header = struct.pack(f"{order}i4s9if10i", 84, b"CORD", *numbers, step, *[0] * 9, 24) + struct.pack(f"{order}ii", 84, 84)
    (tmp_path / "a.dcd").write_bytes(header + struct.pack(f"{order}i", 1) + title.ljust(80))
    found = formats.dcd_interval(tmp_path / "a.dcd")
    assert found is None if interval is None else found == pytest.approx(interval, rel=1e-4)


# Elements and masses


def test_masses_of_a_psf() -> None:
    """CH3 and CH2 of a united-atom chain are no elements (case of the review)."""
    folder = CASES / "psf-united-atom"
    with pytest.raises(TrajectoryError, match=r"particle 0 \(C0 of POL1\) has a mass of 15\.035, .*give particle_type=.*mass="):
        load(folder / "chain.xtc", top=folder / "chain.psf")
    run = load(folder / "chain.xtc", top=folder / "chain.psf", particle_type=["CH3", *["CH2"] * 8, "CH3"])
    assert run.mass.values.sum() == pytest.approx(142.286, abs=1e-3) and run.type_name.values.tolist() == ["CH2", "CH3"]
    centred = run.position.values - np.average(run.position.values, axis=1, weights=run.mass)[:, None]
    assert np.average((centred**2).sum(axis=2), axis=1, weights=run.mass).mean() == pytest.approx(2.4754, abs=1e-4)


@pytest.mark.parametrize("ending", ["pdb", "gro"])
@pytest.mark.parametrize(
    ("names", "bad"),
    [
        ([("BB", "GLY"), ("SC1", "GLY")], "particle 0 (BB of GLY1)"),  # a bead is not boron
        ([("C1", "PEO"), ("CL1", "PEO")], "particle 1 (CL1 of PEO1)"),  # nor is chlorine carbon
        ([("NA", "ION"), ("C1", "PEO")], "particle 0 (NA of ION1)"),  # nor sodium nitrogen
        ([("C1", "PEO"), ("NA1", "PEO")], "particle 1 (NA1 of PEO1)"),  # nor are there two metals in a polymer
        ([("C1", "PEO"), ("LI1", "PEO"), ("K2", "PEO")], "particle 1 (LI1 of PEO1)"),
        ([("C1", "PEO"), ("PO4", "PEO")], "particle 1 (PO4 of PEO1)"),
    ],
)
def test_elements_that_were_guessed(names: list[tuple[str, str]], bad: str, ending: str, tmp_path: Path) -> None:
    path = one_frame(names, [(0, 1)], tmp_path, ending)
    bond = [[0, 1]] if names[0][1] == names[1][1] else []
    if ending == "pdb" and names[0][0] in ("NA", "C1") and names[1][0] in ("C1", "CL1"):  # this reader knows sodium and chlorine
        assert set(from_mdtraj(path, bond=bond).type_name.values) <= {"C", "Na", "Cl"}
        return
    with pytest.raises(TrajectoryError, match=re.escape(bad) + " has no element, or one that could only be guessed from its name"):
        from_mdtraj(path, bond=bond)
    run = from_mdtraj(path, bond=bond, particle_type=["X"] * len(names), mass=np.full(len(names), 12.0))
    assert run.type_name.values.tolist() == ["X"]


@pytest.mark.parametrize("ending", ["pdb", "gro"])
def test_elements_that_are_plain(ending: str, tmp_path: Path) -> None:
    """Names as force fields give them to atoms of molecules, and lone ions called as their element."""
    names = [
        ("C1", "PEO"),
        ("CA", "PEO"),
        ("OXT", "PEO"),
        ("HB2", "PEO"),
        ("N", "PEO"),
        ("O", "WAT"),
        ("Na", "NA"),
        ("CL", "CL"),
        ("K", "K"),
        ("F1", "PF6"),
        ("P1", "PF6"),
    ]
    if ending == "pdb":
        names.remove(("CA", "PEO"))  # which mdtraj takes for calcium: the next test
    path = one_frame(names, [(0, 1)], tmp_path, ending)
    run = from_mdtraj(path, bond=[[0, 1]])
    ions = {"Na": "Na", "CL": "Cl", "K": "K"}
    assert [run.type_name.values[k] for k in run.particle_type.values] == [ions.get(name, name[0]) for name, _ in names]


def test_calcium_in_a_protein(tmp_path: Path) -> None:
    """Without a column of elements, mdtraj takes an alpha carbon that stands one column to the left for calcium."""
    path = one_frame([("N", "ALA"), ("CA", "ALA"), ("C", "ALA")], [], tmp_path, "pdb")
    path.write_text(re.sub(r"^HETATM(.{5})  (.{3})", r"ATOM  \1 \2 ", path.read_text(), flags=re.MULTILINE))
    assert mdtraj.load(str(path)).topology.atom(1).element is element.calcium
    with pytest.raises(TrajectoryError, match=r"particle 1 \(CA of ALA1\)"):
        from_mdtraj(path, bond=[[0, 1], [1, 2]])


def test_prmtop_masses(tmp_path: Path) -> None:
    """Hydrogen mass repartitioning is kept, as the elements come from atomic numbers."""
    top = tmp_path / "a.prmtop"
    top.write_text(PRMTOP)
    found = formats.particles(top)
    assert found is not None
    np.testing.assert_allclose(found.mass, [9.994, 4.032, 4.032])
    np.testing.assert_allclose(found.charge, [-0.834, 0.417, 0.417], atol=1e-5)
    top.write_text(PRMTOP.replace("0.40320000E+01", "0.4032xxxxE+01"))
    with pytest.raises(TrajectoryError, match=r"a\.prmtop: its masses cannot be read"):
        formats.particles(top)


PRMTOP = """%VERSION
%FLAG ATOM_NAME
%FORMAT(20a4)
O   H1  H2
%FLAG CHARGE
%FORMAT(5E16.8)
 -1.51973982E+01  7.59869910E+00  7.59869910E+00
%FLAG MASS
%FORMAT(5E16.8)
  0.99940000E+01  0.40320000E+01  0.40320000E+01
%FLAG ATOMIC_NUMBER
%FORMAT(10I8)
       8       1       1
"""


def test_massless_sites(water: mdtraj.Trajectory) -> None:
    """A four-site water: the site goes, with its bond, and the rest is as before."""
    plain = from_mdtraj(water)
    topology = mdtraj.Topology()
    new = [topology.add_residue(residue.name, topology.add_chain()) for residue in water.topology.residues]
    atoms = [topology.add_atom(atom.name, atom.element, new[atom.residue.index]) for atom in list(water.topology.atoms)[:3]]
    site = topology.add_atom("MW", element.virtual, new[0])
    atoms += [topology.add_atom(atom.name, atom.element, new[atom.residue.index]) for atom in list(water.topology.atoms)[3:]]
    for one, two in ((a.index, b.index) for a, b in water.topology.bonds):
        topology.add_bond(atoms[one], atoms[two])
    topology.add_bond(atoms[0], site)
    more = mdtraj.Trajectory(
        np.insert(water.xyz, 3, water.xyz[:, 0] + 0.01, axis=1), topology, water.time, water.unitcell_lengths, water.unitcell_angles
    )
    with pytest.raises(TrajectoryError, match=r"particle 3 \(MW of WAT0\) has no mass; drop_massless=True leaves such sites out \(1 of 8"):
        from_mdtraj(more)
    run = from_mdtraj(more, drop_massless=True)
    np.testing.assert_allclose(run.position, plain.position, atol=1e-4)
    assert sorted(map(sorted, run.bond.values.tolist())) == sorted(map(sorted, plain.bond.values.tolist()))
    assert run.component_name.values.tolist() == ["H2O", "Li"]


# Bonds and mixtures


def test_atoms_without_bonds_are_named(tmp_path: Path) -> None:
    """Bonds of the water, none of the polymer (case of the review)."""
    path = CASES / "pdb-without-conect" / "polymer_water.pdb"
    with pytest.raises(TrajectoryError, match=r"12 atoms of residue PEO1 without bonds \(the first is particle 0, C0.*give bond="):
        load(path)
    bonds = [[i, i + 1] for i in range(11)] + [[12, 13], [12, 14], [15, 16], [15, 17]]
    run = load(path, bond=bonds)
    assert run.component_name.values.tolist() == ["C12", "H2O"] and len(np.unique(run.molecule)) == 3


def test_a_bond_that_is_missing_and_ions(tmp_path: Path) -> None:
    names = [("C1", "PEO"), ("C2", "PEO"), ("C3", "PEO"), ("LI", "LI"), ("CL", "CL")]
    path = one_frame(names, [(0, 1)], tmp_path, "pdb")
    with pytest.raises(TrajectoryError, match=r"1 atom of residue PEO1 without bonds \(the first is particle 2, C3; 1 in all"):
        load(path)
    path = one_frame(names, [(0, 1), (1, 2)], tmp_path, "pdb")
    assert load(path).component_name.values.tolist() == ["C3", "Li", "Cl"]
    lone = one_frame([*names[:2], ("C1", "UNA"), ("C1", "UNB")], [(0, 1)], tmp_path, "pdb", elements=True)
    with pytest.raises(TrajectoryError, match=r"1 atom of residue UNA2 without bonds \(the first is particle 2, C1; 2 in all"):
        load(lone)


def test_periodic_mixture_from_files(water: mdtraj.Trajectory, tmp_path: Path) -> None:
    """XTC and PDB of a mixture in a box; names are data, and a family shares them."""
    water.save(tmp_path / "mix.xtc")
    water[0].save(tmp_path / "top.pdb")
    run = load(tmp_path / "mix.xtc", top=tmp_path / "top.pdb", component_name={"H2OW": "water"}, type_name={"O": "OW"})
    assert run.attrs["system"] == "mix" and run.component_name.values.tolist() == ["water", "Li"]
    run = load(tmp_path / "mix.xtc", top=tmp_path / "top.pdb", component_name={"H2O": "water"})
    assert run.component_name.values.tolist() == ["water", "Li"] and run.component.values.tolist() == [0] * 6 + [1]
    np.testing.assert_allclose(run.box, EDGE, atol=1e-3)
    np.testing.assert_allclose(run.position, water.xyz * 10, atol=0.006)


def test_case_wrapped_in_few_frames() -> None:
    folder = CASES / "wrapped-in-few-frames"
    with pytest.raises(TrajectoryError, match=r"long in frame 21: the coordinates look wrapped"):
        load(folder / "chain.xtc", top=folder / "chain.pdb")
    run = load(folder / "chain.xtc", top=folder / "chain.pdb", unwrap=True)
    centred = run.position.values - np.average(run.position.values, axis=1, weights=run.mass)[:, None]
    assert np.average((centred**2).sum(axis=2), axis=1, weights=run.mass).mean() == pytest.approx(7.5215, abs=1e-3)


TIP4P = """tip4p t= 0.0
    4
    1SOL     OW    1   0.100   0.100   0.100
    1SOL    HW1    2   0.195   0.100   0.100
    1SOL    HW2    3   0.076   0.193   0.100
    1SOL     MW    4   0.110   0.110   0.100
   2.00000   2.00000   2.00000
"""


def test_a_massless_site_of_a_gro(tmp_path: Path) -> None:
    path = tmp_path / "a.gro"
    path.write_text(TIP4P)
    with pytest.raises(TrajectoryError, match=r"particle 3 \(MW of HOH1\) has no mass; drop_massless=True"):
        load(path, bond=[[0, 1], [0, 2]])
    run = load(path, bond=[[0, 1], [0, 2]], drop_massless=True)
    assert run.component_name.values.tolist() == ["H2O"] and run.sizes["particle"] == 3


def test_a_box_that_is_not_read_is_said(water: mdtraj.Trajectory, tmp_path: Path) -> None:
    """ASE and others put it into the comment of an XYZ, which mdtraj skips: ions that cross it would jump in free space."""
    water[0].save(tmp_path / "top.pdb")
    water.save(tmp_path / "a.xyz")
    plain = (tmp_path / "a.xyz").read_text().splitlines()
    assert "box" not in load(tmp_path / "a.xyz", top=tmp_path / "top.pdb", frame_interval=1.0)
    plain[1] = 'Lattice="20 0 0 0 20 0 0 0 20" Properties=species:S:1:pos:R:3'
    (tmp_path / "a.xyz").write_text("\n".join(plain) + "\n")
    with pytest.raises(TrajectoryError, match=r"a\.xyz: its box, Lattice= of an extended XYZ, is not read; convert"):
        load(tmp_path / "a.xyz", top=tmp_path / "top.pdb", frame_interval=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_interval": "2 ps"}, "frame_interval is '2 ps'; give a finite number above 0, in ps"),
        ({"frame_interval": -1.0}, r"frame_interval is -1\.0; give a finite number above 0"),
        ({"mass": 12.0}, "mass= has 1 values, but there are 12 particles"),
        ({"particle_type": "C"}, "particle_type= has 1 values, but there are 12 particles"),
        ({"particle_type": [1] * 12}, "particle_type= has 1 for particle 0; give names"),
        ({"type_name": "C"}, "type_name= is 'C'; give a mapping"),
        ({"component_name": ["C12"]}, r"component_name= is \['C12'\]; give a mapping"),
        ({"bond": "guess"}, "bond holds <U5, not whole numbers"),
        ({"bond": [[0.5, 1.2]]}, "bond holds float64, not whole numbers"),
        ({"bond": [[1, 0, 1], [1, 1, 2]]}, r"bond= has shape \(2, 3\), not \(bonds, 2\)"),
    ],
)
def test_options_of_another_kind(options: dict, message: str) -> None:
    """As a command line gives them, and columns of a file of bonds: none is cut to size in silence."""
    folder = CASES / "frame-times"
    with pytest.raises(ValueError, match=message):
        load(folder / "chain.dcd", top=folder / "chain.pdb", **options)


# The front door


def test_load_chooses_the_reader(water: mdtraj.Trajectory, tmp_path: Path) -> None:
    own = trajectory.save(from_mdtraj(water), tmp_path / "own.nc")
    assert load(own).identical(trajectory.load(own))
    with pytest.raises(TrajectoryError, match=r"own\.nc is a trajectory of this library, which is complete: leave \['unwrap'\] out"):
        load(own, unwrap=True)
    water.save(tmp_path / "amber.nc")
    water[0].save(tmp_path / "top.pdb")
    assert json.loads(load(tmp_path / "amber.nc", top=tmp_path / "top.pdb").attrs["provenance"])["reader"] == "mdtraj"
    folder = CASES / "one-bead-molecules"
    assert load(folder / "wat.dump", top=folder / "wat.data", time_step=0.01).attrs["system"] == "one-bead-molecules"
    with pytest.raises(TrajectoryError, match=r"wat\.dump: a LAMMPS dump .* needs top=, its data file"):
        load(folder / "wat.dump")
    water.save(tmp_path / "a.lammpstrj")
    run = load(tmp_path / "a.lammpstrj", top=tmp_path / "top.pdb", frame_interval=0.5, unwrap=True)
    assert json.loads(run.attrs["provenance"])["reader"] == "mdtraj"
    water[:6].save(tmp_path / "b.xtc")
    water[6:].save(tmp_path / "c.xtc")
    assert load([tmp_path / "b.xtc", tmp_path / "c.xtc"], top=tmp_path / "top.pdb").sizes["frame"] == 12
    with pytest.raises(TrajectoryError, match=r"a\.foo: the ending '\.foo' is not known; read are our own \.nc, LAMMPS dumps"):
        load(tmp_path / "a.foo")
    with pytest.raises(FileNotFoundError, match=r"none\.xtc is not there"):
        load(tmp_path / "none.xtc", top=tmp_path / "top.pdb")
    for wrong in (None, 3, [None]):
        with pytest.raises(TrajectoryError, match="is no path of a file, nor a list of them"):
            load(wrong)  # type: ignore[arg-type]
        with pytest.raises(TrajectoryError, match="is no path of a file, nor a list of them"):
            load("a.xtc", top=[wrong])  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", ["h5", "gsd"])
def test_a_package_that_mdtraj_needs_is_named(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("tables", "gsd"):
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / f"a.{ending}").write_bytes(b"")
    with pytest.raises(TrajectoryError, match=rf"a\.{ending}: mdtraj reads this format by the package (tables|gsd), .*pip install"):
        load(tmp_path / f"a.{ending}")


def test_tpr_without_mdanalysis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MDAnalysis", None)
    with pytest.raises(TrajectoryError, match=r"a\.tpr: \.tpr is read by MDAnalysis; pip install 'mlcgmd\[mdanalysis\]'"):
        load("a.xtc", top="a.tpr")
