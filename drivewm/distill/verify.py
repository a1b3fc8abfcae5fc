"""Is this bundle what it says it is? Files, contract, graph, and answers on the golden vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from drivewm.distill.export import FORMAT, GOLDEN, INT8, MANIFEST, ONNX, WEIGHTS
from drivewm.distill.golden import INPUTS, Difference, Golden, answers, difference, fits, torch_answer
from drivewm.distill.onnx_file import file_answers
from drivewm.errors import InputError
from drivewm.policies.contract import OPSET, PolicyContract
from drivewm.policies.load import load_onboard
from drivewm.policies.onnx_runner import OnnxPolicy
from drivewm.records import encode_record
from drivewm.store import file_hash, load_record, read_json

PARITY = 1e-4  # largest difference of logits, memory and plan
INT8_SAME_CHOICE = 0.5  # share of frames in which int8 must choose the very same plan ...
INT8_DISTANCE_M = 0.5  # ... and how far its plans may be off on average


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    value: str
    needed: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found; the numbers behind the checks are in the differences."""

    policy_id: str
    checks: tuple[Check, ...]
    golden: Difference  # ONNX against the stored outputs
    torch: Difference  # ONNX against torch, computed now from the weights in the bundle
    int8: Difference

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def verify(folder: str | Path) -> Report:
    """Check a bundle folder. Raises InputError when files are missing, changed, or no bundle; a `Report` says the rest."""
    folder = Path(folder)
    manifest = _manifest(folder)
    for name, sha256 in manifest["sha256"].items():
        if not (folder / name).is_file():
            raise InputError("is missing from the bundle", file=folder / name)
        if file_hash(folder / name) != sha256:
            raise InputError("has changed since the bundle was made", file=folder / name, place=f"SHA-256 in {MANIFEST}")
    contracts = {name: OnnxPolicy(folder / name).contract for name in (ONNX, INT8)}
    contract = contracts[ONNX]
    golden = load_record(Golden, folder / GOLDEN)
    if not fits(golden, contract):
        raise InputError("holds vectors of another policy than the contract describes", file=folder / GOLDEN)
    width = next(tensor.shape[1] for tensor in contract.inputs if tensor.name == "memory")
    given = {name: file_answers(folder / name, golden, width) for name in (ONNX, INT8)}
    network = load_onboard(folder / WEIGHTS).network
    from_torch = answers(golden, lambda feed: torch_answer(network, feed), width)
    stored = difference(golden, given[ONNX])
    live = difference(Golden(**{name: getattr(golden, name) for name in INPUTS}, **from_torch), given[ONNX])
    int8 = difference(golden, given[INT8])
    return Report(contract.policy_id, _checks(folder, manifest, contracts, (stored, live, int8)), stored, live, int8)


def _manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError("is not a bundle folder", file=folder, hint="export one with `drivewm export`")
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not isinstance(manifest.get("sha256"), dict):
        raise InputError(f"is not a manifest of {FORMAT!r}", file=folder / MANIFEST)
    for name in (ONNX, INT8, GOLDEN, WEIGHTS):
        if name not in manifest["sha256"]:
            raise InputError(f"does not list {name}", file=folder / MANIFEST)
    if odd := [name for name in manifest["sha256"] if Path(name).name != name]:
        raise InputError(f"names a file outside the bundle: {odd[0]!r}", file=folder / MANIFEST)
    return manifest


def _checks(
    folder: Path, manifest: dict[str, Any], contracts: dict[str, PolicyContract], found: tuple[Difference, Difference, Difference]
) -> tuple[Check, ...]:
    stored, live, int8 = found
    contract = contracts[ONNX]
    opset = {entry.domain: entry.version for entry in onnx.load(str(folder / ONNX)).opset_import}
    pairs = ", ".join(f"{before} <- {after}" for before, after in contract.memory)
    promised, int8_id = str(manifest.get("policy_id")), contracts[INT8].policy_id
    same = encode_record(contracts[INT8]) == encode_record(contract)
    alike, apart = f"{int8.same_choice:.0%} the same plan", f"{int8.plan_distance_m:.3f} m apart"
    return (
        Check("files", True, f"{len(manifest['sha256'])} unchanged", "SHA-256 as in the manifest"),
        Check("contract", promised == contract.policy_id, contract.policy_id, f"{promised} as in the manifest"),
        Check("int8 contract", same, int8_id, "the same as of the full file"),
        Check("opset", opset == {"": OPSET}, str(opset.get("")), f"{OPSET}, no other domain"),
        Check("memory", bool(contract.memory), pairs, "at least one pair, fed back over the golden sequences"),
        _parity("stored golden outputs", stored),
        _parity("torch, now", live),
        Check("int8 choice", int8.same_choice >= INT8_SAME_CHOICE, alike, f"at least {INT8_SAME_CHOICE:.0%}"),
        Check("int8 plans", int8.plan_distance_m <= INT8_DISTANCE_M, apart, f"at most {INT8_DISTANCE_M} m"),
    )


def _parity(name: str, value: Difference) -> Check:
    worst = max(value.logits, value.memory, value.trajectory)
    return Check(
        f"parity with {name}", worst <= PARITY and value.same_choice == 1.0, f"{worst:.1e}", f"at most {PARITY:.0e}, same plans"
    )
