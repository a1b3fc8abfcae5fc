"""Public world models of about the same number of tokens, timed beside ours: alternating, in one run, on one machine.

    python eval/benchmarks/worldmodel_peers.py --diamond DIR --dreamer4 DIR --packages DIR [--size tiny] [--out FILE.md]

DIR are checkouts of github.com/eloialonso/diamond and github.com/nicklashansen/dreamer4 (both MIT); one alone will do. They
import omegaconf and wandb: `pip install --target DIR omegaconf wandb`, then --packages DIR. Weights are random everywhere, which
changes no time, and all run in the precision that drivewm runs in. A frame is made equal: DIAMOND dreams six pictures of our
cameras' size with its published Atari network; dreamer4 gets as many latent tokens of as many values as ours, once with our width
and depth and once with its published ones, and a window as long as ours, which it computes anew in every step (it keeps no
keys). "Latents" is from conditions or past latents to latents. Drawing the layout and decoding to pixels come on top in our
second row; DIAMOND dreams in pixels, dreamer4's decoder is left out.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivewm.datatypes import Scene, WorldState
from drivewm.evaluation.bench.arithmetic import flops_of, product_peaks
from drivewm.evaluation.bench.clock import now_s
from drivewm.evaluation.bench.dream import Drive, demo_scenes
from drivewm.evaluation.bench.subjects import random_world, token_count
from drivewm.sim.engine import Engine
from drivewm.store import provenance, write_text
from drivewm.worldmodel.conditions import FrameConditions, frame_conditions
from drivewm.worldmodel.precision import inference_autocast, multiplies_bf16
from drivewm.worldmodel.world import DreamWorld

Frame = Callable[[int], object]
WARM_UP, FEWEST, BUDGET_S = 2, 5, 60.0


@dataclass(frozen=True)
class Subject:
    name: str
    parameters: int
    tokens: int | None  # None for a network without tokens
    frame: Frame  # makes frame number ``index`` of every car


@dataclass(frozen=True)
class Row:
    name: str
    steps: int
    batch: int
    parameters: int
    tokens: int | None
    frames_per_s: float
    pixels_per_s: float
    flop_per_frame: float
    flop_per_s: float


def count(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def ours(world: DreamWorld, steps: int, batch: int, calls: int) -> Iterator[Subject]:
    """From conditions to latents, and all that a drive needs: conditions drawn, denoised, decoded."""
    size, names = world.session.network.size, len(world.rig.names)
    tokens = token_count(size, names, world.rig.size_px)
    total = size.window + calls + WARM_UP + 1
    scenes = demo_scenes(batch)
    state = Engine(scenes).start().world
    told = conditions(scenes, state, world)
    noise = torch.randn(batch, 1, *world.latent_shape, generator=torch.Generator().manual_seed(0)).to(world.device)
    kept = [world.session.start()]

    def dream(index: int) -> None:
        world.session.steps = steps
        now = told | {"time_s": told["time_s"] + index / world.rig.rate_hz}
        with inference_autocast(world.device):
            _, kept[0] = world.session.dream(kept[0], now, noise)

    drive = Drive(world, batch, total)

    def everything(index: int) -> None:
        world.session.steps = steps
        drive.step(index)

    whole = count(world.session.network) + count(world.codec.autoencoder)
    for name, parameters, frame in (("latents", count(world.session.network), dream), ("layout to pixels", whole, everything)):
        for index in range(size.window):
            frame(index)  # fills the past
        yield Subject(f"drivewm {size.name}, {name}", parameters, tokens, lambda index, frame=frame: frame(size.window + index))


def conditions(scenes: list[Scene], state: WorldState, world: DreamWorld) -> dict[str, torch.Tensor]:
    rows = [
        frame_conditions(s.road, state[i], None, s.conditions_at(float(state.t_s[i])), world.rig) for i, s in enumerate(scenes)
    ]
    stacked = FrameConditions.stack(rows)
    told = {f.name: torch.from_numpy(np.ascontiguousarray(getattr(stacked, f.name)))[:, None] for f in fields(stacked)}
    told["time_s"] = torch.from_numpy(np.asarray(state.t_s, np.float32))[:, None]
    return {name: value.to(world.device) for name, value in told.items()}


def diamond(folder: Path, world: DreamWorld, steps: int, batch: int) -> Subject:
    """Its Atari network (config/agent/default.yaml) on a batch of our cameras' pictures, four past pictures each."""
    sys.path.insert(0, str(folder / "src"))
    from models.diffusion import Denoiser, DenoiserConfig, DiffusionSampler, DiffusionSamplerConfig, InnerModelConfig

    inner = InnerModelConfig(3, 4, 256, [2, 2, 2, 2], [64, 64, 64, 64], [False] * 4, num_actions=18)
    denoiser = Denoiser(DenoiserConfig(inner, sigma_data=0.5, sigma_offset_noise=0.3)).to(world.device).eval()
    sampler = DiffusionSampler(denoiser, DiffusionSamplerConfig(steps))
    pictures = batch * len(world.rig.names)
    past = torch.randn(pictures, 4, 3, *world.rig.size_px, device=world.device).clamp(-1, 1)
    actions = torch.zeros(pictures, 4, dtype=torch.long, device=world.device)

    def frame(_: int) -> None:
        with inference_autocast(world.device):
            sampler.sample(past, actions)

    return Subject("DIAMOND, pixels", count(denoiser), None, frame)


