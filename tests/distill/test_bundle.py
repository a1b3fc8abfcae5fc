import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from drivewm.datatypes import Scene
from drivewm.distill.collect import Visits
from drivewm.distill.export import FORMAT, GOLDEN, INT8, MANIFEST, ONNX, Bundle, export
from drivewm.distill.golden import Golden
from drivewm.distill.verify import PARITY, verify
from drivewm.errors import InputError
from drivewm.policies.contract import METADATA_KEY
from drivewm.policies.onboard import OnboardPolicy
from drivewm.policies.onnx_runner import OnnxPolicy
from drivewm.rollout import rollout
from drivewm.sim.raster import RasterWorld
from drivewm.store import file_hash, load_record, read_json, save_record, write_json


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, tmp_path / "bundle"))


def rehashed(folder: Path) -> None:
    """Make the manifest fit files that were changed on purpose."""
    manifest = read_json(folder / MANIFEST)
    write_json(folder / MANIFEST, manifest | {"sha256": {name: file_hash(folder / name) for name in manifest["sha256"]}})


def test_a_fresh_bundle_passes_every_check_with_parity_below_1e_4(bundle: Bundle) -> None:
    report = verify(bundle.folder)
    assert report.ok and len(report.checks) == 9
    assert max(report.golden.logits, report.golden.memory, report.golden.trajectory) <= PARITY == 1e-4
    assert max(report.torch.logits, report.torch.memory, report.torch.trajectory) <= PARITY
    assert report.torch.same_choice == 1.0


def test_a_bundle_holds_these_files_and_none_is_a_pickle(bundle: Bundle) -> None:
    names = {file.name for file in bundle.folder.iterdir()}
    weights = {"policy.onnx", "policy.int8.onnx", "policy.safetensors", "policy.json", "golden.safetensors"}
    assert names == weights | {"README.md", "latency.json", "manifest.json"}
    assert not any(b"\x80\x04" == file.read_bytes()[:2] for file in bundle.folder.iterdir())
    assert all(row.p50_ms <= row.p95_ms <= row.p99_ms for row in bundle.latency)
    assert "teacher@12345678" in (bundle.folder / "README.md").read_text()


def test_a_vehicle_can_run_the_file_knowing_only_onnxruntime_and_the_contract_inside(bundle: Bundle) -> None:
    session = onnxruntime.InferenceSession(str(bundle.onnx))
    contract = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    feed = {t["name"]: np.zeros([1, *t["shape"][1:]], t["dtype"]) for t in contract["inputs"]}
    feed["route_xy_ego"][0, :, 0] = 2.0 * np.arange(32)  # straight on
    names = [t["name"] for t in contract["outputs"]]
    for _ in range(3):
        out = dict(zip(names, session.run(names, feed), strict=True))
        for before, after in contract["memory"]:
            feed[before] = out[after]
    assert out["trajectory"].shape == (1, len(contract["plan_t_s"]), 4) and np.isfinite(out["trajectory"]).all()
    assert onnx.load(str(bundle.onnx)).opset_import[0].version == 20


def test_the_file_drives_in_closed_loop_as_the_network_does(
    bundle: Bundle, taught: OnboardPolicy, world: RasterWorld, scenes: Sequence[Scene]
) -> None:
    file, torch = (rollout(scenes, policy, world, seed=0) for policy in (OnnxPolicy(bundle.onnx), taught))
    for a, b in zip(file, torch, strict=True):
        np.testing.assert_allclose(a.states.ego_xy_yaw_world, b.states.ego_xy_yaw_world, atol=1e-3)


def test_int8_is_smaller_and_drives(bundle: Bundle, world: RasterWorld, scenes: Sequence[Scene]) -> None:
    assert (bundle.folder / INT8).stat().st_size < bundle.onnx.stat().st_size
    drive = rollout(scenes[:1], OnnxPolicy(bundle.folder / INT8), world, seed=0)[0]
    assert drive.ended == "horizon"


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / INT8).unlink()
    with pytest.raises(InputError, match=r"policy\.int8\.onnx: is missing from the bundle"):
        verify(copy)


def test_a_changed_byte_is_found(copy: Path) -> None:
    data = bytearray((copy / ONNX).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / ONNX).write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"policy\.onnx: .*has changed since the bundle was made"):
        verify(copy)


def test_an_onnx_file_without_contract_is_refused(copy: Path) -> None:
    model = onnx.load(str(copy / ONNX))
    del model.metadata_props[:]
    onnx.save(model, str(copy / ONNX))
    rehashed(copy)
    with pytest.raises(InputError, match=r"policy\.onnx: has no drivewm contract"):
        verify(copy)


def test_a_file_that_is_no_onnx_is_refused(copy: Path) -> None:
    (copy / ONNX).write_bytes(b"no model")
    rehashed(copy)
    with pytest.raises(InputError, match=r"policy\.onnx: is not an ONNX model"):
        verify(copy)


def test_a_file_that_answers_otherwise_than_promised_fails_parity(copy: Path) -> None:
    golden = load_record(Golden, copy / GOLDEN)
    save_record(copy / GOLDEN, replace(golden, logits=golden.logits + np.float32(2e-4)))
    rehashed(copy)
    report = verify(copy)
    assert not report.ok and [c.name for c in report.checks if not c.ok] == ["parity with stored golden outputs"]


def test_golden_vectors_of_another_policy_are_refused(copy: Path) -> None:
    golden = load_record(Golden, copy / GOLDEN)
    save_record(copy / GOLDEN, replace(golden, memory_out=golden.memory_out[..., 1:]))
    rehashed(copy)
    with pytest.raises(InputError, match="vectors of another policy"):
        verify(copy)


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a manifest"),
        (json.dumps({"format": FORMAT, "sha256": {}}), "does not list policy.onnx"),
        (json.dumps({"format": "drivewm.bundle/9", "sha256": {}}), "is not a manifest of 'drivewm.bundle/1'"),
    ],
)
def test_a_broken_manifest_is_one_sentence(copy: Path, manifest: str, sentence: str) -> None:
    (copy / MANIFEST).write_text(manifest)
    with pytest.raises(InputError, match=sentence):
        verify(copy)


def test_a_manifest_cannot_point_outside_its_folder(copy: Path) -> None:
    manifest = read_json(copy / MANIFEST)
    write_json(copy / MANIFEST, manifest | {"sha256": {**manifest["sha256"], "../secret": "0"}})
    with pytest.raises(InputError, match="outside the bundle"):
        verify(copy)


def test_what_is_no_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a bundle folder"):
        verify(tmp_path / "nothing")


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, student: OnboardPolicy, visits: list[Visits]) -> None:
    with pytest.raises(ValueError, match="no drive of 6 frames"):
        export(student.network, [visit[:3] for visit in visits], tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(copy: Path, student: OnboardPolicy, visits: list[Visits]) -> None:
    with pytest.raises(InputError, match="already exists"):
        export(student.network, visits, copy)
