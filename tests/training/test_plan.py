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
from drivewm.worldmodel.sizes import SIZES, WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer

TOY = replace(SIZES["tiny"], width=64, depth=3, heads=2, window=4, cell_width=16)
ONE = Plan(TOY, FitOptions(steps=100, batch=2, pieces=4), 1, GPUS["h100"])


def forward_of_block(size: WorldModelSize, looks_back: bool) -> tuple[int, int]:
    """Operations of a block for one frame of six cameras of 24 tokens, multiplication and addition being two: of products with
    weights (12 D^2 per token, 4 D^2 more to look back; keys and values of what is told), and of attention's two products."""
    width, tokens = size.width, 6 * 24 + size.registers
    told = size.max_agents + size.max_polylines + 2  # and motion, and the sky
    products = 2 * width**2 * ((16 if looks_back else 12) * tokens + 2 * told)
    return products, 4 * width * tokens * (tokens + told + (size.window if looks_back else 0))


def test_operations_are_those_of_the_matrices() -> None:
    """One block more that does not look back. Backward takes two products for one, and five for attention's two (scores are made
    again); an eighth of the clips passes forward twice more for its shortcuts."""
    products, attention = forward_of_block(TOY, looks_back=False)
    more = count(Piece(replace(TOY, depth=4), 2, 6)).flop - count(Piece(TOY, 2, 6)).flop
    assert more == 2 * TOY.window * (products * (1 + 2 + 0.25) + attention * (1 + 2.5 + 0.25))


def test_recomputing_blocks_takes_their_operations_again_and_fewer_bytes() -> None:
    kept, again = (count(Piece(TOY, 2, 6, checkpointing=on)) for on in (False, True))
    blocks = sum(sum(forward_of_block(TOY, looks_back)) for looks_back in (False, True, True))
    assert again.flop - kept.flop == 2 * TOY.window * blocks
    assert again.activation_bytes < 0.9 * kept.activation_bytes
    assert again.parameters == kept.parameters == DriveTransformer.of_size(TOY).num_parameters()


def test_of_recomputed_blocks_only_what_stands_between_them_is_kept() -> None:
    """Each block more keeps its input in bf16 and copies of its weights; what it computed would be ten times as much."""
    shallow, deep = (count(Piece(replace(TOY, depth=depth), 2, 6, checkpointing=True)) for depth in (4, 12))
    between = 2 * TOY.width * (2 * TOY.window) * (6 * 24 + TOY.registers)
    fixed = 2 * (deep.parameters - shallow.parameters)  # bf16 copies of weights
    assert deep.activation_bytes - shallow.activation_bytes < 8 * 1.5 * between + fixed


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
