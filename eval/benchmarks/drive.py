"""What a person at the wheel gets: frames per second, how soon a key shows, and whether the road turns the way the wheel turns.

    python eval/benchmarks/drive.py [--world dream] [--seconds 20] [--draws 2] [--out eval/results]

Speed is that of the whole program: `drivewm drive` is started, a client on this machine presses keys, and the time from a key to
the arrival of the first frame that obeys it is taken. Turning: the wheel is held left, straight and right for three seconds; the
motion reader, which learned from reference frames only, reads the turn between successive frames, and its reading is compared
with the turn that the car made. Writes worldmodel_drive.md and worldmodel_drive.png.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from websockets.sync.client import connect

from drivewm.config import shipped_content
from drivewm.datatypes import Array, Scene
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_png
from drivewm.evaluation.readers import Readers
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.service.drive import Drive
from drivewm.service.ride import FREE, LAYOUT, open_ride
from drivewm.store import provenance, write_text

PROGRAM = [sys.executable, "-c", "from drivewm.cli import main; main()", "drive"]
SCENARIOS = ("calm.green_light", "calm.oncoming_stays", "calm.parked_row", "calm.walker_along", "calm.waiting_pedestrian")
HOLDS = {"left": frozenset({"left"}), "straight": frozenset[str](), "right": frozenset({"right"})}
LEAD_IN_S, HOLD_S, WARM_UP_S = 1.0, 3.0, 4.0


@contextmanager
def served(*options: str) -> Iterator[str]:
    """`drivewm drive` at a free port while the block runs; its address."""
    with subprocess.Popen([*PROGRAM, "--json", "--port", "0", *options], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            yield json.loads(program.stdout.readline())["url"]
        finally:
            program.send_signal(signal.SIGINT)


def speed(seconds: float, *options: str) -> dict[str, float]:
    """Frames per second at the client, and milliseconds from a key to the first frame that obeys it."""
    rng, frames_s, latency_ms = random.Random(0), [], []
    with served(*options) as url, connect(url.replace("http", "ws", 1) + "drive", max_size=2**22) as socket:
        number, pressed_s, next_s, began = 0, {}, 0.0, time.perf_counter()
        while (now := time.perf_counter()) < began + WARM_UP_S + seconds:
            if now >= next_s:
                number, next_s = number + 1, now + rng.uniform(0.4, 0.9)
                pressed_s[number] = now
                socket.send(json.dumps({"keys": [["left"], ["right"], ["up"], ["down"]][number % 4], "number": number}))
            try:
                told = socket.recv(timeout=max(0.0, next_s - now))
            except TimeoutError:
                continue
            if isinstance(told, str):
                continue
            head = json.loads(told[4 : 4 + struct.unpack(">I", told[:4])[0]])
            if head["ended"]:
                socket.send('{"do": "restart"}')
            if time.perf_counter() > began + WARM_UP_S:
                frames_s.append(time.perf_counter())
                latency_ms += [1e3 * (frames_s[-1] - pressed_s[n]) for n in pressed_s if n <= head["number"]]
            pressed_s = {n: at for n, at in pressed_s.items() if n > head["number"]}
    p50, p95 = np.percentile(latency_ms, [50, 95])
    rate = (len(frames_s) - 1) / (frames_s[-1] - frames_s[0])
    return {"frames_per_s": rate, "p50_ms": p50, "p95_ms": p95, "keys": len(latency_ms)}


def unpaced(seconds: float, world: str, steps: int | None) -> float:
    """Frames per second where nothing waits for the clock of the cameras."""
    drive = Drive(open_ride(scenes(1)[0], world, steps=steps))
    for _ in range(10):
        drive.advance(frozenset())
    began, frames = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        if drive.advance(frozenset({"down"})).ended:
            drive.restart()
        frames += 1
    return frames / (time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class Turning:
    """Turn rates [frames] in degrees per second, made by the car and read from its frames."""

    made: Array
    read: Array
    images: Array


def turning(drive: Drive, regime: str | None, keys: frozenset[str], readers: Readers) -> Turning:
    """One hold of `HOLD_S`, after a lead-in straight ahead; the free regime begins with the hold, so that it has a past."""
    for _ in range(round(LEAD_IN_S * drive.rig.rate_hz)):
        drive.advance(frozenset())
    if regime == FREE:
        drive.change_regime()
    moments = [drive.moment]
    while len(moments) <= HOLD_S * drive.rig.rate_hz and not (moment := drive.advance(keys)).ended:
        moments.append(moment)
    images = np.stack([moment.images for moment in moments])
    yaw = np.unwrap([float(moment.now.ego_xy_yaw_world[2]) for moment in moments])
    per_s = np.degrees(drive.rig.rate_hz)
    return Turning(np.diff(yaw) * per_s, readers.motion(images)[:, 1] * per_s, images)


def scenes(draws: int) -> list[Scene]:
    files = [shipped_content("scenarios") / f"{name.replace('.', '/')}.yaml" for name in SCENARIOS]
    return [draw(open_scenario(file), index, 0) for file in files for index in range(draws)]


def turn_row(name: str, held: dict[str, list[Turning]], reference: float | None) -> tuple[str, float]:
    """One line of the table, and the slope of the reading; ``reference`` is that of exact pictures."""
    made, read = (np.concatenate([getattr(one, part) for row in held.values() for one in row]) for part in ("made", "read"))
    slope = float((made * read).sum() / (made**2).sum())
    sides = [[(one.made.mean(), one.read.mean()) for one in row] for row in held.values()]
    means = ["{:+.1f} / {:+.1f}".format(*np.mean(side, axis=0)) for side in sides]
    turned = [(sign, one) for side, sign in (("left", 1), ("right", -1)) for one in held[side]]
    right_way = np.mean([sign * one.read[len(one.read) // 3 :].mean() > 0 for sign, one in turned])
    share = f"{slope / (reference or slope):.2f}"
    return "| " + " | ".join(
        [name, *means, f"{right_way:.0%}", f"{slope:.2f}", share, f"{np.abs(made - read).mean():.1f}"]
    ) + " |", slope


def sheet(shown: dict[str, dict[str, Turning]], front: int) -> Array:
    """The front camera after two seconds of every hold: a row for each world."""
    rows = []
    for world, held in shown.items():
        last = [one.images[min(10, len(one.images) - 1), front] for one in held.values()]
        rows.append(beside([labelled(enlarged(i, 112, 168), f"{world}, {hold}") for i, hold in zip(last, held, strict=True)]))
    return stacked(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="dream")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    args = parser.parse_args()
    speeds = []
    for name, world, steps in (("dream, K=1", args.world, 1), ("dream, K=2", args.world, 2), ("raster", "raster", None)):
        options = ["--world", world, *(["--steps", str(steps)] if steps else [])]
        row, free_running = speed(args.seconds, *options), unpaced(args.seconds / 4, world, steps)
        figures = [
            f"{row['frames_per_s']:.2f}",
            f"{free_running:.1f}",
            *(f"{row[key]:.0f}" for key in ("p50_ms", "p95_ms", "keys")),
        ]
        speeds.append("| " + " | ".join([name, *figures]) + " |")
        print(speeds[-1], flush=True)
    readers, turns, reference = Readers.load(), [], None
    examples: dict[str, dict[str, Turning]] = {}
    for name, world, regime in (("reference", "raster", None), ("layout-driven", args.world, LAYOUT), ("free", args.world, FREE)):
        held: dict[str, list[Turning]] = {hold: [] for hold in HOLDS}
        ride = open_ride(scenes(1)[0], world)
        for scene in scenes(args.draws):
            for hold, keys in HOLDS.items():
                held[hold].append(turning(Drive(replace(ride, scene=scene)), regime, keys, readers))
        row_text, slope = turn_row(name, held, reference)
        turns, reference = [*turns, row_text], reference or slope
        examples[name] = {hold: row[2 * args.draws] for hold, row in held.items()}
        print(turns[-1], flush=True)
    shown = ride.worlds[ride.regime]
    write_png(args.out / "worldmodel_drive.png", sheet(examples, shown.rig.names.index("CAM_FRONT")))
    origin = provenance(0)
    text = REPORT.format(
        machine=f"{origin.device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads of torch",
        commit=origin.commit,
        load=f"{os.getloadavg()[0]:.1f}",
        world=shown.id,
        speeds="\n".join(speeds),
        turns="\n".join(turns),
        drives=len(SCENARIOS) * args.draws,
        scenarios=", ".join(SCENARIOS),
    )
    write_text(args.out / "worldmodel_drive.md", text)


REPORT = """# A person at the wheel

