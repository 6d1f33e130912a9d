"""MDAnalysis: what it reads becomes a trajectory, and on real files of its test package both readers agree with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from mlcgmd.data.lammps import from_lammps
from mlcgmd.data.mdanalysis import from_mdanalysis
from mlcgmd.data.readers import load
from mlcgmd.data.trajectory import TrajectoryError

mda = pytest.importorskip("MDAnalysis")
pytestmark = pytest.mark.filterwarnings("ignore")

CASES = Path(__file__).parent / "cases"


def datafiles(*names: str) -> list[str]:
    """Files of MDAnalysis's test package, or a skip where that is not installed."""
    package = pytest.importorskip("MDAnalysisTests.datafiles")
    return [getattr(package, name) for name in names]


def same(run: xr.Dataset, universe: Any, atoms: Any, atol: float) -> None:
    """Positions, masses, bonds, box and times of ``atoms`` are MDAnalysis's."""
    np.testing.assert_allclose(run.mass, atoms.masses, rtol=1e-6)
    renumbered = {old: new for new, old in enumerate(atoms.indices)}
    pairs = {frozenset((renumbered[a], renumbered[b])) for a, b in universe.bonds.indices if a in renumbered and b in renumbered}
    assert {frozenset(pair) for pair in run.bond.values.tolist()} == pairs
    assert run.sizes["frame"] == len(universe.trajectory)
    for frame, step in enumerate(universe.trajectory):
        np.testing.assert_allclose(run.position[frame], atoms.positions, atol=atol)
        if "box" in run:
            np.testing.assert_allclose(run.box[frame], step.dimensions[:3], rtol=1e-5)
    times = np.array([step.time for step in universe.trajectory])
    np.testing.assert_allclose(run.time - run.time[0], times - times[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("top", "file", "charge"), [("PSF", "DCD", -4.0), ("PSF_NAMD_GBIS", "DCD_NAMD_GBIS", -4.0), ("waterPSF", "waterDCD", 0.0)]
)
def test_psf_and_dcd(top: str, file: str, charge: float) -> None:
    """CHARMM and NAMD: masses and charges of the PSF, times of the DCD's header."""
    topology, path = datafiles(top, file)
    universe = mda.Universe(topology, path)
    run = load(path, top=topology)
    same(run, universe, universe.atoms, 1e-4)
    np.testing.assert_allclose(run.charge, charge, atol=1e-3)
    other = from_mdanalysis(universe)
    xr.testing.assert_allclose(run.drop_vars("bond").drop_attrs(), other.drop_vars("bond").drop_attrs(), atol=1e-4)


@pytest.mark.slow
def test_tpr_with_massless_sites() -> None:
    """GROMACS: a protein in four-site water and NaCl, which MDAnalysis reads; net charges of the components are whole."""
    topology, path = datafiles("TPR_xvf", "TRR_xvf")
    with pytest.raises(TrajectoryError, match=r"particle 921 \(MW of SOL63\) has no mass; drop_massless=True leaves such sites out \(4612"):
        load(path, top=topology)
    with pytest.raises(TrajectoryError, match="look wrapped"):
        load(path, top=topology, drop_massless=True)
    run = load(path, top=topology, drop_massless=True, unwrap=True)
    assert run.component_name.values.tolist()[1:] == ["H2O", "Na", "Cl"] and run.charge.values.tolist() == [3, 0, 1, -1]
    assert json.loads(run.attrs["provenance"])["reader"] == "MDAnalysis"
    universe = mda.Universe(topology, path)
    massive = universe.select_atoms("mass 0.5 to 1000")
    np.testing.assert_allclose(run.mass, massive.masses, rtol=1e-6)
    assert run.sizes["bond"] == sum((universe.atoms.masses[universe.bonds.indices] > 0).all(axis=1))
    shift = (run.position.values - np.array([massive.positions for _ in universe.trajectory])) / run.box.values[:, None]
    np.testing.assert_allclose(shift, np.round(shift), atol=2e-3)  # up to periodic images of a box that breathes
    np.testing.assert_allclose(run.time, [step.time for step in universe.trajectory])


def test_prmtop_and_netcdf() -> None:
    """Amber: masses and charges of the PRMTOP. All times of this file are 0, which no trajectory has."""
    topology, path = datafiles("PRMncdf", "NCDF")
    with pytest.raises(TrajectoryError, match=r"time does not grow from frame 0 \(0\) to 1 \(0\)"):
        load(path, top=topology)
    run = load(path, top=topology, frame_interval=1.0)
    universe = mda.Universe(topology, path)
    np.testing.assert_allclose(run.mass, universe.atoms.masses, rtol=1e-6)
    np.testing.assert_allclose(run.position[-1], universe.trajectory[-1].positions, atol=1e-3)
    assert dict(zip(run.component_name.values, run.charge.values, strict=True)) == {"C15H26N3O6": -1, "Na": 1, "H2O": 0}


def test_elements_of_a_protein_that_both_only_guess() -> None:
    """A PDB without elements: mdtraj makes calcium of alpha carbons, MDAnalysis says that it guessed."""
    (path,) = datafiles("PDB_small")
    with pytest.raises(TrajectoryError, match=r"particle 4 \(CA of MET1\) has no element, or one that could only be guessed"):
        load(path)
    with pytest.raises(TrajectoryError, match=r"particle 0 \(N of MET1\) has no element, or one that could only be guessed"):
        from_mdanalysis(mda.Universe(path))


def test_coarse_grained_beads_are_no_elements() -> None:
    (path,) = datafiles("Martini_membrane_gro")
    with pytest.raises(TrajectoryError, match=r"particle 1 \(PO4 of DPPC1\) has no element"):
        load(path)


@pytest.mark.parametrize("case", ["lammps-lipf6", "lammps-sparse-frames", "one-bead-molecules"])
def test_lammps_cases(case: str) -> None:
    """Positions by image flags or as they are, masses and bonds of the data file, times by steps (MDAnalysis reads no ITEM: TIME)."""
    dump, data = next((CASES / case).glob("*.dump")), next((CASES / case).glob("*.data"))
    run = from_lammps(dump, data, time_step=0.005)
    universe = mda.Universe(str(data), str(dump), format="LAMMPSDUMP", dt=0.005, unwrap_images="sparse" in case)
    same(run, universe, universe.atoms, 2e-4)


def in_memory(change: Callable[[Any], None] = lambda universe: None) -> Any:
    """Two waters and a sodium, 4 frames 2 ps apart, in a box."""
    universe = mda.Universe.empty(7, n_residues=3, atom_resindex=[0, 0, 0, 1, 1, 1, 2], trajectory=True)
    universe.add_TopologyAttr("names", ["O", "H1", "H2"] * 2 + ["NA"])
    universe.add_TopologyAttr("resnames", ["SOL", "SOL", "NA"])
    universe.add_TopologyAttr("resids", [1, 2, 3])
    universe.add_TopologyAttr("elements", ["O", "H", "H"] * 2 + ["Na"])
    universe.add_TopologyAttr("charges", [-0.8, 0.4, 0.4] * 2 + [1.0])
    universe.add_TopologyAttr("bonds", [(0, 1), (0, 2), (3, 4), (3, 5)])
    change(universe)
    rng = np.random.default_rng(0)
    start = np.array([[1, 1, 1], [1.9, 1, 1], [0.7, 1.9, 1], [5, 5, 5], [5.9, 5, 5], [4.7, 5.9, 5], [8, 8, 8]], float)
    walk = start + rng.normal(0, 0.3, (4, 7, 3))[:, [0, 0, 0, 3, 3, 3, 6]].cumsum(axis=0)
    universe.load_new(walk.astype(np.float32), dimensions=np.array([20, 20, 20, 90, 90, 90.0]), dt=2.0)
    return universe


def test_universe_in_memory() -> None:
    universe = in_memory()
    run = from_mdanalysis(universe, system="mix", component_name={"H2O": "water"})
    np.testing.assert_allclose(run.mass, [15.9994, 1.00794, 1.00794] * 2 + [22.98977], rtol=1e-4)
    assert run.component_name.values.tolist() == ["water", "Na"] and run.charge.values.tolist() == [0, 1]
    np.testing.assert_allclose(run.time, [0, 2, 4, 6])
    np.testing.assert_allclose(run.box, 20)
    np.testing.assert_allclose(run.position[-1], universe.trajectory[-1].positions, atol=1e-5)


def test_universe_refusals() -> None:
    def refused(message: str, change: Callable[[Any], None], **options: object) -> None:
        with pytest.raises(TrajectoryError, match=message):
            from_mdanalysis(in_memory(change), system="mix", **options)  # type: ignore[arg-type]

    refused(r"particle 0 \(O of SOL1\) has no element", lambda u: u.del_TopologyAttr("elements"))
    refused("the topology has no bonds; give bond=", lambda u: u.del_TopologyAttr("bonds"))
    refused(r"2 atoms of residue SOL2 without bonds|1 atom of residue SOL2 without bonds", lambda u: u.delete_bonds([(3, 4)]))
    masses = [16.0, 1.008, 1.008] * 2 + [0.0]
    refused(r"particle 6 \(NA of NA3\) has no mass", lambda u: u.add_TopologyAttr("masses", masses))
    refused("particle_type= has 1 values, but there are 7 particles", lambda u: None, particle_type=["O"])
    skewed = in_memory()
    skewed.load_new(skewed.trajectory.coordinate_array, dimensions=np.array([20, 20, 20, 90, 60, 90.0]), dt=2.0)
    with pytest.raises(TrajectoryError, match="the box is not orthorhombic"):
        from_mdanalysis(skewed)


@pytest.mark.parametrize("what", ["a path", "a group", "no trajectory"])
def test_what_is_no_universe_with_a_trajectory(what: str) -> None:
    folder = Path(__file__).parent / "cases" / "psf-united-atom"
    whole = mda.Universe(str(folder / "chain.psf"))
    given = {"a path": folder / "chain.psf", "a group": whole.atoms, "no trajectory": whole}[what]
    with pytest.raises(TrajectoryError, match=r"is no universe with a trajectory; give MDAnalysis\.Universe\(TOPOLOGY, TRAJECTORY\)"):
        from_mdanalysis(given)


def test_a_universe_that_knows_masses_and_bonds_alone() -> None:
    """No names, no residues' numbers: as made by hand from arrays."""
    universe = mda.Universe.empty(6, atom_resindex=[0] * 6, trajectory=True)
    universe.add_TopologyAttr("masses", [12.011] * 6)
    with pytest.raises(TrajectoryError, match="the topology has no bonds; give bond="):
        from_mdanalysis(universe)
    universe.add_TopologyAttr("bonds", [(i, i + 1) for i in range(5)])
    universe.atoms.positions = np.arange(18.0).reshape(6, 3)
    assert from_mdanalysis(universe).component_name.values.tolist() == ["C6"]


def test_times_that_mdanalysis_makes_up(tmp_path: Path) -> None:
    universe = in_memory()
    universe.atoms.write(str(tmp_path / "a.xyz"), frames="all")
    again = in_memory()
    again.load_new(str(tmp_path / "a.xyz"))
    with pytest.raises(TrajectoryError, match=r"a\.xyz holds no times, its frames are only numbered; give frame_interval="):
        from_mdanalysis(again)
    np.testing.assert_allclose(from_mdanalysis(again, frame_interval=2.0).time, [0, 2, 4, 6])
