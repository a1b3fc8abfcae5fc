"""Facts the network must obey whatever its weights: time runs one way, the cache changes nothing, cars do not mix."""

from __future__ import annotations

import pytest
import torch

from drivewm.worldmodel.conditions import GROUPS
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.transformer import DriveTransformer
from tests.worldmodel.small_network import SIZE, latents, small_network, told


@pytest.fixture(scope="module")
def network() -> DriveTransformer:
    return small_network()


@torch.no_grad()
def test_a_frame_does_not_depend_on_the_future(network: DriveTransformer) -> None:
    conditions, x, tau, step = told(1, 5), latents(1, 5), torch.rand(1, 5), torch.ones(1)
    before = network(x, tau, step, network.embed(conditions))
    x2, later = x.clone(), {key: value.clone() for key, value in conditions.items()}
    x2[:, 3:] += 1.0
    later["motion"][:, 3:] += 1.0
    later["label"][:, 3:] = 0
    after = network(x2, tau, step, network.embed(later))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert (before[:, 3:] - after[:, 3:]).abs().max() > 1e-3


@torch.no_grad()
def test_cars_of_a_batch_do_not_mix(network: DriveTransformer) -> None:
    conditions, noise = told(3, 1), latents(3, 1)
    session = Session(network, steps=2)
    together, _ = session.dream(session.start(), conditions, noise)
    alone, _ = session.dream(session.start(), {key: value[1:2] for key, value in conditions.items()}, noise[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_memory_can_be_stepped_twice(network: DriveTransformer) -> None:
    session = Session(network, steps=2)
    _, memory = session.dream(session.start(), told(1, 1), latents(1, 1))
    one, _ = session.dream(memory, told(1, 1, 5), latents(1, 1, 6))
    session.dream(memory, told(1, 1, 7), latents(1, 1, 8))
    again, _ = session.dream(memory, told(1, 1, 5), latents(1, 1, 6))
    assert torch.equal(one, again)


@torch.no_grad()
def test_the_past_stays_bounded_and_keeps_its_first_frame(network: DriveTransformer) -> None:
    session = Session(network, steps=1)
    memory, first = session.start(), None
    for t in range(2 * SIZE.window):
        _, memory = session.dream(memory, told(1, 1, t) | {"time_s": torch.full((1, 1), 0.2 * t)}, latents(1, 1, t))
        first = memory.past.keys[0] if first is None else first
    assert first is not None
    assert memory.past.keys[0].shape[1] == SIZE.window - 1
    assert torch.equal(memory.past.keys[0][:, :1], first)


@pytest.mark.parametrize("group", [g for g in GROUPS if g != "text"])
@torch.no_grad()
def test_a_dropped_condition_has_no_influence(network: DriveTransformer, group: str) -> None:
    touched = {"layout": ("label", "log_depth", "paint"), "weather": ("weather",), "light": ("light", "sun")}.get(group, (group,))
    one, other = told(1, 1, 0), told(1, 1, 0)
    fresh = told(1, 1, 99)
    for key in touched:
        other[key] = fresh[key] if key != "polylines" else 2 * other[key]
    other["weather"] = (one["weather"] + 1) % 4 if group == "weather" else one["weather"]
    noise = latents(1, 1)
    told_apart = [Session(network, 1).dream(Session(network).start(), c, noise)[0] for c in (one, other)]
    assert (told_apart[0] - told_apart[1]).abs().max() > 1e-4
    alike = [Session(network, 1, frozenset({group})).dream(Session(network).start(), c, noise)[0] for c in (one, other)]
    assert torch.equal(alike[0], alike[1])


@torch.no_grad()
def test_a_camera_that_is_moved_shows_something_else_and_leaves_the_past_alone(network: DriveTransformer) -> None:
    conditions, x, tau, step = told(1, 4), latents(1, 4), torch.rand(1, 4), torch.ones(1)
    moved = conditions | {"ego_from_camera": conditions["ego_from_camera"].clone()}
    moved["ego_from_camera"][:, 2:, 1, 2, 3] += 0.5  # the front camera half a metre higher from the third frame on
    before, after = network(x, tau, step, network.embed(conditions)), network(x, tau, step, network.embed(moved))
    assert torch.equal(before[:, :2], after[:, :2])
    assert (before[:, 2:, 1] - after[:, 2:, 1]).abs().max() > 1e-4
