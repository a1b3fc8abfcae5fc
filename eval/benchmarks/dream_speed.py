"""How fast the dream is: six-camera frames per second for K denoising steps, beside the reference world on the same machine.

    python eval/benchmarks/dream_speed.py [--world dream] [--cars 6] [--frames 10] [--json]

Everything a drive needs is inside: layout from boxes and map, denoising, decoding to pixels. The first frames warm up and are not
counted. `limit` is the time that the network's matrix products alone would take at the rate this machine reaches on one large
product in the same precision: how much of the frame is arithmetic that cannot be saved without a smaller network.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from drivewm.datatypes import Action
from drivewm.evaluation.suite import load_suite
from drivewm.evaluation.worlds import load_world
from drivewm.protocols import World
from drivewm.sim.engine import Engine
from drivewm.store import provenance
from drivewm.worldmodel.precision import inference_autocast
from drivewm.worldmodel.world import DreamWorld


def frames_per_s(world: World, cars: int, frames: int) -> float:
    """Median rate over ``frames`` steps of ``cars`` drives of the demonstration's scenes at constant speed."""
    scenes = load_suite("demo").scenes(0)[:cars]
    state = Engine(scenes).start().world
    idle = Action(np.zeros(cars), np.zeros(cars))
    _, memory = world.start(scenes, state, seed=0)
    seconds = []
    for _ in range(frames + 8):  # eight fill the window of past frames
        began = time.perf_counter()
        _, memory = world.step(memory, state, idle)
        seconds.append(time.perf_counter() - began)
    return cars / float(np.median(seconds[8:]))


def product_rate_flops(device: torch.device) -> float:
    """What this machine reaches on one large matrix product in inference precision."""
    a = torch.randn(2048, 2048, device=device)
    best = np.inf
    with inference_autocast(device):
        for _ in range(8):
            began = time.perf_counter()
            (a @ a).sum().item()
            best = min(best, time.perf_counter() - began)
    return float(2 * 2048**3 / best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="dream")
    parser.add_argument("--cars", type=int, default=6)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = {"raster": {"frames_per_s": frames_per_s(load_world("raster"), args.cars, args.frames)}}
    world = load_world(args.world)
    if not isinstance(world, DreamWorld):
        raise SystemExit(f"{args.world} is not a learned world")
    pipeline_id = world.id
    for steps in (1, 2, 4):
        world.session.steps = steps
        with FlopCounterMode(display=False) as counter:
            frames_per_s(world, args.cars, 1)
        flops = counter.get_total_flops() / (9 * args.cars)  # the first frame is encoded, not dreamed: an upper bound
        rate = frames_per_s(world, args.cars, args.frames)
        limit_s = flops / product_rate_flops(world.device)
        rows[f"dream K={steps}"] = {"frames_per_s": rate, "share_of_limit": limit_s * rate}
    origin = provenance(0)
    machine = f"{origin.device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, commit {origin.commit}"
    if args.json:
        print(json.dumps({"world": pipeline_id, "machine": machine, "rows": rows}))
        return
    print(f"{pipeline_id} on {machine}, {args.cars} cars at once")
    for name, row in rows.items():
        share = f", {row['share_of_limit']:.0%} of the limit" if "share_of_limit" in row else ""
        print(f"  {name:12} {row['frames_per_s']:6.1f} six-camera frames/s{share}")


if __name__ == "__main__":
    main()
