"""The contract inside an exported policy: everything a vehicle needs to know to run the file without drivewm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drivewm.datatypes import ROUTE_POINTS, ROUTE_SPACING_M, CameraRig, Provenance
from drivewm.errors import InputError
from drivewm.policies.vocabulary import CANDIDATES
from drivewm.records import decode_record, encode_record

METADATA_KEY = "drivewm.contract"
FORMAT = "drivewm.policy/1"
OPSET = 20


@dataclass(frozen=True, slots=True)
class TensorContract:
    """One input or output. The first axis is always the batch and written -1; all others are fixed."""

    name: str
    dtype: str  # numpy name
    shape: tuple[int, ...]
    unit: str
    meaning: str  # order of numbers, frame, range


@dataclass(frozen=True, slots=True)
class PolicyContract:
    """What `METADATA_KEY` in the metadata of the ONNX file holds, as JSON."""

    format: str
    policy_id: str
    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]
    memory: tuple[tuple[str, str], ...]  # (input, output): feed the output back; all memory starts as zeros
    plan_t_s: tuple[float, ...]
    rate_hz: float  # how often the policy expects to be called
    rig: CameraRig  # cameras in the order of the views
    normalisation: str
    frames: str
    provenance: Provenance


NORMALISATION = "none outside: raw uint8 RGB and SI units go in, scaling is part of the graph"
FRAMES = "ego: origin at the rear axle on the ground, x forward, y left, angles counter-clockwise; right-hand traffic"


def onboard_contract(
    policy_id: str, rig: CameraRig, plan_t_s: tuple[float, ...], memory_width: int, provenance: Provenance
) -> PolicyContract:
    """The contract of `drivewm.policies.onboard.OnboardNetwork.forward`."""
    height, width = rig.size_px
    route = f"x, y in the ego frame of {ROUTE_POINTS} points, {ROUTE_SPACING_M:g} m apart on the route, from beside the ego on"
    inputs = (
        TensorContract("images", "uint8", (-1, len(rig.names), height, width, 3), "", "RGB, cameras in the order of the rig"),
        TensorContract("ego_motion", "float32", (-1, 3), "m/s, m/s^2, 1/m", "speed, acceleration, curvature (left positive)"),
        TensorContract("route_xy_ego", "float32", (-1, ROUTE_POINTS, 2), "m", route),
        TensorContract("speed_limit_mps", "float32", (-1,), "m/s", "limit that holds here"),
        TensorContract("command", "int64", (-1,), "", "0 left, 1 straight, 2 right at the next branch"),
        TensorContract("memory", "float32", (-1, memory_width), "", "zeros at the start, later memory_out of the last call"),
    )
    plan = "x, y, heading, speed in the ego frame of now, at plan_t_s ahead"
    outputs = (
        TensorContract("trajectory", "float32", (-1, len(plan_t_s), 4), "m, m, rad, m/s", plan),
        TensorContract("memory_out", "float32", (-1, memory_width), "", "memory for the next call"),
        TensorContract("logits", "float32", (-1, CANDIDATES), "", "preference among the candidate plans, unnormalised"),
    )
    return PolicyContract(
        format=FORMAT,
        policy_id=policy_id,
        inputs=inputs,
        outputs=outputs,
        memory=(("memory", "memory_out"),),
        plan_t_s=plan_t_s,
        rate_hz=rig.rate_hz,
        rig=rig,
        normalisation=NORMALISATION,
        frames=FRAMES,
        provenance=provenance,
    )


def to_metadata(contract: PolicyContract) -> dict[str, str]:
    """Entries for `metadata_props` of an ONNX model."""
    return {METADATA_KEY: json.dumps(encode_record(contract), sort_keys=True, allow_nan=False)}


def from_metadata(metadata: Mapping[str, str], file: str | Path) -> PolicyContract:
    """The contract in the metadata of an ONNX file; raises InputError when there is none or it cannot be read."""
    if METADATA_KEY not in metadata:
        raise InputError("has no drivewm contract in its metadata", file=file, hint="export it with `drivewm export`")
    try:
        value = json.loads(metadata[METADATA_KEY])
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error}", file=file, place=METADATA_KEY) from error
    contract = decode_record(PolicyContract, value, file=file)
    if contract.format != FORMAT:
        raise InputError(f"is {contract.format!r}, this version reads {FORMAT!r}", file=file, place=f"{METADATA_KEY}.format")
    return contract
