"""How a dream starts and what it is told: pictures that are kept, cameras that are lost, cars with other cameras, a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.datatypes import Array, CameraRig, Clip, Conditions, Scene, Weather, WorldState
from drivewm.errors import InputError
from drivewm.sim.engine import Engine
from drivewm.sim.faults import losing
from drivewm.sim.hindsight import moments_before
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import level_camera, nuscenes_rig
from drivewm.testing import check_world, straight_scene
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.conditions import clip_conditions, frame_conditions
from drivewm.worldmodel.openings import Pictures, Recorded, Reference, Scratch
from drivewm.worldmodel.pipeline import DreamPipeline, refuse_unlearned
from drivewm.worldmodel.sizes import SIZES, WorldModelSize
from drivewm.worldmodel.text import Prompt, encode_text
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamMemory, DreamWorld

SIZE = replace(SIZES["tiny"], width=32, depth=1, heads=2, autoencoder_channels=(16, 32, 64), autoencoder_layers=(1, 1, 1))
RIG = nuscenes_rig()
FRONT, BACK = RIG.names.index("CAM_FRONT"), RIG.names.index("CAM_BACK")
SCENE = straight_scene(8.0, lead=(12.0, 6.0))


def made(size: WorldModelSize) -> DreamPipeline:
    """Random weights with open gates, so that everything that is told can be seen."""
    torch.manual_seed(0)
    network = DriveTransformer.of_size(size)
    for layer in (network.steer, network.steer_out, network.head.steer):
        torch.nn.init.normal_(layer.weight, std=0.2)
    return DreamPipeline.of_parts(network, FrameCodec.of_size(size))


@pytest.fixture(scope="module")
def pipeline() -> DreamPipeline:
    return made(SIZE)


def start(scenes: list[Scene]) -> WorldState:
    return Engine(scenes).start().world


def dreamed(world: DreamWorld, scenes: list[Scene], frames: int, seed: int = 0) -> Array:
    """Frames [B, F, V, H, W, 3] at constant speed."""
    state = start(scenes)
    images, memory = world.start(scenes, state, seed)
    out = [images]
    for moment in later(state, frames - 1):
        images, memory = on(world, memory, moment)
        out.append(images)
    return np.stack(out, 1)


def on(world: DreamWorld, memory: DreamMemory, state: WorldState) -> tuple[Array, DreamMemory]:
    from drivewm.datatypes import Action

    still = np.zeros(len(state.t_s))
    return world.step(memory, state, Action(still, still))


def later(state: WorldState, count: int) -> list[WorldState]:
    pose = np.array([1.6, 0.0, 0.0])
    return [
        replace(state, t_s=state.t_s + 0.2 * i, ego_xy_yaw_world=state.ego_xy_yaw_world + i * pose) for i in range(1, count + 1)
    ]


def apart(a: Array, b: Array) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def round_car(count: int) -> CameraRig:
    """A car with ``count`` wide cameras all around, higher than those of nuScenes."""
    turns = np.arange(count) * 360.0 / count
    intrinsics = np.array([[40.0, 0.0, 48.0], [0.0, 40.0, 32.0], [0.0, 0.0, 1.0]])
    poses = np.stack([level_camera((1.0, 0.0, 2.2), float(turn)) for turn in turns])
    return CameraRig(tuple(f"C{i}" for i in range(count)), np.stack([intrinsics] * count), poses, (64, 96), 5.0)


@pytest.mark.parametrize("opening", [Reference(3), Pictures({"CAM_FRONT": np.full((90, 160, 3), 90, np.uint8)})])
def test_every_opening_keeps_the_contract_of_worlds(pipeline: DreamPipeline, opening: Reference | Pictures) -> None:
    check_world(DreamWorld(pipeline, RIG, context=opening))


@pytest.mark.parametrize("cameras", [1, 4, 7])
def test_a_car_may_have_any_number_of_cameras(pipeline: DreamPipeline, cameras: int) -> None:
    check_world(DreamWorld(pipeline, round_car(cameras), context="scratch"))


def test_pictures_are_kept_and_the_other_cameras_dreamed_beside_them(pipeline: DreamPipeline) -> None:
    reference, _ = RasterWorld(RIG).start([SCENE], start([SCENE]), 0)
    world = DreamWorld(pipeline, RIG, context=Pictures({"CAM_FRONT": reference[0, FRONT]}))
    one, two = (world.start([SCENE], start([SCENE]), seed)[0][0] for seed in (0, 1))
    through = world.seen_again(reference[0, FRONT])
    assert apart(one[FRONT], through) < 0.5 and apart(two[FRONT], through) < 0.5
    assert all(apart(one[view], two[view]) > 0.5 for view in range(6) if view != FRONT)


def test_what_one_camera_has_seen_changes_what_the_others_dream(pipeline: DreamPipeline) -> None:
    day, night = (Pictures({"CAM_FRONT": np.full((64, 96, 3), shade, np.uint8)}) for shade in (230, 20))
    one, two = (dreamed(DreamWorld(pipeline, RIG, context=seen), [SCENE], 1)[0, 0] for seen in (day, night))
    assert apart(np.delete(one, FRONT, 0), np.delete(two, FRONT, 0)) > 0.02


def test_pictures_of_all_cameras_are_the_reference_itself(pipeline: DreamPipeline) -> None:
    reference, _ = RasterWorld(RIG).start([SCENE], start([SCENE]), 0)
    given = Pictures(dict(zip(RIG.names, reference[0], strict=True)))
    worlds = DreamWorld(pipeline, RIG), DreamWorld(pipeline, RIG, context=given)
    np.testing.assert_array_equal(*(dreamed(world, [SCENE], 3) for world in worlds))


def test_a_picture_of_an_unknown_camera_is_refused(pipeline: DreamPipeline) -> None:
    world = DreamWorld(pipeline, RIG, context=Pictures({"CAM_FRNT": np.zeros((9, 16, 3), np.uint8)}))
    with pytest.raises(InputError, match="did you mean 'CAM_FRONT'"):
        world.start([SCENE], start([SCENE]), 0)


def clip_of(scene: Scene, states: list[WorldState], images: Array) -> Clip:
    count = len(states)
    return Clip(
        images=images,
        rig=RIG,
        states=WorldState.stack([state[0] for state in states]),
        actions=np.zeros((count, 2)),
        road=scene.road,
        conditions=(scene.conditions,) * count,
        token="made:0",
        exposure_s=np.zeros((count, 6)),
        frame_from_exposure=np.broadcast_to(np.eye(4), (count, 6, 4, 4)),
    )


def test_recorded_frames_open_the_dream_that_the_same_reference_frames_open(pipeline: DreamPipeline) -> None:
    now = start([SCENE])
    states = [*moments_before([SCENE], now, 3, 0.2), now]
    images = np.stack([RasterWorld(RIG).start([SCENE], state, 0)[0][0] for state in states])
    recorded = DreamWorld(pipeline, RIG, context=Recorded((clip_of(SCENE, states, images),)))
    np.testing.assert_array_equal(
        dreamed(recorded, [SCENE], 3), dreamed(DreamWorld(pipeline, RIG, context=Reference(4)), [SCENE], 3)
    )
    assert apart(dreamed(recorded, [SCENE], 2)[:, 1], dreamed(DreamWorld(pipeline, RIG), [SCENE], 2)[:, 1]) > 0.0


def test_a_dream_goes_on_from_frames_that_another_dream_made(pipeline: DreamPipeline) -> None:
    states = [start([SCENE]), *later(start([SCENE]), 3)]
    frames = dreamed(DreamWorld(pipeline, RIG, context="scratch"), [SCENE], 4)[0]
    world = DreamWorld(pipeline, RIG, context=Recorded((clip_of(SCENE, states, frames),)))
    shown, memory = world.open([SCENE], states[-1], 0)
    assert shown.shape == (1, 4, *frames.shape[1:]) and memory.session.frame == 4
    np.testing.assert_array_equal(shown[0], world.seen_again(frames))


def test_a_clip_of_other_cameras_is_refused(pipeline: DreamPipeline) -> None:
    clip = clip_of(SCENE, [start([SCENE])], np.zeros((1, 6, 64, 96, 3), np.uint8))
    with pytest.raises(InputError, match="frames of shape"):
        DreamWorld(pipeline, round_car(4), context=Recorded((clip,))).start([SCENE], start([SCENE]), 0)


def test_the_same_seed_is_the_same_dream_alone_and_in_a_batch(pipeline: DreamPipeline) -> None:
    other = replace(straight_scene(12.0), id="other@00000000:0#0")
    for world in (DreamWorld(pipeline, RIG, context=Scratch()), DreamWorld(pipeline, RIG, context=Reference(3))):
        alone, again, both = (dreamed(world, scenes, 3) for scenes in ([other], [other], [SCENE, other]))
        np.testing.assert_array_equal(alone, again)
        assert np.abs(alone[0].astype(int) - both[1].astype(int)).max() <= 2
    assert apart(dreamed(world, [other], 3), dreamed(world, [other], 3, seed=1)) > 0.5


def test_chance_belongs_to_the_scene_and_not_to_its_place_in_the_batch(pipeline: DreamPipeline) -> None:
    """From scratch, so that chance decides: the same drive first and last is one dream, the same drive by another name is not."""
    world = DreamWorld(pipeline, RIG, context=Scratch())
    twin = replace(SCENE, id="twin@00000000:0#0")
    frames = dreamed(world, [SCENE, twin, SCENE], 2)
    np.testing.assert_array_equal(frames[0], frames[2])
    assert apart(frames[0], frames[1]) > 0.5
    swapped = dreamed(world, [twin, SCENE, twin], 2)
    np.testing.assert_array_equal(swapped[0], swapped[2])
    assert np.abs(swapped[1].astype(int) - frames[0].astype(int)).max() <= 2
    assert np.abs(swapped[0].astype(int) - frames[1].astype(int)).max() <= 2


def test_a_lost_camera_is_dark_while_it_is_lost(pipeline: DreamPipeline) -> None:
    frames = dreamed(DreamWorld(pipeline, RIG), [losing(SCENE, "CAM_BACK", 0.4, 0.8)], 5)[0]
    np.testing.assert_array_equal(frames[:, BACK].max((1, 2, 3)) == 0, [False, False, True, True, False])
    assert frames[:, FRONT].max((1, 2, 3)).min() > 0
    everything = dreamed(DreamWorld(pipeline, RIG), [SCENE], 5)[0]
    np.testing.assert_array_equal(frames[:2], everything[:2])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ego_speed_mps": np.array(np.nan)}, "the speed of the ego is not a finite number"),
        ({"ego_speed_mps": np.array(1e6)}, "the ego's speed of 1e[+]06 m/s is beyond 150 m/s"),
        ({"ego_curvature_1pm": np.array(-5.0)}, "the ego's curvature of -5 1/m is beyond"),
        ({"ego_xy_yaw_world": np.array([0.0, np.inf, 0.0])}, "the pose of the ego"),
        ({"size_lwh_m": np.array([[-4.0, 2.0, 1.5]])}, "agent 1 of -4 x 2 x 1.5 m"),
        ({"speed_mps": np.array([np.nan])}, "agent 1 of .* at nan m/s cannot be"),
    ],
)
def test_a_state_that_cannot_be_is_refused(change: dict[str, Array], sentence: str) -> None:
    state = start([SCENE])[0]
    of_agents = {name: value for name, value in change.items() if hasattr(state.agents, name)}
    agents = replace(state.agents, **of_agents)
    state = replace(state, agents=agents, **{name: value for name, value in change.items() if name not in of_agents})
    with pytest.raises(InputError, match=sentence):
        frame_conditions(SCENE.road, state, None, SCENE.conditions, RIG)


def test_weather_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="unknown weather 'hail'"):
        frame_conditions(SCENE.road, start([SCENE])[0], None, replace(SCENE.conditions, weather="hail"), RIG)  # type: ignore[arg-type]


def tensors(scene: Scene) -> dict[str, torch.Tensor]:
    clip = clip_of(scene, [start([scene])], np.zeros((1, 6, 0, 0, 3), np.uint8))
    told = clip_conditions(clip)
    return {name: torch.from_numpy(np.array(getattr(told, name)))[None] for name in told.__dataclass_fields__} | {
        "time_s": torch.zeros(1, 1)
    }


@pytest.mark.parametrize(("name", "value"), [("weather", 4), ("light", -1), ("boxes", 11.0), ("motion", float("nan"))])
def test_conditions_that_no_network_has_learned_are_refused(name: str, value: float) -> None:
    told = tensors(replace(SCENE, conditions=Conditions(Weather.RAIN)))
    refuse_unlearned(told)
    told[name] = torch.full_like(told[name], value)
    with pytest.raises(InputError, match=f"condition '{name}'"):
        refuse_unlearned(told)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random text encoder with the smallest vocabulary, as transformers writes one."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    words = {word: i for i, word in enumerate(["<unk>", "<end>", "a", "wet", "dry", "street"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPTextConfig(
        vocab_size=len(words), max_position_embeddings=6, bos_token_id=1, eos_token_id=1, pad_token_id=1, **shape
    )
    CLIPTextModel(config).save_pretrained(folder)
    return folder


def test_a_sentence_reaches_the_picture_unless_it_is_dropped(encoder: Path) -> None:
    pipeline = made(replace(SIZE, text_width=16))
    wet, dry = (encode_text(f"a {word} street", encoder) for word in ("wet", "dry"))
    assert wet.tokens_SE.shape == (3, 16) and wet.id != dry.id == encode_text("a dry street", encoder).id

    def shown(prompt: Prompt | None, *drop: str) -> Array:
        world = DreamWorld(pipeline, RIG, context="scratch", drop=frozenset(drop))
        return dreamed(world.told(prompt) if prompt else world, [SCENE], 2)

    np.testing.assert_array_equal(shown(wet), shown(wet))
    assert apart(shown(wet), shown(dry)) > 0.02
    np.testing.assert_array_equal(shown(wet, "text"), shown(dry, "text"))
    assert apart(shown(None), shown(wet)) > 0.02
    told = tensors(SCENE) | {"text": wet.tokens_SE[None]}
    assert pipeline(told).shape == (1, 1, 6, 64, 96, 3)


def test_a_text_that_cannot_be_told_is_refused(pipeline: DreamPipeline, encoder: Path, tmp_path: Path) -> None:
    wet = encode_text("wet", encoder)
    with pytest.raises(InputError, match="trained without text"):
        DreamWorld(pipeline, RIG).told(wet)
    with pytest.raises(InputError, match="gives 16 features, this world model takes 24"):
        DreamWorld(made(replace(SIZE, text_width=24)), RIG).told(wet)
    with pytest.raises(InputError, match="no text encoder here"):
        encode_text("wet", tmp_path)
    with pytest.raises(InputError, match="is empty"):
        encode_text(" ", encoder)
    with pytest.raises(InputError, match="7 word pieces, the encoder reads 6"):
        encode_text("a " * 7, encoder)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip_text_model"}))
    with pytest.raises(InputError, match="unreadable text encoder"):
        encode_text("wet", tmp_path)


def test_a_turned_car_dreams_what_a_turned_car_sees() -> None:
    """The embedded weights, from scratch: nothing but the conditions says which way the cameras look."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.18), -np.sin(0.18)], [np.sin(0.18), np.cos(0.18)]]
    turned = replace(RIG, ego_from_camera=turn @ RIG.ego_from_camera)
    state = start([SCENE])
    seen = {name: RasterWorld(rig).start([SCENE], state, 0)[0] for name, rig in (("turned", turned), ("straight", RIG))}
    for name, rig, other in (("turned", turned, "straight"), ("straight", RIG, "turned")):
        frame = DreamWorld.load(rig=rig, context="scratch").start([SCENE], state, 0)[0]
        assert apart(frame, seen[name]) < apart(frame, seen[other])
