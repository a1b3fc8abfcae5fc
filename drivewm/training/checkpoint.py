"""Checkpoints of a training: one safetensors file of whole tensors, whatever the number of processes that wrote or read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from drivewm.errors import InputError
from drivewm.store import atomic_write
from drivewm.training.processes import first_process
from drivewm.training.sharding import spread_like, whole

Average = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is kept of a training and where: weights, their average over the last steps, and the optimiser's moments."""

    path: Path
    model: torch.nn.Module
    average: Average
    optimizer: Any  # torch's, or accelerate's around it

    def save(self, step: int, options: Any) -> None:
        """Replace the file; all processes call it together, the first one writes."""
        named = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        named |= {f"average.{name}": value for name, value in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            named |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
        with first_process() as first:
            kept = {}
            for name, value in named.items():
                tensor = whole(value)
                if first:
                    kept[name] = tensor.contiguous().clone() if name.startswith("optimizer.") else tensor.contiguous()
            if first:
                with atomic_write(self.path) as temporary:
                    save_file(kept, str(temporary), metadata={"step": str(step), "options": json.dumps(asdict(options))})

    def load(self) -> int:
        """Take everything over from the file and return its step. Raises InputError for a file that is not of this training."""
        try:
            with safe_open(str(self.path), "pt") as stored:
                step = int(stored.metadata()["step"])
                self._take(stored)
        except SafetensorError as error:
            if "does not contain tensor" in str(error):
                raise InputError(f"not a checkpoint of this network: {error}".splitlines()[0], file=self.path) from None
            raise InputError(f"unreadable checkpoint: {error}", file=self.path) from None
        except (RuntimeError, KeyError, TypeError, OSError, ValueError) as error:
            raise InputError(f"not a checkpoint of this network: {error}".splitlines()[0], file=self.path) from None
        return step

    @torch.no_grad()
    def _take(self, stored: Any) -> None:
        keys = set(stored.keys())
        for prefix, mine in (("model.", self.model.state_dict()), ("average.", self.average)):
            extra = {key for key in keys if key.startswith(prefix)} - {prefix + name for name in mine}
            if extra:
                raise KeyError(f"holds {min(extra)}")
            for name, value in mine.items():
                tensor = stored.get_tensor(prefix + name)
                if tensor.shape != value.shape:
                    raise ValueError(f"{prefix}{name} is {tuple(tensor.shape)} there, {tuple(value.shape)} here")
                value.copy_(spread_like(tensor, value))
        groups = self.optimizer.state_dict()["param_groups"]
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key in (key for key in keys if key.startswith("optimizer.")):
            _, index, name = key.split(".", 2)
            moment, weight = stored.get_tensor(key), weights[int(index)]
            state.setdefault(int(index), {})[name] = spread_like(moment, weight) if moment.shape == weight.shape else moment
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def pieces_of(path: Path) -> int | None:
    """How many pieces a step had in the training that wrote a checkpoint; None where there is none to ask."""
    try:
        with safe_open(str(path), "pt") as stored:
            return int(json.loads(stored.metadata()["options"]).get("pieces", 1))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None
