"""The named data sets: specs, splits, build, checksums, open. The command ``mlcgmd datasets`` does it from a shell."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock

from ..data import trajectory
from ..errors import MlcgmdError
from ..md.chain import ChainSpec, LammpsChainSpec, random_sequence, regular_sequence
from ..md.electrolyte import ContinuedSpec, ElectrolyteSpec
from ..md.rouse import Bonds, RouseSpec, linear, ring, star
from ..md.run import Spec, run_many
from ..paths import DATA, OWN, ROOT, SHIPPED, atomic, place

REGISTRY = "registry.json"
"""Name of the file of checksums: each folder of a root has one of all files in and beneath it, and the root one of its own files."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ChainSet:
    """How the chains of a data set are drawn: class I for training, class II for validation and test. Times in tau."""

    seed: int
    n_units: int | tuple[int, int]
    """Constitutional units of each chain, or the shortest and the longest of chains whose lengths are drawn uniformly."""
    chains: tuple[int, int, int]
    """train, validation, test"""
    length: tuple[float, float, float]
    frame_interval: tuple[float, float, float]
    equilibration: tuple[float, float, float]
    repeats: tuple[int, int, int] = (1, 1, 1)
    """Independent runs of each chain: how much they differ is MD's own error."""
    kind: type[ChainSpec] = ChainSpec
    """Says the engine."""

    def specs(self, name: str, split: str) -> list[Spec]:
        """The frozen specs of a split: no sequence occurs twice."""
        s = SPLITS.index(split)
        draw = regular_sequence if split == "train" else random_sequence
        specs: list[Spec] = []
        seen: set[str] = set()
        for i in range(self.chains[s]):
            rng = np.random.default_rng([self.seed, s, i])
            n_units = self.n_units if isinstance(self.n_units, int) else int(rng.integers(self.n_units[0], self.n_units[1] + 1))
            while (sequence := draw(rng, n_units)) in seen:
                pass
            seen.add(sequence)
            specs += [
                self.kind(
                    name=f"{name}/{split}-{i:03d}" + (f"-{r}" if self.repeats[s] > 1 else ""),
                    sequence=sequence,
                    seed=int(rng.integers(2**31)),
                    length=self.length[s],
                    frame_interval=self.frame_interval[s],
                    equilibration=self.equilibration[s],
                )
                for r in range(self.repeats[s])
            ]
        return specs


Composition = tuple[int, tuple[int, ...], float]
"""Chains, spacers of each, O:Li."""


@dataclass(frozen=True)
class ElectrolyteSet:
    """Which electrolytes a data set holds. Times in ps; the options are fields of :class:`.md.electrolyte.ElectrolyteSpec`."""

    seed: int
    compositions: tuple[tuple[Composition, ...], tuple[Composition, ...], tuple[Composition, ...]]
    """train, validation, test"""
    length: tuple[float, float, float]
    repeats: tuple[int, int, int] = (1, 1, 1)
    """Independent runs of each composition, from packing on: how much they differ is MD's own error."""
    options: tuple[tuple[str, Any], ...] = ()
    continued: bool = False
    """All runs go on from the one frame of :meth:`start`, which is shipped; then all compositions are the same."""

    def specs(self, name: str, split: str) -> list[Spec]:
        """The frozen specs of a split, the repeats of a composition one after the other; names of test runs always tell the repeat."""
        s = SPLITS.index(split)
        options = dict(self.options) | ({"origin": f"{name}/start.nc"} if self.continued else {})
        return [
            (ContinuedSpec if self.continued else ElectrolyteSpec)(
                name=f"{name}/{split}-{i:03d}" + (f"-{r}" if split == "test" or self.repeats[s] > 1 else ""),
                chains=chains,
                spacers=spacers,
                oxygen_per_lithium=ratio,
                seed=int(np.random.default_rng([self.seed, s, i, r]).integers(2**31)),
                length=self.length[s],
                **options,
            )
            for i, (chains, spacers, ratio) in enumerate(self.compositions[s])
            for r in range(self.repeats[s])
        ]

    def start(self, name: str) -> ElectrolyteSpec:
        """The run whose only frame starts those of a continued set."""
        chains, spacers, ratio = self.compositions[0][0]
        return ElectrolyteSpec(f"{name}/start", chains, spacers, ratio, self.seed, length=4.0, frame_interval=4.0)


