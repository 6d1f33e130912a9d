"""The named data sets: specs, splits, build, checksums, open.

``python -m mlcgmd.datasets list | build NAME [SPLIT ...] | verify NAME``
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from . import trajectory
from .paths import DATA, atomic
from .systems.chain import ChainSpec, random_sequence, regular_sequence
from .systems.sample import Spec, sample_many

REGISTRY = "registry.json"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ChainSet:
    """How the chains of a data set are drawn: class I for training, class II for validation and test. Times in tau."""

    seed: int
    n_units: int
    chains: tuple[int, int, int]
    """train, validation, test"""
    length: tuple[float, float, float]
    frame_interval: tuple[float, float, float]
    equilibration: tuple[float, float, float]

    def specs(self, name: str, split: str) -> list[Spec]:
        """The frozen specs of a split: no sequence occurs twice."""
        s = SPLITS.index(split)
        draw = regular_sequence if split == "train" else random_sequence
        specs: list[Spec] = []
        seen: set[str] = set()
        for i in range(self.chains[s]):
            rng = np.random.default_rng([self.seed, s, i])
            while (sequence := draw(rng, self.n_units)) in seen:
                pass
            seen.add(sequence)
            specs.append(
                ChainSpec(
                    name=f"{name}/{split}-{i:03d}",
                    sequence=sequence,
                    seed=int(rng.integers(2**31)),
                    length=self.length[s],
                    frame_interval=self.frame_interval[s],
                    equilibration=self.equilibration[s],
                )
            )
        return specs


DATASETS: dict[str, ChainSet] = {
    "chain-smoke": ChainSet(11, 32, (6, 1, 2), (800, 800, 2000), (10, 10, 10), (100, 100, 100)),
    "chain-laptop": ChainSet(12, 100, (96, 8, 16), (5e3, 3e4, 6e4), (10, 20, 20), (1000, 1000, 2000)),
    # About 1,000 core-hours with OpenMM: the sizes of Fu et al. (2023), for a cluster.
    "chain-paper": ChainSet(13, 600, (90, 10, 40), (5e4, 5e4, 5e6), (5, 5, 500), (1e4, 1e4, 1e4)),
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
    """Run the MD of a set (what is there already is kept) and enter the files in the registry."""
    paths: list[Path] = []
    for split in splits:
        paths += sample_many([(spec, path_of(spec, root)) for spec in specs(name, split)], processes)
    register(paths, command=f"python -m mlcgmd.datasets build {name}", root=root)
    return paths


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
            f"{path} has another checksum than {REGISTRY} says (corrupted or changed); restore it from git or make it anew: {entry['command']}"
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
    parser = argparse.ArgumentParser(prog="python -m mlcgmd.datasets", description=__doc__)
    parser.add_argument("action", choices=["list", "build", "verify"])
    parser.add_argument("name", nargs="?", choices=sorted(DATASETS))
    parser.add_argument("split", nargs="*", help=f"some of {', '.join(SPLITS)} (default: all)")
    parser.add_argument("--processes", type=int, help="default: one per core")
    options = parser.parse_args(arguments)
    if options.action == "list":
        for name in DATASETS:
            here = {split: sum(path_of(s).exists() for s in specs(name, split)) for split in SPLITS}
            print(name, {split: f"{here[split]} of {len(specs(name, split))} built" for split in SPLITS})
        return
    if options.name is None:
        parser.error(f"{options.action} needs the name of a data set")
    splits = tuple(options.split) or SPLITS
    if options.action == "build":
        build(options.name, splits, options.processes)
    else:
        for split in splits:
            load(options.name, split)
            print(f"{options.name} {split}: {len(specs(options.name, split))} files verified")


if __name__ == "__main__":
    main()