def dreamer4(folder: Path, world: DreamWorld, steps: int, batch: int) -> Iterator[Subject]:
    """Its dynamics network over a window of packed latents: with our width and depth, and with its published ones."""
    sys.path.insert(0, str(folder / "dreamer4"))
    from model import Dynamics
    from train_dynamics import make_tau_schedule, sample_one_timestep_packed

    size = world.session.network.size
    tokens = token_count(size, len(world.rig.names), world.rig.size_px)
    values = size.latent_channels * size.patch**2
    schedule = make_tau_schedule(k_max=8, schedule="shortcut", d=1.0 / steps)
    past = torch.randn(batch, size.window - 1, tokens, values, device=world.device)
    actions = torch.zeros(batch, size.window, 16, device=world.device)
    for name, width, depth, heads in (("our width and depth", size.width, size.depth, size.heads), ("as published", 512, 8, 4)):
        network = Dynamics(
            d_model=width, d_bottleneck=values // 2, d_spatial=values, n_spatial=tokens, n_register=size.registers, n_agent=1,
            n_heads=heads, depth=depth, k_max=8, time_every=size.time_every if name.startswith("our") else 1,
        )  # fmt: skip
        network = network.to(world.device).eval()

        def frame(_: int, network: torch.nn.Module = network) -> None:
            with inference_autocast(world.device):
                sample_one_timestep_packed(network, past_packed=past, k_max=8, sched=schedule, actions=actions)

        yield Subject(f"dreamer4 {width} x {depth} ({name}), latents", count(network), tokens, frame)


def measured(subjects: list[Subject], world: DreamWorld, steps: int, batch: int, rounds: int) -> list[Row]:
    """Medians of ``rounds`` in which each subject has its turn once; of `FEWEST` where they take long."""
    seconds: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    deadline = time.monotonic() + BUDGET_S
    for turn in range(WARM_UP + rounds):
        if turn >= WARM_UP + FEWEST and time.monotonic() > deadline:
            break
        for subject in subjects:
            began = now_s(world.device)
            subject.frame(turn)
            if turn >= WARM_UP:
                seconds[subject.name].append(now_s(world.device) - began)
    rows, pixels = [], len(world.rig.names) * world.rig.size_px[0] * world.rig.size_px[1]
    for subject in subjects:
        rate = batch / float(np.median(seconds[subject.name]))
        flops = flops_of(lambda frame=subject.frame: frame(WARM_UP + rounds)) / batch
        rows.append(Row(subject.name, steps, batch, subject.parameters, subject.tokens, rate, rate * pixels, flops, flops * rate))
    return rows


def table(rows: list[Row], peak: float) -> list[list[str]]:
    head = [
        "world model",
        "K",
        "at once",
        "M parameters",
        "frames/s",
        "tokens/s",
        "Mpx/s",
        "GFLOP a frame",
        "TFLOP/s",
        "of the peak",
    ]
    cells = [head, ["---"] * len(head)]
    for row in rows:
        tokens = "" if row.tokens is None else f"{row.tokens * row.frames_per_s:,.0f}"
        rates = [f"{row.frames_per_s:.1f}", tokens, f"{row.pixels_per_s / 1e6:.2f}"]
        work = [f"{row.flop_per_frame / 1e9:.1f}", f"{row.flop_per_s / 1e12:.3f}", f"{row.flop_per_s / peak:.0%}"]
        cells.append([row.name, str(row.steps), str(row.batch), f"{row.parameters / 1e6:.1f}", *rates, *work])
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diamond", type=Path)
    parser.add_argument("--dreamer4", type=Path)
    parser.add_argument("--packages", type=Path, help="folder with what the peers import")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--quick", action="store_true", help="K = 4 and one car, five rounds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.packages:
        sys.path.append(str(args.packages))  # last: what is installed here goes first
    steps, batches, rounds = ([4], [1], 5) if args.quick else (args.steps, args.batch, 15)
    world = random_world(args.size, seed=0)
    torch.set_grad_enabled(False)
    peaks, rows = product_peaks(world.device, 0.5), list[Row]()
    for batch in batches:
        for k in steps:
            subjects = list(ours(world, k, batch, rounds))
            if args.diamond:
                subjects.append(diamond(args.diamond, world, k, batch))
            if args.dreamer4:
                subjects += dreamer4(args.dreamer4, world, k, batch)
            rows += measured(subjects, world, k, batch, rounds)
            print(f"K={k}, {batch} at once: done", file=sys.stderr)
    peaks = {name: max(rate, peaks[name]) for name, rate in product_peaks(world.device, 0.5).items()}
    report(args, rows, peaks, "bf16" if multiplies_bf16(world.device) else "fp32")


def report(args: Any, rows: list[Row], peaks: dict[str, float], precision: str) -> None:
    origin, peak = provenance(0), peaks[precision]
    reached = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s {name}" for name, rate in peaks.items())
    machine = f"{origin.device}, {torch.get_num_threads()} threads, matrix products reach {reached}, commit {origin.commit}"
    if args.json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) | {"share_of_peak": row.flop_per_s / peak} for row in rows]}))
    cells = table(rows, peak)
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    if args.out:
        words = [Path(word).name if Path(word).is_dir() else word for word in sys.argv[1:]]
        command = shlex.join(["python", "eval/benchmarks/worldmodel_peers.py", *words])
        said = " ".join((__doc__ or "").split("DIR are checkouts of ")[1].split())
        write_text(
            args.out, "\n".join([f"# Beside public world models\n\n`{command}`\n\n{machine}.\n\nPeers: {said}\n", *lines, ""])
        )
    if not args.json:
        print(machine, *lines, sep="\n")


if __name__ == "__main__":
    main()
