"""Files that are damaged at random: each is read as what it says, or refused by an error of the library.

``make fuzz`` runs ``python workflow/fuzz.py``: damaged files of every kind that is read, then the tests of wrong inputs and of killed
jobs, and records how many there were and how many escaped in ``data/results/reliability.json``. An escape is another error than the
library's, a crash, a hang, or an answer that the file does not give.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import xarray as xr

from mlcgmd import cli, parallel
from mlcgmd.data import simulation, trajectory
from mlcgmd.data.export import export
from mlcgmd.data.lammps import from_lammps
from mlcgmd.data.published import POLYMER_FILES, from_polymer_folder
from mlcgmd.data.readers import load
from mlcgmd.errors import MlcgmdError
from mlcgmd.model.model import Model
from mlcgmd.model.system import coarse_grain
from mlcgmd.model.training import TrainConfig, build_model, in_common_terms
from mlcgmd.model.windows import Windows
from mlcgmd.paper.results import record
from mlcgmd.paths import CHECKOUT, RESULTS

CASES = CHECKOUT / "tests" / "cases"
FRAMES = 6
"""Of the small trajectory of which files are made."""
NASTY = (
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e400",
    b"1e-400",
    b"9" * 25,
    b"0x10",
    b"1.5",
    b"-9223372036854775808",
    b"\xff",
    b"\xef\xbb\xbf",
    b"",
    b"ITEM:",
)
"""What may stand in place of a word."""
SECONDS, MEMORY = 20, 3 * 2**30
"""What one file may take: longer is a hang; more memory than before by so many bytes is refused by the system."""
CHUNK = 250
"""Files read by one process."""
FILES = {"LAMMPS dump": 3500, "LAMMPS data": 3500, "PDB": 2000, "NetCDF": 2500, "simulation": 1500, "safetensors": 3500, "YAML": 2500}
FILES |= {f"h5 {key}": 400 for key in POLYMER_FILES}
"""How many of each kind ``make fuzz`` reads."""
INPUTS, KILLS = "test_wrong_inputs", "test_kills"
"""Tests each of whose cases is a wrong input, or a killed job."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        file: a good one.
        read: reads one that lies in the place of ``file``.
        agrees: whether what was read of a damaged file can be right: called with what the good one gave, what the damaged one gave and
            how it was damaged.
    """

    file: Path
    read: Callable[[Path], Any]
    agrees: Callable[[Any, Any, str], bool] = lambda good, found, how: True


def damage(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """How ``content`` is damaged, and what is left of it."""
    at = int(rng.integers(len(content)))
    length = int(min(len(content) - at, rng.geometric(0.1)))
    words, lines = content.split(b" "), content.splitlines(keepends=True)
    word, line, other = int(rng.integers(len(words))), int(rng.integers(len(lines))), int(rng.integers(len(lines)))
    how = str(rng.choice(["cut", "flip", "byte", "remove", "repeat", "insert", "zero", "word", "line", "twice", "swap"]))
    match how:
        case "cut":
            return how, content[:at]
        case "flip":
            return how, content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]
        case "byte":
            return how, content[:at] + rng.bytes(1) + content[at + 1 :]
        case "remove":
            return how, content[:at] + content[at + length :]
        case "repeat":
            return how, content[: at + length] + content[at:]
        case "insert":
            return how, content[:at] + rng.bytes(length) + content[at:]
        case "zero":
            return how, content[:at] + bytes(length) + content[at + length :]
        case "word":
            words[word] = NASTY[int(rng.integers(len(NASTY)))]
            return how, b" ".join(words)
        case "line":
            return how, b"".join(lines[:line] + lines[line + 1 :])
        case "twice":
            return how, b"".join(lines[: line + 1] + lines[line:])
    lines[line], lines[other] = lines[other], lines[line]
    return how, b"".join(lines)


def _molecules() -> xr.Dataset:
    """Four chains of six carbon atoms that move, in a box."""
    rng = np.random.default_rng(0)
    chain = np.stack([1.4 * np.arange(6), 0.3 * (np.arange(6) % 2), np.zeros(6)], axis=1)
    start = np.concatenate([chain + [0, 4.0 * k, 2.0] for k in range(4)])
    position = start + np.cumsum(rng.normal(0, 0.5, (FRAMES, 4, 3)), axis=0).repeat(6, axis=1) + rng.normal(0, 0.05, (FRAMES, 24, 3))
    bond = np.array([[6 * k + i, 6 * k + i + 1] for k in range(4) for i in range(5)])
    return trajectory.make(
        position,
        time=2.0 * np.arange(FRAMES),
        particle_type=np.zeros(24, int),
        type_name=["C"],
        mass=np.full(24, 12.011),
        bond=bond,
        box=np.full(3, 20.0),
        system="fuzz",
        units="real",
    )


def _is_start(good: xr.Dataset, found: xr.Dataset, how: str) -> bool:
    """A file that was cut holds fewer frames, not other ones."""
    return how != "cut" or found.identical(good.isel(frame=slice(0, found.sizes["frame"])))


def _is_same(good: Any, found: Any, how: str) -> bool:
    """What has a checksum is read as it was."""
    return bool(good == found)


def _is_same_if_cut(good: xr.Dataset, found: xr.Dataset, how: str) -> bool:
    return how != "cut" or found.identical(good)


def kinds(folder: Path) -> dict[str, Kind]:
    """A small file of each kind that the library reads, in ``folder``."""
    case, md = CASES / "lammps-lipf6", _molecules()
    for name in ("mix.data", "mix.dump"):
        lines = (case / name).read_bytes().splitlines(keepends=True)
        frame = next((k for k, line in enumerate(lines) if k and line.startswith(b"ITEM: TIMESTEP")), len(lines))
        (folder / name).write_bytes(b"".join(lines[: 3 * frame]))
    published = folder / "poly00001"
    published.mkdir()
    centred = md.position.values[:, :6] - md.position.values[:, :6].mean(axis=1, keepdims=True)
    layout = {
        ("position.h5", "position"): md.position.values[:, :6],
        ("ptype.h5", "particle_type"): np.zeros(6, int),
        ("bond.h5", "bond_indices"): md.bond.values[:5],
        ("rgs.h5", "rgs"): np.sqrt((centred**2).sum(axis=2).mean(axis=1)),
        ("lattice.h5", "lattice"): np.full((FRAMES, 3), 20.0),
    }
    for (name, key), values in layout.items():
        with h5py.File(published / name, "w") as file:
            file.create_dataset(key, data=values, compression="gzip" if key == "position" else None)
    system = coarse_grain(md, 2)
    config = TrainConfig(time_step=2, steps=1, width=8, layers=1, refiner_layers=1, radius=6.0)
    model = build_model(Windows(in_common_terms([system]), 2, 1), config)
    model.save(folder / "a.safetensors")
    start = system.coarse
    run = simulation.make(start, start.position.values[None], np.ones((1, *start.position.shape[:2])), 2.0, [""], "{}")
    (folder / "run.yaml").write_text(
        "dataset: chain-smoke\nlevel: 8\nfolder: runs/a\nmodel: runs/a.safetensors\ntime_step: 20.0\nsteps: 200\nhistory: 2\n"
        "learning_rate: 0.002\nhistory_noise: [0.01, 0.1]  # in step lengths\nseed: 3\ndevice: cpu\nradius: null\n",
        encoding="utf-8",
    )

    def lammps(_: Path) -> xr.Dataset:
        return from_lammps(folder / "mix.dump", folder / "mix.data", time_step=0.002, system="a")

    def h5(path: Path) -> xr.Dataset:
        return from_polymer_folder(path.parent, frame_interval=2.0)

    def weights(path: Path) -> Any:
        return {name: value.tolist() for name, value in Model.load(path).state_dict().items()}

    return {
        "LAMMPS dump": Kind(folder / "mix.dump", lammps, _is_start),
        "LAMMPS data": Kind(folder / "mix.data", lammps, _is_same_if_cut),
        "PDB": Kind(export(md, folder / "a.pdb")[0], lambda path: load(path, frame_interval=2.0), _is_start),
        "NetCDF": Kind(trajectory.save(md, folder / "a.nc"), trajectory.load, _is_same_if_cut),
        "simulation": Kind(simulation.save([run], folder / "run.nc"), simulation.load),
        **{f"h5 {key}": Kind(published / name, h5, _is_same_if_cut) for name, key in layout},
        "safetensors": Kind(folder / "a.safetensors", weights, _is_same),
        "YAML": Kind(folder / "run.yaml", cli.read_run),
    }


def escape(kind: Kind, good: Any, content: bytes, how: str) -> str:
    """How a file of ``content`` escapes, empty if it does not; the good file is put back."""
    whole = kind.file.read_bytes()
    kind.file.write_bytes(content)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = kind.read(kind.file)
    except MlcgmdError as error:
        return "" if len(str(error)) > 20 else f"says no more than {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        kind.file.write_bytes(whole)
    return "" if kind.agrees(good, found, how) else "another answer"


def _chunk(name: str, seeds: range, send: Any) -> None:
    """Read the files of ``seeds`` in this process; tell before each what it is, and after it how it escaped."""
    used = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        kind = kinds(Path(folder))[name]
        content, good = kind.file.read_bytes(), kind.read(kind.file)
        for seed in seeds:
            how, damaged = damage(content, np.random.default_rng([seed]))
            send.send((seed, how, None))
            signal.alarm(SECONDS)
            send.send((seed, how, escape(kind, good, damaged, how)))
            signal.alarm(0)


def read_damaged(name: str, files: int, first: int = 0) -> dict[int, str]:
    """Read ``files`` damaged files of a kind, those of the seeds from ``first`` on: seed -> how it escaped, of those that did.

    They are read in a process of their own: a crash, a hang and a file that asks for more memory than there is are escapes.
    """
    escapes: dict[int, str] = {}
    seed, last = first, first + files
    while seed < last:
        receive, send = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_chunk, args=(name, range(seed, min(last, seed + CHUNK)), send))
        process.start()
        send.close()
        begun: int | None = None
        with contextlib.suppress(EOFError):
            while True:
                at, how, found = receive.recv()
                begun, seed = (at, seed) if found is None else (None, at + 1)
                if found:
                    escapes[at] = f"{how}: {found}"
        process.join()
        if process.exitcode and begun is None:
            raise SystemExit(f"fuzz: the process that reads {name} ended before a file was read, with {process.exitcode}")
        if begun is not None:
            escapes[begun], seed = f"the process ended with {process.exitcode}", begun + 1
    return escapes


def cases(name: str) -> tuple[int, int, int]:
    """Of the cases of ``tests/NAME.py``: how many there are, how many raised nothing, how many failed otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", f"tests/{name}.py", f"--junitxml={report}"]
        subprocess.run(command, cwd=CHECKOUT, check=False)
        found = [case for case in ElementTree.parse(report).iter("testcase") if "[" in case.attrib["name"]]
    failures = ["".join(str(failure.attrib) for failure in case if failure.tag in ("failure", "error")) for case in found]
    silent = sum("DID NOT RAISE" in failure for failure in failures)
    return len(found), silent, sum(map(bool, failures)) - silent


