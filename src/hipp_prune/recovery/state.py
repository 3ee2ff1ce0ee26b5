"""Where a recovery stands, in one safetensors file: weights, AdamW's moments, and JSON in its header. No pickle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from hipp_prune.errors import OutputExistsError, RunError
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.manifest import is_own, remove_file
from hipp_prune.files.strict import parse_json
from hipp_prune.files.system import cause
from hipp_prune.files.writing import atomic_path

_WEIGHT = "weight"


@dataclass(frozen=True)
class StateFile:
    """The state of one recovery, written whole or not at all."""

    path: Path
    settings: Mapping[str, Any]
    """All that decides what the recovery comes to."""

    def discard(self) -> None:
        """Removes the file if it is there.

        Raises:
            OutputExistsError: if it holds something else than the state of a recovery.
        """
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, framework="pt") as file:
                ours = set(file.metadata() or ()) >= {"settings", "losses"}
        except (OSError, SafetensorError):
            ours = is_own(self.path)
        if not ours:
            raise OutputExistsError(
                f"{self.path} is not the state of a recovery, and its name is needed for one; move it elsewhere"
            )
        remove_file(self.path)

    def is_theirs(self) -> bool:
        """Whether the file is there and is the state of a recovery with these settings."""
        try:
            with safe_open(self.path, framework="pt") as file:
                found = json.loads((file.metadata() or {}).get("settings", "null"))
        except (OSError, SafetensorError, ValueError):
            return False
        return bool(found == self.settings)

    def save(self, parameters: Mapping[str, nn.Parameter], optimizer: Optimizer, losses: list[float]) -> None:
        """Writes the state after ``len(losses)`` steps.

        Raises:
            RunError: if the disk is full.
        """
        tensors = {
            f"{_WEIGHT}/{name}": parameter.detach().contiguous() for name, parameter in parameters.items()
        }
        for name, parameter in parameters.items():
            moments = optimizer.state[parameter]
            tensors |= {f"{key}/{name}": tensor.contiguous() for key, tensor in moments.items()}
        metadata = {"settings": json.dumps(self.settings), "losses": json.dumps(losses)}
        metadata["sha256"] = _digest(tensors, metadata)
        with atomic_path(self.path) as temporary:
            save_file(tensors, temporary, metadata=metadata)

    def restore(self, parameters: Mapping[str, nn.Parameter], optimizer: Optimizer) -> list[float]:
        """Brings weights and moments back; returns the loss of every step done, none where nothing was saved.

        Raises:
            RunError: if the file is damaged, or was written under other settings.
        """
        if not self.path.exists():
            return []
        remedy = "add --force to start the recovery over"
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 it is no mapping
        except (OSError, SafetensorError) as error:
            raise RunError(f"{self.path} is damaged ({cause(error)}); {remedy}") from error
        if metadata.pop("sha256", None) != _digest(tensors, metadata):
            raise RunError(f"{self.path} is damaged (its SHA-256 differs); {remedy}")
        where = str(self.path)
        settings = parse_json(
            metadata.get("settings", ""), dict[str, Any], where=where, remedy=remedy, error=RunError
        )
        losses = parse_json(
            metadata.get("losses", ""), list[float], where=where, remedy=remedy, error=RunError, foreign=True
        )
        refuse_changes(self.path, settings, self.settings, remedy="add --force to start over")
        try:
            _put_back(tensors, parameters, optimizer)
        except (KeyError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{self.path} holds tensors of another model ({cause(error)}); {remedy}"
            ) from error
        return losses


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of all that a state says, hexadecimal."""
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _put_back(
    tensors: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter], optimizer: Optimizer
) -> None:
    """Puts weights and moments where they were.

    Raises:
        ValueError: if there are others than those of ``parameters``, or of other types or shapes.
    """
    kinds = {_WEIGHT, *(key.partition("/")[0] for key in tensors)}
    if tensors.keys() != {f"{kind}/{name}" for kind in kinds for name in parameters}:
        raise ValueError("not the same parameters")
    for key, tensor in tensors.items():
        kind, name = key.split("/", maxsplit=1)
        parameter = parameters[name]
        wanted = (torch.float32, ()) if kind == "step" else (parameter.dtype, parameter.shape)
        if (tensor.dtype, tensor.shape) != wanted:
            raise ValueError(f"{key} is {tensor.dtype} of shape {tuple(tensor.shape)}")
        if kind == _WEIGHT:
            parameter.data.copy_(tensor)
        else:
            place = "cpu" if kind == "step" else parameter.device
            optimizer.state[parameter][kind] = tensor.to(place)
