"""Named sets, their registry, and fetching from a server on this machine."""

import dataclasses
import functools
import hashlib
import http.server
import json
import multiprocessing
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest

from mlcgmd.data import trajectory
from mlcgmd.data.published import fetch, from_polymer_folder
from mlcgmd.errors import MlcgmdError
from mlcgmd.md.chain import ChainSpec
from mlcgmd.md.electrolyte import ELEMENTS, ElectrolyteSpec
from mlcgmd.md.run import run_md
from mlcgmd.paper import datasets
from mlcgmd.paper.datasets import build, path_of, specs
from mlcgmd.paper.sets import DATASETS, SPLITS, ChainSet, ElectrolyteSet
from mlcgmd.paths import DATA

TINY = ChainSet(
    seed=1, n_units=4, chains=(2, 1, 1), length=(10.0, 10.0, 20.0), frame_interval=(2.0, 2.0, 2.0), equilibration=(5.0, 5.0, 5.0)
)


@pytest.mark.parametrize("name", DATASETS)
def test_specs_are_frozen_unique_and_disjoint(name: str) -> None:
    drawn = {split: specs(name, split) for split in SPLITS}
    members = DATASETS[name]
    everything = [spec for split in SPLITS for spec in drawn[split]]
    unique = ["name", "seed"]
    if isinstance(members, ChainSet):
        assert [len(drawn[split]) for split in SPLITS] == [n * r for n, r in zip(members.chains, members.repeats, strict=True)]
        assert len({spec.sequence for spec in everything if isinstance(spec, ChainSpec)}) == sum(members.chains)
    for field in unique:
        assert len({getattr(spec, field) for spec in everything}) == len(everything), field
    assert all(specs(name, split) == drawn[split] for split in SPLITS)


@pytest.mark.parametrize("name", [name for name, members in DATASETS.items() if isinstance(members, ElectrolyteSet)])
def test_electrolytes_of_the_splits(name: str) -> None:
    """Test files say which repeat they are, also where there is one. What is tested was not seen, but in a continued set."""
    members = DATASETS[name]
    assert isinstance(members, ElectrolyteSet)
    drawn: dict[str, list[ElectrolyteSpec]] = {split: [s for s in specs(name, split) if isinstance(s, ElectrolyteSpec)] for split in SPLITS}
    counts = [len(compositions) for compositions in members.compositions]
    repeats = members.repeats[2]
    assert [len(drawn[split]) for split in SPLITS] == [counts[0], counts[1], repeats * counts[2]]
    assert [s.name for s in drawn["test"]] == [f"{name}/test-{i:03d}-{r}" for i in range(counts[2]) for r in range(repeats)]
    assert [s.name for s in drawn["train"]] == [f"{name}/train-{i:03d}" for i in range(counts[0])]
    spacers = {split: {s.spacers for s in drawn[split]} for split in SPLITS}
    assert spacers["test"].isdisjoint(spacers["train"] | spacers["validation"]) is not members.continued
    for spec in {s.spacers: s for split in SPLITS for s in drawn[split]}.values():
        if name.endswith("-laptop"):
            kinds = spec.topology()[0]
            assert 400 <= len(kinds) <= 470
            assert (kinds == ELEMENTS.index("Li")).sum() == spec.salt


def test_shipped_electrolytes_are_whole() -> None:
    """They load with the registered checksums, in the box of their start; made from the specs that the library has now."""
    start = trajectory.load(datasets.verify(DATA / "spe-smoke/start.nc"))
    assert start.sizes["frame"] == 1
    assert float(start.box.min()) > 2 * 7.2
    size = (DATA / "spe-smoke/start.nc").stat().st_size
    for split in SPLITS:
        for spec, run in zip(specs("spe-smoke", split), datasets.load("spe-smoke", split), strict=True):
            np.testing.assert_allclose(run.box, start.box[0].broadcast_like(run.box))
            assert json.loads(run.attrs["provenance"])["spec"] == json.loads(json.dumps(dataclasses.asdict(spec)))  # type: ignore[call-overload]
            size += path_of(spec).stat().st_size
    assert size < 1e6


def test_a_start_is_made_registered_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "run_many", lambda jobs, *_: [_stand_in(path) for _, path in jobs])
    path = datasets.build_start("spe-smoke", root=tmp_path)
    assert path == tmp_path / "spe-smoke/start.nc"
    assert datasets.registry(tmp_path)["spe-smoke/start.nc"]["command"] == "mlcgmd datasets start spe-smoke"
    for name in ("spe-laptop", "chain-smoke", "unknown"):
        with pytest.raises(ValueError, match=f"{name} has no start"):
            datasets.build_start(name, root=tmp_path)
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path)
    assert len(build("spe-smoke", root=tmp_path / "elsewhere")) == 5
    path.write_bytes(b"another")
    with pytest.raises(ValueError, match=r"start\.nc has another checksum .* mlcgmd datasets start spe-smoke"):
        build("spe-smoke", root=tmp_path / "elsewhere")


