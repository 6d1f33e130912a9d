"""Files that are damaged anywhere are read as what they say or refused; whatever a bond graph is like, its beads conserve it."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from lammps_files import unwrapped_positions, write_lammps

from mlcgmd.data import mapping, trajectory
from mlcgmd.data.lammps import from_lammps
from mlcgmd.errors import MlcgmdError
from mlcgmd.paths import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "workflow"))
import fuzz

FILES = 40
"""Of each kind; ``make fuzz`` reads 2,000."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, fuzz.Kind], dict[str, bytes]]]:
    kinds = fuzz.kinds(tmp_path_factory.mktemp("kinds"))
    yield kinds, {name: kind.file.read_bytes() for name, kind in kinds.items()}


KINDS = ["LAMMPS dump", "LAMMPS data", "PDB", "NetCDF", "simulation", "h5 position", "h5 bond_indices", "safetensors", "YAML"]


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_as_what_it_says_or_refused(name: str, good: tuple[dict, dict]) -> None:
    kind, content = good[0][name], good[1][name]
    whole = kind.read(kind.file)
    escapes = {}
    for seed in range(FILES):
        how, damaged = fuzz.damage(content, np.random.default_rng([seed, 1]))
        if found := fuzz.escape(kind, whole, damaged, how):
            escapes[seed] = f"{how}: {found}"
    assert not escapes


def test_a_crash_and_an_answer_that_a_file_does_not_give_are_seen(good: tuple[dict, dict], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checker itself: what is planted is found."""
    kind = good[0]["YAML"]
    planted = {
        "ValueError": lambda _: int("x"),
        "another answer": lambda _: 2,
        "says no more": lambda _: (_ for _ in ()).throw(MlcgmdError("no")),
    }
    for found, read in planted.items():
        assert found in fuzz.escape(fuzz.Kind(kind.file, read, lambda good, found, how: good == found), 1, b"x", "cut")
    monkeypatch.setattr(fuzz, "kinds", lambda folder: {"a": fuzz.Kind(folder / "a", _dies)})
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"content of a file")
    assert set(fuzz.read_damaged("a", 3)) == {0, 1, 2}


def _dies(path: Path) -> None:
    if path.exists():
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def lammps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, xr.Dataset]:
    folder = tmp_path_factory.mktemp("lammps") / "files"
    dump, data = write_lammps(unwrapped_positions(), folder)
    (folder.parent / "damaged").mkdir()
    return dump, data, from_lammps(dump, data, time_step=0.001, system="a")


def _changed(path: Path, place: float, new: int | None, insert: bool) -> tuple[bytes, int, Path]:
    """What ``path`` holds, where it is changed, and the file that is cut there (None), or has another byte there or before it."""
    text = path.read_bytes()
    at = int(place * len(text))
    damaged = path.parents[1] / "damaged" / path.name
    damaged.write_bytes(text[:at] if new is None else text[:at] + bytes([new]) + text[at + (not insert) :])
    return text, at, damaged


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=st.floats(0, 1, exclude_max=True), new=st.one_of(st.none(), st.sampled_from(b"0123456789 .-e\n\tx")), insert=st.booleans())
def test_a_byte_of_a_dump_changes_one_number_or_is_refused(place: float, new: int | None, insert: bool, lammps: tuple) -> None:
    """Cut there (None), replaced by or pushed aside by another byte: never a value in another one's place."""
    dump, data, good = lammps
    text, at, damaged = _changed(dump, place, new, insert)
    try:
        found = from_lammps(damaged, data, time_step=0.001, system="a")
    except MlcgmdError:
        return
    frames = found.sizes["frame"]
    if new is None:
        assert found.identical(good.isel(frame=slice(0, frames)))
        return
    assert frames == good.sizes["frame"]
    assert found.drop_vars(["position", "box", "time"]).identical(good.drop_vars(["position", "box", "time"]))
    line = text[: at + 1].count(b"\n") - (text[at : at + 1] == b"\n")
    start = next(k for k in range(line, -1, -1) if text.splitlines()[k].startswith(b"ITEM"))
    header = text.splitlines()[start]
    other = (found.position.values != good.position.values).any(axis=2)
    if header.startswith(b"ITEM: ATOMS"):  # in a row: of this atom, one number or, by its image flags, whole edges of the box
        assert other.sum() <= 1 and (found.box == good.box).all() and (found.time == good.time).all()
        moved = (found.position.values - good.position.values)[other]
        assert (np.abs(moved) > 0).sum() <= 1
    elif not header.startswith(b"ITEM: BOX"):
        assert not other.any()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=st.floats(0, 1, exclude_max=True), new=st.one_of(st.none(), st.sampled_from(b"0123456789 .-e\n\t#x")), insert=st.booleans())
