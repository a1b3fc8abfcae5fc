"""The flow's arithmetic against cases that can be worked out by hand."""

from __future__ import annotations

import pytest
import torch

from drivewm.worldmodel.flow import FlowOptions, flow_loss, noised, sample

CLEAN = torch.randn(8, 3, 2, 4, 2, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("steps", [1, 2, 4, 16])
def test_a_perfect_predictor_reaches_the_data_in_any_number_of_steps(steps: int) -> None:
    reached = sample(lambda x, tau, step: CLEAN, torch.randn_like(CLEAN), steps)
    torch.testing.assert_close(reached, CLEAN, atol=1e-5, rtol=1e-5)


def test_noise_level_zero_is_noise_and_one_is_data() -> None:
    noise = torch.randn_like(CLEAN)
    assert torch.equal(noised(CLEAN, noise, torch.zeros(8, 3)), noise)
    assert torch.equal(noised(CLEAN, noise, torch.ones(8, 3)), CLEAN)


def test_a_perfect_predictor_has_no_loss_on_data_nor_on_shortcuts() -> None:
    losses = flow_loss(
        lambda x, tau, step, rows: CLEAN[rows], CLEAN, torch.ones(()), FlowOptions(), torch.Generator().manual_seed(1)
    )
    assert losses["flow"] < 1e-10
    assert losses["shortcut"] < 1e-10


def test_a_wrong_predictor_has_the_squared_error_as_loss() -> None:
    options = FlowOptions(bootstrap_share=0.0, clean_share=0.0)
    losses = flow_loss(
        lambda x, tau, step, rows: CLEAN[rows] + 0.5, CLEAN, torch.ones(()), options, torch.Generator().manual_seed(1)
    )
    assert losses["loss"] == pytest.approx(0.25, abs=1e-6)


def test_context_frames_carry_no_loss_and_the_last_frame_is_never_context() -> None:
    def wrong_but_for_the_last(x: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, rows: slice) -> torch.Tensor:
        assert (tau[:, :-1] == 1.0).all()
        assert (tau[:, -1] < 1.0).all()
        return torch.cat([CLEAN[rows, :-1] + 7.0, CLEAN[rows, -1:]], 1)

    options = FlowOptions(bootstrap_share=0.0, clean_share=1.0)
    losses = flow_loss(wrong_but_for_the_last, CLEAN, torch.ones(()), options, torch.Generator().manual_seed(1))
    assert losses["loss"] == 0.0


def test_what_is_guided_while_it_learns_has_no_loss_where_guiding_would_have_taken_it() -> None:
    """Untold u, data d: weights that predict u + w (d - u) fit targets pushed by (1 - 1 / w) (told - untold)."""
    scale, untold = 1.5, 0.2 * CLEAN
    guided = untold + scale * (CLEAN - untold)

    def push(x: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        return (1.0 - 1.0 / scale) * (told - untold)

    def loss_of(predicted: torch.Tensor) -> float:
        chance = torch.Generator().manual_seed(1)
        losses = flow_loss(lambda x, tau, step, rows: predicted[rows], CLEAN, torch.ones(()), FlowOptions(), chance, push)
        return float(losses["loss"])

    assert loss_of(guided) < 1e-10
    assert loss_of(CLEAN) > 0.01
    assert loss_of(untold + 2.0 * (CLEAN - untold)) > 0.01