@dataclass(frozen=True)
class RouseSet:
    """Which Rouse chains a data set holds. Times in tau."""

    seed: int
    graphs: tuple[tuple[Bonds, ...], tuple[Bonds, ...], tuple[Bonds, ...]]
    """train, validation, test"""
    length: tuple[float, float, float]
    frame_interval: float = 2.0

    def specs(self, name: str, split: str) -> list[Spec]:
        """The frozen specs of a split."""
        s = SPLITS.index(split)
        return [
            RouseSpec(
                name=f"{name}/{split}-{i:03d}",
                bonds=bonds,
                seed=int(np.random.default_rng([self.seed, s, i]).integers(2**31)),
                length=self.length[s],
                frame_interval=self.frame_interval,
            )
            for i, bonds in enumerate(self.graphs[s])
        ]


def _drawn(seed: int, n: int, chains: int, oxygens: int, salt: int) -> tuple[Composition, ...]:
    """``n`` compositions with different random spacer sequences."""
    rng = np.random.default_rng(seed)
    sequences: dict[tuple[int, ...], None] = {}
    while len(sequences) < n:
        motif = rng.integers(2, 5, size=rng.integers(1, 7)).tolist()
        sequences[tuple((motif * oxygens)[: oxygens - 1])] = None
    return tuple((chains, sequence, chains * oxygens / salt) for sequence in sequences)


_SMOKE: Composition = (5, (2,) * 6, 8.75)
_DRAWN = _drawn(23, 580, chains=40, oxygens=16, salt=50)
DATASETS: dict[str, ChainSet | ElectrolyteSet | RouseSet] = {
    # Not shipped, drawn in seconds: Gaussian chains, rings and stars of which everything is known exactly.
    "rouse": RouseSet(
        32,
        (
            (linear(20), linear(24), linear(28), linear(36), linear(40), ring(24), ring(40), star(3, 8), star(4, 7), star(3, 12)),
            (linear(30), ring(30)),
            (linear(32), ring(32), star(3, 10)),
        ),
        (4e3, 1e4, 4e4),
    ),
    "chain-smoke": ChainSet(11, 32, (6, 1, 2), (800, 800, 2000), (10, 10, 10), (100, 100, 100)),
    "chain-laptop": ChainSet(12, 100, (96, 8, 16), (5e3, 3e4, 6e4), (10, 20, 20), (1000, 1000, 2000)),
    # Not shipped, two minutes of MD: steps at which a bead still knows its velocity.
    "chain-short": ChainSet(14, 100, (12, 2, 6), (300, 300, 300), (0.5, 0.5, 0.5), (1000, 1000, 1000)),
    # Lengths that vary in training, so that a model can be asked for longer chains; the frames are those of steps of 20 tau and more.
    "chain-mixed": ChainSet(15, (50, 150), (192, 12, 0), (4e3, 3e4, 0), (20, 40, 80), (2000, 2000, 2000), kind=LammpsChainSpec),
    # Class II chains that nothing was chosen on, two runs each: the final test of chains of 100 units.
    "chain-fresh": ChainSet(16, 100, (0, 0, 16), (0, 0, 1.2e5), (80, 80, 80), (2000, 2000, 3000), repeats=(1, 1, 2), kind=LammpsChainSpec),
    # Two, three and six times as long as the chains of chain-laptop; equilibrated for some ten relaxation times.
    "chain-n200": ChainSet(17, 200, (0, 2, 4), (0, 6e4, 1.2e5), (80, 80, 80), (8000, 8000, 8000), kind=LammpsChainSpec),
    "chain-n300": ChainSet(18, 300, (0, 0, 4), (0, 0, 1.2e5), (80, 80, 80), (16000, 16000, 16000), kind=LammpsChainSpec),
    "chain-long": ChainSet(19, 600, (0, 0, 4), (0, 0, 1.6e5), (80, 80, 160), (30000, 30000, 30000), kind=LammpsChainSpec),
    # About 1,000 core-hours with OpenMM: the sizes of Fu et al. (2023), for a cluster.
    "chain-paper": ChainSet(13, 600, (90, 10, 40), (5e4, 5e4, 5e6), (5, 5, 500), (1e4, 1e4, 1e4)),
    # 319 atoms. Too short for physics: 60 ps each.
    "spe-smoke": ElectrolyteSet(
        21,
        ((_SMOKE, _SMOKE), (_SMOKE,), (_SMOKE,)),
        (60, 60, 60),
        repeats=(1, 1, 2),
        options=(("frame_interval", 2.0), ("equilibration", 4.0)),
        continued=True,
    ),
    # 400 to 470 atoms. Sequences and compositions of the test systems occur nowhere else.
    "spe-laptop": ElectrolyteSet(
        22,
        (
            (
                (5, (2,) * 9, 12.5),
                (5, (2,) * 9, 8.3),
                (5, (3,) * 6, 9),
                (5, (4,) * 5, 10),
                (5, (2, 3) * 4, 11),
                (5, (2, 4) * 3, 7),
                (5, (3, 4) * 3, 12),
                (5, (2, 2, 3) * 3, 16.7),
                (5, (2, 2, 2, 4) * 2, 9),
                (4, (2,) * 12, 17.3),
                (4, (2,) * 9, 5.0),
                (4, (4,) * 6, 5.6),
                (4, (4, 2, 2, 2) * 2, 6.0),
                (4, (2, 3) * 4, 6.0),
                (4, (3,) * 8, 6.0),
                (4, (3, 3, 2) * 2 + (3, 2), 6.0),
                (5, (2, 3, 3) * 2 + (2,), 8.0),
                (4, (4, 4, 2) * 2 + (4,), 6.4),
            ),
            ((5, (2, 3, 4) * 2, 9),),
            (
                (4, (2, 2, 4) * 3, 8),
                (5, (3, 2, 2, 2) * 2, 15),
                (5, (4, 3, 3) * 2, 8.8),
            ),
        ),
        (2000, 4000, 6000),
        repeats=(1, 1, 2),
    ),
    # The sizes of Fu et al. (2023), for OpenMM's CUDA platform on a cluster: 6,000 atoms, 50 LiTFSI, 353 K, frames each 2 ps.
    "spe-paper": ElectrolyteSet(
        23,
        (_DRAWN[:500], _DRAWN[500:530], _DRAWN[530:]),
        (5e3, 5e3, 5e4),
        options=(("temperature", 353.0), ("frame_interval", 2.0), ("equilibration", 5000.0), ("cutoff", 10.0), ("platform", "CUDA")),
    ),
}


