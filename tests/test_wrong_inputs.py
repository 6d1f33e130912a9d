"""A table of wrong inputs: each is answered by an error of the library that names the thing and the remedy. None is silent or raw."""

import copy
import hashlib
import io
import json
import re
import shutil
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import pytorch_lightning as lightning
import torch
import xarray as xr
from mixtures import simulated, toy
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toys import toy_boxes, toy_systems

from mlcgmd import cli, parallel
from mlcgmd.analysis.check import check
from mlcgmd.analysis.compare import compare
from mlcgmd.data import archives, hdf5, simulation, trajectory
from mlcgmd.data.published import fetch
from mlcgmd.data.readers import load
from mlcgmd.errors import DivergedError, MlcgmdError
from mlcgmd.md.chain import ChainSpec
from mlcgmd.md.electrolyte import ElectrolyteSpec
from mlcgmd.md.openmm import measure_speed
from mlcgmd.md.run import run_md
from mlcgmd.model.model import CheckpointError, Model
from mlcgmd.model.objectives import Training
from mlcgmd.model.rollout import simulate
from mlcgmd.model.samplers import Gaussian, Langevin, Multistep, make_sampler
from mlcgmd.model.simulator import SimulatorConfig
from mlcgmd.model.stepper import throughput
from mlcgmd.model.system import coarse_grain
from mlcgmd.model.training import TrainConfig, build_model, in_common_terms, train
from mlcgmd.model.windows import Windows
from mlcgmd.paper import datasets
from mlcgmd.paths import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "workflow"))
import scale

import notebooks

Table = dict[str, tuple[Callable, str]]


def refused(call: Callable, message: str, *arguments: object) -> None:
    with pytest.raises(MlcgmdError, match=message) as caught:
        call(*arguments)
    words = str(caught.value)
    assert len(words) > 20 and "Traceback" not in words


def zipped(path: Path, *members: tuple[str, bytes, int]) -> Path:
    """A zip of members (name, content, kind)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content, kind in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return path


def tarred(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 5) -> Path:
    with tarfile.open(path, "w:gz") as file:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, size if kind == tarfile.REGTYPE else 0
        file.addfile(info, io.BytesIO(bytes(info.size)))
    return path


FILE = stat.S_IFREG
ARCHIVES: Table = {
    "zip: absolute": (lambda d: zipped(d / "a.zip", ("/tmp/x", b"x", FILE)), "leads out of its folder"),
    "zip: ..": (lambda d: zipped(d / "a.zip", ("good", b"x", FILE), ("a/../../x", b"x", FILE)), r"'a/\.\./\.\./x', which leads out"),
    "zip: drive": (lambda d: zipped(d / "a.zip", ("C:x", b"x", FILE)), "leads out"),
    "zip: backslash": (lambda d: zipped(d / "a.zip", ("..\\x", b"x", FILE)), "leads out"),
    "zip: link": (lambda d: zipped(d / "a.zip", ("x", b"/etc/passwd", stat.S_IFLNK)), "a link or device"),
    "zip: device": (lambda d: zipped(d / "a.zip", ("x", b"", stat.S_IFBLK)), "a link or device"),
    "zip: pipe": (lambda d: zipped(d / "a.zip", ("x", b"", stat.S_IFIFO)), "a link or device"),
    "zip: bomb": (lambda d: zipped(d / "a.zip", ("x", bytes(2**24), FILE)), "above 100 times"),
    "zip: text": (lambda d: _written(d / "a.zip", b"PK but no zip" * 100), "is corrupted"),
    "zip: empty": (lambda d: _written(d / "a.zip", b""), "is corrupted"),
    "zip: flipped": (lambda d: _flipped(zipped(d / "a.zip", ("x", bytes(range(256)) * 9, FILE)), 60), "is corrupted"),
    "zip: cut": (lambda d: _cut(zipped(d / "a.zip", ("x", bytes(range(256)) * 9, FILE))), "is corrupted"),
    "tar: absolute": (lambda d: tarred(d / "a.tar.gz", "/tmp/x"), "leads out of its folder"),
    "tar: ..": (lambda d: tarred(d / "a.tar.gz", "../x"), "leads out"),
    "tar: link": (lambda d: tarred(d / "a.tar.gz", "x", tarfile.SYMTYPE, "/etc"), "a link or device"),
    "tar: hard link": (lambda d: tarred(d / "a.tar.gz", "x", tarfile.LNKTYPE, "/etc/passwd"), "a link or device"),
    "tar: device": (lambda d: tarred(d / "a.tar.gz", "x", tarfile.CHRTYPE), "a link or device"),
    "tar: pipe": (lambda d: tarred(d / "a.tar.gz", "x", tarfile.FIFOTYPE), "a link or device"),
    "tar: bomb": (lambda d: tarred(d / "a.tar.gz", "x", size=2**24), "above 100 times"),
    "tar: text": (lambda d: _written(d / "a.tar.gz", b"no archive" * 100), "is corrupted"),
    "tar: cut": (lambda d: _cut(tarred(d / "a.tar.gz", "x")), "is corrupted"),
    "tar.bz2: text": (lambda d: _written(d / "a.tar.bz2", b"no archive" * 100), "is corrupted"),
    "tar.xz: text": (lambda d: _written(d / "a.tar.xz", b"no archive" * 100), "is corrupted"),
}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _cut(path: Path) -> Path:
    return _written(path, path.read_bytes()[: path.stat().st_size // 2])


def _flipped(path: Path, at: int) -> Path:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    return _written(path, bytes(content))


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_that_hold_what_they_should_not(case: str, tmp_path: Path) -> None:
    make, message = ARCHIVES[case]
    (tmp_path / "in").mkdir()
    archive = make(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    refused(archives.unpack, message, archive, tmp_path / "out" / "a")
    written = set(tmp_path.rglob("*")) - set(before) - {tmp_path / "out"}
    assert not written or "flipped" in case  # what is damaged inside is seen when it is read


def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(tmp_path / "a.zip", ("x", b"1", FILE), ("./x", b"2", FILE), ("x", b"3", FILE))
    refused(archives.unpack, "'./x' twice", archive, tmp_path / "a")


def test_a_disk_without_room_is_seen_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: type("usage", (), {"free": 3}))
    with pytest.raises(OSError, match="needs 4 bytes or more, 3 are free; nothing was unpacked"):
        archives.unpack(zipped(tmp_path / "a.zip", ("x", b"four", FILE)), tmp_path / "a")
    assert not (tmp_path / "a").exists()


URL = "http://127.0.0.1:9/"
MD5 = "md5:" + "0" * 32
FETCHES: Table = {
    "name of another folder": (lambda d: fetch(d, ["../a.zip"], base_url=URL, checksums={"../a.zip": MD5}), r"as in 'a\.zip'"),
    "absolute name": (lambda d: fetch(d, ["/tmp/a.zip"], base_url=URL, checksums={"/tmp/a.zip": MD5}), "no plain file name"),
    "name of the record's list": (lambda d: fetch(d, base_url=URL, checksums={"../../a.zip": MD5}), "no plain file name"),
    "backslashes": (lambda d: fetch(d, ["..\\a.zip"], base_url=URL, checksums={"..\\a.zip": MD5}), "no plain file name"),
    "only an ending": (lambda d: fetch(d, [".zip"], base_url=URL, checksums={".zip": MD5}), "no plain file name"),
    "the folder above": (lambda d: fetch(d, ["...zip"], base_url=URL, checksums={"...zip": MD5}), "no plain file name"),
    "no text": (lambda d: fetch(d, [3], base_url=URL, checksums={"a.zip": MD5}), "no plain file name"),  # type: ignore[list-item]
    "one name": (lambda d: fetch(d, "a.zip", base_url=URL, checksums={"a.zip": MD5}), r"give a list of names, as in \['a\.zip'\]"),
    "no checksum": (lambda d: fetch(d, ["a.zip"], base_url=URL, checksums={"a.zip": None}), r"has no checksum but None"),  # type: ignore[dict-item]
    "empty checksum": (lambda d: fetch(d, ["a.zip"], base_url=URL, checksums={"a.zip": ""}), "has no checksum"),
    "half a checksum": (lambda d: fetch(d, ["a.zip"], base_url=URL, checksums={"a.zip": "md5:00"}), "has no checksum but md5:00"),
    "no checksums": (lambda d: fetch(d, ["a.zip"], base_url=URL, checksums={}), "needs checksums="),
    "no slash": (lambda d: fetch(d, ["a.zip"], base_url=URL[:-1], checksums={"a.zip": MD5}), "ends in /"),
    "no archive": (lambda d: fetch(d, ["a.txt"], base_url=URL, checksums={"a.txt": MD5}), "is not an archive"),
    "not there": (lambda d: fetch(d, ["b.zip"], base_url=URL, checksums={"a.zip": MD5}), r"the files are \['a\.zip'\]"),
    "one folder of two": (lambda d: fetch(d, base_url=URL, checksums={"a.zip": MD5, "a.tar": MD5}), "would both become"),
}


@pytest.mark.parametrize("case", FETCHES)
def test_downloads_that_lead_elsewhere_or_cannot_be_checked(case: str, tmp_path: Path) -> None:
    call, message = FETCHES[case]
    refused(call, message, tmp_path / "published")
    assert not (tmp_path / "published").exists()


def registry_with(entry: object) -> Callable[[Path], object]:
    def call(root: Path) -> object:
        (root / "set").mkdir()
        (root / "set" / "a.nc").write_bytes(b"a")
        (root / "set" / "registry.json").write_text(entry if isinstance(entry, str) else json.dumps({"a.nc": entry}))
        return datasets.verify(root / "set" / "a.nc", root)

    return call


SHA = hashlib.sha256(b"a").hexdigest()
REGISTRIES: Table = {
    "no entry": (registry_with("{}"), "has no entry in"),
    "no registry": (lambda d: datasets.verify(_written(d / "a.nc", b"a"), d), "has no entry in"),
    "empty": (registry_with(""), "is no registry"),
    "cut": (registry_with('{"a.nc": {"sha2'), "is no registry"),
    "a list": (registry_with("[1]"), "is no registry"),
    "no checksum": (registry_with({"bytes": 1}), "is no registry"),
    "checksum None": (registry_with({"sha256": None}), "is no registry"),
    "half a checksum": (registry_with({"sha256": SHA[:-1]}), "has no sha256 of 64 digits; restore it from git"),
    "entry is text": (registry_with(SHA), "is no registry"),
    "another file": (registry_with({"sha256": SHA[::-1], "command": "mlcgmd x"}), "another checksum .* make it anew: mlcgmd x"),
    "outside": (lambda d: datasets.verify(_written(d / "a.nc", b"a"), d / "data"), "is not in"),
    "unknown set": (lambda d: datasets.build("chain", root=d), "there is no data set 'chain'; the sets are"),
    "unknown split": (lambda d: datasets.build("chain-smoke", ("val",), root=d), "there is no split 'val'"),
    "no processes": (lambda d: datasets.build("chain-smoke", ("validation",), 0, d), "processes is 0; give a whole number from 1 on"),
    "minus one process": (lambda d: parallel.each(print, [(1,)], -1), "processes is -1"),
    "half a process": (lambda d: parallel.each(print, [(1,)], 0.5), "processes is 0.5"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", REGISTRIES)
def test_registries_that_say_nothing(case: str, tmp_path: Path) -> None:
    call, message = REGISTRIES[case]
    refused(call, message, tmp_path)


def test_a_build_over_a_changed_file_does_not_register_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(jobs: list, *_: object) -> list[Path]:
        for _, path in jobs:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"a trajectory")
        return [path for _, path in jobs]

    monkeypatch.setattr(datasets, "run_many", made)
    (path,) = datasets.build("chain-smoke", ("validation",), root=tmp_path)
    before = datasets.registry(tmp_path)
    path.write_bytes(b"a trajectorY")
    refused(datasets.build, "another checksum", "chain-smoke", ("validation",), None, tmp_path)
    assert datasets.registry(tmp_path) == before
    start = datasets.build_start("spe-smoke", root=tmp_path)
    start.write_bytes(b"another")
    refused(datasets.build_start, "another checksum", "spe-smoke", tmp_path)


def made(**changes: object) -> Callable[[xr.Dataset], object]:
    """``trajectory.make`` of the small trajectory's arrays with others in their place."""

    def call(small: xr.Dataset) -> object:
        given: dict = {name: small[name].values for name in ("position", "time", "particle_type", "mass", "bond")}
        given |= {"type_name": ["a", "b", "c"], "system": "small", "units": "lj"}
        return trajectory.make(**(given | {k: v(small) if callable(v) else v for k, v in changes.items()}))

    return call


