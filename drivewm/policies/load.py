"""From what a user types after ``--policy`` to a Policy: a name, weights, or an ONNX file, and how it is impaired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drivewm import registry
from drivewm.errors import InputError
from drivewm.policies.impaired import impaired
from drivewm.policies.onboard import OnboardConfig, OnboardNetwork, OnboardPolicy
from drivewm.policies.onnx_runner import OnnxPolicy
from drivewm.policies.teacher import TeacherConfig, TeacherNetwork, TeacherPolicy
from drivewm.policies.weights import PolicyCard, card_config, load_weights, read_card, save_network
from drivewm.protocols import Policy
from drivewm.store import provenance

GROUP = "drivewm.policies"
ASSETS = Path(__file__).parent.parent / "assets"


def load_policy(name_or_path: str | Path) -> Policy:
    """A registered name ("expert", "idm", "teacher", a plug-in's), a ``.onnx`` file, or ``.safetensors`` weights with their card.

    Words after a colon make it worse: ``teacher:late-2:static-0.5`` (see `drivewm.policies.impaired`).
    Raises InputError that names the known policies when there is no such policy.
    """
    name, *words = str(name_or_path).split(":")
    return impaired(_sound(name), words)


def _sound(name: str) -> Policy:
    path = Path(name)
    if path.suffix == ".onnx":
        return OnnxPolicy(path)
    if path.suffix == ".safetensors":
        kind = read_card(path).kind
        if kind not in _KINDS:
            raise InputError(f"unknown kind {kind!r} of policy", file=path.with_suffix(".json"), hint=", ".join(_KINDS))
        return _KINDS[kind](path)
    made: Policy = registry.resolve(GROUP, name)()
    return made


def load_teacher(path: str | Path) -> TeacherPolicy:
    """The large policy from its weights and card."""
    network = TeacherNetwork(card_config(read_card(path), TeacherConfig, "teacher", path))
    load_weights(path, network)
    return TeacherPolicy(network)


def load_onboard(path: str | Path) -> OnboardPolicy:
    """The small policy from its weights and card."""
    network = OnboardNetwork(card_config(read_card(path), OnboardConfig, "onboard", path))
    load_weights(path, network)
    return OnboardPolicy(network)


def save_policy(path: str | Path, network: TeacherNetwork | OnboardNetwork, *, seed: int, half: bool = False, **ids: str) -> None:
    """Weights at ``path`` (.safetensors) and their card beside them; ``ids`` name the data and policies it was made from."""
    import torch

    kind = "teacher" if isinstance(network, TeacherNetwork) else "onboard"
    card = PolicyCard(kind, network.config, provenance(seed, **ids))
    save_network(path, network, card, torch.float16 if half else torch.float32)


def embedded_teacher() -> TeacherPolicy:
    """The large policy that comes with drivewm."""
    return load_teacher(_embedded("teacher"))


def embedded_onboard() -> OnboardPolicy:
    """The small policy that comes with drivewm."""
    return load_onboard(_embedded("onboard"))


def _embedded(kind: str) -> Path:
    path = ASSETS / f"{kind}.safetensors"
    if not path.is_file():
        raise InputError(f"this installation carries no {kind} policy", file=path, hint="train one, or give a path to weights")
    return path


_KINDS: dict[str, Any] = {"teacher": load_teacher, "onboard": load_onboard}
