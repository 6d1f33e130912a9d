"""A simulator and its refiner as one model, with the range that it was trained on, and the file that keeps it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import MlcgmdError
from ..paths import atomic
from .domain import Domain, Frames
from .refiner import Refiner
from .simulator import Simulator, SimulatorConfig

VERSION = 2
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


class Model(nn.Module):
    """A simulator and its refiner.

    Attributes:
        config: what the simulator is, with its time step and the particle types and components that it knows.
        domain: the range of systems that it was trained on.
    """

    def __init__(self, config: SimulatorConfig, refiner_layers: int, domain: Domain) -> None:
        super().__init__()
        self.config = config
        self.refiner_layers = refiner_layers
        self.domain = domain
        self.simulator = Simulator(config)
        self.refiner = Refiner(config, refiner_layers)

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters())

    def save(self, path: Path | str, training: dict[str, Any] | None = None) -> Path:
        """Write ``path`` (safetensors) with its config, format version and a record of the training in the header; no pickle."""
        path = Path(path)
        header = {
            "version": VERSION,
            "simulator": dataclasses.asdict(self.config),
            "refiner_layers": self.refiner_layers,
            "domain": dataclasses.asdict(self.domain),
            "training": training or {},
        }
        with atomic(path) as temporary:
            weights = {k: v.contiguous().cpu() for k, v in self.state_dict().items()}
            save_file(weights, temporary, {"mlcgmd": json.dumps(header, sort_keys=True)})
        return path

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> "Model":
        """A model that :meth:`save` wrote, in evaluation mode.

        Raises:
            FileNotFoundError: no such file.
            CheckpointError: truncated or corrupted file, another format version, or weights that do not fit the config.
        """
        header = _header(Path(path))
        config = header["simulator"]
        config |= {key: tuple(config[key]) for key in ("type_name", "component_name", "units")}
        if config.get("core"):
            config["core"] = tuple(map(tuple, config["core"]))
        known = header["domain"]
        domain = Domain(
            beads={name: (low, high) for name, (low, high) in known["beads"].items()},
            bond_type=tuple((a, b) for a, b in known["bond_type"]),
            density=known["density"] and tuple(known["density"]),
            frames=Frames(tuple(known["frames"]["median"]), tuple(known["frames"]["width"]), known["frames"]["threshold"]),
        )
        model = cls(SimulatorConfig(**config), header["refiner_layers"], domain).to(device)
        try:
            model.load_state_dict(load_file(path, device=device))
        except RuntimeError as error:
            raise CheckpointError(f"{path}: the weights do not fit the config in its header: {error}") from error
        return model.eval()


def recorded(path: Path | str) -> dict[str, Any]:
    """What :meth:`Model.save` was told of the training."""
    return _header(Path(path))["training"]


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
    if header.get("version") != VERSION:
        raise CheckpointError(f"{path} has checkpoint format {header.get('version')}, this library reads {VERSION}")
    return header
