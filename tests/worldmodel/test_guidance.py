"""Guidance insists on what is told: nothing at scale 1, only in its region, and with the arithmetic of the paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from drivewm.datatypes import SemanticClass
from drivewm.errors import InputError
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.conditions import FREE_REGIME
from drivewm.worldmodel.guidance import RegionGuidance
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.session import Memory, Session
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamWorld
from tests.worldmodel.small_network import COLUMNS, ROWS, VIEWS, Told, latents, small_network, told


@pytest.fixture(scope="module")
def network() -> DriveTransformer:
    return small_network()


@pytest.fixture(scope="module")
def scene() -> Told:
    """Road everywhere, and a car that covers 20 x 8 px of the front camera."""
    conditions = told(2, 1, 3)
    conditions["label"] = torch.full_like(conditions["label"], int(SemanticClass.ROAD))
    conditions["label"][0, :, 1, 24:32, 40:60] = int(SemanticClass.VEHICLE)
    return conditions | {"time_s": torch.full((2, 1), 0.2)}


CAR = torch.zeros(2, 1, VIEWS, 1, ROWS, COLUMNS, dtype=torch.bool)
CAR[0, :, 1, :, 3, 5:8] = True  # cells of 8 px


def started(network: DriveTransformer) -> Memory:
    return Session(network).observe(Session(network).start(), told(2, 1), latents(2, 1))


def dreamed(network: DriveTransformer, scene: Told, guidance: float | RegionGuidance | None, **more: object) -> torch.Tensor:
    session = Session(network, steps=2, guidance=guidance, **more)
    return session.dream(started(network), scene, latents(2, 1, 9))[0]


@torch.no_grad()
def test_scale_one_is_no_guidance_bit_for_bit(network: DriveTransformer, scene: Told) -> None:
    plain = dreamed(network, scene, None)
    assert torch.equal(plain, dreamed(network, scene, 1.0))
    assert torch.equal(plain, dreamed(network, scene, RegionGuidance(1.0, "everywhere")))


@torch.no_grad()
def test_agents_are_the_cells_that_show_a_part_of_one(scene: Told) -> None:
    assert torch.equal(RegionGuidance(2.0).cells(scene, 8), CAR)


@torch.no_grad()
@pytest.mark.parametrize("guidance", [2.0, RegionGuidance(2.0).within(CAR[:, :, :, 0])], ids=["agents", "cells of one's own"])
def test_one_step_changes_the_region_and_nothing_else(
    network: DriveTransformer, scene: Told, guidance: float | RegionGuidance
) -> None:
    plain, guided = (
        Session(network, steps=1, guidance=strength).dream(started(network), scene, latents(2, 1, 9))[0]
        for strength in (None, guidance)
    )
    changed = (guided - plain).abs() > 1e-4
    assert changed[CAR.expand_as(changed)].any()
    assert not changed[~CAR.expand_as(changed)].any()


@torch.no_grad()
def test_everywhere_it_is_the_line_from_untold_through_told(network: DriveTransformer, scene: Told) -> None:
    def one_step(guidance: RegionGuidance | None, drop: frozenset[str] = frozenset()) -> torch.Tensor:
        return Session(network, 1, drop, guidance).dream(started(network), scene, latents(2, 1, 9))[0]

    told_so, untold = one_step(None), one_step(None, FREE_REGIME)
    guided = one_step(RegionGuidance(3.0, "everywhere"))
    torch.testing.assert_close(guided, untold + 3.0 * (told_so - untold), atol=1e-4, rtol=1e-4)
    only_boxes = one_step(RegionGuidance(3.0, "everywhere", ("boxes",)))
    torch.testing.assert_close(only_boxes, one_step(None, frozenset({"boxes"})) * -2.0 + 3.0 * told_so, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_guided_cars_of_a_batch_do_not_mix(network: DriveTransformer, scene: Told) -> None:
    session = Session(network, 2, guidance=RegionGuidance(2.0))
    together, _ = session.dream(session.start(), scene, latents(2, 1, 9))
    alone, _ = session.dream(session.start(), {key: value[1:] for key, value in scene.items()}, latents(2, 1, 9)[1:])
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_guidance_may_stop_after_half_of_the_steps(network: DriveTransformer, scene: Told) -> None:
    always, early = (dreamed(network, scene, RegionGuidance(3.0, "everywhere", stop=stop)) for stop in (1.0, 0.5))
    assert (always - early).abs().max() > 1e-4
    assert (early - dreamed(network, scene, None)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda n: RegionGuidance(-1.0), "between 0 and 20"),
        (lambda n: RegionGuidance(float("nan")), "between 0 and 20"),
        (lambda n: RegionGuidance(2.0, "sky"), "regions: agents"),
        (lambda n: RegionGuidance(2.0, drop=("smell",)), "smell"),
        (lambda n: Session(n, drop=FREE_REGIME, guidance=2.0), "nothing to guide by"),
    ],
)
def test_guidance_that_cannot_be_is_refused(network: DriveTransformer, make: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make(network)  # type: ignore[operator]


def test_a_guided_world_has_another_name() -> None:
    size = replace(SIZES["tiny"], width=32, depth=1, heads=2, autoencoder_channels=(16, 32, 64), autoencoder_layers=(1, 1, 1))
    pipeline = DreamPipeline.of_parts(DriveTransformer.of_size(size), FrameCodec.of_size(size))
    names = [
        DreamWorld(pipeline, nuscenes_rig(), guidance=strength).id
        for strength in (None, 1.0, 1.5, RegionGuidance(1.5, "everywhere"))
    ]
    assert names[0] == names[1] == pipeline.identity()
    assert len(set(names)) == 3
    assert names[2] == names[0] + ":guided1.5"
