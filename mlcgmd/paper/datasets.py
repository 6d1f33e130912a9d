"""The named data sets: specs, splits, build, checksums, open.

``python -m mlcgmd.paper.datasets list | build NAME [SPLIT ...] | start NAME | verify NAME | fetch``
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..data import trajectory
from ..data.published import fetch
from ..md.chain import ChainSpec, random_sequence, regular_sequence
from ..md.electrolyte import ContinuedSpec, ElectrolyteSpec
from ..md.run import Spec, run_many
from ..paths import DATA, SHIPPED, atomic

REGISTRY = "registry.json"
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
                ChainSpec(
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
DATASETS: dict[str, ChainSet | ElectrolyteSet] = {
    "chain-smoke": ChainSet(11, 32, (6, 1, 2), (800, 800, 2000), (10, 10, 10), (100, 100, 100)),
    "chain-laptop": ChainSet(12, 100, (96, 8, 16), (5e3, 3e4, 6e4), (10, 20, 20), (1000, 1000, 2000)),
    # Not shipped, two minutes of MD: steps at which a bead still knows its velocity.
    "chain-short": ChainSet(14, 100, (12, 2, 6), (300, 300, 300), (0.5, 0.5, 0.5), (1000, 1000, 1000)),
    # Lengths that vary in training, so that a model can be asked for longer chains; the frames are those of steps of 20 tau and more.
    "chain-mixed": ChainSet(15, (50, 150), (192, 12, 0), (4e3, 3e4, 0), (20, 40, 80), (2000, 2000, 2000)),
    # Class II chains that nothing was chosen on, two runs each: the final test of chains of 100 units.
    "chain-fresh": ChainSet(16, 100, (0, 0, 16), (0, 0, 1.2e5), (80, 80, 80), (2000, 2000, 3000), repeats=(1, 1, 2)),
    # Two, three and six times as long as the chains of chain-laptop; equilibrated for some ten relaxation times.
    "chain-n200": ChainSet(17, 200, (0, 2, 4), (0, 6e4, 1.2e5), (80, 80, 80), (8000, 8000, 8000)),
    "chain-n300": ChainSet(18, 300, (0, 0, 4), (0, 0, 1.2e5), (80, 80, 80), (16000, 16000, 16000)),
    "chain-long": ChainSet(19, 600, (0, 0, 4), (0, 0, 1.6e5), (80, 80, 160), (30000, 30000, 30000)),
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

    Raises:
        KeyError: there is no such set or split.
    """
    if name not in DATASETS:
        raise KeyError(f"there is no data set {name!r}; the sets are {sorted(DATASETS)}")
    if split not in SPLITS:
        raise KeyError(f"there is no split {split!r}; the splits are {SPLITS}")
    return DATASETS[name].specs(name, split)


def path_of(spec: Spec, root: Path = DATA) -> Path:
    """Where the trajectory of a spec lives."""
    return root / f"{spec.name}.nc"


def build(name: str, splits: tuple[str, ...] = SPLITS, processes: int | None = None, root: Path = DATA) -> list[Path]:
    """Run the MD of a set (what is there already is kept) and enter the files in the registry.

    Raises:
        ValueError: the start of a continued set has another checksum than the registry.
    """
    members = DATASETS.get(name)
    if isinstance(members, ElectrolyteSet) and members.continued:
        verify(path_of(members.start(name), SHIPPED), SHIPPED)
    paths = run_many([(spec, path_of(spec, root)) for split in splits for spec in specs(name, split)], processes)
    register(paths, command=f"python -m mlcgmd.paper.datasets build {name}", root=root)
    return paths


def build_start(name: str, root: Path = DATA) -> Path:
    """Equilibrate the start of a continued set, from packing on (what is there already is kept), and enter it in the registry.

    Raises:
        ValueError: the runs of this set start from packing.
    """
    members = DATASETS.get(name)
    if not (isinstance(members, ElectrolyteSet) and members.continued):
        raise ValueError(f"{name} has no start: each of its runs is equilibrated by itself")
    paths = run_many([(spec := members.start(name), path_of(spec, root))])
    register(paths, command=f"python -m mlcgmd.paper.datasets start {name}", root=root)
    return paths[0]


def sha256(path: Path) -> str:
    """Checksum of a file, as in the registry."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def registry(root: Path = DATA) -> dict[str, dict]:
    """The registry: file (relative to ``root``) -> sha256, bytes, command."""
    path = root / REGISTRY
    return json.loads(path.read_text()) if path.exists() else {}


def register(paths: list[Path], command: str, root: Path = DATA) -> None:
    """Enter shipped files with checksum, size and the command that makes them."""
    entries = registry(root)
    for path in paths:
        entries[path.relative_to(root).as_posix()] = {"sha256": sha256(path), "bytes": path.stat().st_size, "command": command}
    with atomic(root / REGISTRY) as temporary:
        temporary.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n")


def verify(path: Path, root: Path = DATA) -> Path:
    """Return ``path`` if its checksum is the registered one.

    Raises:
        ValueError: the file is not the registered one (changed, truncated or corrupted).
    """
    entry = registry(root).get(path.relative_to(root).as_posix())
    if entry and path.exists() and sha256(path) != entry["sha256"]:
        raise ValueError(
            f"{path} has another checksum than {REGISTRY} says (corrupted or changed);"
            f" restore it from git or make it anew: {entry['command']}"
        )
    return path


def load(name: str, split: str, root: Path = DATA) -> list[xr.Dataset]:
    """The trajectories of a split, verified.

    Raises:
        FileNotFoundError: a file is not there (build it first).
        ValueError: a file has another checksum than the registry.
    """
    return [trajectory.load(verify(path_of(spec, root), root)) for spec in specs(name, split)]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mlcgmd.paper.datasets", description=__doc__)
    parser.add_argument("action", choices=["list", "build", "start", "verify", "fetch"])
    parser.add_argument("name", nargs="?", choices=sorted(DATASETS))
    parser.add_argument("split", nargs="*", help=f"some of {', '.join(SPLITS)} (default: all)")
    parser.add_argument("--processes", type=int, help="default: one per core")
    options = parser.parse_args(arguments)
    if options.action == "list":
        for name in DATASETS:
            here = {split: sum(path_of(s).exists() for s in specs(name, split)) for split in SPLITS}
            print(name, {split: f"{here[split]} of {len(specs(name, split))} built" for split in SPLITS})
        return
    if options.action == "fetch":
        print(f"{len(fetch(DATA / 'published'))} polymers in {DATA / 'published'}")
        return
    if options.name is None:
        parser.error(f"{options.action} needs the name of a data set")
    splits = tuple(options.split) or SPLITS
    if options.action == "build":
        build(options.name, splits, options.processes)
    elif options.action == "start":
        build_start(options.name)
    else:
        for split in splits:
            load(options.name, split)
            print(f"{options.name} {split}: {len(specs(options.name, split))} files verified")


if __name__ == "__main__":
    main()
