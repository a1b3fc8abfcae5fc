"""The onboard bundle: one folder with the ONNX files and all that is needed to trust and run them without drivewm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drivewm.distill.collect import Visits
from drivewm.distill.golden import Difference, difference, golden_vectors
from drivewm.distill.model_card import model_card
from drivewm.distill.onnx_file import Latency, file_answers, measure_latency, write_int8, write_onnx
from drivewm.policies.contract import onboard_contract
from drivewm.policies.onboard import OnboardNetwork
from drivewm.policies.weights import PolicyCard, policy_id, save_network
from drivewm.records import encode_record
from drivewm.store import atomic_folder, atomic_write, device_name, file_hash, provenance, save_record, write_json, write_text

ONNX, INT8, GOLDEN, WEIGHTS = "policy.onnx", "policy.int8.onnx", "golden.safetensors", "policy.safetensors"
LATENCY, CARD, MANIFEST = "latency.json", "README.md", "manifest.json"
FORMAT = "drivewm.bundle/1"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    seed: int = 0
    ids: Mapping[str, str] = field(default_factory=dict)  # teacher, world, suite ... from which the policy was made
    scores: Mapping[str, str] = field(default_factory=dict)  # what to say on the model card: name -> value
    latency_calls: int = 200


@dataclass(frozen=True, slots=True)
class Bundle:
    """A written bundle."""

    folder: Path
    policy_id: str
    int8: Difference  # of the int8 variant, on the golden vectors
    latency: tuple[Latency, ...]

    @property
    def onnx(self) -> Path:
        return self.folder / ONNX


def export(
    network: OnboardNetwork,
    visits: Sequence[Visits],
    out: str | Path,
    options: ExportOptions | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Bundle:
    """Write the bundle folder ``out``, whole or not at all. ``visits`` give golden vectors and the ranges for int8."""
    options, out = options or ExportOptions(), Path(out)
    tell = on_stage or (lambda stage: None)
    name = policy_id("onboard", network)
    config = network.config
    origin = provenance(options.seed, policy=name, **options.ids)
    contract = onboard_contract(name, config.rig, config.plan_t_s, config.memory_width, origin)
    with atomic_folder(out) as folder:
        tell("golden vectors")
        golden = golden_vectors(network, visits)
        save_record(folder / GOLDEN, golden)
        save_network(folder / WEIGHTS, network, PolicyCard("onboard", config, origin))
        tell("ONNX")
        write_onnx(folder / ONNX, network, contract)
        tell("int8")
        write_int8(folder / INT8, folder / ONNX, contract, visits, options.seed)
        tell("latency")
        parity, agreement = (
            difference(golden, file_answers(folder / file, golden, config.memory_width)) for file in (ONNX, INT8)
        )
        machine = device_name()
        latency = tuple(measure_latency(folder / file, contract, machine, options.latency_calls) for file in (ONNX, INT8))
        write_json(folder / LATENCY, [encode_record(row) for row in latency])
        sizes = {file: (folder / file).stat().st_size for file in (ONNX, INT8, WEIGHTS, GOLDEN)}
        write_text(folder / CARD, model_card(contract, latency, {"fp32": parity, "int8": agreement}, sizes, options.scores))
        files = {file.name: file_hash(file) for file in sorted(folder.iterdir())}
        write_json(folder / MANIFEST, {"format": FORMAT, "policy_id": name, "sha256": files})
    return Bundle(out, name, agreement, latency)


def write_onnx_alone(network: OnboardNetwork, path: Path) -> None:
    """The ONNX file of a bundle without the rest: enough to be scored, not enough to be trusted on a vehicle."""
    name, config = policy_id("onboard", network), network.config
    contract = onboard_contract(name, config.rig, config.plan_t_s, config.memory_width, provenance(0, policy=name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        write_onnx(temporary, network, contract)
