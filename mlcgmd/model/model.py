"""A simulator and its refiner as one model, with the range that it was trained on, and the file that keeps it."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..arguments import COUNT, NATURAL, known
from ..errors import MlcgmdError
from ..paths import atomic
from .domain import Domain, Frames
from .refiner import Refiner
from .samplers import Distilled, Flow, Gaussian, Sampler
from .simulator import Simulator, SimulatorConfig

VERSION = 3
"""Of the format."""


class CheckpointError(MlcgmdError):
    """A checkpoint that cannot be loaded."""


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
        path = Path(path)
        header = {
            "version": VERSION,
            "simulator": dataclasses.asdict(self.config),
            "refiner_layers": self.refiner_layers,
            "distilled_layers": 0 if self.distilled is None else len(self.distilled.layers),
            "domain": dataclasses.asdict(self.domain),
            "training": training or {},
        }
        weights = {k: v.contiguous().cpu() for k, v in self.state_dict().items()}
        _check_finite(path, weights)
        header = json.loads(json.dumps(header))  # as a file gives it back
        header["digest"] = _digest(header, weights)
        with atomic(path) as temporary:
            save_file(weights, temporary, {"mlcgmd": json.dumps(header, sort_keys=True)})
        return path

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> "Model":
        """A model that :meth:`save` wrote, in evaluation mode.

        Raises:
            FileNotFoundError: no such file.
            CheckpointError: truncated or corrupted file, another format version, a config that lacks a field or has a wrong one, or
                weights that are not finite or do not fit the config.
        """
        header, place = _header(Path(path)), check_device(device)
        try:
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
            model = cls(config, layers[0], domain, layers[1])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path}: its header is not that of a model ({error}); restore it or train again") from error
        weights = load_file(path)
        _check_finite(path, weights)
        digest = header.pop("digest", None)  # models of before it was kept have none
        if digest is not None and digest != _digest(header, weights):
            raise CheckpointError(f"{path}: header and weights are not those that were saved together (changed or corrupted); restore it")
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: the weights do not fit the config in its header: {error}") from error
        return model.to(place).eval()


def recorded(path: Path | str) -> dict[str, Any]:
    """What :meth:`Model.save` was told of the training."""
    return _header(Path(path)).get("training", {})


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


def _digest(header: dict[str, Any], weights: dict[str, Tensor]) -> str:
    """Of header and weights together, so that neither is changed without the other."""
    found = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(weights):
        found.update(name.encode() + weights[name].numpy().tobytes())
    return found.hexdigest()


def _check_finite(path: Path | str, weights: dict[str, Tensor]) -> None:
    """Refuse weights that are not finite, or not in single precision."""
    for name, value in weights.items():
        if value.is_floating_point() and (value.dtype != torch.float32 or not bool(torch.isfinite(value).all())):
            what = "not finite" if value.dtype == torch.float32 else f"{value.dtype}, not torch.float32"
            raise CheckpointError(f"{path}: the weight {name} is {what}; train again, with a smaller learning rate if it diverged")


def _header(path: Path) -> dict[str, Any]:
    """The config, format version and record of the training that a file holds."""
    if not path.exists():
        raise FileNotFoundError(f"there is no model {path}; train one with notebook 03 or `mlcgmd train`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        header = json.loads(metadata["mlcgmd"])
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is truncated or corrupted: {error}; restore it or train again") from error
    except KeyError:
        raise CheckpointError(f"{path} was not written by mlcgmd: its header has no config; train a model anew") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} was not written by mlcgmd: its header is no dictionary; train a model anew")
    if header.get("version") != VERSION:
        raise CheckpointError(f"{path} has checkpoint format {header.get('version')}, this library reads {VERSION}")
    return header
