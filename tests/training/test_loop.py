"""The training loop: a killed run ends with the very weights of an unbroken one; bad numbers never replace good ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drivewm.errors import InputError
from drivewm.training.loading import NamedBatches
from drivewm.training.loop import FitOptions, fit, learning_rate_factor

OPTIONS = FitOptions(steps=12, learning_rate=1e-2, warmup_steps=2, save_every=4, log_every=3, precision="no")


def line() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(2, 1)


def batch_at(step: int) -> dict[str, torch.Tensor]:
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(step))
    return {"x": x, "y": x @ torch.tensor([[2.0], [-1.0]]) + 0.5}


def loss_fn(model: torch.nn.Module, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
    dropout = torch.rand(batch["x"].shape, generator=generator) < 0.9
    return {"loss": ((model(batch["x"] * dropout) - batch["y"]) ** 2).mean()}


def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path) -> None:
    whole = fit(line(), loss_fn, batch_at, tmp_path / "whole", OPTIONS)

    def killed(model: torch.nn.Module, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        if float(batch["x"][0, 0]) == float(batch_at(9)["x"][0, 0]):
            raise KeyboardInterrupt
        return loss_fn(model, batch, generator)

    with pytest.raises(KeyboardInterrupt):
        fit(line(), killed, batch_at, tmp_path / "parts", OPTIONS)
    resumed = fit(line(), loss_fn, batch_at, tmp_path / "parts", OPTIONS)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    fit(line(), loss_fn, batch_at, tmp_path, replace(OPTIONS, steps=4))
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def broken(model: torch.nn.Module, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": loss_fn(model, batch, generator)["loss"] * float("nan")}

    named = NamedBatches(batch_at, lambda step: [f"drive {step} from frame 3"])
    with pytest.raises(InputError, match="not finite at step 4"):
        fit(line(), broken, named, tmp_path, OPTIONS)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    told = json.loads((tmp_path / "stopped.json").read_text())
    assert told == {"step": 4, "batches": [4], "clips": {"4": ["drive 4 from frame 3"]}}


def test_of_several_pieces_the_one_that_ruins_a_step_is_named(tmp_path: Path) -> None:
    def broken(model: torch.nn.Module, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        bad = torch.equal(batch["x"], batch_at(7)["x"])
        return {"loss": loss_fn(model, batch, generator)["loss"] * (float("inf") if bad else 1.0)}

    with pytest.raises(InputError, match="not finite at step 2"):
        fit(line(), broken, batch_at, tmp_path, replace(OPTIONS, pieces=3))
    assert json.loads((tmp_path / "stopped.json").read_text()) == {"step": 2, "batches": [7]}


@pytest.mark.parametrize("damage", [lambda raw: raw[:100], lambda raw: b"\xff" * 64 + raw[64:]])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    fit(line(), loss_fn, batch_at, tmp_path, replace(OPTIONS, steps=4))
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match="checkpoint"):
        fit(line(), loss_fn, batch_at, tmp_path, OPTIONS)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    fit(line(), loss_fn, batch_at, tmp_path, replace(OPTIONS, steps=4))
    with pytest.raises(InputError, match="not a checkpoint of this network"):
        fit(torch.nn.Linear(3, 1), loss_fn, batch_at, tmp_path, OPTIONS)


def test_the_rate_rises_holds_and_falls_to_zero() -> None:
    options = FitOptions(steps=100, warmup_steps=10, decay_share=0.2)
    assert learning_rate_factor(0, options) == pytest.approx(0.1)
    assert learning_rate_factor(50, options) == 1.0
    assert learning_rate_factor(90, options) == pytest.approx(0.5)
    assert learning_rate_factor(100, options) == 0.0
