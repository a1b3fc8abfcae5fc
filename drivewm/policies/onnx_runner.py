"""A policy that is one ONNX file: driven by what its contract says, through onnxruntime, as a vehicle would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from drivewm.datatypes import Array, Observation, Trajectory
from drivewm.errors import InputError
from drivewm.policies.contract import PolicyContract, TensorContract, from_metadata
from drivewm.policies.vocabulary import trajectory
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.store import file_hash

KNOWN_INPUTS = {"images", "ego_motion", "route_xy_ego", "speed_limit_mps", "command"}
PLAN_OUTPUT = "trajectory"


class OnnxPolicy:
    """Raises InputError for a file that is missing, no ONNX model, or without a contract that fits its graph."""

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self.path = Path(path)
        self._session = _open(self.path, threads)
        self.contract = from_metadata(self._session.get_modelmeta().custom_metadata_map, self.path)
        self._check_graph()
        self.spec = PolicySpec(f"onnx@{file_hash(self.path)[:8]}", plan_t_s=self.contract.plan_t_s)

    def start(self, batch: int, seed: int) -> tuple[Array, ...]:
        return tuple(np.zeros((batch, *self._input(name).shape[1:]), np.float32) for name, _ in self.contract.memory)

    def act(
        self, observation: Observation, memory: tuple[Array, ...], truth: GroundTruth | None = None
    ) -> tuple[Trajectory, tuple[Array, ...]]:
        """Raises InputError when the cameras of the world are not those of the contract."""
        known = {
            "images": observation.images[:, -1],
            "ego_motion": observation.ego_motion[:, -1, :3],
            "route_xy_ego": observation.route_xy_ego,
            "speed_limit_mps": observation.speed_limit_mps,
            "command": observation.command,
        }
        feed: dict[str, Array] = {name: value for (name, _), value in zip(self.contract.memory, memory, strict=True)}
        for name in KNOWN_INPUTS & {tensor.name for tensor in self.contract.inputs}:
            feed[name] = self._fitted(self._input(name), known[name])
        wanted = [PLAN_OUTPUT, *(after for _, after in self.contract.memory)]
        plan, *after = self._session.run(wanted, feed)
        return trajectory(plan, self.contract.plan_t_s), tuple(after)

    def _input(self, name: str) -> TensorContract:
        return next(tensor for tensor in self.contract.inputs if tensor.name == name)

    def _fitted(self, tensor: TensorContract, value: Any) -> Array:
        if np.shape(value)[1:] != tensor.shape[1:]:
            reason = f"{tensor.name} needs {list(tensor.shape[1:])} per car, the world gives {list(np.shape(value)[1:])}"
            raise InputError(reason, file=self.path, hint="use a rig like the one in the contract")
        return np.ascontiguousarray(value, np.dtype(tensor.dtype))

    def _check_graph(self) -> None:
        """The contract must speak of the tensors that the graph has, and of a plan."""
        contract = self.contract
        for kind, promised, present in (
            ("input", contract.inputs, self._session.get_inputs()),
            ("output", contract.outputs, self._session.get_outputs()),
        ):
            shapes = {node.name: tuple(size if isinstance(size, int) else -1 for size in node.shape) for node in present}
            for tensor in promised:
                if shapes.get(tensor.name) != tensor.shape:
                    found = f"has shape {list(shapes[tensor.name])}" if tensor.name in shapes else "is missing"
                    raise InputError(f"{kind} {tensor.name!r} {found}, its contract says {list(tensor.shape)}", file=self.path)
            if unnamed := set(shapes) - {tensor.name for tensor in promised}:
                raise InputError(f"{kind} {sorted(unnamed)[0]!r} is not in its contract", file=self.path)
        _check_names(contract, self.path)


def _open(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not path.is_file():
        raise InputError("no such file", file=path)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base but this
        raise InputError(f"is not an ONNX model that can run here: {str(error).splitlines()[0]}", file=path) from error


def _check_names(contract: PolicyContract, path: Path) -> None:
    inputs, outputs = {tensor.name for tensor in contract.inputs}, {tensor.name for tensor in contract.outputs}
    remembered = {name for name, _ in contract.memory}
    if unknown := inputs - KNOWN_INPUTS - remembered:
        raise InputError(f"asks for an unknown input {sorted(unknown)[0]!r}", file=path, hint=f"known: {sorted(KNOWN_INPUTS)}")
    for before, after in contract.memory:
        if before not in inputs or after not in outputs:
            raise InputError(f"memory pair {before!r}, {after!r} names tensors that do not exist", file=path)
    plans = [tensor.shape for tensor in contract.outputs if tensor.name == PLAN_OUTPUT]
    if plans != [(-1, len(contract.plan_t_s), 4)]:
        raise InputError(f"needs an output {PLAN_OUTPUT!r} of shape [-1, {len(contract.plan_t_s)}, 4]", file=path)
