"""Out to the tools of the field, and back."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest
from toys import toy_boxes, toy_electrolyte, toy_trajectory

from mlcgmd.data import export as out
from mlcgmd.data import simulation
from mlcgmd.data.trajectory import TrajectoryError

PRECISION = {".xtc": 0.006, ".dcd": 1e-4, ".pdb": 0.006, ".gro": 0.006}
"""Angstrom: what each format rounds to."""


@pytest.mark.parametrize("suffix", [".xtc", ".dcd", ".pdb", ".gro"])
def test_what_is_written_is_what_another_program_reads(tmp_path: Path, suffix: str) -> None:
    run = toy_electrolyte(frames=5)
    files = out.export(run, tmp_path / f"run{suffix}")
    again = mdtraj.load(str(files[0]), **({"top": str(files[1])} if len(files) > 1 else {}))
    np.testing.assert_allclose(10 * again.xyz, run.position, atol=PRECISION[suffix])
    np.testing.assert_allclose(10 * again.unitcell_lengths, run.box, atol=0.01)
    if suffix != ".gro":
        bonds = {tuple(sorted((a.index, b.index))) for a, b in again.topology.bonds}
        assert bonds == {tuple(sorted(pair)) for pair in run.bond.values.tolist()}
    assert {residue.name[:3] for residue in again.topology.residues} == {"pol", "TFS", "Li"}  # PDB has room for three
    assert [f.suffix for f in tmp_path.iterdir() if f.name.startswith(".")] == []


def test_a_replica_is_exported_until_it_failed(tmp_path: Path) -> None:
    box = toy_boxes(1)[0].coarse.isel(frame=slice(0, 6))
    position = np.stack([box.position.values, box.position.values + 1])
    position[1, 4:] = np.nan
    run = simulation.make(box, position, np.zeros(position.shape[:3]), 4.0, ["", "a CG bond"], "{}")
    assert mdtraj.load(str(out.export(run, tmp_path / "a.gro", 0)[0])).n_frames == 6
    assert mdtraj.load(str(out.export(run, tmp_path / "b.gro", 1)[0])).n_frames == 4
    assert {atom.name for atom in out.to_mdtraj(run).topology.atoms} == {"poly", "TFSI", "Li"}
    with pytest.raises(TrajectoryError, match="no replica 2; there are 2"):
        out.export(run, tmp_path / "c.gro", 2)
    with pytest.raises(ValueError, match=r"ends in .mp4; give one of .xtc"):
        out.export(run, tmp_path / "c.mp4")


def test_sigma_stays_sigma() -> None:
    chain = toy_trajectory(frames=3)
    np.testing.assert_array_equal(out.to_mdtraj(chain).xyz, chain.position)


def test_mdanalysis_holds_the_same() -> None:
    pytest.importorskip("MDAnalysis")
    run = toy_electrolyte(frames=4)
    universe = out.to_mdanalysis(run)
    np.testing.assert_allclose(universe.atoms.masses, run.mass)
    assert len(universe.bonds) == len(run.bond) and universe.trajectory.dt == pytest.approx(4.0)
    for k, frame in enumerate(universe.trajectory):
        np.testing.assert_allclose(frame.positions, run.position[k])
        np.testing.assert_allclose(frame.dimensions[:3], run.box[k])
