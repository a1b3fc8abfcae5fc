"""The large and the small policy: size, memory, saving, and the small one as an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from drivewm.distill.onnx_file import write_onnx
from drivewm.errors import InputError
from drivewm.policies.contract import METADATA_KEY, onboard_contract
from drivewm.policies.judge import PARTS
from drivewm.policies.layers import LookAlong, parameter_count
from drivewm.policies.load import load_policy, save_policy
from drivewm.policies.onboard import OnboardConfig, OnboardNetwork, OnboardPolicy, distillation_loss
from drivewm.policies.onnx_runner import OnnxPolicy
from drivewm.policies.teacher import TeacherConfig, TeacherNetwork, TeacherOutput, TeacherPolicy, teacher_loss
from drivewm.policies.vocabulary import CANDIDATES
from drivewm.policies.weights import policy_id
from drivewm.rollout import rollout
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import provenance
from drivewm.testing import BlankWorld, check_policy, straight_scene

RIG = nuscenes_rig(32, 48)  # small pictures keep the tests fast; nothing depends on the size
K = 8


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def teacher() -> TeacherNetwork:
    torch.manual_seed(0)
    config = TeacherConfig(RIG, stage_channels=(16, 32, 48), width=48, heads=4, encoder_layers=1, decoder_layers=1)
    return TeacherNetwork(config).eval()


@pytest.fixture(scope="module")
def onboard() -> OnboardNetwork:
    torch.manual_seed(1)
    return OnboardNetwork(OnboardConfig(rig=RIG)).eval()


@pytest.fixture(scope="module")
def onnx_file(onboard: OnboardNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "policy.onnx"
    config, name = onboard.config, policy_id("onboard", onboard)
    write_onnx(path, onboard, onboard_contract(name, RIG, config.plan_t_s, config.memory_width, provenance(0, policy=name)))
    return path


def inputs(batch: int, memory_width: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Random but possible inputs of the small network."""
    g = torch.Generator().manual_seed(seed)
    route = torch.zeros(batch, 32, 2)
    route[..., 0] = 2.0 * torch.arange(32)
    route[..., 1] = torch.cumsum(0.1 * torch.randn(batch, 32, generator=g), 1)
    memory = 0.5 * torch.randn(batch, memory_width, generator=g)
    images = torch.randint(0, 256, (batch, 6, *RIG.size_px, 3), generator=g, dtype=torch.uint8)
    motion = torch.rand(batch, 3, generator=g) * torch.tensor([14.0, 1.0, 0.02])
    return images, motion, route, torch.full((batch,), 13.9), torch.randint(0, 3, (batch,), generator=g), memory


def test_the_small_policy_has_at_most_a_tenth_of_the_parameters() -> None:
    large, small = parameter_count(TeacherNetwork(TeacherConfig())), parameter_count(OnboardNetwork(OnboardConfig()))
    assert 3e6 < large < 6e6
    assert small <= large / 10


@pytest.mark.parametrize("kind", ["teacher", "onboard"])
def test_networks_keep_the_promises_of_a_policy(kind: str, teacher: TeacherNetwork, onboard: OnboardNetwork) -> None:
    check_policy(TeacherPolicy(teacher) if kind == "teacher" else OnboardPolicy(onboard), rig=RIG)


def test_paths_are_looked_up_where_they_are_seen() -> None:
    """A mark on the road 12 m ahead of a camera is found at that point of the path and nowhere else."""
    rig = nuscenes_rig(64, 96)
    look = LookAlong(rig)
    point = np.array([12.0 + 1.70, 0.02, 0.5, 1.0])
    camera = np.linalg.inv(rig.ego_from_camera[1]) @ point
    pixel = rig.intrinsics[1] @ camera[:3] / camera[2]
    features = torch.zeros(1, 6, 1, 64, 96)
    column, row = int(pixel[0]), int(pixel[1])
    features[0, 1, 0, row - 1 : row + 2, column - 1 : column + 2] = 1.0
    path = torch.tensor([[[3.0, 0.0], [13.7, 0.02], [30.0, 0.0], [13.7, 3.0]]])
    found = look(features, path)[0, :, 0]
    assert found[1] > 0.9
    assert found[[0, 2, 3]].max() < 0.05


