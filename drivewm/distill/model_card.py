"""The bundle's README: what the file is, how to run it, what was measured, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from drivewm.distill.golden import Difference
from drivewm.distill.onnx_file import Latency
from drivewm.policies.contract import METADATA_KEY, PolicyContract, TensorContract

_RUN = """```python
import json, numpy, onnxruntime

session = onnxruntime.InferenceSession("policy.onnx")
contract = json.loads(session.get_modelmeta().custom_metadata_map["{key}"])
memory = numpy.zeros((1, {width}), numpy.float32)  # once, at the start of a drive
while driving:
    trajectory, memory, logits = session.run(None, {{
        "images": images,                    # uint8 {images}, RGB, cameras in the order below
        "ego_motion": ego_motion,            # float32 [1, 3]: speed m/s, acceleration m/s^2, curvature 1/m
        "route_xy_ego": route_xy_ego,        # float32 [1, {route}, 2]: points ahead on the route, ego frame, m
        "speed_limit_mps": speed_limit_mps,  # float32 [1]
        "command": command,                  # int64 [1]: 0 left, 1 straight, 2 right
        "memory": memory,
    }})
```"""


def model_card(
    contract: PolicyContract,
    latency: Sequence[Latency],
    parity: Mapping[str, Difference],
    size_bytes: Mapping[str, int],
    scores: Mapping[str, str],
) -> str:
    """Markdown."""
    shapes = {tensor.name: list(tensor.shape[1:]) for tensor in contract.inputs}
    run = _RUN.format(key=METADATA_KEY, width=shapes["memory"][0], images=[1, *shapes["images"]], route=shapes["route_xy_ego"][0])
    origin = contract.provenance
    parts = [
        f"# Onboard driving policy `{contract.policy_id}`",
        f"Plans {len(contract.plan_t_s)} points over {contract.plan_t_s[-1]:g} s from {len(contract.rig.names)} cameras, called "
        f"at {contract.rate_hz:g} Hz. Everything a runtime must know is inside the file, as JSON under `{METADATA_KEY}` in "
        "`metadata_props`.",
        "## Run it",
        run,
        f"Cameras: {', '.join(contract.rig.names)}. Frames: {contract.frames}. Normalisation: {contract.normalisation}.",
        "## Inputs and outputs",
        _table(("tensor", "type", "shape", "unit", "meaning"), map(_tensor, (*contract.inputs, *contract.outputs))),
        "## Measured",
        _table(
            ("file", "p50 ms", "p95 ms", "p99 ms", "calls"),
            ((r.file, f"{r.p50_ms:.1f}", f"{r.p95_ms:.1f}", f"{r.p99_ms:.1f}", str(r.calls)) for r in latency),
        ),
        f"One car, one thread, {latency[0].machine}.",
        _table(
            (
                "against torch",
                "largest logit difference",
                "largest memory difference",
                "same plan chosen",
                "mean distance of plans",
            ),
            (
                (n, f"{d.logits:.1e}", f"{d.memory:.1e}", f"{d.same_choice:.0%}", f"{d.plan_distance_m:.3f} m")
                for n, d in parity.items()
            ),
        ),
        *((_table(("closed loop", "value"), scores.items()),) if scores else ()),
        "## Files",
        _table(("file", "size"), ((name, f"{size / 1e6:.2f} MB") for name, size in size_bytes.items())),
        "`manifest.json` holds the SHA-256 of every file; `golden.safetensors` inputs and expected outputs with the memory fed "
        "back. `drivewm verify FOLDER` checks all of it.",
        "## Where it comes from",
        _table(
            ("what", "id"), [*origin.ids.items(), ("drivewm", f"{origin.version} ({origin.commit})"), ("made", origin.created)]
        ),
        "## Limits",
        "Trained and measured in simulated and dreamed driving only. It has seen no real road, no left-hand traffic and no "
        "camera rig but the one in its contract. It is a research artefact: not fit to control a vehicle.",
    ]
    return "\n\n".join(parts) + "\n"


def _tensor(tensor: TensorContract) -> tuple[str, ...]:
    shape = ", ".join("batch" if size < 0 else str(size) for size in tensor.shape)
    return f"`{tensor.name}`", tensor.dtype, f"[{shape}]", tensor.unit or "–", tensor.meaning


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(lines)
