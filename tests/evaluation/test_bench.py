"""What the benchmark of the world model counts: work that is known with pencil and paper, and parts that make up the whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drivewm.cli import run
from drivewm.evaluation.bench.arithmetic import flops_of
from drivewm.evaluation.bench.clock import Effort, free_memory_bytes
from drivewm.evaluation.bench.dream import Drive, dream_rows, flops_of_frame, part_rows
from drivewm.evaluation.bench.subjects import dream_bytes
from drivewm.evaluation.bench.training import WARM_UP, training_row
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamWorld

SIZE = replace(
    SIZES["tiny"],
    width=32,
    depth=2,
    heads=2,
    window=3,
    cell_width=16,
    autoencoder_channels=(16, 16, 16),
    autoencoder_layers=(1, 1, 1),
)
EFFORT = Effort(warm_up=SIZE.window, least=2, most=2, budget_s=0.0)


@pytest.fixture(scope="module")
def world() -> DreamWorld:
    torch.manual_seed(0)
    return DreamWorld(DreamPipeline.of_parts(DriveTransformer.of_size(SIZE), FrameCodec.of_size(SIZE)), nuscenes_rig(), steps=1)


def test_products_convolutions_and_attention_are_counted_as_on_paper() -> None:
    a, b = torch.randn(5, 7), torch.randn(7, 11)
    assert flops_of(lambda: a @ b) == 2 * 5 * 7 * 11
    picture, kernel = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
    assert flops_of(lambda: torch.nn.functional.conv2d(picture, kernel, padding=1)) == 2 * 8 * 8 * 4 * 3 * 9
    q, k = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 9, 8)
    attention = flops_of(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, k))
    assert attention == 2 * (2 * 3) * 5 * 9 * 8 * 2  # scores and mixing
    q.requires_grad_()
    both = flops_of(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, k).sum().backward())
    assert both > 2 * attention


def test_each_further_step_is_the_same_work_more(world: DreamWorld) -> None:
    flops = []
    for world.session.steps in (1, 2, 4):
        flops.append(flops_of_frame(world, EFFORT))
    world.session.steps = 1
    assert flops[1] > flops[0] and flops[2] - flops[1] == 2 * (flops[1] - flops[0])


def test_the_parts_are_the_whole_frame(world: DreamWorld) -> None:
    rows = part_rows(world, 2, EFFORT)
    assert sum(row.flop_per_frame for row in rows) == flops_of_frame(world, EFFORT)
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert all(row.ms_per_frame > 0.0 for row in rows)
    assert {row.part for row in rows if row.flop_per_frame == 0.0} == {"layout and conditions"}


def test_frames_and_latency_tell_the_same_time(world: DreamWorld) -> None:
    rows, left_out = dream_rows(world, (1, 3), EFFORT, lambda what: None)
    assert [row.batch for row in rows] == [1, 3] and not left_out
    for row in rows:
        assert row.p50_ms <= row.p95_ms and row.frames_per_s == pytest.approx(row.batch / row.p50_ms * 1e3)
        assert row.memory_bytes > 2**25 and row.flop_per_s == pytest.approx((row.flop_per_frame or 0.0) * row.frames_per_s)


def test_the_least_memory_is_weights_and_past_old_and_new(world: DreamWorld) -> None:
    drive = Drive(world, 1, SIZE.window)
    for index in range(SIZE.window):
        drive.step(index)
    past = drive.memory.session.past
    weights = sum(value.numel() for part in (world.session.network, world.codec.autoencoder) for value in part.parameters())
    kept = sum(value.numel() for value in (*past.keys, *past.values))
    assert dream_bytes(SIZE, len(world.rig.names)) == 4 * (weights + 2 * kept)


def test_a_training_step_is_counted_with_its_backward_pass(world: DreamWorld, tmp_path: Path) -> None:
    row, said = training_row(SIZE, world.codec, tmp_path, batch=2, effort=Effort(WARM_UP, 2, 2, 0.0))
    assert row.batch == 2 and not said and row.frames_per_s == pytest.approx(2 * SIZE.window / row.step_ms * 1e3)
    world.session.steps = 1
    decode = flops_of(lambda: world.codec.decode(torch.zeros(1, *world.latent_shape)))
    one_pass = flops_of_frame(world, EFFORT) - decode  # conditions and one denoising, and a little for keeping it
    assert 2.0 < row.flop_per_step / (2 * SIZE.window * one_pass) < 5.0


def test_the_command_writes_a_page_and_refuses_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "speed.md"
    command = ["bench", "worldmodel", "--size", "tiny", "--quick", "--most", "1", "--steps", "1", "--no-training"]
    assert run([*command, "--out", str(page), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    (model,) = report["worldmodels"]
    assert model["tokens"] == 6 * 4 * 6 and [row["steps"] for row in model["dream"]] == [None, 1]
    dreamed = model["dream"][1]
    assert dreamed["share_of_peak"] == pytest.approx(
        dreamed["flop_per_s"] / report["machine"]["peak_flop_per_s"][report["machine"]["precision"]]
    )
    assert f"| dream | 1 | 1 | {dreamed['frames_per_s']:.1f} |" in page.read_text()
    for words, sentence in (
        (["--world", "raster"], "raster is not a learned world"),
        (["--size", "tny"], "unknown size 'tny' (did you mean 'tiny'"),
        (["--out", "page.html"], "page.html: is a page of tables (.md)"),
    ):
        assert run(["bench", "worldmodel", *words]) == 2
        assert capsys.readouterr().err.startswith(f"drivewm: {sentence}")


def test_a_size_that_memory_cannot_hold_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    needed, free = dream_bytes(SIZES["large"], 6), free_memory_bytes(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if needed <= free:
        pytest.skip(f"this machine holds even large: {free / 2**30:.0f} GiB are free")
    assert run(["bench", "worldmodel", "--size", "large"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"drivewm: a dream of size large takes at least {needed / 2**30:.1f} GiB") and told.count("\n") == 1
