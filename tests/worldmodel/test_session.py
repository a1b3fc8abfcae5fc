"""What a dream kept frame by frame owes to the network that was trained on whole clips, and to the one who forks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.datatypes import Action
from drivewm.sim.engine import Engine
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import straight_scene
from drivewm.worldmodel.attention import TemporalAttention
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.flow import SMALLEST_STEP
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.session import Memory, Session
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import Block, DriveTransformer, Recalled
from drivewm.worldmodel.world import DreamWorld
from tests.worldmodel.small_network import SIZE, Told, latents, small_network, told

HALF = 0.5
TIMES = {
    "5 Hz": lambda t: 0.2 * t,
    "12 Hz": lambda t: t / 12.0,
    "irregular, then fast": lambda t: torch.tensor([0.0, 0.5, 1.0, 1.02, 1.3, 1.31])[t.long() % 6].double() + 2.0 * (t // 6),
    "5 Hz, three hours in": lambda t: 10_000.0 + 0.2 * t,
}


@pytest.fixture(scope="module")
def network() -> DriveTransformer:
    return small_network()


def at(conditions: Told, t: int) -> Told:
    return {key: value[:, t : t + 1] for key, value in conditions.items()}


def in_one_clip(network: DriveTransformer, conditions: Told, x: torch.Tensor) -> torch.Tensor:
    """Every frame half noised after a clip that is told clean, as training shows it (a clean frame is returned as it is)."""
    out = []
    for t in range(x.shape[1]):
        tau = torch.cat([torch.ones(len(x), t), torch.full((len(x), 1), HALF)], 1)
        embedded = network.embed({key: value[:, : t + 1] for key, value in conditions.items()})
        out.append(network(x[:, : t + 1], tau, torch.full((len(x),), SMALLEST_STEP), embedded)[:, -1:])
    return torch.cat(out, 1)


def frame_by_frame(network: DriveTransformer, conditions: Told, x: torch.Tensor) -> torch.Tensor:
    """The same frames, half noised, each on the past that a session kept of the clean ones before it."""
    session, out = Session(network), []
    memory, half, step = session.start(), torch.full((len(x), 1), HALF), torch.full((len(x),), SMALLEST_STEP)
    for t in range(x.shape[1]):
        embedded = network.embed(at(conditions, t))
        out.append(network(x[:, t : t + 1], half, step, embedded, network.recall(memory.past, embedded)))
        memory = session.observe(memory, at(conditions, t), x[:, t : t + 1])
    return torch.cat(out, 1)


@pytest.mark.parametrize("clock", TIMES.values(), ids=TIMES.keys())
@torch.no_grad()
def test_frame_by_frame_equals_the_clip_at_any_frame_rate_and_hour(
    network: DriveTransformer, clock: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    frames = SIZE.window
    conditions, x = told(2, frames), latents(2, frames)
    conditions["time_s"] = clock(torch.arange(frames).double()).expand(2, frames)
    torch.testing.assert_close(frame_by_frame(network, conditions, x), in_one_clip(network, conditions, x), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_hour_of_the_day_changes_nothing_and_the_time_between_frames_does(network: DriveTransformer) -> None:
    frames = SIZE.window + 3
    conditions, x = told(1, frames), latents(1, frames)
    second = torch.arange(frames).double().expand(1, frames)
    early, late, fast = (
        frame_by_frame(network, conditions | {"time_s": time_s}, x) for time_s in (0.2 * second, 1e4 + 0.2 * second, 0.1 * second)
    )
    torch.testing.assert_close(early, late, atol=1e-5, rtol=1e-5)
    assert (early - fast)[:, 1:].abs().max() > 1e-3


def looking_back_at_sink_and_window(time_s: torch.Tensor, window: int) -> Callable[..., torch.Tensor]:
    """Attention over a clip written out: a frame sees itself, the window - 2 before it, the first in place of the next."""

    def look_back(
        time: TemporalAttention, h: torch.Tensor, _: torch.Tensor, recalled: Recalled | None, index: int
    ) -> torch.Tensor:
        q, k, v = time.project(h)
        out = []
        for t in range(h.shape[1]):
            first = max(0, t - (window - 2))
            seen = [*([0] if first else []), *range(first, t + 1)]
            when = time_s[:, [*([first - 1] if first else []), *range(first, t + 1)]]
            keys, query = time.turned(k[:, seen], when), time.turned(q[:, t : t + 1], time_s[:, t : t + 1])
            out.append(time.attend(query, keys, v[:, seen], causal=False))
        return torch.cat(out, 1)

    return look_back


@torch.no_grad()
def test_a_full_window_with_its_sink_equals_a_clip_that_looks_back_just_so(
    network: DriveTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = 2 * SIZE.window + 1
    conditions, x = told(1, frames), latents(1, frames)
    conditions["time_s"] = conditions["time_s"] + 0.05 * torch.rand(1, frames, generator=torch.Generator().manual_seed(3))
    running = frame_by_frame(network, conditions, x)
    look_back = looking_back_at_sink_and_window(conditions["time_s"], SIZE.window)
    monkeypatch.setattr(Block, "_look_back", staticmethod(look_back))
    torch.testing.assert_close(running, in_one_clip(network, conditions, x), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_nothing_that_is_seen_is_older_than_a_training_clip(network: DriveTransformer) -> None:
    session = Session(network)
    memory = session.start()
    for t in range(4 * SIZE.window):
        memory = session.observe(memory, told(1, 1, t) | {"time_s": torch.full((1, 1), 0.2 * t)}, latents(1, 1, t))
        assert memory.past.time_s_BS is not None
        assert 0.2 * (t + 1) - float(memory.past.time_s_BS.min()) <= 0.2 * (SIZE.window - 1) + 1e-5


def test_two_frames_at_once_on_a_kept_past_are_refused(network: DriveTransformer) -> None:
    session = Session(network)
    memory = session.observe(session.start(), told(1, 1), latents(1, 1))
    recalled = network.recall(memory.past, network.embed(told(1, 1, 1)))
    with pytest.raises(ValueError, match="one by one"):
        network(latents(1, 2), torch.ones(1, 2), torch.ones(1), network.embed(told(1, 2)), recalled)


def tensors_of(memory: Memory) -> list[torch.Tensor]:
    past = memory.past
    assert past.time_s_BS is not None
    assert past.latent is not None
    return [*past.keys, *past.values, past.time_s_BS, past.latent]


@torch.no_grad()
def test_a_restore_point_is_untouched_by_futures_and_leads_to_the_same_bits(network: DriveTransformer) -> None:
    session = Session(network, steps=2)

    def on(memory: Memory, seed: int, count: int) -> tuple[torch.Tensor, Memory]:
        for t in range(count):
            now = told(2, 1, seed + t) | {"time_s": torch.full((2, 1), 0.2 * memory.frame)}
            latent, memory = session.dream(memory, now, latents(2, 1, seed + t))
        return latent, memory

    _, kept = on(session.start(), 0, SIZE.window + 2)
    before = [x.clone() for x in tensors_of(kept)]
    first, _ = on(kept, 100, 4)
    other, _ = on(kept, 200, 4)
    again, _ = on(kept, 100, 4)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors_of(kept), strict=True))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_environments_of_a_batch_dream_what_each_dreams_alone() -> None:
    torch.manual_seed(0)
    size = replace(SIZES["tiny"], width=32, depth=1, heads=2, autoencoder_channels=(16, 32, 64), autoencoder_layers=(1, 1, 1))
    world = DreamWorld(DreamPipeline.of_parts(DriveTransformer.of_size(size), FrameCodec.of_size(size)), nuscenes_rig(), steps=2)
    scenes = [straight_scene(8.0), straight_scene(12.0, lead=(25.0, 6.0)), replace(straight_scene(8.0), id="other@00000000:0#0")]
    engine = Engine(scenes)
    state = engine.start()
    states = [state.world]
    for _ in range(3):
        state = engine.step(state, Action(np.zeros(3), np.zeros(3)))
        states.append(state.world)

    def film(rows: list[int]) -> list[np.ndarray]:
        images, memory = world.start([scenes[i] for i in rows], states[0][rows], 7)
        out = [images]
        for moment in states[1:]:
            images, memory = world.step(memory, moment[rows], Action(np.zeros(len(rows)), np.zeros(len(rows))))
            out.append(images)
        return out

    together = film([0, 1, 2])
    for row in range(3):
        for batched, alone in zip(together, film([row]), strict=True):
            assert np.abs(batched[row].astype(int) - alone[0]).max() <= 1
    assert any(np.abs(frame[0].astype(int) - frame[2]).max() > 1 for frame in together)  # same drive, other seed


@torch.no_grad()
def test_registers_are_seen_by_all_and_shown_by_none(network: DriveTransformer) -> None:
    conditions, x = told(1, 2), latents(1, 2)
    before = in_one_clip(network, conditions, x)
    kept = network.register_tokens.clone()
    network.register_tokens.copy_(kept.roll(1, -1))
    after = in_one_clip(network, conditions, x)
    network.register_tokens.copy_(kept)
    assert before.shape == after.shape == x.shape
    assert ((before - after).abs().amax((0, 1, 3, 4, 5)) > 1e-5).all()  # in every camera


@torch.no_grad()
def test_one_modulation_serves_all_blocks_and_each_adds_its_own_table() -> None:
    shallow, deep = (small_network(replace(SIZE, depth=depth)) for depth in (1, 3))
    assert deep.steer.weight.shape == shallow.steer.weight.shape == (9 * SIZE.width, SIZE.steer_width)
    assert {block.table.numel() for block in deep.blocks} == {9 * SIZE.width}
    conditions, x, seen = told(1, 1), latents(1, 1), []
    for block in deep.blocks:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2]))
    in_one_clip(deep, conditions, x)
    assert all(torch.equal(steer, seen[0]) for steer in seen)
    for layer, gate in ((0, 2), (1, 5), (2, 8)):  # a closed gate takes its part out of the block
        block, told_now = deep.blocks[layer], deep.embed(conditions)
        tokens, steer = torch.randn(1, 1, 12, SIZE.width), torch.zeros(1, 1, 9, SIZE.width)
        block.table.zero_()
        assert torch.equal(block(tokens, told_now, steer, None, layer), tokens)
        steer[:, :, gate] = 1.0
        assert (block(tokens, told_now, steer, None, layer) - tokens).abs().max() > 1e-3
