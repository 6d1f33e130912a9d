"""The file that keeps a network: weights and, in the header, what it takes to build it again and a record of its training. No pickle."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import MlcgmdError
from ..paths import atomic

VERSION = 3
"""Of the format."""
T = TypeVar("T", bound=nn.Module)


class CheckpointError(MlcgmdError):
    """A checkpoint that cannot be loaded."""


def save(path: Path | str, header: dict[str, Any], network: nn.Module) -> Path:
    """Write ``path`` (safetensors) with the weights of ``network``, ``header`` and format version.

    Raises:
        CheckpointError: a weight is not finite.
    """
    path = Path(path)
    weights = {k: v.contiguous().cpu() for k, v in network.state_dict().items()}
    _check_finite(path, weights)
    header = json.loads(json.dumps({"version": VERSION} | header))  # as a file gives it back
    header["digest"] = _digest(header, weights)
    with atomic(path) as temporary:
        save_file(weights, temporary, {"mlcgmd": json.dumps(header, sort_keys=True)})
    return path


def load(path: Path, build: Callable[[dict[str, Any]], T], what: str) -> T:
    """A network that :func:`save` wrote, in evaluation mode.

    Args:
        path: of the file.
        build: makes the untrained network from the header.
        what: it should be, in words.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: truncated or corrupted file, another format version, a header that ``build`` does not take, or weights that are
            not finite or do not fit it.
    """
    header = header_of(path)
    try:
        network = build(header)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: its header is not that of {what} ({error}); restore it or train again") from error
    weights = load_file(path)
    _check_finite(path, weights)
    digest = header.pop("digest", None)  # models of before it was kept have none
    if digest is not None and digest != _digest(header, weights):
        raise CheckpointError(f"{path}: header and weights are not those that were saved together (changed or corrupted); restore it")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit the config in its header: {error}") from error
    return network.eval()


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


def header_of(path: Path) -> dict[str, Any]:
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