def test_a_byte_of_a_data_file_moves_no_atom_to_another_molecule(place: float, new: int | None, insert: bool, lammps: tuple) -> None:
    """A digit of a mass or charge may be any, and one bond may be another; which atom is which and where it belongs is said twice."""
    dump, data, good = lammps
    _, _, damaged = _changed(data, place, new, insert)
    try:
        found = from_lammps(dump, damaged, time_step=0.001, system="a")
    except MlcgmdError:
        return
    assert (found.position == good.position).all() and (found.time == good.time).all()
    assert (found.molecule == good.molecule).all() and (found.raw_type == good.raw_type).all()
    assert (found.bond.values != good.bond.values).any(axis=1).sum() <= 1
    if new is None:
        assert found.identical(good)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, np.ndarray]:
    """Up to 30 particles and any bonds between them, each once."""
    n = draw(st.integers(1, 30))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] < p[1])
    bonds = draw(st.lists(pairs, unique=True, max_size=40)) if n > 1 else []
    return n, np.array(bonds, int).reshape(-1, 2)


def made(n: int, bond: np.ndarray, frames: int = 3) -> xr.Dataset:
    rng = np.random.default_rng(n)
    return trajectory.make(
        rng.uniform(0, 1, (frames, n, 3)),
        time=np.arange(frames),
        particle_type=rng.integers(0, 3, n),
        type_name=["a", "b", "c"],
        mass=rng.uniform(1, 20, n),
        bond=bond,
        system="graph",
        units="lj",
    )


@settings(max_examples=80, deadline=None, derandomize=True)
@given(graph=graphs(), level=st.floats(1, 10))
def test_beads_of_any_graph_conserve_mass_centres_and_molecules(graph: tuple[int, np.ndarray], level: float) -> None:
    md = made(*graph)
    try:
        cg = mapping.partition(md, level)
    except MlcgmdError as error:
        assert "larger than the largest molecule" in str(error)
        assert level > np.bincount(md.molecule.values).max()
        return
    beads = cg.apply(md)
    mass = md.mass.values.astype(float)
    assert cg.mass.sum() == pytest.approx(mass.sum(), rel=1e-6)
    before = np.einsum("fnx,n->fx", md.position.values, mass) / mass.sum()
    after = np.einsum("fbx,b->fx", beads.position.values, cg.mass) / cg.mass.sum()
    np.testing.assert_allclose(after, before, atol=1e-5)
    # A bead is of one molecule, in one piece, and beads are bonded as their particles are.
    assert all(len(np.unique(md.molecule.values[cg.bead == b])) == 1 for b in range(cg.n_beads))
    inside = md.bond.values[(cg.bead[md.bond.values[:, 0]] == cg.bead[md.bond.values[:, 1]])] if len(md.bond) else np.empty((0, 2), int)
    assert len(np.unique(trajectory.molecules_from_bonds(inside, md.sizes["particle"]))) == cg.n_beads
    crossing = {tuple(sorted(map(int, cg.bead[pair]))) for pair in md.bond.values} - {(b, b) for b in range(cg.n_beads)}
    assert {tuple(map(int, pair)) for pair in beads.bond.values} == crossing
    assert len(np.unique(beads.molecule)) == len(np.unique(md.molecule))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(graph=graphs(), resolution=st.floats(1e-4, 0.1))
def test_any_trajectory_is_read_as_it_was_saved(
    graph: tuple[int, np.ndarray], resolution: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    md = made(*graph)
    back = trajectory.load(trajectory.save(md, tmp_path_factory.mktemp("saved") / "a.nc", resolution))
    assert np.abs(back.position.values - md.position.values).max() <= 0.5 * resolution * (1 + 1e-3) + 1e-6
    xr.testing.assert_identical(back.drop_vars("position"), md.drop_vars("position"))
