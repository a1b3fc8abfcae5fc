"""Speed and acceleration of both reference drivers in one cut-in, beside the trace that UN R157 publishes.

    python eval/benchmarks/reference_trace.py [DRAW]

The published trace is computed from the recorded motion of the intruder alone: 0.375 m off the middle of its lane, a time to
collision below 2 s, then 0.4 s and 0.75 s. Writes eval/results/reference_drivers.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, Rollout
from drivewm.evaluation.pictures import BACKGROUND, stacked, write_png
from drivewm.policies.load import load_policy
from drivewm.policies.reference import published
from drivewm.rollout import rollout
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld

ROOT = Path(__file__).parents[1]
WIDTH_PX, HEIGHT_PX, LEFT_PX, BOTTOM_PX = 900, 300, 64, 34
PAINT = {"published": (150, 150, 150), "r157": (90, 190, 255), "attentive": (255, 170, 70)}


def judged_s(drive: Rollout) -> float:
    """When the intruder has been perceived as a danger: the later of evaluation and a time to collision of 2 s."""
    states, agent = drive.states, 0
    strayed = np.abs(states.agents.xy_yaw_world[:, agent, 1] - states.agents.xy_yaw_world[0, agent, 1])
    left = float(np.interp(published.WANDER_M, strayed[: int(strayed.argmax()) + 1], states.t_s[: int(strayed.argmax()) + 1]))
    rear = states.agents.xy_yaw_world[:, agent, 0] - 0.5 * states.agents.size_lwh_m[0, agent, 0]
    front = states.ego_xy_yaw_world[:, 0] + EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
    ttc = (rear - front) / (states.ego_speed_mps[0] - states.agents.speed_mps[:, agent])
    first = int(np.argmax(ttc < published.DANGER_TTC_S))
    close = float(np.interp(-published.DANGER_TTC_S, -ttc[: first + 1], states.t_s[: first + 1]))
    return max(left + published.RISK_EVALUATION_S, close)


def chart(title: str, t_s: Array, lines: dict[str, Array]) -> Array:
    """Lines over time on the dark background, with a grid and names."""
    out = np.full((HEIGHT_PX, WIDTH_PX, 3), BACKGROUND, np.uint8)
    low, high = (f(np.concatenate(list(lines.values()))) for f in (np.nanmin, np.nanmax))
    low, high = low - 0.08 * (high - low), high + 0.12 * (high - low)
    to_x = lambda t: LEFT_PX + (WIDTH_PX - LEFT_PX - 16) * (np.asarray(t) - t_s[0]) / (t_s[-1] - t_s[0])  # noqa: E731
    to_y = lambda v: 26 + (HEIGHT_PX - 26 - BOTTOM_PX) * (high - np.asarray(v)) / (high - low)  # noqa: E731
    text = lambda words, x, y, rgb: cv2.putText(out, words, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, 0.42, rgb, 1, cv2.LINE_AA)  # noqa: E731
    for second in range(int(t_s[0]), int(t_s[-1]) + 1):
        cv2.line(out, (int(to_x(second)), 26), (int(to_x(second)), HEIGHT_PX - BOTTOM_PX), (52, 56, 62), 1)
        text(f"{second} s", to_x(second) - 8, HEIGHT_PX - 12, (200, 200, 196))
    step = 2.0 if high - low < 16 else 5.0
    for value in np.arange(np.ceil(low / step) * step, high, step):
        cv2.line(out, (LEFT_PX, int(to_y(value))), (WIDTH_PX - 16, int(to_y(value))), (52, 56, 62), 1)
        text(f"{value:g}", 20, to_y(value) + 4, (200, 200, 196))
    text(title, LEFT_PX, 17, (240, 240, 236))
    for number, (name, values) in enumerate(lines.items()):
        points = np.stack([to_x(t_s), to_y(values)], -1)[np.isfinite(values)].round().astype(np.int32)
        cv2.polylines(out, [points], False, PAINT[name], 4 if name == "published" else 2, cv2.LINE_AA)
        text(name, WIDTH_PX - 320 + 105 * number, 17, PAINT[name])
    return out


def main(draw: int = 0) -> None:
    scene = draw_scene(load_scenario(ROOT.parent / "scenarios" / "cut_in" / "alks_limit.yaml"), draw, 0)
    drives = {d: rollout([scene], load_policy(d), BlankWorld(nuscenes_rig(2, 2)), seed=0)[0] for d in ("r157", "attentive")}
    t_s = drives["r157"].states.t_s
    since = t_s - judged_s(drives["r157"]) - published.BRAKING_DELAY_S
    speed = {"published": drives["r157"].states.ego_speed_mps[0] - published.speed_lost_mps(since)}
    accel = {"published": -published.brake_mps2(since)}
    ends = speed["published"] < drives["r157"].states.agents.speed_mps[0, 0]  # the regulation brakes until the gap grows
    for trace in (speed, accel):
        trace["published"] = np.where(ends, np.nan, trace["published"])
    for name, drive in drives.items():
        speed[name] = np.interp(t_s, drive.states.t_s, drive.states.ego_speed_mps)
        accel[name] = np.interp(t_s, drive.states.t_s, drive.states.ego_accel_mps2)
    free = ~ends
    apart = np.abs(speed["r157"] - speed["published"])[free].max()
    print(scene.id, scene.parameters, {name: drive.ended for name, drive in drives.items()})
    print(f"speed of r157 beside the published one while it brakes: at most {apart:.3f} m/s apart")
    shown = [chart("speed, m/s", t_s, speed), chart("acceleration, m/s2", t_s, accel)]
    print(write_png(ROOT / "results" / "reference_drivers.png", stacked(shown)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
