"""The dream and the reference world at work: frames per second, latency, memory, and what each part costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from drivewm.datatypes import Action, Scene
from drivewm.errors import InputError
from drivewm.evaluation.bench import parts
from drivewm.evaluation.bench.arithmetic import counter, flops_of
from drivewm.evaluation.bench.clock import Effort, Timing, free_memory_bytes, held_memory_bytes, now_s, timed
from drivewm.evaluation.suite import load_suite
from drivewm.protocols import World
from drivewm.sim.engine import Engine
from drivewm.worldmodel.world import DreamWorld

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DreamRow:
    """B cars at once; a frame is a picture from every camera of one car."""

    steps: int | None  # denoising steps K, None for the reference world
    batch: int
    frames_per_s: float
    p50_ms: float
    p95_ms: float
    timed: int
    memory_bytes: int
    flop_per_frame: float | None = None  # None for the reference world: drawing is no arithmetic
    flop_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class PartRow:
    part: str
    ms_per_frame: float
    share: float  # of the frame's time
    flop_per_frame: float
    flop_per_s: float


class Drive:
    """A world on the road: cars that keep their speed, through scenes of the demonstration suite, as many as ``batch``.

    States are made beforehand, so `step` is what a world has to do for one frame and nothing else.
    """

    def __init__(self, world: World, batch: int, frames: int) -> None:
        scenes = demo_scenes(batch)
        engine = Engine(scenes)
        state, idle = engine.start(), Action(np.zeros(batch), np.zeros(batch))
        self._states = [state.world]
        for _ in range(frames):
            for _ in range(max(1, round(1.0 / world.rig.rate_hz / engine.dt_s))):
                state = engine.step(state, idle)
            self._states.append(state.world)
        self._world, self._idle = world, idle
        _, self.memory = world.start(scenes, self._states[0], seed=0)

    def step(self, index: int) -> None:
        _, self.memory = self._world.step(self.memory, self._states[index + 1], self._idle)


def demo_scenes(count: int) -> list[Scene]:
    """Scenes of the demonstration suite, drawn again and again with another seed, no two alike."""
    suite, scenes = load_suite("demo"), list[Scene]()
    while len(scenes) < count:
        scenes += suite.scenes(len(scenes))
    return scenes[:count]


def reference_row(world: World, batch: int, effort: Effort) -> DreamRow:
    """The exact world on the same scenes, on the processor."""
    return _row(None, batch, timed(_drive(world, batch, effort).step, torch.device("cpu"), effort), None)


def dream_rows(world: DreamWorld, batches: Sequence[int], effort: Effort, tell: Tell) -> tuple[list[DreamRow], list[str]]:
    """A row for each number of cars at once, and a sentence about the first that takes too much memory or time.

    Raises InputError when not even one fits into memory.
    """
    steps, rows = world.session.steps, list[DreamRow]()
    before = held_memory_bytes(world.device)
    flops = flops_of_frame(world, effort)
    for batch in batches:
        tell(f"K={steps}, {batch} at once")
        if rows:
            reason = _too_much(rows[-1], batch, before, world.device, effort)
            if reason:
                return rows, [f"K = {steps}, {batch} at once: {reason}"]
        try:
            rows.append(_row(steps, batch, timed(_drive(world, batch, effort).step, world.device, effort), flops))
        except torch.OutOfMemoryError:
            if not rows:
                raise InputError("a single car's dream takes more memory than there is", hint="choose a smaller size") from None
            return rows, [f"K = {steps}, {batch} at once: took more memory than there is"]
    return rows, []


def _too_much(last: DreamRow, batch: int, before: int, device: torch.device, effort: Effort) -> str | None:
    """Why ``batch`` cars are left out, judged by the last row: memory and time grow with them."""
    growth = batch / last.batch
    needed, free = (last.memory_bytes - before) * growth, free_memory_bytes(device)
    if needed > free:
        return f"would take about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
    foreseen_s = last.p50_ms / 1e3 * growth * (effort.warm_up + effort.least)
    return f"would take about {foreseen_s:.0f} s" if foreseen_s > effort.longest_s else None


def flops_of_frame(world: DreamWorld, effort: Effort) -> float:
    """Of one frame with a full window of past behind it."""
    drive = _drive(world, 1, effort)
    for index in range(effort.warm_up):
        drive.step(index)
    return float(flops_of(lambda: drive.step(effort.warm_up)))


def part_rows(world: DreamWorld, batch: int, effort: Effort) -> list[PartRow]:
    """What a frame's parts cost, mean over some frames; waiting at every boundary makes a GPU's frame longer than it is."""
    drive, steps = _drive(world, batch, effort), world.session.steps
    for index in range(effort.warm_up):
        drive.step(index)
    clock = parts.Meter(lambda: now_s(world.device), steps)
    with parts.metered(world, clock):
        for index in range(effort.warm_up, effort.warm_up + effort.least):
            clock.begin()
            drive.step(index)
            clock.end(parts.DECODE)
    with counter() as counted:
        work = parts.Meter(lambda: float(counted.get_total_flops()), steps)
        with parts.metered(world, work):
            work.begin()
            drive.step(effort.warm_up + effort.least)
            work.end(parts.DECODE)
    total_s = sum(clock.spent.values())
    rows = []
    for part in parts.PARTS:
        seconds, flops = clock.spent[part] / effort.least / batch, work.spent[part] / batch
        rows.append(PartRow(part, seconds * 1e3, clock.spent[part] / total_s, flops, flops / seconds))
    return rows


def _drive(world: World, batch: int, effort: Effort) -> Drive:
    return Drive(world, batch, effort.warm_up + effort.most + 1)


def _row(steps: int | None, batch: int, timing: Timing, flops: float | None) -> DreamRow:
    rate = batch / timing.p50_s
    spent = None if flops is None else flops * rate
    milliseconds = (timing.p50_s * 1e3, timing.p95_s * 1e3)
    return DreamRow(steps, batch, rate, *milliseconds, timing.calls, timing.memory_bytes, flops, spent)
