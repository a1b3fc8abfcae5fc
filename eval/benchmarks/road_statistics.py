"""How road users move in recorded and in procedural traffic: speeds, gaps, turning, braking, walking, side by side.

    python eval/benchmarks/road_statistics.py SAMPLES --set DATA [--out eval/results/road_statistics.png]

SAMPLES holds ``commonroad`` (*.xml), ``argoverse2/adcf7d18``, ``nuscenes_scene0061`` and ``comma2k19``; what is absent is named.
DATA is a folder made by `drivewm data synth`. Only figures leave the samples, none of their data.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp

sys.path.insert(0, str(Path(__file__).parents[2]))

from drivewm.data.assemble import load_drive
from drivewm.data.recorded.reading import read_recording
from drivewm.datatypes import ON_FOOT, STATIC_CLASSES, Agents, Array, RoadMap
from drivewm.geometry import frenet_sd, wrap_angle_rad
from eval.benchmarks.scene0061 import build

STRAIGHT_1PM = 0.003
MOVING_MPS, FOLLOWING_MPS, REACH_M = 0.5, 2.0, 80.0
QUANTITIES = {  # name: unit, lower and upper end of its histogram
    "speed of moving vehicles": ("m/s", 0.0, 36.0),
    "time gap to the leader": ("s", 0.0, 8.0),
    "distance to the leader": ("m", 0.0, 80.0),
    "yaw rate of moving vehicles": ("rad/s", -0.4, 0.4),
    "acceleration of moving vehicles": ("m/s2", -4.0, 4.0),
    "pace of people": ("m/s", 0.0, 4.0),
    "agents per frame": ("", 0.0, 100.0),
    "lane width": ("m", 2.0, 5.0),
    "bend of lanes that bend": ("1/m", 0.0, 0.2),
}
Found = dict[str, list[Array]]


def measure(agents: Agents, dt_s: float, road: RoadMap) -> tuple[Found, tuple[int, int]]:
    """Quantities of agents [T, N] every ``dt_s``, once a second; how many vehicles there are, how many stand throughout."""
    out: Found = defaultdict(list)
    every = max(1, round(1.0 / dt_s))
    kind = agents.category[0]
    vehicle = ~np.isin(kind, [int(c) for c in ON_FOOT | STATIC_CLASSES])
    yaw_rate = wrap_angle_rad(np.diff(agents.xy_yaw_world[..., 2], axis=0)) / dt_s
    both = agents.valid[1:] & agents.valid[:-1]
    for t in range(every, len(agents.valid) - 1, every):
        here = agents.valid[t] & vehicle
        moving = here & (np.abs(agents.speed_mps[t]) > MOVING_MPS)
        out["speed of moving vehicles"].append(np.abs(agents.speed_mps[t, moving]))
        out["acceleration of moving vehicles"].append(agents.accel_mps2[t, moving])
        out["yaw rate of moving vehicles"].append(yaw_rate[t, moving & both[t]])
        on_foot = agents.valid[t] & np.isin(kind, [int(c) for c in ON_FOOT])
        pace = np.abs(agents.speed_mps[t, on_foot])
        out["pace of people"].append(pace[pace > 0.3])
        out["agents per frame"].append(np.array([agents.valid[t].sum()]))
        for gap, speed in _followers(agents, t, here, road):
            out["distance to the leader"].append(np.array([gap]))
            out["time gap to the leader"].append(np.array([gap / speed]))
    for lane in road.lanes:
        step = np.diff(lane.centre_xy, axis=0)
        if len(step) > 10:
            out["lane width"].append(np.array([lane.width_m]))
            turned = np.abs(wrap_angle_rad(np.diff(np.arctan2(step[:, 1], step[:, 0]))))
            bend = (turned / np.maximum(np.hypot(*step[1:].T), 0.1))[::5]
            out["bend of lanes that bend"].append(bend[bend > STRAIGHT_1PM])
    known = agents.valid.any(0) & vehicle
    fastest = np.where(agents.valid, np.abs(agents.speed_mps), 0.0).max(0)
    return out, (int(known.sum()), int((known & (fastest < MOVING_MPS)).sum()))


def _followers(agents: Agents, t: int, here: Array, road: RoadMap) -> Iterator[tuple[float, float]]:
    """Free way to the next vehicle of the same lane, and own speed, of those that follow somebody."""
    pose, length = agents.xy_yaw_world[t], agents.size_lwh_m[t, :, 0]
    for lane in road.lanes:
        if len(lane.centre_xy) < 3:
            continue
        middle, reach = lane.centre_xy.mean(0), 0.6 * np.hypot(*np.ptp(lane.centre_xy, axis=0)) + 5.0
        near = np.flatnonzero(here & (np.hypot(*(pose[:, :2] - middle).T) < reach))
        if len(near) < 2:
            continue
        sd = frenet_sd(lane.centre_xy, pose[near, :2])
        inside = (np.abs(sd[:, 1]) < 0.5 * lane.width_m) & (sd[:, 0] > 0) & (sd[:, 0] < len(lane.centre_xy))
        who, s = near[inside], sd[inside, 0]
        order = np.argsort(s)
        for i, j in pairwise(order):
            gap = s[j] - s[i] - 0.5 * (length[who[i]] + length[who[j]])
            speed = float(agents.speed_mps[t, who[i]])
            if 0.0 < gap < REACH_M and speed > FOLLOWING_MPS:
                yield float(gap), speed


def recorded(samples: Path) -> Iterator[tuple[str, Found, tuple[int, int]]]:
    """Name and quantities of every sample."""
    files = {f"CommonRoad {file.stem[:8]}": file for file in sorted((samples / "commonroad").glob("*.xml"))}
    files["Argoverse 2"] = samples / "argoverse2" / "adcf7d18"
    for name, file in files.items():
        if file.exists():
            drive = read_recording(file)
            yield name, *measure(drive.agents, drive.dt_s, drive.road)
        else:
            print(f"{file} is absent", file=sys.stderr)
    if (samples / "nuscenes_scene0061").is_dir():
        with tempfile.TemporaryDirectory() as folder:
            drive = read_recording(build(samples / "nuscenes_scene0061", Path(folder) / "set"))
            yield "nuScenes 0061", *measure(drive.agents, drive.dt_s, drive.road)
    if log := next((samples / "comma2k19").glob("*/processed_log/CAN/speed"), None):
        t, speed = np.load(log / "t", allow_pickle=False), np.load(log / "value", allow_pickle=False).reshape(-1)
        every = np.arange(t[0] + 1, t[-1], 1.0)
        at = np.interp(every, t, speed)
        yield "comma2k19", {"speed of moving vehicles": [at[at > MOVING_MPS]]}, (1, 0)


def procedural(root: Path) -> Iterator[tuple[str, Found, tuple[int, int]]]:
    """The same of every drive of a set, the ego being one of the vehicles when an expert drives it."""
    for file in sorted(root.glob("drives/*.safetensors")):
        drive = load_drive(root, file.stem)
        if len(drive.states.t_s) < 21:
            continue
        yield "procedural", *measure(drive.states.agents, drive.scene.dt_s, drive.scene.road)


def joined(parts: list[Found]) -> dict[str, Array]:
    return {name: np.concatenate([np.zeros(0), *(a for part in parts for a in part.get(name, []))]) for name in QUANTITIES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("--set", type=Path, required=True, dest="made")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    found = {name: ([of], standing) for name, of, standing in recorded(options.samples)}
    parts, vehicles, standing = [], 0, 0
    for _, of, (many, still) in procedural(options.made):
        parts.append(of)
        vehicles, standing = vehicles + many, standing + still
    found["procedural"] = (parts, (vehicles, standing))
    arrays = {name: joined(of) for name, (of, _) in found.items()}
    real = [name for name in arrays if name != "procedural"]
    print("| quantity | " + " | ".join(f"{name}" for name in arrays) + " | KS of all recorded to procedural |")
    print("|---" * (len(arrays) + 2) + "|")
    for quantity, (unit, _, _) in QUANTITIES.items():
        cells = []
        for name in arrays:
            values = arrays[name][quantity]
            if len(values) < 5:
                cells.append("-")
            else:
                low, middle, high = np.percentile(values, [10, 50, 90])
                cells.append(f"{low:.2g} / {middle:.2g} / {high:.2g}")
        together = _evenly([arrays[name][quantity] for name in real])
        ks = ks_2samp(together, arrays["procedural"][quantity]).statistic if len(together) else np.nan
        print(f"| {quantity}{', ' + unit if unit else ''} | " + " | ".join(cells) + f" | {ks:.2f} |")
    shares = [f"{100 * still / max(many, 1):.0f} % of {many}" for _, (many, still) in found.values()]
    print("| vehicles that stand throughout | " + " | ".join(shares) + " | |")
    if options.out:
        draw(arrays, options.out)


def _evenly(parts: list[Array], most: int = 2000) -> Array:
    """The same number of values of every source that has enough, so that a long recording does not outweigh the others."""
    enough = [values for values in parts if len(values) >= 5]
    rng = np.random.default_rng(0)
    return np.concatenate([rng.choice(values, most) for values in enough]) if enough else np.zeros(0)


def draw(arrays: dict[str, dict[str, Array]], out: Path) -> None:
    """Histograms of all quantities, recorded traffic by source and procedural traffic as an outline."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 10), dpi=90, layout="constrained")
    axes = figure.subplots(5, 2).ravel()
    for axis, (quantity, (unit, low, high)) in zip(axes, QUANTITIES.items(), strict=False):
        bins = np.linspace(low, high, 33)
        for place, (name, of) in enumerate(arrays.items()):
            if len(of[quantity]) >= 5:
                weight = np.full(len(of[quantity]), 1 / len(of[quantity]))
                own = name == "procedural"
                style = {"color": "black", "linewidth": 2.0} if own else {"color": f"C{place}", "linewidth": 1.1}
                axis.hist(np.clip(of[quantity], low, high), bins, weights=weight, histtype="step", label=name, **style)
        axis.set_title(f"{quantity}{f' ({unit})' if unit else ''}", fontsize=9)
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=7)
    for axis in axes[len(QUANTITIES) :]:
        axis.axis("off")
    FigureCanvasAgg(figure).print_png(str(out))


if __name__ == "__main__":
    main()
