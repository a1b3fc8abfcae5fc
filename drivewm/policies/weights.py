"""Trained policies on disk: weights as safetensors, and beside them one JSON that says what they are and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from drivewm.datatypes import Provenance
from drivewm.errors import InputError
from drivewm.records import content_hash, decode_record, encode_record
from drivewm.store import atomic_write, read_json, write_json

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, slots=True)
class PolicyCard:
    """The JSON beside the weights."""

    kind: str  # "teacher" | "onboard"
    config: Any
    provenance: Provenance


def policy_id(kind: str, network: nn.Module) -> str:
    """``kind@`` and eight digits of the hash of all weights: equal weights, equal name."""
    weights = {name: value.detach().cpu().float().numpy() for name, value in network.state_dict().items()}
    return f"{kind}@{content_hash(weights)[:8]}"


def save_network(path: str | Path, network: nn.Module, card: PolicyCard, dtype: torch.dtype = torch.float32) -> None:
    """Write ``path`` (.safetensors) and the card beside it; float16 halves the file and is accurate enough to drive."""
    path = Path(path)
    tensors = {
        name: (value.detach().to(dtype) if value.is_floating_point() else value.detach()).cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    with atomic_write(path) as temporary:
        save_file(tensors, str(temporary))
    write_json(path.with_suffix(".json"), encode_record(card))


def read_card(path: str | Path) -> PolicyCard:
    """The card of the weights at ``path``; raises InputError when it is missing or wrong."""
    file = Path(path).with_suffix(".json")
    return decode_record(PolicyCard, read_json(file), file=file)


def card_config(card: PolicyCard, cls: type[ConfigT], kind: str, path: str | Path) -> ConfigT:
    """The configuration in a card of the expected kind."""
    file = Path(path).with_suffix(".json")
    if card.kind != kind:
        raise InputError(f"holds a {card.kind!r} policy, not {kind!r}", file=file, place="kind")
    return decode_record(cls, card.config, file=file)


def load_weights(path: str | Path, network: nn.Module) -> None:
    """Fill ``network`` from ``path``; raises InputError when the file is missing, damaged or of another network."""
    path = Path(path)
    try:
        network.load_state_dict(load_file(str(path)))
    except (OSError, SafetensorError) as error:
        raise InputError("is missing, damaged or not a safetensors file", file=path) from error
    except RuntimeError as error:
        raise InputError("holds weights of another network than its card describes", file=path) from error
