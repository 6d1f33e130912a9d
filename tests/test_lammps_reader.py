"""Electrolytes made elsewhere become valid trajectories, or say what is wrong with them."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from lammps_files import EDGE, unwrapped_positions, write_lammps

from mlcgmd.data import mapping, trajectory
from mlcgmd.data.lammps import from_lammps
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.md.electrolyte import ELEMENTS
from mlcgmd.paths import SHIPPED

SAMPLE = SHIPPED / "spe_lammps_sample" / "9-0-246295613-0"


@pytest.fixture(scope="module")
def sample() -> xr.Dataset:
    return from_lammps(SAMPLE / "traj.lammpstrj.gz", SAMPLE / "relaxed.lmp.gz", time_step=0.002)


def test_sample(sample: xr.Dataset) -> None:
    """Counts of the system; every 1000 steps of 2 fs (in.lmp: timestep 2.0, dump 1 all custom 1000) is a frame."""
    assert dict(sample.sizes) == {"frame": 7, "particle": 6440, "xyz": 3, "bond": 6328, "end": 2, "type": 7, "species": 3}
    np.testing.assert_allclose(sample.time, np.arange(0, 14, 2.0))
    assert sample.type_name.values.tolist() == ELEMENTS
    np.testing.assert_allclose(sample.box, 40.7353350495137)
    assert len(np.unique(sample.molecule)) == 12 + 50 + 50
    kind = sample.component.values
    assert np.bincount(kind).tolist() == [5640, 50 * 15, 50] and sample.component_name.values.tolist()[1:] == ["C2F6NO4S2", "Li"]
    assert np.unique(sample.raw_type.values[sample.component_name.values[kind] == "Li"]).tolist() == [90]
    meta = json.loads((SAMPLE / "meta.json").read_text())
    assert sample.attrs["system"] == SAMPLE.name and sample.time[1] == meta["time_step"]


def test_sample_first_atom_and_bonds(sample: xr.Dataset) -> None:
    """Atom id 1 is at 4.33447 30.6971 18.9263 with image flags 0 -1 0; bonds are of a chemist's length."""
    np.testing.assert_allclose(sample.position[0, 0], [4.33447, 30.6971 - 40.735335, 18.9263], atol=1e-5)
    vectors = sample.position.values[0][sample.bond.values]
    length = np.linalg.norm(vectors[:, 1] - vectors[:, 0], axis=1)
    assert 0.9 < length.min() and length.max() < 2.0


def test_sample_is_coarse_grained(sample: xr.Dataset) -> None:
    cg = mapping.coarse_grain(sample, 7)
    size = np.bincount(cg.bead)
    lithium = sample.component_name.values[sample.component.values] == "Li"
    assert (size[cg.bead[lithium]] == 1).all() and (size[cg.bead[~lithium]] > 1).all()
    assert cg.n_beads == 12 * round(470 / 7) + 50 * round(15 / 7) + 50
    assert cg.apply(sample).sizes["frame"] == 7


@pytest.fixture
def truth() -> np.ndarray:
    return unwrapped_positions()


@pytest.fixture
def files(truth: np.ndarray, tmp_path: Path) -> tuple[Path, Path]:
    return write_lammps(truth, tmp_path / "mix")


def without_images(text: str) -> str:
    return re.sub(r"(ITEM: ATOMS .*) ix iy iz", r"\1", re.sub(r"^(\d+ \d+ \d+ \S+ 0\.1 \S+ \S+ \S+) .*$", r"\1", text, flags=re.MULTILINE))