def main() -> None:
    """Read all damaged files, run the tests of wrong inputs and of kills, record how many there were and how many escaped."""
    inputs, silent, raw = cases(INPUTS)
    kills, lost_silently, lost = cases(KILLS)
    jobs = [(name, min(CHUNK, files - first), first) for name, files in FILES.items() for first in range(0, files, CHUNK)]
    escapes = parallel.each(read_damaged, jobs, label="damaged files", unit="part")
    for (name, *_), found in zip(jobs, escapes, strict=True):
        for seed, what in found.items():
            print(f"{name}, seed {seed}: {what}")
    files, escaped = sum(FILES.values()), sum(map(len, escapes))
    rows: list[tuple[str, str, int, int, str]] = [
        ("bad_inputs", "wrong inputs that are tried in the tests", inputs, inputs, ">= 250"),
        ("silent", "wrong inputs that are taken without a word", silent, inputs, "== 0"),
        ("raw", "wrong inputs that are answered by another error than the library's", raw, inputs, "== 0"),
        ("kills", "jobs that are killed at work and run again", kills, kills, ">= 48"),
        ("kills_lost", "jobs that were killed and lost something", lost_silently + lost, kills, "== 0"),
        ("fuzzed", "files damaged at random that are read", files, files, ">= 20000"),
        ("fuzz_escapes", "damaged files that end in another error, a crash, a hang or another answer", escaped, files, "== 0"),
    ]
    record(
        [
            {
                "id": f"reliability.{name}",
                "quantity": f"reliability: {words}",
                "value": value,
                "error": None,
                "unit": "",
                "n": n,
                "target": target,
            }
            for name, words, value, n, target in rows
        ],
        "reliability",
        RESULTS,
    )


if __name__ == "__main__":
    main()
