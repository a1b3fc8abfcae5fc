"""Training on one's own past: what is dreamed, what is learned from it, and that a killed run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drivewm.datatypes import SemanticClass
from drivewm.training.cache import UNTOLD
from drivewm.training.loop import FitOptions, fit
from drivewm.training.self_rollout import RolloutOptions, rollout_loss, with_own_past
from drivewm.training.worldmodel import EmbedAndDenoise, denoising_loss
from drivewm.worldmodel.flow import FlowOptions
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer
from tests.worldmodel.small_network import Told, told

SIZE = replace(SIZES["tiny"], width=32, depth=2, heads=2, window=6, cell_width=16, latent_channels=4)
ROLLOUT = RolloutOptions(context=2, dreamed=(4,), learned=2, steps=1, guidance=1.0)
FRAMES = ROLLOUT.frames_at(0, SIZE.window)  # two more than the window holds
OPTIONS = FitOptions(steps=60, batch=8, learning_rate=3e-3, warmup_steps=5, save_every=2, log_every=1, precision="no")
GROUPS = ("layout", "boxes", "polylines")


def pendulum(step: int, batch: int = 8, frames: int = FRAMES) -> Told:
    """One camera of 16 x 32 px whose latents swing, each clip with its own phase: the past tells all of the future."""
    g = torch.Generator().manual_seed(step)
    conditions = told(batch, frames, step)
    small = {key: conditions[key][:, :, :1, :16, :32] for key in ("label", "log_depth", "paint")}
    single = {key: conditions[key][:, :, :1] for key in ("lost", "intrinsics", "ego_from_camera")}
    phase = 6.28 * torch.rand(batch, 1, 1, 1, 1, 1, generator=g) + 0.8 * torch.arange(frames).view(1, -1, 1, 1, 1, 1)
    latent = 1.4 * torch.sin(phase + torch.arange(4.0).view(1, 1, 1, 4, 1, 1)).expand(-1, -1, 1, -1, 2, 4)
    untold = {UNTOLD + group: torch.zeros(batch, frames, dtype=torch.bool) for group in GROUPS}
    return conditions | small | single | untold | {"latent": latent}


def network() -> EmbedAndDenoise:
    torch.manual_seed(0)
    return EmbedAndDenoise(DriveTransformer.of_size(SIZE))


def own_past_loss(model: EmbedAndDenoise) -> float:
    losses = [rollout_loss(ROLLOUT)(model, pendulum(900 + i, 32), torch.Generator().manual_seed(i)) for i in range(3)]
    return sum(float(loss["own_past"]) for loss in losses) / len(losses)


def test_the_middle_of_the_clip_is_what_a_session_dreams_and_the_rest_is_recorded() -> None:
    model, batch = network(), pendulum(0, 2)
    drop = {"weather": torch.tensor([True, False])}
    shown = with_own_past(model.network, batch, drop, ROLLOUT, torch.Generator().manual_seed(5))
    assert torch.equal(shown[:, :2], batch["latent"][:, :2])
    assert torch.equal(shown[:, 6:], batch["latent"][:, 6:])
    assert not shown.requires_grad
    assert model.network.training  # as it was
    session, memory = Session(model.network, ROLLOUT.steps, drop), Session(model.network).start()
    for t in range(2):
        memory = session.observe(
            memory, {key: value[:, t : t + 1] for key, value in batch.items()}, batch["latent"][:, t : t + 1]
        )
    noise = torch.randn((2, 1, 1, 4, 2, 4), generator=torch.Generator().manual_seed(5))
    first, _ = session.dream(memory, {key: value[:, 2:3] for key, value in batch.items()}, noise)
    assert torch.equal(shown[:, 2:3], first)


def test_the_loss_after_ones_own_past_falls(tmp_path: Path) -> None:
    model = network()
    before = own_past_loss(model)
    after = own_past_loss(fit(model, rollout_loss(ROLLOUT), pendulum, tmp_path, OPTIONS))
    assert after < 0.7 * before


def test_steps_after_dreams_and_steps_after_recorded_frames_take_turns() -> None:
    rollout = RolloutOptions(context=2, dreamed=(0, 4), learned=2)
    lengths = [rollout.frames_at(step, SIZE.window) for step in range(4)]
    assert lengths == [6, 8, 6, 8]
    after = [rollout_loss(rollout)(network(), pendulum(1, 2, length), torch.Generator().manual_seed(0)) for length in lengths[:2]]
    assert ["own_past" in losses for losses in after] == [False, True]


def test_a_killed_rollout_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    options, loss_fn = replace(OPTIONS, steps=4, batch=2), rollout_loss(ROLLOUT)
    whole = fit(network(), loss_fn, lambda step: pendulum(step, 2), tmp_path / "whole", options)

    def killed(model: torch.nn.Module, batch: Told, generator: torch.Generator) -> dict[str, torch.Tensor]:
        if torch.equal(batch["motion"], pendulum(3, 2)["motion"]):
            raise KeyboardInterrupt
        return loss_fn(model, batch, generator)

    with pytest.raises(KeyboardInterrupt):
        fit(network(), killed, lambda step: pendulum(step, 2), tmp_path / "parts", options)
    resumed = fit(network(), loss_fn, lambda step: pendulum(step, 2), tmp_path / "parts", options)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True))


def test_guidance_moves_what_is_learned_where_agents_are_and_nowhere_else() -> None:
    batch, told_all = pendulum(3, 4), dict.fromkeys(("layout", "boxes", "polylines"), torch.zeros(4, dtype=torch.bool))
    free = {group: ~gone for group, gone in told_all.items()}
    empty = batch | {"label": torch.full_like(batch["label"], SemanticClass.ROAD)}
    crowd = batch | {"label": torch.full_like(batch["label"], SemanticClass.VEHICLE)}
    model = network()

    def loss(told: Told, guidance: float, drop: Told = told_all) -> float:
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            return float(denoising_loss(model, told, drop, told["latent"], FlowOptions(guidance=guidance), generator)["loss"])

    assert loss(empty, 1.5) == loss(empty, 1.0)
    assert loss(crowd, 1.5) != loss(crowd, 1.0)
    assert loss(crowd, 1.5, free) == loss(crowd, 1.0, free)  # where nothing is told there is nothing to guide by


def test_clips_that_are_told_where_things_are_dream_in_all_steps_and_the_others_in_one() -> None:
    model, batch = network(), pendulum(0, 2)
    free = torch.tensor([False, True])
    drop = dict.fromkeys(GROUPS, free)

    def shown(rows: slice, steps: int) -> torch.Tensor:
        rollout, generator = replace(ROLLOUT, steps=steps), torch.Generator().manual_seed(5)
        some, gone = ({key: value[rows] for key, value in of.items()} for of in (batch, drop))
        return with_own_past(model.network, some, gone, rollout, generator)

    assert torch.equal(shown(slice(1, 2), 2), shown(slice(1, 2), 1))
    assert not torch.equal(shown(slice(0, 1), 2), shown(slice(0, 1), 1))
    torch.testing.assert_close(shown(slice(0, 2), 2)[:1], shown(slice(0, 1), 2))  # neighbours in a batch do not matter
