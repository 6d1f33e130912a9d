"""A table of wrong inputs: each is answered by an error of the library that names the thing and the remedy. None is silent or raw."""

import hashlib
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlcgmd import parallel
from mlcgmd.data import archives
from mlcgmd.data.published import fetch
from mlcgmd.errors import MlcgmdError
from mlcgmd.paper import datasets

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
