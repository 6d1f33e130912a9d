"""A simulator and its refiner as one model, and the files that keep it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from .paths import atomic
from .refiner import Refiner
from .simulator import Simulator, SimulatorConfig

VERSION = 1
"""Of the format."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded."""


class Model(nn.Module):
    """A simulator and its refiner."""

    def __init__(self, config: SimulatorConfig, refiner_layers: int) -> None:
        super().__init__()
        self.config = config
        self.refiner_layers = refiner_layers
        self.simulator = Simulator(config)
        self.refiner = Refiner(config, refiner_layers)

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(p.numel() for p in self.parameters())


def save(model: Model, path: Path | str, training: dict[str, Any] | None = None) -> Path:
    """Write ``path`` (safetensors) with its config, format version and a record of the training in the header; no pickle."""
    path = Path(path)
    header = {
        "version": VERSION,
        "simulator": dataclasses.asdict(model.config),
        "refiner_layers": model.refiner_layers,
        "training": training or {},
    }
    with atomic(path) as temporary:
        save_file(
            {k: v.contiguous().cpu() for k, v in model.state_dict().items()}, temporary, {"mlcgmd": json.dumps(header, sort_keys=True)}
        )
    with atomic(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(header, indent=1, sort_keys=True) + "\n")
    return path


def recorded(path: Path | str) -> dict[str, Any]:
    """What :func:`save` was told of the training."""
    return json.loads(Path(path).with_suffix(".json").read_text())["training"]


def load(path: Path | str, device: str = "cpu") -> Model:
    """A model that :func:`save` wrote, in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: truncated or corrupted file, another format version, or weights that do not fit the config.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no model {path}; train one with notebook 03 or python -m mlcgmd.train")
    try:
        weights = load_file(path, device=device)
        header = json.loads(path.with_suffix(".json").read_text())
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} (with its .json) is truncated, corrupted or incomplete: {error}; restore it or train again"
        ) from error
    if header.get("version") != VERSION:
        raise CheckpointError(f"{path} has checkpoint format {header.get('version')}, this library reads {VERSION}")
    config = header["simulator"] | {"type_name": tuple(header["simulator"]["type_name"])}
    if config.get("core"):
        config["core"] = tuple(map(tuple, config["core"]))
    model = Model(SimulatorConfig(**config), header["refiner_layers"]).to(device)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit the config beside them: {error}") from error
    return model.eval()