def test_lammps(files: tuple[Path, Path], truth: np.ndarray) -> None:
    run = from_lammps(*files, time_step=0.002)
    np.testing.assert_allclose(run.position, truth, atol=1e-5)
    np.testing.assert_allclose(run.time, [0, 2, 4, 6])
    np.testing.assert_allclose(run.box, EDGE)
    np.testing.assert_allclose(run.mass, [1.00797, 12.0112, 15.9994, 6.941, 15.9994])
    assert run.type_name.values.tolist() == ["H", "Li", "C", "O"]
    assert run.component_name.values.tolist() == ["CHO", "Li", "O"]
    np.testing.assert_allclose(run.charge, [0.3, 0.1, 0.1])
    assert run.type_name.values[run.particle_type.values].tolist() == ["H", "C", "O", "Li", "O"]
    assert run.raw_type.values.tolist() == [2, 1, 3, 5, 3]
    assert run.bond.values.tolist() == [[1, 0], [1, 2]]
    assert run.molecule.values.tolist() == [0, 0, 0, 1, 2]
    assert (run.attrs["system"], run.attrs["length_unit"], run.attrs["time_unit"]) == ("mix", "angstrom", "ps")


def test_lammps_gzipped_saved_and_loaded(files: tuple[Path, Path], tmp_path: Path) -> None:
    run = from_lammps(*files, time_step=0.002)
    for path in files:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    zipped = from_lammps(*(path.with_name(path.name + ".gz") for path in files), time_step=0.002)
    assert zipped.drop_attrs().identical(run.drop_attrs())
    loaded = trajectory.load(trajectory.save(run, tmp_path / "run.nc"))
    np.testing.assert_allclose(loaded.position, run.position, atol=0.006)
    assert loaded.raw_type.values.tolist() == run.raw_type.values.tolist()


def test_lammps_unwrapped_columns(files: tuple[Path, Path], truth: np.ndarray) -> None:
    """xu yu zu are taken as they are; the order of columns does not matter."""
    frames = []
    for frame, position in enumerate(truth):
        rows = "".join(f"{' '.join(map(str, position[i]))} {[2, 1, 3, 5, 3][i]} X {i + 1}\n" for i in range(5))
        head = f"ITEM: UNITS\nreal\nITEM: TIMESTEP\n{500 * frame}\nITEM: NUMBER OF ATOMS\n5\nITEM: BOX BOUNDS pp pp pp\n"
        frames.append(head + "-5.0 5.0\n" * 3 + f"ITEM: ATOMS xu yu zu type element id\n{rows}")
    files[0].write_text("".join(frames))
    run = from_lammps(*files, time_step=0.001, system="other")
    np.testing.assert_allclose(run.position, truth, atol=1e-5)
    np.testing.assert_allclose(run.time, [0, 0.5, 1, 1.5])
    np.testing.assert_allclose(run.box, EDGE)
    assert run.attrs["system"] == "other"


def test_lammps_wrapped(files: tuple[Path, Path], truth: np.ndarray) -> None:
    files[0].write_text(without_images(files[0].read_text()))
    with pytest.raises(TrajectoryError, match=r"a\.dump, TIMESTEP 0: x y z without ix iy iz are wrapped.*or give unwrap=True"):
        from_lammps(*files, time_step=0.002)
    run = from_lammps(*files, time_step=0.002, unwrap=True)
    shift = run.position.values - truth
    np.testing.assert_allclose(shift, shift[:1].repeat(4, axis=0), atol=1e-4)  # every atom moves as it did
    np.testing.assert_allclose(shift[0, :3], shift[0, :1].repeat(3, axis=0), atol=1e-4)  # and molecules are whole


def test_lammps_box_of_each_frame(files: tuple[Path, Path], truth: np.ndarray) -> None:
    text = files[0].read_text().split("ITEM: TIMESTEP\n")
    text[2] = text[2].replace(f"0.0 {EDGE}", f"0.0 {EDGE + 1}")
    files[0].write_text("ITEM: TIMESTEP\n".join(text))
    run = from_lammps(*files, time_step=0.002)
    np.testing.assert_allclose(run.box[:, 0], [EDGE, EDGE + 1, EDGE, EDGE])
    np.testing.assert_allclose(run.position[1], truth[1] + np.floor(truth[1] / EDGE), atol=1e-5)


def test_lammps_names_for_masses_of_no_element(files: tuple[Path, Path]) -> None:
    files[1].write_text(files[1].read_text().replace("2 1.00797\n", "2 14.027\n"))
    with pytest.raises(TrajectoryError, match=r"a\.data, section Masses: type 2 of mass 14\.027 is no element.*elements=\{2: 'N'\}"):
        from_lammps(*files, time_step=0.002)
    run = from_lammps(*files, time_step=0.002, elements={2: "CH2"})
    assert run.type_name.values.tolist() == ["Li", "C", "O", "CH2"]
    assert run.particle_type.values.tolist() == [3, 1, 2, 0, 2]


