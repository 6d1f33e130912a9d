"""Electrolytes made elsewhere become valid trajectories, or say what is wrong with them."""

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from lammps_files import EDGE, unwrapped_positions, write_lammps

from mlcgmd.analysis import transport
from mlcgmd.data import mapping, trajectory
from mlcgmd.data.lammps import from_lammps
from mlcgmd.data.lammps_data import STYLES
from mlcgmd.data.periodic import centres_of_mass
from mlcgmd.data.trajectory import TrajectoryError
from mlcgmd.md.electrolyte import ELEMENTS
from mlcgmd.paths import SHIPPED

CASES = Path(__file__).parent / "cases"
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
    cg = mapping.partition(sample, 7)
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


def dump_of(truth: np.ndarray, columns: str, row: Callable[[np.ndarray, int], str], head: Callable[[int], str] = lambda frame: "") -> str:
    """A dump of :func:`unwrapped_positions`, a frame every 1000 steps; ``row`` gives what stands behind id and type."""
    text = ""
    for frame, position in enumerate(truth):
        rows = "".join(f"{i + 1} {[2, 1, 3, 5, 3][i]} {row(position, i)}\n" for i in range(5))
        bounds = "ITEM: BOX BOUNDS pp pp pp\n" + f"0.0 {EDGE}\n" * 3
        text += f"{head(frame)}ITEM: TIMESTEP\n{1000 * frame}\nITEM: NUMBER OF ATOMS\n5\n{bounds}ITEM: ATOMS id type {columns}\n{rows}"
    return text