def test_the_memory_shows_what_moved(onboard: OnboardNetwork) -> None:
    width = onboard.config.memory_width
    images, motion, route, limit, command, _ = inputs(1, width)
    start = torch.zeros(1, width)
    with torch.no_grad():
        _, after, first = onboard(images, motion, route, limit, command, start)
        _, _, same = onboard(images, motion, route, limit, command, after)
        moved, _, other = onboard(images.roll(3, 3), motion, route, limit, command, after)
    assert after[0, onboard.config.width] == 1.0  # a last frame exists now
    assert (same - first).abs().max() > 1e-4
    assert (other - same).abs().max() > 1e-4
    assert moved.shape == (1, K, 4)


def test_the_best_of_the_combined_score_is_feasible(teacher: TeacherNetwork) -> None:
    plans, feasible = torch.zeros(1, 4, K, 4), torch.tensor([[False, True, True, True]])
    sub_scores = torch.full((1, 4, len(PARTS)), 3.0)
    sub_scores[0, 1, 0] = -3.0  # a collision is likely
    sub_scores[0, 2, PARTS.index("progress")] = -3.0
    combined = TeacherOutput(plans, feasible, sub_scores, torch.zeros(1, 4)).combined()
    assert combined.argsort(descending=True)[0].tolist() == [3, 2, 1, 0]


def test_losses_fall_when_the_answer_is_right() -> None:
    plans = torch.randn(2, CANDIDATES, K, 4, generator=torch.Generator().manual_seed(0))
    truth = (torch.rand(2, CANDIDATES, len(PARTS), generator=torch.Generator().manual_seed(1)) > 0.5).float()
    index, feasible = torch.tensor([3, 70]), torch.ones(2, CANDIDATES, dtype=torch.bool)
    one_hot = torch.nn.functional.one_hot(index, CANDIDATES).float()
    right = TeacherOutput(plans, feasible, 8 * (truth - 0.5), 8 * one_hot)
    wrong = TeacherOutput(plans, feasible, -8 * (truth - 0.5), -8 * one_hot)
    good, bad = teacher_loss(right, truth, index), teacher_loss(wrong, truth, index)
    assert all(good[name] < bad[name] for name in good)
    assert set(good) == {"loss", "imitation", *PARTS}


def test_distillation_follows_the_large_policy(onboard: OnboardNetwork) -> None:
    width = onboard.config.memory_width
    output = onboard.judge(*inputs(2, width))
    truth, index = torch.ones(2, CANDIDATES, len(PARTS)), torch.tensor([1, 2])
    agrees = distillation_loss(output, 0.3 * output.logits.detach(), truth, index)
    differs = distillation_loss(output, -3.0 * output.logits.detach(), truth, index)
    assert agrees["distil"] < differs["distil"]
    agrees["loss"].backward()
    assert onboard.stem[0][0].weight.grad is not None  # type: ignore[index, union-attr]
    onboard.zero_grad()


@pytest.mark.parametrize("half", [False, True])
def test_weights_come_back_from_disk(half: bool, tmp_path: Path, onboard: OnboardNetwork, teacher: TeacherNetwork) -> None:
    for network in (onboard, teacher):
        path = tmp_path / "policy.safetensors"
        save_policy(path, network, seed=3, half=half, data="abc")
        again = load_policy(path)
        assert isinstance(again, OnboardPolicy | TeacherPolicy)
        assert again.network.config.plan_t_s == network.config.plan_t_s
        assert np.array_equal(again.network.config.rig.intrinsics, RIG.intrinsics)
        for name, value in again.network.state_dict().items():
            assert torch.allclose(value.float(), network.state_dict()[name].float(), atol=1e-2 if half else 0, rtol=1e-3)
        assert (again.spec.id == policy_id(again.spec.id.split("@")[0], network)) != half


def test_onnx_answers_as_torch_does(onboard: OnboardNetwork, onnx_file: Path) -> None:
    session = OnnxPolicy(onnx_file)._session
    names = ("images", "ego_motion", "route_xy_ego", "speed_limit_mps", "command", "memory")
    for batch in (1, 3):
        given = inputs(batch, onboard.config.memory_width, seed=batch)
        with torch.no_grad():
            expected = onboard(*given)
        found = session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})
        for ours, theirs in zip(expected, found, strict=True):
            assert np.abs(ours.numpy() - theirs).max() <= 1e-4