`python eval/benchmarks/drive.py` on {machine}, commit {commit}; load of the machine at the end {load}. World {world}.

## Speed

`drivewm drive` with a client on the same machine that presses another key every 0.4 to 0.9 s. The cameras expose at 5 Hz and the
program keeps their pace, so 5.00 frames/s is real time and all that there is; beside it what the same loop (engine and six
cameras, without pictures for the page) does where nothing waits. Key to frame: from sending a key to the arrival of the first
frame that obeys it; on average half a camera period of it is waiting for the next exposure.

| world | frames/s | not waiting for the clock | key to frame p50, ms | p95, ms | keys |
|---|---|---|---|---|---|
{speeds}

## The road turns the way the wheel turns

After a second straight ahead the wheel is held left, not at all, or right for 3 s, in {drives} scenes ({scenarios}).
The free regime begins with the hold, so that it has a past to go on from.
The car turns as the state engine says; the motion reader, which learned from reference frames only, says how the pictures turn.
Means over all frames, degrees per second, made / read. The right way: share of left and right holds whose read turn after the
first second has the sign of the wheel. Slope: read against made over all frames. The reference row is what the reader makes of
exact pictures, so a dream is perfect where its slope is the reference's: the share tells how near it is. A wheel at its stop
leaves a road after some two seconds; what comes then is part of the figures. Picture: `worldmodel_drive.png`, the front camera
after two seconds.

| world | left | straight | right | the right way | slope | share of the reference's | mean error, °/s |
|---|---|---|---|---|---|---|---|
{turns}
"""


if __name__ == "__main__":
    main()