def specs(name: str, split: str) -> list[Spec]:
    """The specs of one split of a named set.

    >>> [spec.name for spec in specs("chain-smoke", "test")]
    ['chain-smoke/test-000', 'chain-smoke/test-001']

    Raises:
        MlcgmdError: there is no such set or split.
    """
    if name not in list(DATASETS):
        raise MlcgmdError(f"there is no data set {name!r}; the sets are {sorted(DATASETS)}")
    if split not in SPLITS:
        raise MlcgmdError(f"there is no split {split!r}; the splits are {SPLITS}")
    return DATASETS[name].specs(name, split)


def path_of(spec: Spec, root: Path = DATA) -> Path:
    """Where the trajectory of a spec lives."""
    return root / f"{spec.name}.nc"


def build(name: str, splits: tuple[str, ...] = SPLITS, processes: int | None = None, root: Path = OWN / "data") -> list[Path]:
    """Run the MD of a set (what is in ``root`` already is kept) and enter the files in the registry.

    Args:
        name: of the set.
        splits: which of its parts.
        processes: how many runs at a time; one per core by default.
        root: where the folder of the set is made.

    Returns:
        The files, split by split, in the order of :func:`specs`.

    Raises:
        MlcgmdError: the start of a continued set, or a file that is there, is not the registered one.
    """
    members = DATASETS.get(name)
    if isinstance(members, ElectrolyteSet) and members.continued:
        verify(path_of(members.start(name), SHIPPED), SHIPPED)
    jobs = [(spec, path_of(spec, root)) for split in splits for spec in specs(name, split)]
    _unchanged([path for _, path in jobs], root)
    paths = run_many(jobs, processes)
    register(paths, command=f"mlcgmd datasets build {name}", root=root)
    return paths


def build_start(name: str, root: Path = DATA) -> Path:
    """Equilibrate the start of a continued set, from packing on (what is there already is kept), and enter it in the registry.

    Raises:
        MlcgmdError: the runs of this set start from packing, or the start that is there is not the registered one.
    """
    members = DATASETS.get(name)
    if not (isinstance(members, ElectrolyteSet) and members.continued):
        raise MlcgmdError(f"{name} has no start: each of its runs is equilibrated by itself")
    job = (spec := members.start(name), path_of(spec, root))
    _unchanged([job[1]], root)
    paths = run_many([job])
    register(paths, command=f"mlcgmd datasets start {name}", root=root)
    return paths[0]


