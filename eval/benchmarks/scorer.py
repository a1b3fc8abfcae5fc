"""How fast drives and plans are scored, and whether NAVSIM's own scorer says the same of the same ways.

    python eval/benchmarks/scorer.py [--suite smoke] [--navsim PYTHON --navsim-path NAVSIM:NUPLAN] [--out eval/results/scorer.md]

256 candidate plans of 40 steps beside 30 agents (`scorer_scene.py`): the sub-scores of PDMS and EPDMS, and those that the large
policy learns from. Then stored drives of a suite by every score, and the cost against the number of agents. Times are processor
seconds of one core, the best of several, so that other work on the machine does not count. What does not depend on the plans
(map, occupancy of the agents) is prepared before the clock runs, here and there.

NAVSIM runs in its own process under ``--navsim``, a Python in which its repository's requirements are met, with the two checkouts
``--navsim-path`` on its path. Without it that row is left out. ``--vectors FILE`` keeps what it says, for the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

AGENTS = (0, 30, 100, 300, 1000)
PARTS = {  # ours: NAVSIM's
    "no_at_fault_collision": "no_at_fault_collisions",
    "drivable_area": "drivable_area_compliance",
    "driving_direction": "driving_direction_compliance",
    "traffic_lights": "traffic_light_compliance",
    "ttc": "time_to_collision_within_bound",
    "lane_keeping": "lane_keeping",
    "history_comfort": "comfortable",
}


def best_s(work: Callable[[], Any], repeats: int = 10) -> float:
    """Processor seconds of the fastest of several runs."""
    out = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        out.append(time.process_time() - began)
    return min(out)


def setting(task: Any) -> Any:
    from drivewm.metrics.published.pdm import Setting
    from drivewm.metrics.published.places import Places
    from drivewm.metrics.routes import Routes

    scene, steps = task.scene, task.ways.speed_mps.shape[1]
    return Setting(task.agents, Places.of(scene), Routes.of([scene]), scene.road, scene.dt_s * _arange(steps), scene.dt_s)


def _arange(count: int) -> Any:
    import numpy as np

    return np.arange(count)


def plan_seconds(agents: int, repeats: int = 10) -> dict[str, float]:
    """Seconds for 256 plans x 40 steps beside ``agents``."""
    import numpy as np

    from drivewm.metrics.candidates import score_candidates
    from drivewm.metrics.grounds import Grounds
    from drivewm.metrics.published.pdm import parts_v1, parts_v2
    from eval.benchmarks.scorer_scene import STEPS, task

    job = task(agents)
    at, ways, grounds = setting(job), job.ways, Grounds.of([job.scene])
    plans = np.concatenate([ways.xy_yaw[:, 1:], ways.speed_mps[:, 1:, None]], -1)[None]
    state = type(job.scene.start).stack([job.scene.start])
    futures, plan_t_s = type(job.agents).stack([job.agents[1 : STEPS + 1]]), 0.1 * np.arange(1, STEPS + 1)
    return {
        "pdms_v1": best_s(lambda: parts_v1(ways, at), repeats),
        "epdms_v2": best_s(lambda: parts_v2(ways, at), repeats),
        "candidates": best_s(lambda: score_candidates(plans, plan_t_s, futures, grounds, state), repeats),
    }


def suite_rates(name: str) -> dict[str, float]:
    """Drives per second of each score, for a suite driven by `idm` without cameras; references are driven before."""
    from drivewm.evaluation.cases import judged, reference_progress_m
    from drivewm.evaluation.published import judged_cases
    from drivewm.evaluation.suite import load_suite
    from drivewm.policies.baselines import IdmPolicy
    from drivewm.rollout import rollout
    from drivewm.testing import BlankWorld

    scenes = load_suite(name).scenes()
    drives = rollout(scenes, IdmPolicy(), BlankWorld(), seed=0)
    cases = [judged(drive, metres) for drive, metres in zip(drives, reference_progress_m(scenes), strict=True)]
    metrics = ("drive", "pdms_v1", "epdms_v2", "nuplan_cls")
    return {metric: len(cases) / best_s(lambda m=metric: judged_cases(cases, [m]), 3) for metric in metrics}


def beside_navsim(python: str, path: str, repeats: int = 5) -> dict[str, Any]:
    """NAVSIM's seconds for the same 256 ways and 30 agents, and in how many of 256 ways each sub-score differs from ours."""
    import numpy as np

    from drivewm.datatypes import EGO_SHAPE
    from drivewm.metrics.published.pdm import parts_v2
    from eval.benchmarks.scorer_scene import task

    job = task()
    at = setting(job)
    ours = parts_v2(job.ways, at)
    size = (EGO_SHAPE.length_m, EGO_SHAPE.width_m, EGO_SHAPE.height_m, EGO_SHAPE.wheelbase_m, EGO_SHAPE.rear_axle_to_centre_m)
    half = [np.array([0.0, 0.5 * lane.width_m]) for lane in at.places.lanes]
    rings = [
        [a + h, b + h, b - h, a - h]
        for (a, b), h in zip([lane.centre_xy[[0, -1]] for lane in at.places.lanes], half, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder) / "task.npz", Path(folder) / "result.npz"
        np.savez(
            there,
            xy_yaw=job.ways.xy_yaw,
            speed=job.ways.speed_mps,
            accel=job.ways.accel_mps2,
            curvature=job.ways.curvature_1pm,
            agent_pose=job.agents.xy_yaw_world,
            agent_size=job.agents.size_lwh_m,
            agent_speed=job.agents.speed_mps,
            agent_kind=job.agents.category[0],
            shape=size,
            lanes=rings,
            drivable=job.scene.road.drivable,
            route=job.scene.route_xy,
            on_route=at.places.on_route,
        )
        script = Path(__file__).with_name("scorer_navsim.py")
        env = os.environ | {"PYTHONPATH": path}
        subprocess.run([python, str(script), str(there), str(back), str(repeats)], env=env, check=True)
        with np.load(back) as result:
            theirs = {name: result[name] for name in result.files}
    most = float((ours.progress_m * ours.gate()).max())
    progress = np.minimum(1.0, ours.progress_m / most)
    values = {name: theirs[column] for name, column in PARTS.items()}
    differ = {name: int((np.abs(ours.found[name].value - value) > 1e-6).sum()) for name, value in values.items()}
    differ["progress"] = int((np.abs(progress - theirs["ego_progress"]) > 1e-6).sum())
    vectors = {name: "".join(f"{2 * v:.0f}" for v in value) for name, value in values.items()}
    vectors |= {"progress": [round(float(v), 9) for v in theirs["ego_progress"]]}
    return {"seconds": float(theirs["seconds"].min()), "differ": differ, "vectors": vectors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="smoke")
    parser.add_argument("--navsim")
    parser.add_argument("--navsim-path", default="")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    plans = {count: plan_seconds(count, 10 if count <= 30 else 3) for count in AGENTS}
    rates = suite_rates(options.suite)
    theirs = beside_navsim(options.navsim, options.navsim_path) if options.navsim else None
    if theirs and options.vectors:
        options.vectors.write_text(json.dumps(theirs["vectors"], indent=1) + "\n", encoding="utf-8")
    text = page(plans, rates, theirs, options.suite)
    print(text)
    if options.out:
        from drivewm.store import write_text

        write_text(options.out, text)


def page(plans: dict[int, dict[str, float]], rates: dict[str, float], theirs: dict[str, Any] | None, suite: str) -> str:
    import numpy as np

    from drivewm.store import provenance

    origin, ours = provenance(0), plans[30]
    late = AGENTS[-3:]
    lines = ["# How fast drives and plans are scored", ""]
    lines += [f"`python {' '.join(['eval/benchmarks/scorer.py', *_shown(sys.argv[1:])])}`", ""]
    lines += [
        f"Version {origin.version}, commit {origin.commit}, {origin.created[:10]}, numpy {np.__version__}, {machine()}.",
        "",
    ]
    lines += ["Processor seconds of one core, the best of several runs; map and occupancy are prepared before.", ""]
    lines += ["## 256 plans x 40 steps x 30 agents", "", "| sub-scores of | ms | plans/s |", "|---|---:|---:|"]
    lines += [f"| {name} | {1e3 * s:.1f} | {256 / s:,.0f} |" for name, s in ours.items()]
    if theirs:
        s = theirs["seconds"]
        lines += [f"| NAVSIM v2.2 `PDMScorer` (epdms_v2 without comfort) | {1e3 * s:.1f} | {256 / s:,.0f} |", ""]
        lines += [
            f"epdms_v2 is **{s / ours['epdms_v2']:.0f} times** as fast as NAVSIM's scorer in the same run (target: 20).",
            "",
        ]
        lines += ["Ways of 256 in which a sub-score differs by more than 1e-6 from NAVSIM's: "]
        lines += [", ".join(f"{name} {count}" for name, count in theirs["differ"].items()) + "."]
    lines += [
        "",
        "## Cost against the number of agents",
        "",
        "| agents | pdms_v1 ms | epdms_v2 ms | candidates ms |",
        "|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {count} | {1e3 * s['pdms_v1']:.1f} | {1e3 * s['epdms_v2']:.1f} | {1e3 * s['candidates']:.1f} |"
        for count, s in plans.items()
    ]
    lines += [
        "",
        "One more agent costs, in µs; linear where both agree:",
        "",
        "| | pdms_v1 | epdms_v2 | candidates |",
        "|---|---:|---:|---:|",
    ]
    for fewer, more in pairwise(late):
        costs = [1e6 * (plans[more][name] - plans[fewer][name]) / (more - fewer) for name in ours]
        lines.append(f"| from {fewer} to {more} agents | " + " | ".join(f"{cost:.0f}" for cost in costs) + " |")
    lines += ["", f"## Stored drives of the suite `{suite}`", "", "| score | drives/s |", "|---|---:|"]
    lines += [f"| {name} | {rate:.0f} |" for name, rate in rates.items()]
    lines += ["", "The reference driver's drives are known; epdms_v2 also follows every plan of both drivers for 4 s.", ""]
    return "\n".join(lines)


def _shown(arguments: list[str]) -> list[str]:
    """The command without paths of this machine."""
    return ["..." if "/" in one and not one.startswith("eval/") else one for one in arguments]


def machine() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{os.cpu_count()} cores"


if __name__ == "__main__":
    main()