def words(values: np.ndarray) -> str:
    return " ".join(f"{v:.6g}" for v in values)


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("xsu ysu zsu", lambda p, i: words(p[i] / EDGE)),
        ("xs ys zs ix iy iz", lambda p, i: words(np.concatenate([p[i] / EDGE % 1, p[i] // EDGE]))),
        ("x y z ix iy iz xu yu zu", lambda p, i: "1 1 1 0 0 0 " + words(p[i])),
    ],
)
def test_scaled_and_best_columns(columns: str, row: Callable[[np.ndarray, int], str], files: tuple[Path, Path], truth: np.ndarray) -> None:
    files[0].write_text(dump_of(truth, columns, row))
    np.testing.assert_allclose(from_lammps(*files, time_step=0.002).position, truth, atol=1e-4)
    with pytest.raises(TrajectoryError, match="leave unwrap=True out"):
        from_lammps(*files, time_step=0.002, unwrap=True)


def test_scaled_without_image_flags(files: tuple[Path, Path], truth: np.ndarray) -> None:
    files[0].write_text(dump_of(truth, "xs ys zs", lambda p, i: words(p[i] / EDGE % 1)))
    with pytest.raises(TrajectoryError, match="xs ys zs without ix iy iz are wrapped coordinates"):
        from_lammps(*files, time_step=0.002)
    run = from_lammps(*files, time_step=0.002, unwrap=True)
    np.testing.assert_allclose(np.diff(run.position, axis=0), np.diff(truth, axis=0), atol=1e-4)


def test_unwrapped_positions_may_move_by_more_than_half_a_box(files: tuple[Path, Path], truth: np.ndarray) -> None:
    """xu yu zu are unwrapped by definition."""
    truth = truth + 7.3 * np.arange(4)[:, None, None] * np.array([1, 1, 1, -1, 2])[:, None]
    files[0].write_text(dump_of(truth, "xu yu zu", lambda p, i: words(p[i])))
    np.testing.assert_allclose(from_lammps(*files, time_step=0.002).position, truth, atol=1e-4)


def test_image_flags_that_are_all_zero_tell_nothing(files: tuple[Path, Path], truth: np.ndarray) -> None:
    """Some programs write zeros behind wrapped coordinates: these are unwrapped on request, and else refused."""
    files[0].write_text(dump_of(truth, "x y z ix iy iz", lambda p, i: words(p[i] % EDGE) + " 0 0 0"))
    with pytest.raises(TrajectoryError, match="look wrapped"):
        from_lammps(*files, time_step=0.002)
    run = from_lammps(*files, time_step=0.002, unwrap=True)
    np.testing.assert_allclose(np.diff(run.position, axis=0), np.diff(truth, axis=0), atol=1e-4)


@pytest.mark.parametrize("bounds", ["xy xz yz pp pp pp\n0 10 0\n0 10 0\n0 10 0", "abc origin pp pp pp\n10 0 0 0\n0 10 0 0\n0 0 10 0"])
def test_triclinic_without_tilt(bounds: str, files: tuple[Path, Path], truth: np.ndarray) -> None:
    files[0].write_text(edited("BOX BOUNDS pp.*\n.*\n.*\n.*", f"BOX BOUNDS {bounds}", 0)(files[0].read_text()))
    run = from_lammps(*files, time_step=0.002)
    np.testing.assert_allclose(run.box, EDGE)
    np.testing.assert_allclose(run.position, truth, atol=1e-4)


LABELS = "Atom Type Labels\n\n1 c3\n2 hc\n3 os\n4 none\n5 Li+\n\n"


def labelled(text: str) -> str:
    """The data file as LAMMPS writes it with ``types labels``."""
    names = {"1": "c3", "2": "hc", "3": "os", "4": "none", "5": "Li+"}
    text = re.sub(r"^(\d \d) (\d) (0\.1 )", lambda m: f"{m[1]} {names[m[2]]} {m[3]}", text, flags=re.MULTILINE)
    text = re.sub(r"^(\d) (\d+\.\d+)$", lambda m: f"{names[m[1]]} {m[2]}", text, flags=re.MULTILINE)
    text = re.sub(r"^(\d) 1 (\d \d)$", r"\1 c3-hc \2", text, flags=re.MULTILINE)
    return text.replace("Masses\n", f"{LABELS}Masses\n")


def test_type_labels(files: tuple[Path, Path]) -> None:
    """Numbers or labels in the sections and in the dump; elements come from the masses, and labels name what is no element."""
    plain = from_lammps(*files, time_step=0.002)
    files[1].write_text(labelled(files[1].read_text()))
    assert "4 2 Li+ 0.1" in files[1].read_text() and "1 c3-hc 2 1" in files[1].read_text()
    assert from_lammps(*files, time_step=0.002).identical(plain)
    files[0].write_text(edited(r"^(4 2) 5", r"\1 Li+", 0)(files[0].read_text()))
    assert from_lammps(*files, time_step=0.002).identical(plain)
    whole = files[0].read_text()
    named = {"1": "c3", "2": "hc", "3": "os", "5": "Li+"}
    text = re.sub(r"^(\d \d) (\S+)( .* 0\.1 )", lambda m: f"{m[1]} {named.get(m[2], m[2])}{m[3]}", whole, flags=re.MULTILINE)
    files[0].write_text(text.replace("id mol type mass", "id mol typelabel mass"))
    assert from_lammps(*files, time_step=0.002).identical(plain)
    files[0].write_text(whole)
    files[1].write_text(edited("^hc 1.00797", "hc 14.027")(files[1].read_text()))
    assert from_lammps(*files, time_step=0.002).type_name.values.tolist() == ["Li", "C", "O", "hc"]
    assert from_lammps(*files, time_step=0.002, elements={"hc": "CH2"}).type_name.values.tolist() == ["Li", "C", "O", "CH2"]


@pytest.mark.parametrize(
    ("style", "columns"), [("molecular", "1 2 3"), ("bond", "1 2 3"), ("angle", "1 2 3"), ("charge", "1 3 4"), ("atomic", "1 3")]
)
@pytest.mark.parametrize("remark", ["", "as relaxed by my colleague"])
def test_atom_styles(style: str, columns: str, remark: str, files: tuple[Path, Path]) -> None:
    """All hold the same atoms, and molecules are told by bonds alone; a free remark leaves the style to the number of columns."""
    full = from_lammps(*files, time_step=0.002)
    kept = " ".join(f"\\{c}" for c in columns.split())
    text = re.sub(r"^(\d) (\d) (\d) (0\.1) (.* 0 0 0)$", rf"{kept} \5", files[1].read_text(), flags=re.MULTILINE)
    files[1].write_text(text.replace("Atoms # full", f"Atoms # {remark or style}"))
    if remark and "mol" not in STYLES[style]:  # atoms of these styles have no bonds in LAMMPS, so that this cannot be one of them
        with pytest.raises(TrajectoryError, match="section Masses has no type 0|section Atoms has rows like"):
            from_lammps(*files, time_step=0.002)
        return
    run = from_lammps(*files, time_step=0.002)
    assert run.drop_vars("charge", errors="ignore").identical(full.drop_vars("charge"))
    assert ("charge" in run) == (style == "charge")


def test_style_that_cannot_be_told(files: tuple[Path, Path]) -> None:
    text = re.sub(r"^(\d) (\d) (\d) (0\.1) (.* 0 0 0)$", r"\1 \2 \3 \5", files[1].read_text(), flags=re.MULTILINE)
    text = re.sub(r"Bonds\n\n(.*\n){2}", "", text).replace("2 bonds", "0 bonds").replace("Atoms # full", "Atoms")
    files[1].write_text(text)
    with pytest.raises(
        TrajectoryError, match=r"the atom style is not named, and rows of 9 columns may be molecular or .*charge; write it behind"
    ):
        from_lammps(*files, time_step=0.002)


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_packed_files(ending: str, pack: Callable[[bytes], bytes], files: tuple[Path, Path]) -> None:
    plain = from_lammps(*files, time_step=0.002)
    packed = [path.with_name(path.name + ending) for path in files]
    for path, target in zip(files, packed, strict=True):
        target.write_bytes(pack(path.read_bytes()))
    assert from_lammps(*packed, time_step=0.002).drop_attrs().identical(plain.drop_attrs())
    whole = packed[0].read_bytes()
    for damaged in (whole[: len(whole) // 2], b"not packed", whole[:40] + bytes(40) + whole[80:]):
        packed[0].write_bytes(damaged)
        with pytest.raises(TrajectoryError, match=re.escape(f"{packed[0]} is truncated or damaged")):
            from_lammps(*packed, time_step=0.002)


def test_zstd_is_read_or_named(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    packed = files[0].with_name("a.dump.zst")
    packed.write_bytes(b"\x28\xb5\x2f\xfd")

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("mlcgmd.data.lammps_data.importlib.import_module", missing)
    with pytest.raises(TrajectoryError, match=r"a\.dump\.zst is packed by zstd.*unpack it with zstd -d"):
        from_lammps(packed, files[1], time_step=0.002)


def test_latin_1_title(files: tuple[Path, Path]) -> None:
    plain = from_lammps(*files, time_step=0.002)
    text = files[1].read_text().replace("LAMMPS data file", "Polyäthylenoxid, 25 Å")
    files[1].write_bytes(text.encode("latin-1"))
    assert from_lammps(*files, time_step=0.002).identical(plain)


def timed(units: str, per_step: float) -> Callable[[int], str]:
    return lambda frame: ("" if frame else f"ITEM: UNITS\n{units}\n") + f"ITEM: TIME\n{1000 * frame * per_step}\n"


@pytest.mark.parametrize(("units", "per_step", "time_step"), [("real", 2.0, 0.002), ("metal", 0.002, 0.002), ("lj", 0.005, 0.005)])
def test_time_of_the_dump(units: str, per_step: float, time_step: float, files: tuple[Path, Path], truth: np.ndarray) -> None:
    """ITEM: TIME is in LAMMPS's units, fs in real: it gives the time step, or contradicts another one."""
    files[0].write_text(dump_of(truth, "xu yu zu", lambda p, i: words(p[i]), timed(units, per_step)))
    run = from_lammps(*files)
    np.testing.assert_allclose(run.time, 1000 * time_step * np.arange(4))
    assert run.attrs["time_unit"] == ("tau" if units == "lj" else "ps")
    assert from_lammps(*files, time_step=time_step).time.identical(run.time)
    with pytest.raises(
        TrajectoryError, match=rf"ITEM: TIME grows by {time_step} .* per step, but time_step={1000 * time_step:g} .* was given"
    ):
        from_lammps(*files, time_step=1000 * time_step)
    files[0].write_text(edited("^ITEM: TIME\n(?!0).*$", "ITEM: TIME\n7.5")(files[0].read_text()))
    with pytest.raises(TrajectoryError, match="does not grow by the same time"):
        from_lammps(*files)


def test_time_step_is_asked_for(files: tuple[Path, Path]) -> None:
    with pytest.raises(TrajectoryError, match=r"has no ITEM: TIME in two frames or more; give time_step=, the time of an MD step in ps"):
        from_lammps(*files)


def test_units_that_contradict_or_are_not_read(files: tuple[Path, Path], truth: np.ndarray) -> None:
    def refused(message: str, **options: object) -> None:
        with pytest.raises(TrajectoryError, match=message):
            from_lammps(*files, **options)  # type: ignore[arg-type]

    files[0].write_text(dump_of(truth, "xu yu zu", lambda p, i: words(p[i]), timed("real", 2.0)))
    refused("units= was given as lj, but .*a.dump says ITEM: UNITS real", units="lj")
    refused("units= was given as nm, which is not read; only real, metal, lj are", units="nm")
    files[1].write_text(files[1].read_text().replace("in the title", "units = lj"))
    refused("a.dump says ITEM: UNITS real, but .*a.data says in its title units = lj; do the files belong together")
    files[0].write_text(files[0].read_text().replace("UNITS\nreal", "UNITS\nelectron"))
    refused("a.dump says ITEM: UNITS electron, which is not read")


def test_masses_of_one_need_units(files: tuple[Path, Path]) -> None:
    """Mass 1 is also within 0.01 of hydrogen."""
    files[1].write_text(edited(r"^(\d) \d+\.\d+$", r"\1 1.0", 5)(files[1].read_text()))
    with pytest.raises(TrajectoryError, match="no file says what its units are, and all masses are 1; give units='lj'"):
        from_lammps(*files, time_step=0.002)
    assert from_lammps(*files, time_step=0.002, units="real").type_name.values.tolist() == ["H"]
    run = from_lammps(*files, time_step=0.002, units="lj")
    assert run.type_name.values.tolist() == ["1", "2", "3", "5"] and run.attrs["length_unit"] == "sigma"
    assert "charge" not in run
    assert from_lammps(*files, time_step=0.002, units="lj", elements={1: "A", 2: "B"}).type_name.values.tolist() == ["B", "3", "5", "A"]


def test_network_through_the_box(files: tuple[Path, Path], truth: np.ndarray) -> None:
    """Atoms 2 and 3 of the molecule on both faces, and a bond from 3 to 1 that closes through the box: the image flags cannot help."""
    truth = np.array([[0.5, 1, 1], [3.5, 1, 1], [7.0, 1, 1], [5, 5, 5], [5, 8, 8]])[None] + np.zeros((4, 1, 1))
    files[0].write_text(dump_of(truth, "x y z ix iy iz", lambda p, i: words(p[i]) + " 0 0 0"))
    text = files[1].read_text().replace("2 1 2 3\n", "2 1 2 3\n3 1 3 1\n").replace("2 bonds", "3 bonds")
    files[1].write_text(text)
    for unwrap in (False, True):
        with pytest.raises(TrajectoryError, match="bonded to its own periodic image: a network through the box"):
            from_lammps(*files, time_step=0.002, unwrap=unwrap)


def test_names_of_components_and_types(files: tuple[Path, Path]) -> None:
    """A family of systems shares names: of formulas that are there, others may be in the rest of the family."""
    run = from_lammps(*files, time_step=0.002, component_name={"HOX": "ion", "Li": "ion", "C24": "polymer"}, type_name={"C": "X", "F": "Y"})
    assert run.component_name.values.tolist() == ["ion", "O"] and run.component.values.tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(run.charge, [0.2, 0.1])  # the mean over molecules
    assert run.type_name.values.tolist() == ["H", "Li", "O", "X"]
    with pytest.raises(TrajectoryError, match=r"component_name= names \['C24'\], but there are only \['CHO', 'Li', 'O'\]"):
        from_lammps(*files, time_step=0.002, component_name={"C24": "polymer"})
    with pytest.raises(TrajectoryError, match=r"elements= names \[7\], but the types are \[1, 2, 3, 5\]"):
        from_lammps(*files, time_step=0.002, elements={7: "C"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_step": "2 fs"}, "time_step is '2 fs'; give a finite number above 0, in ps"),
        ({"time_step": 0.0}, r"time_step is 0\.0; give a finite number above 0"),
        ({"time_step": 0.002, "elements": ["C", "O"]}, r"elements= is \['C', 'O'\]; give a mapping"),
        ({"time_step": 0.002, "units": ["real"]}, r"units= was given as \['real'\], which is not read"),
    ],
)
def test_options_of_another_kind(options: dict, message: str, files: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=message):
        from_lammps(*files, **options)


def test_case_a_salt_that_is_not_litfsi() -> None:
    """PF6 is an anion of its own; D straight from the dump (case of the review)."""
    folder = CASES / "lammps-lipf6"
    names = {"C8O4": "polymer", "F6P": "PF6"}
    mix = from_lammps(folder / "mix.dump", folder / "mix.data", time_step=0.002, component_name=names)
    assert mix.component_name.values.tolist() == ["polymer", "Li", "PF6"]
    assert np.bincount(mix.component).tolist() == [24, 4, 28]
    position, mass = transport.remove_drift(mix.position.values[None], mix.mass.values), mix.mass.values.astype(float)
    centres = centres_of_mass(position[0], mix.molecule.values, mass)
    kind = mix.component.values[np.unique(mix.molecule, return_index=True)[1]]
    for name, expected in {"polymer": 0.9e-6, "Li": 2.7e-6, "PF6": 6.2e-6}.items():
        of_it = centres[:, kind == mix.component_name.values.tolist().index(name)]
        lag = np.arange(2, 9)  # 4 to 16 ps
        msd = [((of_it[k:] - of_it[:-k]) ** 2).sum(axis=2).mean() for k in lag]
        assert np.polyfit(2.0 * lag, msd, 1)[0] / 6 * transport.CM2_PER_S == pytest.approx(expected, rel=0.06)


def test_case_ions_that_move_by_half_a_box_between_frames() -> None:
    folder = CASES / "lammps-sparse-frames"
    run = from_lammps(folder / "sparse.dump", folder / "sparse.data", time_step=0.001)
    np.testing.assert_allclose(run.position[-1, 10], [-28.0470, -119.7822, -0.2492], atol=1e-4)
    assert transport.endpoint_diffusion(run.position.values[:, 10:], 5900.0) == pytest.approx(3.344e-5, rel=1e-3)
    with pytest.raises(TrajectoryError, match="its columns say where every atom is"):
        from_lammps(folder / "sparse.dump", folder / "sparse.data", time_step=0.001, unwrap=True)


def test_case_files_that_say_lj() -> None:
    folder = CASES / "lammps-units-lj"
    run = from_lammps(folder / "melt.dump", folder / "melt.data", time_step=0.005)
    assert [run.attrs[f"{what}_unit"] for what in ("length", "time", "mass")] == ["sigma", "tau", "m"]
    assert run.type_name.values.tolist() == ["1"] and trajectory.frame_interval(run) == pytest.approx(0.5)
    with pytest.raises(TrajectoryError, match=r"ITEM: TIME grows by 0\.005 tau per step, but time_step=5e-06 tau was given"):
        from_lammps(folder / "melt.dump", folder / "melt.data", time_step=5e-6)


def test_case_one_bead_molecules() -> None:
    folder = CASES / "one-bead-molecules"
    run = from_lammps(folder / "wat.dump", folder / "wat.data", time_step=0.01)
    assert run.component_name.values.tolist() == ["H2O"] and len(np.unique(run.molecule)) == 8
    coarse = mapping.partition(run, 3).apply(run)
    assert coarse.sizes["particle"] == 8 and coarse.sizes["bond"] == 0
    np.testing.assert_allclose(coarse.mass, 18.015, atol=0.01)
