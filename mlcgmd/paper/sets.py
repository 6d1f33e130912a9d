"""Which systems each data set holds: how they are drawn, for how long they run."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..md.chain import ChainSpec, random_sequence, regular_sequence
from ..md.electrolyte import ContinuedSpec, ElectrolyteSpec
from ..md.engine import Spec
from ..md.gromacs import GromacsElectrolyteSpec
from ..md.lammps import LammpsChainSpec
from ..md.rouse import Bonds, RouseSpec, linear, ring, star

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


class Composition(NamedTuple):
    """What is in a box, and how hot it is."""

    chains: int
    spacers: tuple[int, ...]
    oxygen_per_lithium: float
    temperature: float = 450.0


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
    gate: bool = False
    """Whether a run goes on until :mod:`.equilibrium` finds no drift in it."""
    kind: type[ElectrolyteSpec] = ElectrolyteSpec
    """Says the engine; of a :class:`.md.electrolyte.ContinuedSpec` all runs go on from the one frame of :meth:`start`, which is shipped,
    and all compositions are the same.
    """

    @property
    def continued(self) -> bool:
        """Whether they do."""
        return issubclass(self.kind, ContinuedSpec)

    def specs(self, name: str, split: str) -> list[Spec]:
        """The frozen specs of a split, the repeats of a composition one after the other; names of test runs always tell the repeat."""
        s = SPLITS.index(split)
        options = dict(self.options) | ({"origin": f"{name}/start.nc"} if self.continued else {})
        return [
            self.kind(
                name=f"{name}/{split}-{i:03d}" + (f"-{r}" if split == "test" or self.repeats[s] > 1 else ""),
                seed=int(np.random.default_rng([self.seed, s, i, r]).integers(2**31)),
                length=self.length[s],
                **composition._asdict() | options,
            )
            for i, composition in enumerate(self.compositions[s])
            for r in range(self.repeats[s])
        ]

    def start(self, name: str) -> ElectrolyteSpec:
        """The run whose only frame starts those of a continued set."""
        composition = self.compositions[0][0]
        return ElectrolyteSpec(f"{name}/start", **composition._asdict(), seed=self.seed, length=4.0, frame_interval=4.0)


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
    return tuple(Composition(chains, sequence, chains * oxygens / salt) for sequence in sequences)


_SMOKE = Composition(5, (2,) * 6, 8.75)
_TRAINED = (
    Composition(5, (2,) * 7, 5.0),
    Composition(5, (3, 4) * 3 + (3,), 5.0),
    Composition(4, (3,) * 8, 6.0),
    Composition(4, (4,) * 8, 6.0),
    Composition(4, (2, 3) * 4, 6.0),
    Composition(5, (2, 4) * 3 + (2,), 40 / 6),
    Composition(6, (2,) * 7, 8.0),
    Composition(6, (2, 2, 3) * 2 + (2,), 8.0),
    Composition(6, (4, 2, 2) * 2 + (4,), 8.0),
    Composition(6, (2,) * 8, 9.0),
    Composition(6, (3, 3, 2) * 2 + (3, 2), 9.0),
    Composition(6, (2, 2, 2, 4) * 2, 9.0),
    Composition(6, (2,) * 9, 10.0),
    Composition(6, (3, 2) * 4 + (3,), 10.0),
    Composition(6, (4, 2) * 5, 11.0),
    Composition(6, (2,) * 11, 12.0),
    Composition(6, (3, 2, 2) * 3 + (3, 2), 12.0),
    Composition(7, (2,) * 11, 14.0),
    Composition(8, (2, 2, 3) * 3 + (2, 2), 16.0),
    Composition(10, (2,) * 11, 20.0),
    Composition(15, (2,) * 11, 30.0),
)
_HOT_AND_COLD = {400.0: (6, 11, 17), 425.0: (2, 9, 15), 475.0: (4, 7, 12), 500.0: (0, 10, 19)}
"""Which of these are in the training set of spe-transport at other temperatures too, K."""
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
        kind=ContinuedSpec,
    ),
    # 400 to 470 atoms. Sequences and compositions of the test systems occur nowhere else.
    "spe-laptop": ElectrolyteSet(
        22,
        (
            (
                Composition(5, (2,) * 9, 12.5),
                Composition(5, (2,) * 9, 8.3),
                Composition(5, (3,) * 6, 9),
                Composition(5, (4,) * 5, 10),
                Composition(5, (2, 3) * 4, 11),
                Composition(5, (2, 4) * 3, 7),
                Composition(5, (3, 4) * 3, 12),
                Composition(5, (2, 2, 3) * 3, 16.7),
                Composition(5, (2, 2, 2, 4) * 2, 9),
                Composition(4, (2,) * 12, 17.3),
                Composition(4, (2,) * 9, 5.0),
                Composition(4, (4,) * 6, 5.6),
                Composition(4, (4, 2, 2, 2) * 2, 6.0),
                Composition(4, (2, 3) * 4, 6.0),
                Composition(4, (3,) * 8, 6.0),
                Composition(4, (3, 3, 2) * 2 + (3, 2), 6.0),
                Composition(5, (2, 3, 3) * 2 + (2,), 8.0),
                Composition(4, (4, 4, 2) * 2 + (4,), 6.4),
            ),
            (Composition(5, (2, 3, 4) * 2, 9),),
            (
                Composition(4, (2, 2, 4) * 3, 8),
                Composition(5, (3, 2, 2, 2) * 2, 15),
                Composition(5, (4, 3, 3) * 2, 8.8),
            ),
        ),
        (2000, 4000, 6000),
        repeats=(1, 1, 2),
    ),
    # Over temperature, salt and size: annealed at 600 K, equilibrated for 2 ns and run until nothing drifts; six Li or more in each box.
    # Compositions of validation and test occur nowhere else, and half of their temperatures do not. Two test seeds of each: how much they
    # differ is MD's own error.
    "spe-transport": ElectrolyteSet(
        24,
        (
            (*_TRAINED, *(_TRAINED[i]._replace(temperature=kelvin) for kelvin, drawn in _HOT_AND_COLD.items() for i in drawn)),
            (
                Composition(6, (2, 3, 4) * 2 + (2,), 8.0, 425.0),
                Composition(6, (2, 3, 4) * 2 + (2,), 8.0, 487.5),
                Composition(5, (4, 2, 2, 2) * 2 + (2,), 6.25, 450.0),
                Composition(7, (2, 2, 3) * 3, 70 / 6, 462.5),
            ),
            (
                *(Composition(6, (2, 2, 4) * 2 + (2, 3), 9.0, kelvin) for kelvin in (400.0, 450.0, 500.0)),
                *(Composition(5, (3, 2, 4) * 2 + (2, 3), 7.5, kelvin) for kelvin in (437.5, 487.5)),
                *(Composition(9, (2, 2, 2, 3) * 2 + (2,), 15.0, kelvin) for kelvin in (412.5, 462.5)),
                Composition(4, (2, 3, 2) * 2 + (2,), 4.0, 450.0),
            ),
        ),
        (2000, 4000, 8000),
        repeats=(1, 1, 2),
        options=(("frame_interval", 5.0), ("equilibration", 2000.0)),
        gate=True,
        kind=GromacsElectrolyteSpec,
    ),
    # The first test composition of spe-transport in eight times the volume.
    "spe-large": ElectrolyteSet(
        25,
        ((), (), (Composition(48, (2, 2, 4) * 2 + (2, 3), 9.0),)),
        (0, 0, 3000),
        options=(("frame_interval", 10.0), ("equilibration", 2000.0)),
        gate=True,
        kind=GromacsElectrolyteSpec,
    ),
    # The sizes of Fu et al. (2023), for OpenMM's CUDA platform on a cluster: 6,000 atoms, 50 LiTFSI, 353 K, frames each 2 ps.
    "spe-paper": ElectrolyteSet(
        23,
        (_DRAWN[:500], _DRAWN[500:530], _DRAWN[530:]),
        (5e3, 5e3, 5e4),
        options=(("temperature", 353.0), ("frame_interval", 2.0), ("equilibration", 5000.0), ("cutoff", 10.0), ("platform", "CUDA")),
    ),
}