def edited(pattern: str, text: str, count: int = 1) -> Callable[[str], str]:
    """A change of a file's text that must change it."""

    def change(old: str) -> str:
        new = re.sub(pattern, text, old, count=count, flags=re.MULTILINE)
        assert new != old
        return new

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "", "a.dump, before the first TIMESTEP: there are no frames"),
        (lambda t: t[:-1], "a.dump, TIMESTEP 3000: the file ends within the 5 atoms of this frame: it is truncated"),
        (lambda t: t[:-60], "TIMESTEP 3000: the file ends within the 5 atoms"),
        (lambda t: t[: t.index("ITEM: TIMESTEP\n2000") + 20], "TIMESTEP 2000: the file ends in the header of this frame: it is truncated"),
        (lambda t: t[: t.index("ITEM: TIMESTEP\n2000") + 2], "after TIMESTEP 1000: expected a line of ITEM, not 'IT'"),
        (lambda t: t[100:], "before the first TIMESTEP: expected a line of ITEM"),
        (edited("^ITEM: TIMESTEP\n0\n", ""), "before the first TIMESTEP: there is no ITEM: TIMESTEP"),
        (edited("^ITEM: BOX BOUNDS.*\n.*\n.*\n.*\n", ""), "TIMESTEP 0: there is no ITEM: BOX BOUNDS"),
        (
            edited("BOX BOUNDS (pp.*)\n(.*)\n(.*)\n(.*)", r"BOX BOUNDS xy xz yz \1\n\2 0\n\3 -2.5\n\4 0"),
            "TIMESTEP 0: the box is triclinic (tilt -2.5)",
        ),
        (edited("BOX BOUNDS (pp.*)\n.*\n.*\n.*", r"BOX BOUNDS abc origin \1\n9 0 0 0\n1 9 0 0\n0 0 9 0"), "the box is triclinic (tilt 1)"),
        (edited("BOX BOUNDS pp", "BOX BOUNDS xy xz yz pp"), "TIMESTEP 0: damaged (cannot reshape"),
        (edited("pp pp pp", "pp pp ff"), "the box is not periodic (pp pp ff)"),
        (edited("^0.0 10.0$", "0.0 1O.0"), "TIMESTEP 0: damaged (could not convert string to float: '1O.0')"),
        (edited("OF ATOMS\n5", "OF ATOMS\n5x"), "a.dump is truncated or damaged (invalid literal for int()"),
        (edited(" id mol", " index mol"), "there is no column id, only ['index', 'mol'"),
        (edited(" x y z", " vx vy vz"), "there are no columns x y z, xs ys zs, xu yu zu or xsu ysu zsu, only ['id', 'mol', 'type'"),
        (edited("^4 2 5 6.941 0.1 ", "4 2 5 6.941 0.1 x"), "TIMESTEP 0: damaged (could not convert string"),
        (edited("^4 2 ", "6 2 ", 0), "a.data is missing"),
        (edited("^4 2 ", "5 2 "), "TIMESTEP 0: atom id 4 of"),
        (edited("^4 2 5", "4 2 3"), "TIMESTEP 0: atom id 4 has type 3, but type 5 in"),
        (edited("1000(\n(.*\n)*?)4 2 5", r"1000\g<1>4 2 3"), "TIMESTEP 1000: atom id 4 has type 3, but type 5 in"),
        (edited("(OF ATOMS\n)5((.*\n)*?)4 2 5.*\n", r"\g<1>4\2"), "TIMESTEP 0: there are 4 atoms, but 5 in"),
        (edited("OF ATOMS\n5", "OF ATOMS\n0"), "TIMESTEP 0: there are 0 atoms, but 5 in"),
        (edited("^3000$", "4000"), "a.dump: TIMESTEP 4000 follows 2000, but the first frames are 1000 steps apart"),
        (edited("^3000$", "2000"), "a.dump: TIMESTEP 2000 follows 2000"),
        (edited(r" -?\d+ -?\d+ -?\d+$", " 0 0 0", 0), "the coordinates look wrapped"),
    ],
)
def test_dump_refusals(change: Callable[[str], str], message: str, files: tuple[Path, Path]) -> None:
    files[0].write_text(change(files[0].read_text()))
    with pytest.raises(TrajectoryError, match=re.escape(message)):
        from_lammps(*files, time_step=0.002)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "", "a.data: there is no section Atoms"),
        (lambda t: t[: t.index("2 1 1 0.1")], "a.data: section Atoms has 4 rows, the header announces 5; is the file truncated?"),
        (lambda t: t[: t.index("Bonds")], "a.data: there is no section Bonds"),
        (edited("^2 1 2 3\n", ""), "section Bonds has 1 rows, the header announces 2"),
        (edited("^2 1 2 3\n", "2 1 2\n"), "section Bonds: damaged rows"),
        (edited("^2 1 2 3\n", "2 1 2 9\n"), "section Bonds names atom id 9, which section Atoms lacks"),
        (edited("Atoms # full", "Atoms # dipole"), "the atom style is 'dipole'; only full, molecular"),
        (edited("Atoms # full", "Atoms # molecular"), "section Atoms has rows like '4 2 5 0.1"),
        (edited(" 0 0 0$", " 0", 5), "section Atoms has rows like '4 2 5 0.1"),
        (edited("5 atom types", "4 atom types"), "section Masses has 5 rows, the header announces 4"),
        (edited("^3 15.9994$", "6 15.9994"), "section Masses has no type 3, which section Atoms uses"),
        (edited("^5 6.941$", "5 7.5"), "section Masses: type 5 of mass 7.5 is no element (the nearest is Li, 6.94"),
        (edited("^2 1 2 3\n", "2 1 2 1\n"), "a.data: molecule 1 is in 2 pieces: no bonds lead from atom id 1 to 3"),
        (edited("^4 2 5", "4 3 5"), "molecule 3 is in 2 pieces: no bonds lead from atom id 4 to 5"),
        (edited("^2 1 1 0.1", "1 1 1 0.1"), "section Atoms has id 1 twice"),
        (edited("^5 atoms", "0 atoms"), "section Atoms has 5 rows, the header announces 0"),
        (edited("^5 atoms", "5.5 atoms"), "a.data is truncated or damaged (invalid literal for int()"),
    ],
)
def test_data_refusals(change: Callable[[str], str], message: str, files: tuple[Path, Path]) -> None:
    files[1].write_text(change(files[1].read_text()))
    with pytest.raises(TrajectoryError, match=re.escape(message)):
        from_lammps(*files, time_step=0.002)


