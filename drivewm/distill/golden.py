"""Golden vectors: recorded inputs of whole drives, memory included, and what the network answered; stored with every bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from drivewm.datatypes import Array, Records
from drivewm.distill.collect import Visits
from drivewm.policies.contract import PolicyContract
from drivewm.policies.onboard import OnboardNetwork

INPUTS = ("images", "ego_motion", "route_xy_ego", "speed_limit_mps", "command")


@dataclass(frozen=True, slots=True)
class Golden(Records):
    """G sequences of T frames as the network is called, one car each. Memory starts as zeros and is fed back."""

    images: Array  # uint8 [G, T, V, H, W, 3]
    ego_motion: Array  # float32 [G, T, 3]
    route_xy_ego: Array  # float32 [G, T, ROUTE_POINTS, 2]
    speed_limit_mps: Array  # float32 [G, T]
    command: Array  # int64 [G, T]
    trajectory: Array  # float32 [G, T, K, 4]
    memory_out: Array  # float32 [G, T, D]
    logits: Array  # float32 [G, T, M]


def golden_vectors(network: OnboardNetwork, visits: Sequence[Visits], sequences: int = 3, frames: int = 6) -> Golden:
    """The first frames of ``sequences`` drives spread over ``visits``, answered by ``network`` in torch."""
    long = [visit for visit in visits if len(visit) >= frames]
    if not long:
        raise ValueError(f"no drive of {frames} frames to make golden vectors from")
    chosen = [long[i] for i in np.unique(np.linspace(0, len(long) - 1, sequences).round().astype(int))]
    inputs = Visits.stack([visit[:frames] for visit in chosen])
    given = {name: np.ascontiguousarray(getattr(inputs, name)) for name in INPUTS} | {"command": inputs.command.astype(np.int64)}
    blank = Golden(**given, **{name: np.zeros(0, np.float32) for name in ("trajectory", "memory_out", "logits")})
    return replace(blank, **answers(blank, lambda feed: torch_answer(network, feed), network.config.memory_width))


def torch_answer(network: OnboardNetwork, feed: dict[str, Array]) -> dict[str, Array]:
    order = (*INPUTS, "memory")
    with torch.inference_mode():
        outputs = network(*(torch.from_numpy(np.ascontiguousarray(feed[name])) for name in order))
    return {name: value.numpy() for name, value in zip(("trajectory", "memory_out", "logits"), outputs, strict=True)}


def onnx_answer(session: Any, feed: dict[str, Array]) -> dict[str, Array]:
    """One call of an onnxruntime session, outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def answers(golden: Golden, answer: Any, memory_width: int) -> dict[str, Array]:
    """Outputs [G, T, ...] of ``answer(feed) -> outputs`` over the sequences, its own memory fed back."""
    memory = np.zeros((len(golden.images), memory_width), np.float32)
    steps = []
    for t in range(golden.images.shape[1]):
        out = answer({name: np.ascontiguousarray(getattr(golden, name)[:, t]) for name in INPUTS} | {"memory": memory})
        memory = out["memory_out"]
        steps.append(out)
    return {name: np.stack([out[name] for out in steps], 1) for name in ("trajectory", "memory_out", "logits")}


def fits(golden: Golden, contract: PolicyContract) -> bool:
    """Whether the vectors have the shapes that the contract promises."""
    shapes = {tensor.name: tensor.shape[1:] for tensor in (*contract.inputs, *contract.outputs)}
    return all(getattr(golden, f.name).shape[2:] == shapes.get(f.name) for f in fields(golden))


@dataclass(frozen=True, slots=True)
class Difference:
    """How far answers are from the golden ones. Plans are compared only where the choice between plans is the same."""

    logits: float
    memory: float
    trajectory: float  # m, m, rad, m/s
    same_choice: float  # share of frames in which the same plan is chosen
    plan_distance_m: float  # mean distance between chosen plans, whichever was chosen


def difference(golden: Golden, given: dict[str, Array]) -> Difference:
    same = golden.logits.argmax(-1) == given["logits"].argmax(-1)
    apart = np.abs(golden.trajectory - given["trajectory"])
    return Difference(
        logits=float(np.abs(golden.logits - given["logits"]).max()),
        memory=float(np.abs(golden.memory_out - given["memory_out"]).max()),
        trajectory=float(apart[same].max()) if same.any() else float("inf"),
        same_choice=float(same.mean()),
        plan_distance_m=float(np.hypot(*np.moveaxis((golden.trajectory - given["trajectory"])[..., :2], -1, 0)).mean()),
    )
