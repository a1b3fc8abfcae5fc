"""One training, whoever does it: two processes take the steps of one, and either goes on where the other was killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import toy_training as toy

from drivewm.errors import InputError
from drivewm.training.loop import recompute_blocks

Run = tuple[dict[str, torch.Tensor], list[float]]
CLOSE = {"atol": 2e-5, "rtol": 2e-4}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return toy.trained(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes that talk through gloo leave in a folder; one killed training waits for them there."""
    root = tmp_path_factory.mktemp("two")
    with pytest.raises(toy.Killed):
        toy.trained(root / "one to two", batches=toy.killed_at(2))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(__file__).resolve()
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    env |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(here.parents[2]), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, str(here.with_name("toy_training.py")), str(root)],
            env=env | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        said = [process.communicate(timeout=900)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    return root


def weights(file: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize("way", ["data parallel", "sharded", "cameras"])
def test_two_processes_take_the_steps_of_one(alone: Run, two: Path, way: str) -> None:
    losses = json.loads((two / "seen.json").read_text())[way]
    assert len(losses) == toy.OPTIONS.steps
    assert len(set(losses)) == len(losses)
    assert losses == pytest.approx(alone[1], rel=1e-5)
    torch.testing.assert_close(weights(two / f"{way}.pt"), dict(alone[0]), **CLOSE)


def test_a_training_goes_on_with_more_processes(alone: Run, two: Path) -> None:
    losses = json.loads((two / "seen.json").read_text())["one to two"]
    assert losses == pytest.approx(alone[1][2:], rel=1e-5)
    torch.testing.assert_close(weights(two / "one to two.pt"), dict(alone[0]), **CLOSE)


def test_a_training_goes_on_with_fewer_processes(alone: Run, two: Path) -> None:
    after, losses = toy.trained(two / "two to one")
    assert losses == pytest.approx(alone[1][2:], rel=1e-5)
    torch.testing.assert_close(dict(after), dict(alone[0]), **CLOSE)


def test_cameras_shared_by_two_processes_give_the_answer_and_the_gradients_of_one(two: Path) -> None:
    one = toy.answer_and_gradients()
    assert sum(float(grad.abs().max()) > 1e-6 for grad in one.values()) > 0.8 * len(one)
    torch.testing.assert_close(weights(two / "shared.pt"), one, atol=1e-6, rtol=1e-4)


def test_a_training_keeps_its_number_of_pieces(tmp_path: Path) -> None:
    with pytest.raises(toy.Killed):
        toy.trained(tmp_path, batches=toy.killed_at(2))
    with pytest.raises(InputError, match=r"2 pieces so far, not 3"):
        toy.trained(tmp_path, replace(toy.OPTIONS, pieces=3))


def test_blocks_computed_again_give_the_same_gradients() -> None:
    model, batch = toy.network(), toy.batch_at(0)
    found = []
    for again in (False, True):
        if again:
            recompute_blocks(model)
        model.zero_grad()
        toy.LOSS(model, batch, torch.Generator().manual_seed(0))["loss"].backward()
        found.append([weight.grad.clone() for weight in model.parameters() if weight.grad is not None])
    torch.testing.assert_close(*found)
