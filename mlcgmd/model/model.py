"""A simulator and its refiner as one model, with the range that it was trained on, and the file that keeps it."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..arguments import COUNT, NATURAL, known
from ..errors import MlcgmdError
from . import files
from .domain import Domain, Frames
from .files import CheckpointError
from .refiner import Refiner
from .samplers import Distilled, Flow, Gaussian, Sampler
from .simulator import Simulator, SimulatorConfig


def check_device(name: str) -> torch.device:
    """The device called ``name``.

    Raises:
        MlcgmdError: it is none, is not here, or networks here do not run on it.
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise MlcgmdError(f"device {name!r} is not known; give 'cpu' or 'cuda'") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        there = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
        raise MlcgmdError(f"device {name!r} is not there; give one of {', '.join(there)}")
    return device


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute in so many threads on a CPU for as long as the block runs: they share out sums, so their number changes the last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Model(nn.Module):
    """A simulator and its refiner.

    Attributes:
        config: what the simulator is, with its time step and the particle types and components that it knows.
        domain: the range of systems that it was trained on.
        refiner: the denoiser of its residual.
        distilled: a network whose one evaluation stands for many of the refiner (:class:`.objectives.Distillation`); None if there is none.

    >>> from mlcgmd.paths import SHIPPED
    >>> model = Model.load(SHIPPED / "models" / "chain.safetensors")
    >>> model.config.units
    ('sigma', 'tau', 'm')
    """

    def __init__(self, config: SimulatorConfig, refiner_layers: int, domain: Domain, distilled_layers: int = 0) -> None:
        super().__init__()
        self.config = config
        self.refiner_layers = refiner_layers
        self.domain = domain
        self.simulator = Simulator(config)
        self.refiner = Refiner(config, refiner_layers)
        self.distilled = Refiner(config, distilled_layers) if distilled_layers else None

    @property
    def sampler(self) -> Sampler:
        """The fastest that is right: what a simulation draws with unless it is told otherwise."""
        return Flow() if self.distilled is None else Distilled()

    def network(self, sampler: Sampler) -> Refiner | None:
        """The one that a sampler asks; None if it asks none.

        Raises:
            MlcgmdError: it is the distilled one, which this model has not.
        """
        if isinstance(sampler, Gaussian):
            return None
        if isinstance(sampler, Distilled) and self.distilled is None:
            raise MlcgmdError("this model was not distilled: take the sampler flow, or train with distillation steps")
        return self.distilled if isinstance(sampler, Distilled) else self.refiner

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters())

    def save(self, path: Path | str, training: dict[str, Any] | None = None) -> Path:
        """Write ``path`` (safetensors) with its config, format version and a record of the training in the header; no pickle.

        Raises:
            CheckpointError: a weight is not finite.
        """
        header = {
            "simulator": dataclasses.asdict(self.config),
            "refiner_layers": self.refiner_layers,
            "distilled_layers": 0 if self.distilled is None else len(self.distilled.layers),
            "domain": dataclasses.asdict(self.domain),
            "training": training or {},
        }
        return files.save(path, header, self)

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> "Model":
        """A model that :meth:`save` wrote, in evaluation mode.

        Raises:
            FileNotFoundError: no such file.
            CheckpointError: truncated or corrupted file, another format version, a config that lacks a field or has a wrong one, or
                weights that are not finite or do not fit the config.
        """
        place = check_device(device)

        def build(header: dict[str, Any]) -> Model:
            config = _config(header["simulator"])
            held = header["domain"]
            domain = Domain(
                beads={name: (low, high) for name, (low, high) in held["beads"].items()},
                bond_type=tuple((a, b) for a, b in held["bond_type"]),
                density=held["density"] and tuple(held["density"]),
                condition={name: (low, high) for name, (low, high) in held.get("condition", {}).items()},
                frames=Frames(
                    mean=tuple(held["frames"]["mean"]),
                    whitening=tuple(map(tuple, held["frames"]["whitening"])),
                    **{name: held["frames"][name] for name in ("window", "interval", "threshold")},
                ),
            )
            layers = COUNT("refiner_layers", header["refiner_layers"]), NATURAL("distilled_layers", header.get("distilled_layers", 0))
            return cls(config, layers[0], domain, layers[1])

        return files.load(Path(path), build, "a model").to(place)


def recorded(path: Path | str) -> dict[str, Any]:
    """What :meth:`Model.save` was told of the training."""
    return files.header_of(Path(path)).get("training", {})


def _config(held: dict[str, Any]) -> SimulatorConfig:
    """The config in a header. A field that it lacks was not there yet, which is off or as ever; a size or scale that it lacks is not known.

    Raises:
        MlcgmdError: a field is missing, unknown or out of its range.
    """
    known("its simulator", held, SimulatorConfig)
    needed = [f.name for f in dataclasses.fields(SimulatorConfig) if f.default and not isinstance(f.default, str)]
    if missing := [name for name in needed if name not in held]:
        raise CheckpointError(f"its simulator lacks {missing}")
    config = held | {key: tuple(held.get(key, ())) for key in ("type_name", "component_name", "units")}
    config["condition"] = tuple(map(tuple, config.get("condition", ())))
    if config.get("core"):
        config["core"] = tuple(map(tuple, config["core"]))
    return SimulatorConfig(**config)