def test_the_onnx_policy_drives_like_the_torch_policy(onboard: OnboardNetwork, onnx_file: Path) -> None:
    policy = load_policy(onnx_file)
    check_policy(policy, rig=RIG)
    scenes = [straight_scene(8.0, lead=(30.0, 5.0), horizon_s=2.0), straight_scene(5.0, horizon_s=2.0)]
    ours, theirs = (rollout(scenes, p, BlankWorld(RIG), seed=0) for p in (OnboardPolicy(onboard), policy))
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a.states.ego_xy_yaw_world - b.states.ego_xy_yaw_world).max() < 1e-3


def test_the_contract_says_what_the_file_needs(onnx_file: Path) -> None:
    contract = OnnxPolicy(onnx_file).contract
    assert [tensor.name for tensor in contract.inputs][:2] == ["images", "ego_motion"]
    assert contract.inputs[0].shape == (-1, 6, 32, 48, 3)
    assert contract.memory == (("memory", "memory_out"),)
    assert contract.rig.names == RIG.names
    assert contract.provenance.ids["policy"].startswith("onboard@")


def _refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_policy(path)
    assert str(path) in str(caught.value)


def test_a_file_without_contract_is_refused(onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(onnx_file))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "bare.onnx"))
    _refused(tmp_path / "bare.onnx", "no drivewm contract")


def test_a_contract_that_lies_about_the_graph_is_refused(onnx_file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(onnx_file))
    for kind, damage, words in (
        ("shape", lambda c: c["inputs"][1].update(shape=[-1, 5]), "ego_motion"),
        ("name", lambda c: c["outputs"].pop(), "logits"),
        ("format", lambda c: c.update(format="drivewm.policy/9"), "drivewm.policy/1"),
        ("type", lambda c: c.update(rate_hz="fast"), "rate_hz"),
    ):
        prop = next(p for p in model.metadata_props if p.key == METADATA_KEY)
        original = prop.value
        content = json.loads(original)
        damage(content)
        prop.value = json.dumps(content)
        onnx.save(model, str(tmp_path / f"{kind}.onnx"))
        prop.value = original
        _refused(tmp_path / f"{kind}.onnx", words)


def test_other_cameras_are_refused(onnx_file: Path, teacher: TeacherNetwork, onboard: OnboardNetwork) -> None:
    with pytest.raises(InputError, match="images needs"):
        rollout([straight_scene()], OnnxPolicy(onnx_file), BlankWorld(nuscenes_rig(64, 96)), seed=0)
    for policy in (TeacherPolicy(teacher), OnboardPolicy(onboard)):
        with pytest.raises(InputError, match="needs 6 cameras of 32 x 48 px, the world shows 1 cameras of 32 x 48 px"):
            rollout([straight_scene()], policy, BlankWorld(RIG.only(0)), seed=0)


def test_what_is_no_policy_is_refused(tmp_path: Path, onboard: OnboardNetwork) -> None:
    _refused(tmp_path / "missing.onnx", "no such file")
    (tmp_path / "text.onnx").write_text("hello")
    _refused(tmp_path / "text.onnx", "not an ONNX model")
    save_policy(tmp_path / "p.safetensors", onboard, seed=0)
    (tmp_path / "p.safetensors").write_bytes(b"12345678")
    _refused(tmp_path / "p.safetensors", "damaged")
    save_policy(tmp_path / "q.safetensors", OnboardNetwork(replace(onboard.config, width=64)), seed=0)
    save_policy(tmp_path / "r.safetensors", onboard, seed=0)
    (tmp_path / "q.json").write_text((tmp_path / "r.json").read_text())
    _refused(tmp_path / "q.safetensors", "another network")
    card = json.loads((tmp_path / "r.json").read_text())
    (tmp_path / "r.json").write_text(json.dumps(card | {"kind": "oracle"}))
    with pytest.raises(InputError, match="unknown kind 'oracle'"):
        load_policy(tmp_path / "r.safetensors")


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="did you mean 'expert'"):
        load_policy("exprt")


@pytest.mark.parametrize("name", ["constant_velocity", "idm", "expert"])
def test_built_in_policies_keep_their_promises(name: str) -> None:
    check_policy(load_policy(name), rig=RIG)