def sha256(path: Path) -> str:
    """Checksum of a file, as in the registry."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _home(path: Path, root: Path) -> tuple[Path, str]:
    """The registry that a file belongs to, and its name there."""
    if not path.is_relative_to(root):
        raise MlcgmdError(f"{path} is not in {root}, whose registries it should be entered in; give root=, a folder above it")
    parts = path.relative_to(root).parts
    folder = root / parts[0] if len(parts) > 1 else root
    return folder / REGISTRY, path.relative_to(folder).as_posix()


def _read(path: Path) -> dict[str, dict]:
    """The entries of a registry, each with its checksum; none if there is no registry."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_bytes())
        bad = [name for name, entry in entries.items() if not re.fullmatch("[0-9a-f]{64}", entry["sha256"])]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise MlcgmdError(f"{path} is no registry of checksums ({error!r}); restore it from git") from error
    if bad:
        raise MlcgmdError(f"{path}: the entry of {bad[0]} has no sha256 of 64 digits; restore it from git")
    return entries


def _unchanged(paths: Sequence[Path], root: Path) -> None:
    """Refuse those that are registered but changed since, which a build would enter anew as if they were right."""
    for path in paths:
        home, name = _home(path, root)
        if name in _read(home):
            verify(path, root)


def registry(root: Path = DATA) -> dict[str, dict]:
    """All that is registered under ``root``: file (relative to ``root``) -> sha256, bytes, command."""
    return {
        (path.parent / file).relative_to(root).as_posix(): entry
        for path in [root / REGISTRY, *sorted(root.glob(f"*/{REGISTRY}"))]
        for file, entry in _read(path).items()
    }


def _root_of(path: Path) -> Path:
    """The root that a file is in: that of one's own data, or of all."""
    return OWN / "data" if path.is_relative_to(OWN) else DATA


def register(paths: Sequence[Path], command: str, root: Path | None = None) -> None:
    """Enter files with checksum, size and the command that makes them in the registries of their folders.

    Several processes may register at the same time: each waits for the lock of a folder while another writes.

    Args:
        paths: files under ``root``.
        command: what makes them, as a shell takes it.
        root: the folder whose folders have registries; by default the data folder that each is in.
    """
    entries: dict[Path, dict[str, dict]] = {}
    for path in paths:
        home, name = _home(path, root or _root_of(path))
        entries.setdefault(home, {})[name] = {"sha256": sha256(path), "bytes": path.stat().st_size, "command": command}
    for home, new in entries.items():
        with FileLock(home.with_name(f".{REGISTRY}.lock")), atomic(home) as temporary:
            temporary.write_text(json.dumps(dict(sorted((_read(home) | new).items())), indent=1) + "\n")


def verify(path: Path, root: Path | None = None) -> Path:
    """Return ``path`` if its checksum is the one that is registered in ``root``, by default the data folder that it is in.

    A file that is not there is returned too: who reads it can say how it is made.

    Raises:
        MlcgmdError: the file is not registered, or it is not the registered one (changed, truncated or corrupted).
    """
    if not path.exists():
        return path
    home, name = _home(path, root or _root_of(path))
    entry = _read(home).get(name)
    if entry is None:
        raise MlcgmdError(
            f"{path} has no entry in {home}, so nothing says that it is what it should be; make it anew with the command that makes"
            " the files beside it, or call datasets.register if you trust it"
        )
    if sha256(path) != entry["sha256"]:
        raise MlcgmdError(
            f"{path} has another checksum than {home} says (corrupted or changed); restore it from git or make it anew: {entry['command']}"
        )
    return path


def load(name: str, split: str, root: Path | None = None) -> list[xr.Dataset]:
    """The trajectories of a split, verified; without ``root`` one's own (:data:`.paths.OWN`) come first.

    Raises:
        FileNotFoundError: a file is not there (build it first).
        MlcgmdError: a file has no entry in the registry of its folder, or another checksum.
    """
    runs = []
    for spec in specs(name, split):
        path = place(path_of(spec)) if root is None else path_of(spec, root)
        if root is None and not path.exists() and path_of(spec, SHIPPED).exists():
            raise FileNotFoundError(
                f"{path} is not there. {name} is shipped, in {SHIPPED}, but MLCGMD_ROOT says to look in {ROOT}: unset it, copy"
                f" {SHIPPED / name} to {path.parent}, or `mlcgmd datasets build {name}`"
            )
        runs.append(trajectory.load(verify(path, root)))
    return runs
