"""From the torch network to ONNX files: full precision by torch's exporter, int8 by onnxruntime's static quantisation."""

from __future__ import annotations

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from drivewm.datatypes import Array
from drivewm.distill.collect import Visits
from drivewm.distill.golden import INPUTS, Golden, answers, onnx_answer
from drivewm.policies.contract import OPSET, PolicyContract, to_metadata
from drivewm.policies.onboard import OnboardNetwork

OUTPUTS = ("trajectory", "memory_out", "logits")
SMALLEST_QUANTISED = 1024  # weights; the last layer that ranks the plans stays exact
CALIBRATION_FRAMES = 48
_DTYPES = {"uint8": torch.uint8, "float32": torch.float32, "int64": torch.int64}


def write_onnx(path: Path, network: OnboardNetwork, contract: PolicyContract) -> None:
    """Write ``network`` with its contract inside; any batch size runs."""
    example = tuple(torch.zeros((2, *t.shape[1:]), dtype=_DTYPES[t.dtype]) for t in contract.inputs)
    route = torch.arange(example[2].shape[1], dtype=torch.float32) * 2.0
    example[2][..., 0] = route
    batch = torch.export.Dim("batch", min=1, max=4096)
    with _quiet():
        program = torch.onnx.export(
            network.eval().cpu(),
            example,
            input_names=[t.name for t in contract.inputs],
            output_names=list(OUTPUTS),
            dynamic_shapes=tuple({0: batch} for _ in example),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # with dynamo=True it is returned
    _with_contract(program.model_proto, contract, path)


def write_int8(path: Path, full: Path, contract: PolicyContract, visits: Sequence[Visits], seed: int = 0) -> None:
    """Write the int8 variant of ``full``: convolutions and dense layers, ranges measured on visited frames."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, raw = path.with_suffix(".prepared.onnx"), path.with_suffix(".raw.onnx")
    with _quiet():
        quant_pre_process(str(full), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
        quantize_static(
            str(prepared),
            str(raw),
            _Calibration(full, visits, seed),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=_heavy_nodes(model),
        )
    _with_contract(onnx.load(str(raw)), contract, path)
    prepared.unlink()
    raw.unlink()


def _heavy_nodes(model: Any) -> list[str]:
    """Layers with many weights; geometry, attention and normalisation stay in floating point."""
    size = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in {"Conv", "Gemm", "MatMul"}]
    return [n.name for n in layers if n.op_type == "Conv" or size.get(n.input[1], 0) >= SMALLEST_QUANTISED]


class _Calibration:
    """Visited frames in order, with the memory that the network itself makes of them."""

    def __init__(self, full: Path, visits: Sequence[Visits], seed: int) -> None:
        self._feeds = _frames(open_session(full), visits, np.random.default_rng(seed))

    def get_next(self) -> dict[str, Array] | None:
        return next(self._feeds, None)


def _frames(session: Any, visits: Sequence[Visits], rng: np.random.Generator) -> Iterator[dict[str, Array]]:
    width = next(node.shape[1] for node in session.get_inputs() if node.name == "memory")
    left = CALIBRATION_FRAMES
    for index in rng.permutation(len(visits)):
        memory = np.zeros((1, width), np.float32)
        for frame in range(min(len(visits[index]), 12, left)):
            now = visits[index][frame : frame + 1]
            feed = {name: np.ascontiguousarray(getattr(now, name)) for name in INPUTS} | {"memory": memory}
            feed["command"] = feed["command"].astype(np.int64)
            yield feed
            memory, left = session.run(["memory_out"], feed)[0], left - 1


def _with_contract(model: Any, contract: PolicyContract, path: Path) -> None:
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    onnx.helper.set_model_props(model, to_metadata(contract))
    model.producer_name = "drivewm"
    onnx.checker.check_model(model)
    onnx.save_model(model, str(path))


def open_session(path: Path, threads: int = 1) -> Any:
    """An onnxruntime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def file_answers(path: Path, golden: Golden, memory_width: int) -> dict[str, Array]:
    """What the file answers on the golden inputs, its own memory fed back."""
    session = open_session(path)
    return answers(golden, lambda feed: onnx_answer(session, feed), memory_width)


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall time of one call for one car on one thread."""

    file: str
    p50_ms: float
    p95_ms: float
    p99_ms: float
    calls: int
    machine: str


def measure_latency(path: Path, contract: PolicyContract, machine: str, calls: int = 200) -> Latency:
    session = open_session(path)
    feed = {t.name: np.zeros((1, *t.shape[1:]), t.dtype) for t in contract.inputs}
    feed["images"] = np.random.default_rng(0).integers(0, 256, feed["images"].shape, np.uint8)
    feed["route_xy_ego"][..., 0] = 2.0 * np.arange(feed["route_xy_ego"].shape[1])
    spent = []
    for call in range(calls + calls // 10):
        began = time.perf_counter()
        session.run(None, feed)
        if call >= calls // 10:
            spent.append(1e3 * (time.perf_counter() - began))
    p50, p95, p99 = (float(value) for value in np.percentile(spent, [50, 95, 99]))
    return Latency(path.name, p50, p95, p99, calls, machine)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print what concerns their authors only."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        root = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger().setLevel(root)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
