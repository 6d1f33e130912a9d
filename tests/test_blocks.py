"""A trajectory that is read in parts is the one that is read whole, and does not take its memory."""

import itertools
import subprocess
import sys
from pathlib import Path

import mdtraj
import numpy as np
import pytest
import xarray as xr
from lammps_files import EDGE, unwrapped_positions, write_lammps
from toys import toy_electrolyte

from mlcgmd.analysis.check import check
from mlcgmd.data import blocks as blocks_module
from mlcgmd.data import trajectory
from mlcgmd.data.blocks import blocks
from mlcgmd.data.export import export
from mlcgmd.data.readers import load
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.paths import SHIPPED


def joined(parts: list[xr.Dataset]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, times and boxes of parts that overlap by a frame."""
    for before, after in itertools.pairwise(parts):
        np.testing.assert_allclose(before.position[-1], after.position[0], atol=2e-5)
    return tuple(np.concatenate([part[name].values[k > 0 :] for k, part in enumerate(parts)]) for name in ("position", "time", "box"))  # type: ignore[return-value]


def written(tmp_path: Path, kind: str) -> tuple[Path, Path | None, dict]:
    """Files of that kind of 13 frames, and the options to read them by."""
    if kind == "own":
        return trajectory.save(toy_electrolyte(frames=13), tmp_path / "own.nc"), None, {}
    rng = np.random.default_rng(0)
    truth = 4 + unwrapped_positions()[:1] + rng.uniform(-2, 2.4, (13, 3, 3)).cumsum(axis=0)[:, [0, 0, 0, 1, 2]]
    if kind.startswith("lammps"):
        dump, data = write_lammps(np.round(truth, 4), tmp_path / "lammps")
        if kind == "lammps wrapped":
            text = dump.read_text()
            start = text.index("ITEM: ATOMS")
            dump.write_text(text[:start] + text[start:].replace(" ix iy iz\n", " jx jy jz\n"))
        return dump, data, {"time_step": 0.002, "unwrap": kind == "lammps wrapped"}
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for name, symbols in (("MOL", "HCO"), ("LI", ["Li"]), ("HOH", "O")):
        residue = topology.add_residue(name, chain)
        for symbol in symbols:
            topology.add_atom(symbol, mdtraj.element.get_by_symbol(symbol), residue)
    wrapped = truth % EDGE if kind == "xtc wrapped" else truth
    run = mdtraj.Trajectory(wrapped / 10, topology, 2.0 * np.arange(13), np.full((13, 3), EDGE / 10), np.full((13, 3), 90.0))
    run[0].save_pdb(tmp_path / "top.pdb")
    path = tmp_path / f"a.{kind.split()[0]}"
    run.save(path)
    more = {"frame_interval": 2.0} if kind == "dcd" else {}
    return path, tmp_path / "top.pdb", {"bond": [[0, 1], [1, 2]], "unwrap": kind == "xtc wrapped"} | more


def test_what_is_refused_in_parts_is_refused_in_our_words(tmp_path: Path) -> None:
    """A file of beads has no elements, so no masses: no fault of the file or of mdtraj."""
    export(trajectory.load(SHIPPED / "chain-smoke" / "test-000.nc"), tmp_path / "beads.xtc")
    with pytest.raises(TrajectoryError, match=r"^beads: particle 0 .* has no mass; .* or give mass="):
        next(blocks(tmp_path / "beads.xtc", tmp_path / "beads.pdb"))


@pytest.mark.parametrize("kind", ["own", "lammps", "lammps wrapped", "xtc", "xtc wrapped", "dcd"])
@pytest.mark.parametrize("most", [3, 5, 100])
def test_parts_make_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, most: int) -> None:
    path, top, options = written(tmp_path, kind)
    whole = load(path, top, **options)
    assert whole.sizes["frame"] == 13 and whole.position.values.std() > 1
    monkeypatch.setattr(blocks_module, "_most", lambda particles: most)
    parts = list(blocks(path, top, **options))
    assert max(part.sizes["frame"] for part in parts) == min(most, 13) and (len(parts) == 1) == (most == 100)
    for found, name in zip(joined(parts), ("position", "time", "box"), strict=True):
        np.testing.assert_allclose(found, whole[name], atol=2e-5)
    for name in ("particle_type", "mass", "bond", "molecule", "component"):
        np.testing.assert_array_equal(parts[-1][name], whole[name])


def test_parts_are_checked_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, top, options = written(tmp_path, "own")
    whole = check(load(path, top, **options))
    monkeypatch.setattr(blocks_module, "_most", lambda particles: 4)
    found = check(blocks(path, top, **options))
    assert str(found) == str(whole)
    # A frame that is lost between two parts is found.
    first, second = list(blocks(path, top, **options))[:2]
    late = second.assign_coords(time=second.time + 4.0)
    with pytest.raises(trajectory.TrajectoryError, match="not equally spaced"):
        check([first, late])
    with pytest.raises(trajectory.TrajectoryError, match="nothing to check"):
        check([])


def test_a_large_run_is_judged_by_some_of_its_molecules(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    run = trajectory.make(
        rng.uniform(0, 30, (64, 3)) + rng.normal(scale=0.3, size=(400, 64, 3)).cumsum(axis=0),
        time=2.0 * np.arange(400),
        particle_type=np.zeros(64, int),
        type_name=["Ar"],
        mass=np.full(64, 40.0),
        bond=np.empty((0, 2), int),
        box=np.full(3, 30.0),
        system="walkers",
        units="real",
    )
    whole = check(run).memory
    monkeypatch.setattr("mlcgmd.analysis.check.MOST", 400 * 20)
    some = check(run).memory
    # 16 of the 64, about the centre of mass of all: the same statistics, not the same numbers.
    assert not np.array_equal(whole.displacement, some.displacement)
    np.testing.assert_allclose(some.displacement[:4], whole.displacement[:4], rtol=0.03)


def test_a_check_takes_less_memory_than_the_trajectory(tmp_path: Path) -> None:
    """Twice as many frames take no more memory: parts are dropped once they were seen."""
    code = (
        "import resource, sys; from mlcgmd.analysis.check import check; from mlcgmd.data import blocks;"
        "blocks.BYTES = 2**20; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "check(blocks.blocks(sys.argv[1], sys.argv[2], bond=[[k, k + 1] for k in range(1999)]), level=200);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    topology = mdtraj.Topology()
    residue = topology.add_residue("POL", topology.add_chain())
    for _ in range(2000):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    rng = np.random.default_rng(0)
    chain = rng.normal(scale=0.1, size=(2000, 3)).cumsum(axis=0)
    grown = []
    for frames in (250, 2500):
        run = mdtraj.Trajectory(chain + rng.normal(scale=0.01, size=(frames, 2000, 3)), topology, 2.0 * np.arange(frames))
        run[0].save_pdb(tmp_path / "top.pdb")
        run.save_xtc(tmp_path / "a.xtc")
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "a.xtc", tmp_path / "top.pdb"], capture_output=True, text=True, check=True
        )
        grown.append(int(done.stdout) / 1024)
    assert grown[1] < grown[0] + 20, "60 MB of positions, of which 1 MB at a time is needed"
