"""What `--dry-run` says must be true of any plan: it allocates nothing, sharding divides, recomputing trades time for memory."""

from __future__ import annotations

import json
import resource
from dataclasses import replace

import pytest

from drivewm.cli import run
from drivewm.errors import InputError
from drivewm.training.loop import FitOptions
from drivewm.training.scale import GPUS, Plan, estimate
from drivewm.training.scale_count import Piece, count
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer

TOY = replace(SIZES["tiny"], width=64, depth=3, heads=2, window=4, cell_width=16)
ONE = Plan(TOY, FitOptions(steps=100, batch=2, pieces=4), 1, GPUS["h100"])


def test_operations_are_those_of_the_matrices() -> None:
    wide = replace(TOY, depth=4)
    block = DriveTransformer.of_size(TOY).blocks[0]
    products = [weight for weight in block.parameters() if weight.ndim == 2 and weight.shape[0] != 9]  # without the table
    tokens = 2 * TOY.window * (6 * 24 + TOY.registers)
    least = 6 * sum(weight.numel() for weight in products) * tokens  # forward and twice that back, without attention itself
    more = count(Piece(wide, 2, 6)).flop - count(Piece(TOY, 2, 6)).flop
    assert 1.0 < more / least < 1.6


def test_recomputing_blocks_takes_more_operations_and_fewer_bytes() -> None:
    kept, again = (count(Piece(TOY, 2, 6, checkpointing=on)) for on in (False, True))
    assert again.activation_bytes < 0.9 * kept.activation_bytes
    assert 1.05 < again.flop / kept.flop < 1.34
    assert again.parameters == kept.parameters == DriveTransformer.of_size(TOY).num_parameters()


def test_sharing_makes_each_gpu_hold_less_and_the_work_sooner_done() -> None:
    alone = estimate(ONE)
    shared = estimate(replace(ONE, processors=4, options=replace(ONE.options, shard=True)))
    assert shared.memory.weights == alone.memory.weights / 4
    assert shared.memory.optimizer == alone.memory.optimizer / 4
    assert shared.hours == pytest.approx(alone.hours / 4)
    assert shared.frames == alone.frames == 100 * 4 * 2 * TOY.window
    cameras = estimate(replace(ONE, processors=4, options=replace(ONE.options, context=2, pieces=2)))
    assert cameras.memory.activations < 0.7 * shared.memory.activations


def test_work_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(InputError, match="3 teams cannot share 4 pieces"):
        estimate(replace(ONE, processors=3))
    with pytest.raises(InputError, match="6 cameras cannot be shared by 4"):
        estimate(replace(ONE, processors=4, options=replace(ONE.options, context=4)))


def test_large_is_planned_without_its_memory(capsys: pytest.CaptureFixture[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    words = ["--size", "large", "--steps", "200000", "--batch", "1", "--gpus", "64", "--dry-run", "--json"]
    assert run(["train", "worldmodel", *words]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert 1e9 < told["parameters"] < 2e9
    assert grown < 0.1 * 4 * told["parameters"]
    assert told["fits"]
    assert told["shard"] and told["checkpointing"] and told["pieces"] == 64
    assert "--nnodes 8 --nproc-per-node 8" in told["torchrun"]
    assert "#SBATCH --nodes=8" in told["sbatch"]


def test_training_without_a_cache_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "worldmodel", "--size", "tiny"]) == 2
    assert "needs --cache and --autoencoder" in capsys.readouterr().err