def _stand_in(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a trajectory")
    return path


def test_unknown_names() -> None:
    with pytest.raises(MlcgmdError, match=r"no data set 'chain'; the sets are \['chain-fresh'"):
        specs("chain", "test")
    with pytest.raises(MlcgmdError, match="no split 'val'"):
        specs("chain-smoke", "val")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the set "tiny", built in this process."""
    monkeypatch.setitem(DATASETS, "tiny", TINY)
    monkeypatch.setattr(datasets, "run_many", lambda jobs, *_: [run_md(spec, path) for spec, path in jobs])
    build("tiny", root=tmp_path / "data")
    return tmp_path / "data"


def test_build_register_load_verify(tiny: Path) -> None:
    runs = datasets.load("tiny", "test", root=tiny)
    assert [run.attrs["system"] for run in runs] == ["tiny/test-000"]
    assert runs[0].sizes["frame"] == 10
    entries = json.loads((tiny / "tiny" / "registry.json").read_text())
    path = tiny / "tiny/train-001.nc"
    assert sorted(entries) == [f"{n}.nc" for n in ("test-000", "train-000", "train-001", "validation-000")]
    assert entries["train-001.nc"] == {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "command": "mlcgmd datasets build tiny",
    }
    assert datasets.registry(tiny) == {f"tiny/{name}": entry for name, entry in entries.items()}


def test_each_folder_has_a_registry_of_all_beneath_it_and_the_root_one_of_its_own_files(tmp_path: Path) -> None:
    names = ("a/b/c.txt", "a/d.txt", "e.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    datasets.register([tmp_path / name for name in names], command="by hand", root=tmp_path)
    assert set(json.loads((tmp_path / "a" / "registry.json").read_text())) == {"b/c.txt", "d.txt"}
    assert set(json.loads((tmp_path / "registry.json").read_text())) == {"e.txt"}
    assert set(datasets.registry(tmp_path)) == set(names)
    assert all(datasets.verify(tmp_path / name, tmp_path) == tmp_path / name for name in names)


def _register_one_by_one(root: Path, writer: str, count: int) -> None:
    for k in range(count):
        path = root / "shared" / f"{writer}-{k}"
        path.write_text(path.name)
        datasets.register([path], command=writer, root=root)


def test_two_writers_of_one_registry_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_register_one_by_one, args=(tmp_path, name, 100)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert set(datasets.registry(tmp_path)) == {f"shared/{name}-{k}" for name in ("a", "b") for k in range(100)}


def test_wrong_checksum_and_missing_file(tiny: Path) -> None:
    path = tiny / "tiny/test-000.nc"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"test-000\.nc has another checksum"):
        datasets.load("tiny", "test", root=tiny)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="how to build them"):
        datasets.load("tiny", "test", root=tiny)
    path.write_bytes(whole)
    assert len(datasets.load("tiny", "test", root=tiny)) == 1
    (tiny / "tiny" / "registry.json").unlink()
    with pytest.raises(ValueError, match=r"test-000\.nc has no entry in .*registry\.json"):
        datasets.load("tiny", "test", root=tiny)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; of the files in ``cut`` it sends only the first half of what it announced."""

    cut: frozenset[str] = frozenset()

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        content = source.read()
        outputfile.write(content[: len(content) // 2] if self.path.lstrip("/") in self.cut else content)

    def log_message(self, *_: object) -> None:
        pass


class Mirror:
    """A server on this machine with two archives of one polymer each: ``a.zip`` and ``b.tar.gz``."""

    def __init__(self, folder: Path, polymer: Path) -> None:
        self.files = folder / "served"
        self.files.mkdir()
        for name, archive, kind in (("poly00951", "a", "zip"), ("rand001", "b", "gztar")):
            source = folder / archive / "chains" / name
            shutil.copytree(polymer, source)
            shutil.make_archive(str(self.files / archive), kind, folder / archive)
        self.handler = type("CutHandler", (Handler,), {})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(self.handler, directory=str(self.files)))
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def checksums(self) -> dict[str, str]:
        return {path.name: f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}" for path in sorted(self.files.iterdir())}

    def fetch(self, folder: Path, **options: object) -> list[Path]:
        return fetch(folder, **({"base_url": self.url, "checksums": self.checksums()} | options))  # type: ignore[arg-type]


@pytest.fixture
def mirror(tmp_path: Path, polymer_folder: Path) -> Iterator[Mirror]:
    mirror = Mirror(tmp_path, polymer_folder)
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


def test_fetch_unpacks_what_the_reader_reads(mirror: Mirror, tmp_path: Path, polymer_folder: Path) -> None:
    target = tmp_path / "published"
    folders = mirror.fetch(target)
    assert folders == [target / "a/chains/poly00951", target / "b/chains/rand001"]
    assert sorted(p.name for p in target.iterdir()) == ["a", "b"]
    want = from_polymer_folder(polymer_folder, frame_interval=5.0)
    for folder in folders:
        np.testing.assert_array_equal(from_polymer_folder(folder, frame_interval=5.0).position, want.position)


def test_fetch_keeps_what_is_there(mirror: Mirror, tmp_path: Path) -> None:
    target = tmp_path / "published"
    mirror.fetch(target, files=["a.zip"])
    assert [p.name for p in target.iterdir()] == ["a"]
    checksums = mirror.checksums()
    (mirror.files / "a.zip").unlink()
    assert len(mirror.fetch(target, checksums=checksums)) == 2


def test_fetch_wrong_checksum(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.zip from http://127\.0\.0\.1:\d+/ has a wrong checksum"):
        mirror.fetch(tmp_path / "published", files=["a.zip"], checksums={"a.zip": "md5:" + "0" * 32})
    assert list((tmp_path / "published").iterdir()) == []


def test_fetch_truncated_download(mirror: Mirror, tmp_path: Path) -> None:
    mirror.handler.cut = frozenset({"b.tar.gz"})
    with pytest.raises(OSError, match=r"the download of b\.tar\.gz from .* failed"):
        mirror.fetch(tmp_path / "published")
    assert [p.name for p in (tmp_path / "published").iterdir()] == ["a"]
    mirror.handler.cut = frozenset()
    assert len(mirror.fetch(tmp_path / "published")) == 2


def test_fetch_server_without_the_file_or_no_server(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="404"):
        mirror.fetch(tmp_path / "published", files=["c.zip"], checksums={"c.zip": "md5:" + "0" * 32})
    with pytest.raises(MlcgmdError, match=r"no 'c\.zip' at .*the files are \['a\.zip', 'b\.tar\.gz'\]"):
        mirror.fetch(tmp_path / "published", files=["c.zip"])
    mirror.server.shutdown()
    mirror.server.server_close()
    with pytest.raises(OSError, match="run it again"):
        mirror.fetch(tmp_path / "published")


def test_fetch_needs_checksums_of_a_mirror(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs checksums="):
        fetch(tmp_path, base_url="http://127.0.0.1/")


@pytest.mark.parametrize("archive", ["a.zip", "b.tar.gz"])
def test_fetch_corrupted_archive(archive: str, mirror: Mirror, tmp_path: Path) -> None:
    path = mirror.files / archive
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=rf"{archive} is corrupted"):
        mirror.fetch(tmp_path / "published", files=[archive])
    assert [p.name for p in (tmp_path / "published").iterdir() if p.is_dir()] == []


@pytest.mark.parametrize(("keep", "message"), [(("position.h5", "bond.h5"), r"poly1 lacks \['lattice\.h5'"), ((), "no polymer in")])
def test_fetch_missing_member(keep: tuple[str, ...], message: str, mirror: Mirror, tmp_path: Path, polymer_folder: Path) -> None:
    with zipfile.ZipFile(mirror.files / "a.zip", "w") as archive:
        archive.writestr("README", "chains")
        for name in keep:
            archive.write(polymer_folder / name, f"poly1/{name}")
    with pytest.raises(ValueError, match=message):
        mirror.fetch(tmp_path / "published", files=["a.zip"])
    assert [p.name for p in (tmp_path / "published").iterdir() if p.is_dir()] == []


def test_fetch_asks_the_record_for_files_and_checksums(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the look-up of the DOI is replaced: its record lists the files of the local server."""

    class Record:
        def populate_registry(self, source: pooch.Pooch) -> None:
            source.registry.update(mirror.checksums() | {"README.md": "md5:" + "0" * 32})

        def download_url(self, name: str) -> str:
            return mirror.url + name

    asked = []
    for module in (pooch.core, pooch.downloaders):
        monkeypatch.setattr(module, "doi_to_repository", lambda doi, **_: asked.append(doi) or Record())
    assert len(fetch(tmp_path / "published")) == 2
    assert {doi.rstrip("/") for doi in asked} == {"10.5281/zenodo.6764836"}


def test_no_name_is_left_of_a_full_disk(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(OSError, match="the disk is full"):
        mirror.fetch(tmp_path / "published", files=["a.zip"])
    assert [p.name for p in (tmp_path / "published").iterdir()] == ["a.zip"]  # whole, for the next try


@pytest.mark.parametrize("parts", [1, 2, 4, 20])
def test_parts_of_a_set_are_together_the_set(parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is in one part, and the registry has them all."""
    made: list[str] = []

    def run_many(jobs: list[tuple[Any, Path]], *_: object) -> list[Path]:
        for spec, path in jobs:
            made.append(spec.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(spec.name)
        return [path for _, path in jobs]

    monkeypatch.setattr(datasets, "run_many", run_many)
    for k in range(parts):
        datasets.build("chain-smoke", root=tmp_path, part=(k + 1, parts))
    assert sorted(made) == sorted(spec.name for split in datasets.SPLITS for spec in datasets.specs("chain-smoke", split))
    assert sorted(datasets.registry(tmp_path)) == sorted(f"{name}.nc" for name in made)
    with pytest.raises(MlcgmdError, match=f"part is {parts + 1} of {parts}; give one from 1 to {parts}"):
        datasets.build("chain-smoke", root=tmp_path, part=(parts + 1, parts))