def with_component(small: xr.Dataset, **changes: object) -> object:
    return made(**({"component": np.zeros(8, int), "component_name": ["chain"]} | changes))(small)


LONE = {"bond": [], "particle_type": np.zeros(8, int), "type_name": ["ion"], "box": [9.0, 9.0, 9.0]}
"""Of eight ions; the drift of the small trajectory is some 1 per frame."""


def wrapped(small: xr.Dataset) -> np.ndarray:
    return np.mod(small.position.values + 0.9 * np.arange(20)[:, None, None], 9.0)


MADE: Table = {
    "no particles": (made(position=np.zeros((3, 0, 3))), "zero particles"),
    "no frames": (made(position=np.zeros((0, 8, 3)), time=[]), "zero frames"),
    "2-d positions": (made(position=lambda s: s.position.values[..., :2]), r"\(frames, particles, 3\), not \(20, 8, 2\)"),
    "a frame of positions": (made(position=lambda s: s.position.values[0]), r"\(frames, particles, 3\), not \(8, 3\)"),
    "positions of text": (made(position=np.full((20, 8, 3), "x")), "position holds <U1, not numbers"),
    "positions that are objects": (made(position=np.full((20, 8, 3), None)), "position holds object, not numbers"),
    "complex positions": (made(position=np.zeros((20, 8, 3), complex)), "position holds complex128"),
    "truth values as positions": (made(position=np.zeros((20, 8, 3), bool)), "position holds bool"),
    "ragged positions": (made(position=[[[0, 0, 0]], [[0, 0]]]), "rows of different lengths"),
    "no positions": (made(position=None), "position holds object"),
    "positions beyond float32": (made(position=np.full((20, 8, 3), 1e39)), "particle 0 in frame 0 is not finite"),
    "NaN time": (made(time=np.r_[0.0, np.nan, 2:20]), "the time of frame 1 is not finite"),
    "infinite time": (made(time=np.r_[0:19, np.inf]), "the time of frame 19 is not finite"),
    "NaN time of one frame": (made(position=lambda s: s.position.values[:1], time=[np.nan]), "the time of frame 0 is not finite"),
    "equal times": (made(time=np.zeros(20)), "time does not grow"),
    "falling times": (made(time=np.arange(20)[::-1]), "time does not grow"),
    "too few times": (made(time=np.arange(19)), r"time has shape \(19,\), not \(20,\): one for each of 20 frames"),
    "one time": (made(time=3.0), r"time has shape \(\), not \(20,\)"),
    "times of text": (made(time=["now"] * 20), "time holds <U3, not numbers"),
    "too few types": (made(particle_type=np.zeros(7, int)), r"particle_type has shape \(7,\), not \(8,\): one for each of 8 particles"),
    "types of another kind": (made(particle_type=np.zeros(8)), "particle_type holds float64, not whole numbers"),
    "type that is not there": (made(particle_type=[0] * 7 + [3]), "particle 7 has unknown type 3"),
    "negative type": (made(particle_type=[-1] + [0] * 7), "particle 0 has unknown type -1"),
    "type beyond 16 bits": (made(particle_type=[2**16] + [0] * 7), "particle 0 has unknown type 65536"),
    "type names twice": (made(type_name=["a", "b", "a"]), "type_name 'a' is there twice"),
    "no type names": (made(type_name=[]), "there are 0 values of type_name"),
    "numbers as names": (made(type_name=[1, 2, 3]), "type_name 0 is 1, not a name"),
    "empty name": (made(type_name=["a", "", "c"]), "type_name 1 is '', not a name"),
    "name with NUL": (made(type_name=["a", "b\0", "c"]), "not a name; give text without NUL"),
    "name that is no UTF-8": (made(type_name=["a", "b\ud800", "c"]), "not a name"),
    "one name": (made(type_name="abc"), "has unknown type 1"),
    "system with NUL": (made(system="a\0b"), "not a name"),
    "system of no text": (made(system=7), "system 0 is 7, not a name"),
    "empty system": (made(system=""), "not a name"),
    "units": (made(units="nm"), "units 'nm' are not known; use one of"),
    "list of units": (made(units=["lj"]), "are not known"),
    "too few masses": (made(mass=np.ones(7)), r"mass has shape \(7,\), not \(8,\)"),
    "one mass": (made(mass=1.0), r"mass has shape \(\), not \(8,\)"),
    "masses of text": (made(mass=["1"] * 8), "mass holds <U1, not numbers"),
    "negative mass": (made(mass=-np.ones(8)), "the mass of particle 0 is not a positive number"),
    "bonds of floats": (made(bond=lambda s: s.bond.values.astype(float)), "bond holds float64, not whole numbers"),
    "fractions as bonds": (made(bond=[[0, 1.5]]), "bond holds float64"),
    "bonds of three": (made(bond=np.zeros((6, 3), int)), r"bond has shape \(6, 3\), not \(bonds, 2\)"),
    "flat bonds": (made(bond=[0, 1, 1, 2]), r"bond has shape \(4,\)"),
    "bonds twice": (made(bond=lambda s: np.r_[s.bond.values, s.bond.values]), "bonds 0 and 6 both join 0 and 1; give each bond once"),
    "bonds of both ends": (made(bond=lambda s: np.r_[s.bond.values, s.bond.values[:, ::-1]]), "bonds 0 and 6 both join 1 and 0|0 and 1"),
    "bonds beyond 32 bits": (made(bond=[[0, 2**32 + 1]]), "names a particle that is not there"),
    "negative bonds": (made(bond=[[0, -1]]), "names a particle that is not there"),
    "bonds from 1": (made(bond=lambda s: s.bond.values + 1), "are the indices 1-based"),
    "molecules of another length": (made(molecule=np.zeros(7, int)), r"molecule has shape \(7,\)"),
    "molecules of floats": (made(molecule=np.zeros(8)), "molecule holds float64, not whole numbers"),
    "negative molecules": (made(molecule=[-1] * 4 + [0] * 4), "the molecule of particle 0 is -1; give 0 to 7"),
    "molecule beyond all": (made(molecule=[0] * 4 + [2**40] * 4), "the molecule of particle 4 is 1099511627776"),
    "molecules in pieces": (made(molecule=np.zeros(8, int)), "molecule 0 is disconnected"),
    "components without names": (made(component=np.zeros(8, int)), "give component and component_name together"),
    "component names twice": (lambda s: with_component(s, component_name=["a", "a"]), "component_name 'a' is there twice"),
    "component that is not there": (lambda s: with_component(s, component=[1] * 8), "the component of particle 0 is 1; give 0 to 0"),
    "components of another length": (lambda s: with_component(s, component=[0]), r"component has shape \(1,\)"),
    "charges of another length": (
        lambda s: with_component(s, charge=[0.0, 1.0]),
        r"charge has shape \(2,\), not \(1,\): one for each of \['ch",
    ),
    "infinite charge": (lambda s: with_component(s, charge=[np.inf]), "a charge is infinite"),
    "charge of text": (lambda s: with_component(s, charge=["+"]), "charge holds <U1, not numbers"),
    "empty box": (made(box=[0.0, 20.0, 20.0]), "the box has an edge that is not positive"),
    "negative box": (made(box=[20.0, -20.0, 20.0]), "the box has an edge that is not positive"),
    "NaN box": (made(box=[20.0, np.nan, 20.0]), "the box has an edge that is not positive"),
    "empty box without bonds": (made(**(LONE | {"box": [0.0, 0.0, 0.0]})), "the box has an edge that is not positive"),
    "matrix as box": (made(box=20 * np.eye(3)), r"box has shape \(3, 3\), not \(3,\) or \(20, 3\)"),
    "matrices as box": (made(box=np.tile(20 * np.eye(3), (20, 1, 1))), r"box has shape \(20, 3, 3\)"),
    "one edge": (made(box=20.0), r"box has shape \(\), not"),
    "six numbers as box": (made(box=[20, 20, 20, 90, 90, 90]), r"box has shape \(6,\)"),
    "box of text": (made(box=["a", "b", "c"]), "box holds <U1, not numbers"),
    "level 0": (made(level=0), "level is 0; give a finite number from 1 on"),
    "level of text": (made(level="a"), "level is 'a'"),
    "wrapped ions": (made(**(LONE | {"position": wrapped})), "yet no ion ever leaves a box along .* look wrapped; give unwrapped"),
}


