"""One dreamed six-camera frame on every usable attention back end and with compiled blocks, in turn, so that load hits all alike.

python eval/benchmarks/world_kernels.py [--size tiny] [--frames 40] [--cars 1] [--plain]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from torch import nn

from drivewm.sim.engine import Engine
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import provenance
from drivewm.testing import straight_scene
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.backends import usable_backends
from drivewm.worldmodel.kernels import twin_on
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.precision import inference_autocast, multiplies_bf16
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.sizes import size_named
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamWorld


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny", help="random weights of that size: speed does not depend on them")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--cars", type=int, default=1)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--only", nargs="+", help="these attention back ends alone")
    parser.add_argument("--plain", action="store_true", help="without the compiled twin")
    args = parser.parse_args()
    size = size_named(args.size)
    pipeline = DreamPipeline.of_parts(DriveTransformer.of_size(size), FrameCodec.of_size(size))
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if multiplies_bf16(pipeline.device) else torch.float32
    names = [
        name for name, fault in usable_backends(pipeline.device, dtype).items() if fault is None and name in (args.only or [name])
    ]
    twins: dict[str, nn.Module] = {name: twin_on(pipeline.transformer, name) for name in names}
    if not args.plain:
        twins["native, compiled"] = twin_on(pipeline.transformer, compiled=True)
    world = DreamWorld(pipeline, nuscenes_rig(*size.size_px))
    scenes = [straight_scene(8.0, lead=(25.0 + car, 6.0)) for car in range(args.cars)]
    told = world._told(scenes, Engine(scenes).start().world, None)
    sessions = {name: Session(network, args.steps) for name, network in twins.items()}
    memories = {name: session.start() for name, session in sessions.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in twins}
    warm = 2 * size.window
    for frame, name in itertools.product(range(warm + args.frames), twins):
        now = told | {"time_s": torch.full_like(told["time_s"], 0.2 * frame)}
        noise = torch.randn((args.cars, 1, *world.latent_shape), generator=torch.Generator().manual_seed(frame))
        began = time.perf_counter(), time.process_time()
        with inference_autocast(pipeline.device):
            latent, memories[name] = sessions[name].dream(memories[name], now, noise.to(pipeline.device))
        float(latent.sum())
        seconds[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    origin = provenance(0)
    threads = torch.get_num_threads()
    print(f"{size.name}, {args.cars} cars, K = {world.session.steps}, {threads} threads, {origin.device}, {origin.commit}")
    print("| kernels | first frames s | frame median ms | best ms | of the processor, median ms |\n|---|---|---|---|---|")
    for name, taken in seconds.items():
        clock, worked = zip(*taken[warm:], strict=True)
        middle = 1e3 * statistics.median(clock), 1e3 * min(clock), 1e3 * statistics.median(worked)
        print(f"| {name} | {sum(wall for wall, _ in taken[:warm]):.1f} | " + " | ".join(f"{ms:.1f}" for ms in middle) + " |")


if __name__ == "__main__":
    main()