@pytest.mark.parametrize("which", [0, 1])
def test_lammps_files_missing_or_cut(which: int, files: tuple[Path, Path]) -> None:
    zipped = files[which].with_name("b.gz")
    content = gzip.compress(files[which].read_bytes())
    zipped.write_bytes(content[: len(content) // 2])
    given = [zipped if i == which else path for i, path in enumerate(files)]
    with pytest.raises(TrajectoryError, match=r"b\.gz is truncated or damaged"):
        from_lammps(given[0], given[1], time_step=0.002)
    zipped.unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.gz is not there"):
        from_lammps(given[0], given[1], time_step=0.002)


def test_lammps_molecule_zero_and_no_bonds(files: tuple[Path, Path]) -> None:
    """LAMMPS's molecule 0 means none: its atoms may be apart. A file without bonds is fine."""
    text = re.sub(r"^(\d) \d (\d 0\.1 .* 0 0 0)$", r"\1 0 \2", files[1].read_text(), flags=re.MULTILINE)
    files[1].write_text(re.sub(r"Bonds\n\n(.*\n){2}", "", text).replace("2 bonds", "0 bonds"))
    run = from_lammps(*files, time_step=0.002)
    assert run.sizes["bond"] == 0 and run.molecule.values.tolist() == [0, 1, 2, 3, 4]