@pytest.mark.parametrize("case", MADE)
def test_arrays_that_are_no_trajectory(case: str, small: xr.Dataset) -> None:
    call, message = MADE[case]
    refused(call, message, small)


def test_unwrapped_ions_are_taken(small: xr.Dataset) -> None:
    """What the wrapped ones were made of: they leave the box."""
    moving = small.position.values + 5.0 * np.arange(20)[:, None, None]
    assert made(**(LONE | {"position": moving}))(small) is not None


CHANGED: Table = {
    "no units": (lambda s: s.assign_attrs(length_unit="nm"), r"units of length, time and mass are \('nm', 'tau', 'm'\)"),
    "no system": (lambda s: s.assign_attrs(system=3), "system 0 is 3, not a name"),
    "no provenance": (lambda s: s.assign_attrs(provenance="{"), "provenance is '{', not JSON"),
    "provenance None": (lambda s: s.assign_attrs(provenance=None), "provenance is None, not JSON"),
    "no variables": (lambda s: s.drop_vars(["mass", "bond"]), r"variables \['bond', 'mass'\] are missing"),
    "other dimensions": (lambda s: s.transpose("particle", "frame", ...), "position has dimensions"),
    "a replica": (lambda s: s.expand_dims("replica"), "position has dimensions"),
    "two axes": (lambda s: s.isel(xyz=[0, 1]), "dimension xyz has size 2, not 3"),
    "no particles": (lambda s: s.isel(particle=[], bond=[]), "zero particles"),
    "bonds of floats": (lambda s: s.assign(bond=s.bond.astype(float)), "bond holds float64, not whole numbers"),
    "types of text": (lambda s: s.assign(particle_type=s.particle_type.astype(str)), "particle_type holds <U"),
    "names of numbers": (lambda s: s.assign_coords(type_name=("type", [1, 2, 3])), "type_name holds int64, not text"),
    "molecules of floats": (lambda s: s.assign(molecule=s.molecule.astype(float)), "molecule holds float64"),
    "masses of text": (lambda s: s.assign(mass=s.mass.astype(str)), "mass holds <U"),
    "no time": (lambda s: s.drop_vars("time"), r"variables \['time'\] are missing"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_datasets_that_are_no_trajectory(case: str, small: xr.Dataset) -> None:
    change, message = CHANGED[case]
    refused(trajectory.validate, message, change(small))


def saved(path: Path, small: xr.Dataset, **attributes: object) -> Path:
    with h5py.File(trajectory.save(small, path / "a.nc"), "a") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
    return path / "a.nc"


def changed(path: Path, small: xr.Dataset, name: str, **new: object) -> Path:
    """The file with one variable made anew; its dimensions are left out."""
    saved(path, small)
    with h5py.File(path / "a.nc", "a") as file:
        del file[name]
        if new:
            file.create_dataset(name, **new)
    return path / "a.nc"


FILES: Table = {
    "declares 37 GiB": (
        lambda d, s: changed(d, s, "position", shape=(10**6, 10**4), dtype="f4", chunks=(1, 100)),
        "declares 37.3 GiB, but",
    ),
    "declares 8 TB": (lambda d, s: changed(d, s, "mass", shape=(10**12,), dtype="f8", chunks=(100,)), "GiB, but .* cannot hold them"),
    "no position": (lambda d, s: changed(d, s, "position"), "a.nc is truncated or not"),
    "no mass": (lambda d, s: changed(d, s, "mass"), r"variables \['mass'\] are missing"),
    "version of text": (lambda d, s: saved(d, s, format_version="one"), "has trajectory format one, this library reads 1"),
    "unit of another": (lambda d, s: saved(d, s, length_unit="angstrom"), "units of length, time and mass are"),
    "provenance": (lambda d, s: saved(d, s, provenance="made by hand"), "provenance is 'made by hand', not JSON"),
    "system": (lambda d, s: saved(d, s, system=3.0), "not a name"),
    "a simulation": (lambda d, s: _written(d / "b.nc", b"\x89HDF\r\n\x1a\n" + bytes(99)), "is truncated or not a NetCDF-4 file"),
    "no file": (lambda d, s: [], "there is no file to read"),
    "unknown ending": (lambda d, s: _written(d / "a.foo", b"x"), "the ending '.foo' is not known"),
    "text": (lambda d, s: _written(d / "a.pdb", b"no atoms"), "cannot read|no topology|zero|no bonds"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_trajectory(case: str, small: xr.Dataset, tmp_path: Path) -> None:
    make, message = FILES[case]
    refused(load, message, make(tmp_path, small))


def test_options_that_a_reader_has_not_and_positions_that_no_integer_holds(small: xr.Dataset, tmp_path: Path) -> None:
    refused(lambda: load(tmp_path / "a.pdb", steps=3), "steps is no option of from_mdtraj, which reads it; it has system, units")
    refused(lambda: trajectory.save(small, tmp_path / "a.nc", 0.0), "resolution is 0.0")
    refused(lambda: trajectory.save(small, tmp_path / "a.nc", 1e-12), "resolutions from 0; shift it or save it coarser")
    refused(simulation.load, "holds no simulation, only", trajectory.save(small, tmp_path / "a.nc"))
    refused(simulation.load, "truncated or not a simulation", _written(tmp_path / "b.nc", b"x" * 100))
    refused(simulation.validate, "are missing; a simulation is made by mlcgmd.simulate", small)


COARSE: Table = {
    "level of text": (lambda s: coarse_grain(s, "a"), "level 'a' is no number"),  # type: ignore[arg-type]
    "level 0": (lambda s: coarse_grain(s, 0), "below 1"),
    "NaN level": (lambda s: coarse_grain(s, np.nan), "below 1"),
    "infinite level": (lambda s: coarse_grain(s, np.inf), "larger than the largest molecule"),
    "huge level": (lambda s: coarse_grain(s, 9), "larger than the largest molecule, of 4 particles"),
    "a path": (lambda s: coarse_grain("a.nc", 2), "a str is no trajectory of particles"),  # type: ignore[arg-type]
    "a list": (lambda s: coarse_grain([s], 2), "a list is no trajectory of particles"),  # type: ignore[arg-type]
    "replicas": (lambda s: coarse_grain(s.expand_dims("replica"), 2), r"give one .* or one replica: run\.isel\(replica=0\)"),
    "a path to look at": (lambda s: check("a.nc"), "a str is no trajectory of particles"),  # type: ignore[arg-type]
    "a level to look at": (lambda s: check(s, 0.1), "below 1"),
}


@pytest.mark.parametrize("case", COARSE)
def test_what_cannot_be_coarse_grained(case: str, small: xr.Dataset) -> None:
    call, message = COARSE[case]
    refused(call, message, small)


@pytest.fixture(scope="module")
def salt() -> tuple[xr.Dataset, xr.Dataset]:
    """MD and a simulation of a salt in a box, of the beads of both."""
    return toy("salt"), simulated("salt")


def charged(md: xr.Dataset, values: list[float]) -> xr.Dataset:
    return md.assign(charge=("species", values))


COMPARED: Table = {
    "negative discard": (lambda md, run: compare(md, run, discard=-5), "discard is -5; give a finite number from 0 on, in the time unit"),
    "NaN discard": (lambda md, run: compare(md, run, discard=np.nan), "discard is nan"),
    "discard of text": (lambda md, run: compare(md, run, discard="half"), "discard is 'half'"),  # type: ignore[arg-type]
    "all discarded": (lambda md, run: compare(md, run, discard=1e9), "frames"),
    "temperature 0": (lambda md, run: compare(md, run, temperature=0), "temperature is 0; give a finite number above 0, in K"),
    "negative temperature": (lambda md, run: compare(md, run, temperature=-300), "temperature is -300"),
    "NaN temperature": (lambda md, run: compare(md, run, temperature=np.nan), "temperature is nan"),
    "charged box": (
        lambda md, run: compare(charged(md, [0, -1, 2]), run, temperature=300),
        "leave the box charged, .* leave temperature= out",
    ),
    "unknown charge": (lambda md, run: compare(charged(md, [0, np.nan, 1]), run, temperature=300), "which are not known"),
    "no MD": (lambda md, run: compare([], run), "give at least one of each"),
    "no simulation": (lambda md, run: compare(md, []), "give at least one of each"),
    "a path": (lambda md, run: compare(md, "run.nc"), "a str is no trajectory of beads"),  # type: ignore[arg-type]
    "None": (lambda md, run: compare(None, run), "a NoneType is no trajectory of beads"),  # type: ignore[arg-type]
    "MD twice": (lambda md, run: compare([md, md], run), "two MD runs are called"),
    "other beads": (lambda md, run: compare(md.isel(particle=[0, 1, 2], bond=[]), run), "compare the same beads"),
}


@pytest.mark.parametrize("case", COMPARED)
def test_what_cannot_be_compared(case: str, salt: tuple[xr.Dataset, xr.Dataset]) -> None:
    call, message = COMPARED[case]
    refused(call, message, *salt)


def train_with(**changes: object) -> Callable[[], object]:
    return lambda: TrainConfig(**({"time_step": 10, "steps": 2} | changes))  # type: ignore[arg-type]


def simulator_with(**changes: object) -> Callable[[], object]:
    return lambda: SimulatorConfig(**({"time_step": 10.0, "level": 6.0, "type_name": ("a",)} | changes))  # type: ignore[arg-type]


def chain_with(**changes: object) -> Callable[[], object]:
    return lambda: ChainSpec(**({"name": "x", "sequence": "ab", "seed": 0, "length": 10.0} | changes))  # type: ignore[arg-type]


def electrolyte_with(**changes: object) -> Callable[[], object]:
    given = {"name": "x", "chains": 4, "spacers": (2, 2), "oxygen_per_lithium": 6, "seed": 0, "length": 10.0}
    return lambda: ElectrolyteSpec(**(given | changes))  # type: ignore[arg-type]


NAN = float("nan")
WRONG: dict[Callable, dict[str, tuple]] = {
    train_with: {
        "time_step": (0, -1.0, NAN, "ten", None, True),
        "steps": (0, -3, 2.5, 100.0, "many", NAN),
        "history": (0, -1, 1.5),
        "width": (0, -64),
        "layers": (0,),
        "refiner_layers": (0, 1.0),
        "radius": (0, -6.0, NAN, float("inf"), "6"),
        "radial": (-1, 0.5),
        "systems_per_batch": (0,),
        "windows_per_system": (0, -16),
        "learning_rate": (0, -2e-3, NAN, 1e6, "1e-3"),
        "weight_decay": (-1.0, NAN),
        "clip": (0, -2.0, NAN),
        "ema": (-0.1, 1.5, NAN),
        "history_noise": ((0, 0.1), (-0.1, 0.1), (0.2, 0.1), (0.1,), 0.1, "ab", (NAN, 1.0), None),
        "seed": (-1, 2**64, 0.5, "zero"),
        "save_every": (0, -1, 1.5),
    },
    simulator_with: {
        "time_step": (0, NAN),
        "level": (0, -6.0, NAN),
        "history": (0,),
        "width": (0, -64),
        "radius": (0, -1.0),
        "pair_length": (0.0, NAN),
        "step_length": (0.0, -1.0, NAN),
        "bead_mass": (0.0,),
        "bead_rg2": (NAN,),
        "core": (((1.0,),),),
    },
    chain_with: {
        "sequence": ("", "abx", 3),
        "seed": (-1, 1.5),
        "length": (0, -10.0, NAN),
        "frame_interval": (0, -1.0),
        "equilibration": (-1.0, NAN),
        "time_step": (0, -0.01, NAN),
        "friction": (0, -0.5),
    },
    electrolyte_with: {
        "chains": (0, -4, 2.5),
        "spacers": ((), (5,), (2, 7)),
        "oxygen_per_lithium": (0, -6, NAN, 1e3),
        "seed": (-1,),
        "length": (0, NAN),
        "frame_interval": (0, -4.0),
        "equilibration": (0, -1.0, NAN),
        "temperature": (0, -450.0, NAN),
        "cutoff": (0, -7.2),
        "charge_scale": (-0.75,),
        "time_step": (0, NAN),
        "friction": (0,),
    },
    lambda **changes: lambda: Multistep(**changes): {
        "evaluations": (0, -6, 6.0),
        "sigma_max": (0, NAN, -1.0, 0.01),
        "sigma_min": (0, 5.0, NAN),
        "rho": (0, NAN),
        "stochasticity": (-1.0, NAN),
    },
    lambda **changes: lambda: Langevin(**changes): {
        "levels": (0, 1.5),
        "steps": (0, -10),
        "sigma_max": (0, 0.01, NAN),
        "sigma_min": (0, 2.0),
        "step": (0, -0.04, NAN),
    },
}
FIELDS = [(make, name, value) for make, fields in WRONG.items() for name, values in fields.items() for value in values]


@pytest.mark.parametrize(("make", "name", "value"), FIELDS)
def test_configurations_refuse(make: Callable, name: str, value: object) -> None:
    """The message has the field and what to give instead. A bound of one noise level is said of the other."""
    refused(make(**{name: value}), f"(?s)({name}|sigma_min|spacers|constitutional|O:Li).*(give|use|add)")


@pytest.fixture(scope="module")
def model() -> Model:
    config = TrainConfig(time_step=10, steps=2, width=8, layers=1, refiner_layers=1)
    return build_model(Windows(in_common_terms(toy_systems()), 10, 1), config)


SIMULATED: Table = {
    "no steps": (lambda m, s, **k: simulate(m, s, steps=0), "steps is 0; give a whole number from 1 on"),
    "negative steps": (lambda m, s: simulate(m, s, steps=-1), "steps is -1"),
    "half a step": (lambda m, s: simulate(m, s, steps=1.5), "steps is 1.5"),
    "steps of text": (lambda m, s: simulate(m, s, steps="1"), "steps is '1'"),
    "a float": (lambda m, s: simulate(m, s, steps=2.0), "steps is 2.0; give a whole number"),
    "no replicas": (lambda m, s: simulate(m, s, steps=1, replicas=0), "replicas is 0"),
    "negative replicas": (lambda m, s: simulate(m, s, steps=1, replicas=-2), "replicas is -2"),
    "save never": (lambda m, s: simulate(m, s, steps=1, save_every=0), "save_every is 0"),
    "save backwards": (lambda m, s: simulate(m, s, steps=1, save_every=-1), "save_every is -1"),
    "negative seed": (lambda m, s: simulate(m, s, steps=1, seed=-1), "seed is -1"),
    "huge seed": (lambda m, s: simulate(m, s, steps=1, seed=2**64), "seed is 18446744073709551616"),
    "no guard": (lambda m, s: simulate(m, s, steps=1, max_stretch=0), "max_stretch is 0; give a finite number above 1"),
    "negative guard": (lambda m, s: simulate(m, s, steps=1, max_stretch=-4.0), "max_stretch is -4"),
    "NaN guard": (lambda m, s: simulate(m, s, steps=1, max_stretch=NAN), "max_stretch is nan"),
    "a name as sampler": (lambda m, s: simulate(m, s, steps=1, sampler="langevin"), "sampler is 'langevin'; give a Flow"),
    "a class as sampler": (
        lambda m, s: simulate(m, s, steps=1, sampler=Gaussian),
        "give a Flow, Distilled, Multistep, Langevin",
    ),
    "no GPU here": (lambda m, s: simulate(m, s, steps=1, device="cuda:99"), "device 'cuda:99' is not there; give one of cpu"),
    "unknown device": (lambda m, s: simulate(m, s, steps=1, device="gpu"), "device 'gpu' is not known; give 'cpu' or 'cuda'"),
    "meta device": (lambda m, s: simulate(m, s, steps=1, device="meta"), "device 'meta' is not there"),
    "device None": (lambda m, s: simulate(m, s, steps=1, device=None), "device None is not known"),
    "no systems": (lambda m, s: simulate(m, [], steps=1), "give at least one coarse-grained trajectory"),
    "a trajectory": (lambda m, s: simulate(m, s[0].coarse, steps=1), "a Dataset is no coarse-grained system; make one with"),
    "a path": (lambda m, s: simulate(m, "a.nc", steps=1), "a str is no coarse-grained system"),
    "one name twice": (lambda m, s: simulate(m, [s[0], s[0]], steps=1), "two systems are called 'toy-abcd-0'; give each a name"),
    "a path as model": (lambda m, s: simulate("a.safetensors", s, steps=1), "a str is no model; load one with mlcgmd.Model.load"),
    "another level": (lambda m, s: simulate(m, toy_systems(1, level=4), steps=1), "coarse-grain at that level"),
    "a box": (lambda m, s: simulate(m, toy_boxes(1, level=6), steps=1), "use one set of units"),
    "no steps timed": (lambda m, s: throughput(m, s, 1, Gaussian(), steps=0), "steps is 0"),
    "no replicas timed": (lambda m, s: throughput(m, s, 0, Gaussian()), "replicas is 0"),
    "sampler of another name": (lambda m, s: make_sampler("euler"), "there is no sampler 'euler'; use flow, distilled"),
    "evaluations 0": (lambda m, s: make_sampler("multistep", 0), "evaluations is 0"),
    "unknown option": (lambda m, s: make_sampler("langevin", sigma=1), "has no option sigma; it has levels"),
}


@pytest.mark.parametrize("case", SIMULATED)
def test_what_cannot_be_simulated(case: str, model: Model) -> None:
    call, message = SIMULATED[case]
    refused(call, message, model, toy_systems(2))


SHORT = TrainConfig(time_step=10, steps=2, width=8, layers=1, refiner_layers=1, save_every=1)
TRAINED: Table = {
    "no systems": (lambda d, s: train([], [], SHORT, d), "there are no systems to train on; give at least one"),
    "a trajectory": (lambda d, s: train([s[0].coarse], [], SHORT, d), "a Dataset is no coarse-grained system"),
    "validation of a trajectory": (lambda d, s: train(s, [s[0].coarse], SHORT, d), "a Dataset is no coarse-grained system"),
    "validation at another level": (
        lambda d, s: train(s, toy_systems(1, level=4), SHORT, d),
        "has 4 particles per bead, the model was trained with 6",
    ),
    "validation in a box": (lambda d, s: train(s, toy_boxes(1, level=6), SHORT, d), "in a box"),
    "validation of other types": (lambda d, s: train(s[1:2], s[:1], SHORT, d), "particle types .* that no training system has"),
    "one name twice": (lambda d, s: train([s[0], s[0]], [], SHORT, d), "two systems are called 'toy-abcd-0'"),
    "validation twice": (lambda d, s: train(s, [s[0], s[0]], SHORT, d), "two systems are called"),
    "no GPU here": (lambda d, s: train(s, [], replace(SHORT, device="cuda:99"), d), "device 'cuda:99' is not there"),
    "unknown device": (lambda d, s: train(s, [], replace(SHORT, device="gpu"), d), "device 'gpu' is not known"),
    "too long a step": (lambda d, s: train(s, [], replace(SHORT, time_step=10**4), d), "too few for one window"),
    "step between frames": (lambda d, s: train(s, [], replace(SHORT, time_step=15), d), "not a multiple of the frame interval"),
    "no radius in a box": (lambda d, s: train(toy_boxes(1), [], replace(SHORT, time_step=4), d), "radius"),
}


@pytest.mark.parametrize("case", TRAINED)
def test_what_cannot_be_trained_on_leaves_no_folder(case: str, tmp_path: Path) -> None:
    call, message = TRAINED[case]
    refused(call, message, tmp_path / "run", toy_systems(2))
    assert not (tmp_path / "run").exists()


def test_md_that_cannot_be(tmp_path: Path) -> None:
    chain = ChainSpec("x", "abab", 0, length=10.0, frame_interval=1.0, equilibration=0.0)
    refused(run_md, "is not a whole number of MD steps", replace(chain, frame_interval=0.01, length=0.02), tmp_path / "a.nc")
    refused(run_md, "is not a multiple of the frame interval", replace(chain, length=1.5), tmp_path / "a.nc")
    refused(measure_speed, "steps is 0", chain, 0)
    odd = ElectrolyteSpec("x", 4, (2, 2), 6, 0, length=4.0, platform="TPU")
    refused(run_md, "OpenMM has no platform 'TPU' here; give one of", odd, tmp_path / "b.nc")


def other_header(**changes: object) -> Callable[[Path], Path]:
    """The file with other fields of the simulator in its header, or without those that are None; no digest, as in older files."""

    def change(path: Path) -> Path:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["mlcgmd"])
        del header["digest"]
        kept = header["simulator"] | changes
        header["simulator"] = {name: value for name, value in kept.items() if value is not None}
        save_file(load_file(path), path, {"mlcgmd": json.dumps(header)})
        return path

    return change


def other_weights(change: Callable[[str, torch.Tensor], torch.Tensor | None], keep_digest: bool = False) -> Callable[[Path], Path]:
    def call(path: Path) -> Path:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["mlcgmd"])
        if not keep_digest:
            del header["digest"]
        weights = {name: new for name, value in load_file(path).items() if (new := change(name, value)) is not None}
        save_file(weights, path, {"mlcgmd": json.dumps(header)})
        return path

    return call


BIAS = "simulator.scalars.2.bias"
MODELS: Table = {
    "flipped bit": (lambda p: _flipped(p, p.stat().st_size - 20), "header and weights are not those that were saved together"),
    "flipped digit": (
        lambda p: _written(p, p.read_bytes().replace(b'level\\": 6.0', b'level\\": 7.0')),
        "not those that were saved together",
    ),
    "cut": (_cut, "is truncated or corrupted"),
    "empty": (lambda p: _written(p, b""), "is truncated or corrupted"),
    "no model": (lambda p: _written(p, b"text " * 100), "is truncated or corrupted"),
    "a pickle": (lambda p: torch.save({"a": 1}, p) or p, "is truncated or corrupted"),
    "no step length": (other_header(step_length=None), r"lacks \['step_length'\]; |lacks \['step_length'\]"),
    "no time step": (other_header(time_step=None), r"lacks \['time_step'\]"),
    "no types": (other_header(type_name=None), r"lacks \['type_name'\]"),
    "no width": (other_header(width=None), r"lacks \['width'\]"),
    "unknown field": (other_header(depth=3), r"has unknown fields \['depth'\]"),
    "step length 0": (other_header(step_length=0.0), "step_length is 0.0; give a finite number above 0"),
    "NaN scale": (other_header(pair_length=NAN), "pair_length is nan"),
    "negative time step": (other_header(time_step=-10), "time_step is -10"),
    "other sizes": (other_header(width=16), "the weights do not fit the config"),
    "other layers": (other_header(layers=2), "the weights do not fit the config"),
    "types of a number": (other_header(type_name=3), "its header is not that of a model"),
    "NaN": (other_weights(lambda name, w: torch.full_like(w, NAN) if name == BIAS else w), f"{BIAS} is not finite; train again"),
    "infinite": (other_weights(lambda name, w: w / 0 if name == BIAS else w), "is not finite"),
    "half precision": (other_weights(lambda name, w: w.half()), "is torch.float16, not torch.float32"),
    "bfloat16": (other_weights(lambda name, w: w.bfloat16(), keep_digest=True), "is torch.bfloat16"),
    "double precision": (other_weights(lambda name, w: w.double()), "is torch.float64"),
    "a weight is missing": (other_weights(lambda name, w: None if name == BIAS else w), "do not fit the config"),
    "other weights": (other_weights(lambda name, w: w + 1, keep_digest=True), "not those that were saved together"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_that_were_changed(case: str, model: Model, tmp_path: Path) -> None:
    change, message = MODELS[case]
    path = model.save(tmp_path / "a.safetensors", {10: 1, 9: 2})
    assert Model.load(path).config == model.config
    with pytest.raises(CheckpointError, match=message):
        Model.load(change(path))


def test_a_model_of_numbers_that_are_none_is_not_saved(model: Model, tmp_path: Path) -> None:
    broken = copy.deepcopy(model)
    with torch.no_grad():
        next(broken.parameters()).fill_(NAN)
    refused(broken.save, "is not finite", tmp_path / "a.safetensors")
    refused(Model.load, "device 'cuda:99' is not there", model.save(tmp_path / "b.safetensors"), "cuda:99")
    assert [path.name for path in tmp_path.iterdir()] == ["b.safetensors"]


LASTS: Table = {
    "cut": (lambda d: _cut(d / "last.ckpt"), "last.ckpt is damaged or no checkpoint .* remove it to begin anew"),
    "empty": (lambda d: _written(d / "last.ckpt", b""), "remove it to begin anew"),
    "text": (lambda d: _written(d / "last.ckpt", b"no checkpoint"), "remove it to begin anew"),
    "code": (lambda d: torch.save({"global_step": Path("x")}, d / "last.ckpt"), "remove it to begin anew"),
    "nothing in it": (lambda d: torch.save({}, d / "last.ckpt"), "remove it to begin anew"),
    "other sizes": (lambda d: torch.save({"global_step": 1, "state_dict": {"a": torch.ones(2)}}, d / "last.ckpt"), "other sizes"),
    "curves lost": (lambda d: _written(d / "curves.jsonl", b""), "lacks rows up to step 2, where last.ckpt stands; remove both"),
    "config of another": (lambda d: _written(d / "config.json", b"{}"), "give another folder or remove it"),
    "no config": (lambda d: _written(d / "config.json", b"\xff"), "give another folder or remove it"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(toy_systems(1), [], SHORT, folder, progress=False)
    return folder


@pytest.mark.parametrize("case", LASTS)
def test_files_of_a_training_that_were_changed(case: str, trained: Path, tmp_path: Path) -> None:
    change, message = LASTS[case]
    shutil.copytree(trained, tmp_path / "run")
    change(tmp_path / "run")
    refused(train, message, toy_systems(1), [], SHORT, tmp_path / "run", False)


def test_a_training_that_diverges_says_so_and_keeps_no_numbers_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Training.losses

    def diverges(self: Training, *args: object) -> dict[str, torch.Tensor]:
        found = before(self, *args)  # type: ignore[arg-type]
        return {name: value * (NAN if self.global_step == 1 else 1) for name, value in found.items()}

    monkeypatch.setattr(Training, "losses", diverges)
    with pytest.raises(DivergedError, match="diverged at step 1 .* use a smaller learning_rate than 0.002"):
        train(toy_systems(1), [], SHORT, tmp_path / "run", progress=False)
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 1 and all(torch.isfinite(w).all() for w in state["state_dict"].values())


RUN = "dataset: chain-smoke\nlevel: 8\nfolder: run\nmodel: a.safetensors\ntime_step: 20\nsteps: 2\n"
RUN_FILES: dict[str, tuple[str, str]] = {
    "empty": ("", "is no run file: it has no fields"),
    "text": ("train", "is no run file"),
    "a list": ("- 1", "is no run file"),
    "no YAML": ("a: [1", "is no YAML of plain values"),
    "an object": ("a: !!python/object/apply:os.getcwd []", "is no YAML of plain values"),
    "not UTF-8": ("a: \udcff", "is no YAML of plain values"),
    "no level": (RUN.replace("level: 8\n", ""), r"lacks \['level'\]"),
    "no steps": (RUN.replace("steps: 2\n", ""), r"lacks \['steps'\]"),
    "unknown field": (RUN + "depth: 3\n", r"has unknown fields \['depth'\]; those of TrainConfig are \['steps'"),
    "a number as field": (RUN + "3: 3\n", r"has unknown fields \['3'\]"),
    "unknown set": (RUN.replace("chain-smoke", "chain"), "there is no data set 'chain'; the sets are"),
    "a list of sets": (RUN.replace("chain-smoke", "[chain-smoke]"), r"dataset is \['chain-smoke'\]; give a name"),
    "folder of a number": (RUN.replace("folder: run", "folder: 3"), "folder is 3; give a name"),
    "level of text": (RUN.replace("level: 8", "level: eight"), "level 'eight' is no number"),
    "steps of text": (RUN.replace("steps: 2", "steps: two"), "steps is 'two'; give a whole number from 1 on"),
    "a rate that YAML takes for text": (RUN + "learning_rate: 1e-3\n", "learning_rate is '1e-3'; give a finite number"),
    "no files": (RUN.replace("dataset: chain-smoke", "files: []"), r"files is \[\]; give a list of paths, at least one"),
    "one file": (RUN.replace("dataset: chain-smoke", "files: a.nc"), "files is 'a.nc'; give a list of paths"),
    "options of no reader": (RUN.replace("dataset: chain-smoke", "files: [a.pdb]\nread: {steps: 3}"), "steps is no option of from_mdtraj"),
    "a list of options": (RUN.replace("dataset: chain-smoke", "files: [a.nc]\nread: [1]"), r"read is \[1\]; give options of load"),
    "a file that is not there": (RUN.replace("dataset: chain-smoke", "files: [a.nc]"), "a.nc is not there"),
}


@pytest.mark.parametrize("case", RUN_FILES)
def test_run_files_that_say_something_else(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, message = RUN_FILES[case]
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SystemExit, match=message):
        cli.main(["train", "run.yaml"])
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


CELL = 'level = 15  # particles per bead\nname = "a"\noptions = {"radius": 7.0}'
PARAMETERS: Table = {
    "misspelt": (lambda: notebooks.with_parameters(CELL, {"levle": 3}), "there is no parameter levle; there are level, name, options"),
    "several": (lambda: notebooks.with_parameters(CELL, {"b": 3, "a": 1}), "there is no parameter a, b; there are"),
    "empty name": (lambda: notebooks.with_parameters(CELL, {"": 3}), "there is no parameter ; there are"),
    "code": (lambda: notebooks.with_parameters(CELL, {"level; import os": 3}), "there is no parameter level; import os"),
    "text for a mapping": (lambda: notebooks.with_parameters(CELL, {"options": "radius: 7"}), "options is 'radius: 7': give a mapping"),
    "list for a mapping": (lambda: notebooks.with_parameters(CELL, {"options": [7]}), r"options is \[7\]: give a mapping"),
    "number for a mapping": (lambda: notebooks.with_parameters(CELL, {"options": 7}), "options is 7: give a mapping"),
    "nothing for a mapping": (lambda: notebooks.with_parameters(CELL, {"options": None}), "options is None: give a mapping"),
}


PARAMETERS |= {
    "text for a number": (lambda: notebooks.with_parameters(CELL, {"level": "15"}), "level is '15': give a number, such as 15"),
    "nothing for a number": (lambda: notebooks.with_parameters(CELL, {"level": None}), "level is None: give a number"),
    "truth for a number": (lambda: notebooks.with_parameters(CELL, {"level": True}), "level is True: give a number"),
    "number for text": (lambda: notebooks.with_parameters(CELL, {"name": 3}), "name is 3: give text, such as 'a'"),
    "list for text": (lambda: notebooks.with_parameters(CELL, {"name": ["a"]}), r"name is \['a'\]: give text"),
    "number for a list": (lambda: notebooks.with_parameters("more = []", {"more": 3}), r"more is 3: give a list, such as \[\]"),
    "text for a truth value": (lambda: notebooks.with_parameters("build = False", {"build": "no"}), "build is 'no': give true or false"),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_that_a_notebook_has_not(case: str) -> None:
    call, message = PARAMETERS[case]
    refused(call, message)


SMOKE = (CHECKOUT / "workflow" / "smoke.yaml").read_text(encoding="utf-8")
SCALES: dict[str, tuple[str, str]] = {
    "empty": ("", "scale.yaml is None; give a mapping with from, root, systems"),
    "text": ("smoke", "is 'smoke'; give a mapping"),
    "a list": ("- 1", "give a mapping"),
    "no YAML": ("a: [1", "is no YAML of plain values"),
    "an object": ("a: !!python/object/apply:os.getcwd []", "is no YAML of plain values"),
    "not UTF-8": ("a: \udcff", "is no YAML of plain values"),
    "no root": (SMOKE.replace("root:", "#"), "lacks root"),
    "unknown field": (SMOKE + "depth: 3\n", "has unknown fields depth; give across, from, md_jobs, root, systems"),
    "root of a number": (SMOKE.replace("root: runs/smoke", "root: 3"), "root is 3; give a folder"),
    "from elsewhere": (SMOKE.replace("from: md", "from: MD"), "there is no .*: from 'MD'; give md, shipped"),
    "no jobs": (SMOKE + "md_jobs: 0\n", "md_jobs is 0; give a whole number from 1 on"),
    "no systems": (SMOKE[: SMOKE.index("systems:")] + "systems: {}\n", "systems is {}; give a mapping of at least one NAME: FIELDS"),
    "no level": (SMOKE.replace("    level: 6\n", ""), "chain lacks level"),
    "level of text": (SMOKE.replace("level: 6\n", "level: six\n"), "chain: level is 'six'; give a finite number from 1 on"),
    "set of a number": (SMOKE.replace("dataset: chain-smoke\n", "dataset: 3\n"), "dataset is 3; give the name of a data set"),
    "misspelt model": (SMOKE.replace("history: 2, steps: 300", "histroy: 2, steps: 300"), "chain-smoke: there is no parameter histroy"),
    "steps of text": (SMOKE.replace("steps: 300", "steps: many"), "chain-smoke: steps is 'many': give a number"),
    "model of a number": (SMOKE.replace("{time_step: 20, history: 2, steps: 300, seed: 0, device: cpu}", "3"), "chain-smoke is 3; give"),
    "given twice": (SMOKE.replace("steps: 300", "steps: 300, level: 3"), "chain-smoke has level, which the workflow gives itself"),
    "options of text": (
        SMOKE.replace("options: {radius: 7.0, radial: 16, width: 32}", "options: wide"),
        "options is 'wide': give a mapping",
    ),
    "unknown notebook": (SMOKE.replace("11_front_page:", "11_front:"), "there is no notebooks/11_front.ipynb"),
    "unknown parameter": (SMOKE.replace("frames: 20", "frame: 20"), "11_front_page: there is no parameter frame"),
}


@pytest.mark.parametrize("case", SCALES)
def test_scales_that_say_something_else(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, message = SCALES[case]
    assert text != SMOKE
    monkeypatch.chdir(CHECKOUT)
    path = _written(tmp_path / "scale.yaml", text.encode(errors="surrogateescape"))
    refused(scale.read, message, path)


def test_a_scale_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    refused(scale.read, "there is no scale 'huge'; there are gpu, laptop, paper, smoke", Path("workflow/huge.yaml"))


COMMANDS: dict[str, tuple[list[str], str]] = {
    "no command": ([], "required: COMMAND"),
    "unknown command": (["trian"], "invalid choice: 'trian'"),
    "no run file": (["train"], "required: run"),
    "no steps": (["simulate", "a.safetensors", "a.nc", "--output", "b.nc"], "required: --steps"),
    "steps of text": (["simulate", "a", "a.nc", "--output", "b.nc", "--steps", "two"], "invalid int value: 'two'"),
    "half a step": (["simulate", "a", "a.nc", "--output", "b.nc", "--steps", "1.5"], "invalid int value: '1.5'"),
    "unknown option": (["check", "a.nc", "--levle", "3"], "unrecognized arguments: --levle 3"),
    "level of text": (["check", "a.nc", "--level", "three"], "invalid float value: 'three'"),
    "no set": (["datasets", "build"], "required: name"),
    "half a process": (["datasets", "build", "chain-smoke", "--processes", "0.5"], "invalid int value"),
    "a part that is no share": (["datasets", "build", "chain-smoke", "--part", "2"], "argument --part: invalid .* value: '2'"),
    "a part beyond the last": (["datasets", "build", "chain-smoke", "--part", "3/2"], "mlcgmd: part is 3 of 2; give one from 1 to 2"),
    "a file that is not there": (["check", "a.nc"], "mlcgmd: a.nc is not there"),
    "a model that is not there": (["simulate", "a", "a.nc", "--output", "b.nc", "--steps", "1"], "mlcgmd: there is no model a; train one"),
    "a run that is not there": (["compare", "a.nc", "b.nc"], "mlcgmd: there is no simulation a.nc"),
    "a run file that is not there": (["train", "a.yaml"], "mlcgmd: .*No such file.*a.yaml"),
    "another format": (["simulate", "a", "a.nc", "--output", "b.nc", "--steps", "1", "--export", "a.foo"], "give one of .xtc"),
    "an option without a value": (["check", "a.nc", "--option", "units"], "--option units: give NAME=VALUE"),
    "an option that is no YAML": (["check", "a.nc", "--option", "units=[1"], "give values as YAML has them"),
    "unknown set": (["datasets", "verify", "chain"], "mlcgmd: there is no data set 'chain'"),
    "unknown split": (["datasets", "build", "chain-smoke", "val"], "mlcgmd: there is no split 'val'"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_command_lines_that_ask_for_something_else(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = COMMANDS[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code not in (0, None)
    assert re.search(message, f"{caught.value} {capsys.readouterr().err}")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before_a_file_is_begun(small: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 ends the process where the disk becomes full while it writes."""
    before = trajectory.save(small, tmp_path / "a.nc").read_bytes()
    monkeypatch.setattr(hdf5.shutil, "disk_usage", lambda _: type("usage", (), {"free": small.nbytes}))
    with pytest.raises(OSError, match=r"the disk is full: .*a\.nc needs up to .* are free; make room and run it again"):
        trajectory.save(small, tmp_path / "a.nc")
    with pytest.raises(OSError, match=r"the disk is full: .*b\.nc"):
        simulation.save([small], tmp_path / "b.nc")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_training_on_a_full_disk_keeps_its_last_good_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = train(toy_systems(1), [], SHORT, tmp_path / "whole", progress=False)
    save = lightning.Trainer.save_checkpoint

    def full(self: lightning.Trainer, path: Path) -> None:
        if self.global_step == 2:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(self, path)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is full: .* has its last good state; make room"):
        patch.setattr(lightning.Trainer, "save_checkpoint", full)
        train(toy_systems(1), [], SHORT, tmp_path / "run", progress=False)
    assert not list((tmp_path / "run").glob("*.partial"))
    again, _ = train(toy_systems(1), [], SHORT, tmp_path / "run", progress=False)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    for bug in (KeyError("x"), TypeError("x"), ValueError("x"), ZeroDivisionError("x")):
        monkeypatch.setattr(cli, "_list", lambda _, bug=bug: (_ for _ in ()).throw(bug))
        with pytest.raises(type(bug)):
            cli.main(["datasets", "list"])
