"""How fast scenes are drawn and moved, beside other simulators on the same machine in the same run.

    python eval/benchmarks/scenario_speed.py [--draws 10000] [--seconds 10] [--json]

Drawing: complete scenes (road, agents, scripts, houses and trees) of `cut_in.motorway` on one core, nothing made before; then the
whole catalogue. Moving: 3 lanes, an ego that keeps its speed and 16 cars that keep their distance (IDM), steps of 0.1 s, one
process per core at once; an agent-step is one car moved by one step, the ego counted. Nobody renders. highway-env's cars also
change lanes (MOBIL), SUMO's too; ours follow scripts when they do. Peers run when they are installed (`pip install highway-env
eclipse-sumo libsumo`), otherwise their row says so.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

CARS = 16
DT_S = 0.1
TRAFFIC = """\
name: benchmark.traffic
about: Sixteen cars around us on three lanes.
vary:
  speed: "[20 .. 28] m/s"
road: {kind: straight, lanes: 3, oncoming: 0, speed_limit: 30 m/s, surroundings: motorway, length: 2000 m}
world: {bystanders: none}
ego: {lane: 2, speed: $speed}
actors:
  left: {is: car, lane: left, ahead: 10 m, every: 30 m, count: 6, speed: $speed, reacts: true}
  same: {is: car, lane: same, ahead: 40 m, every: 30 m, count: 5, speed: $speed, reacts: true}
  right: {is: car, lane: right, ahead: 12 m, every: 30 m, count: 5, speed: $speed, reacts: true}
end: {after: 20 s}
"""


def draw_seconds(draws: int) -> float:
    """Seconds for ``draws`` scenes of one scenario; the file is read first."""
    from drivewm.config import content_folder
    from drivewm.scenarios.language import load_scenario
    from drivewm.scenarios.sampling import draw_scene

    scenario = load_scenario(content_folder("scenarios") / "cut_in" / "motorway.yaml")
    began = time.perf_counter()
    for index in range(draws):
        draw_scene(scenario, index, 0)
    return time.perf_counter() - began


def catalogue_ms(draws: int = 10) -> dict[str, float]:
    """Median and slowest of the catalogue: mean milliseconds per scene of each scenario."""
    import numpy as np

    from drivewm.scenarios.catalogue import find
    from drivewm.scenarios.opening import draw, open_scenario

    means = []
    for file in find():
        scenario = open_scenario(file)
        began = time.perf_counter()
        for index in range(draws):
            draw(scenario, index, 0)
        means.append(1e3 * (time.perf_counter() - began) / draws)
    return {"median_ms": float(np.median(means)), "slowest_ms": max(means)}


def drivewm_rate(seconds: float, batch: int = 64) -> float:
    """Agent-steps per second of one process: the batched state engine."""
    import numpy as np

    from drivewm.datatypes import Action
    from drivewm.scenarios.language import load_scenario
    from drivewm.scenarios.sampling import draw_scene
    from drivewm.sim.engine import Engine

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "traffic.yaml"
        file.write_text(TRAFFIC)
        scenario = load_scenario(file)
    engine = Engine([draw_scene(scenario, index, 0) for index in range(batch)])
    start, idle = engine.start(), Action(np.zeros(batch), np.zeros(batch))

    def drive() -> int:
        state = start
        for _ in range(200):
            state = engine.step(state, idle)
        return 200 * batch * (CARS + 1)

    return _rate(drive, seconds)


def highway_env_rate(seconds: float) -> float:
    """The same of highway-env's `highway-v0`: one environment, kinematic observation of the ego alone."""
    import gymnasium
    import highway_env

    gymnasium.register_envs(highway_env)
    config = {
        "lanes_count": 3,
        "vehicles_count": CARS,
        "simulation_frequency": round(1 / DT_S),
        "policy_frequency": round(1 / DT_S),
        "duration": 20,
        "observation": {"type": "Kinematics", "vehicles_count": 1},
    }
    env = gymnasium.make("highway-v0", config=config).unwrapped

    def drive() -> int:
        env.reset(seed=0)
        done, steps = False, 0
        while not done and steps < 200:
            _, _, ended, truncated, _ = env.step(1)  # keep lane and speed
            done, steps = ended or truncated, steps + 1
        return steps * (CARS + 1)

    return _rate(drive, seconds)


def sumo_rate(seconds: float) -> float:
    """The same of SUMO (C++), its cars following the same model on one edge of three lanes."""
    import subprocess

    import libsumo
    import sumo

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "n.nod.xml").write_text('<nodes><node id="a" x="0" y="0"/><node id="b" x="20000" y="0"/></nodes>')
        (folder / "e.edg.xml").write_text('<edges><edge id="e" from="a" to="b" numLanes="3" speed="30"/></edges>')
        files = ["-n", str(folder / "n.nod.xml"), "-e", str(folder / "e.edg.xml"), "-o", str(folder / "net.xml")]
        subprocess.run([str(Path(sumo.SUMO_HOME) / "bin" / "netconvert"), *files], check=True, capture_output=True)
        cars = "".join(
            f'<vehicle id="{i}" type="idm" depart="0" departLane="{i % 3}" departPos="{30 * (i // 3) + 20}" departSpeed="24">'
            '<route edges="e"/></vehicle>'
            for i in range(CARS + 1)
        )
        (folder / "r.rou.xml").write_text(f'<routes><vType id="idm" carFollowModel="IDM" maxSpeed="30"/>{cars}</routes>')
        command = ["-n", str(folder / "net.xml"), "-r", str(folder / "r.rou.xml"), "--step-length", str(DT_S), "--no-step-log"]
        libsumo.start(["sumo", *command])

        def drive() -> int:
            libsumo.load(command)
            moved = 0
            for _ in range(200):
                libsumo.simulationStep()
                moved += libsumo.vehicle.getIDCount()
            return moved

        rate = _rate(drive, seconds)
        libsumo.close()
        return rate


def _rate(drive: Callable[[], int], seconds: float) -> float:
    """Agent-steps per second of repeated drives; the first one warms up."""
    drive()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += drive()
    return done / (time.perf_counter() - began)


SIMULATORS: dict[str, tuple[Callable[[float], float], str]] = {
    "drivewm, 64 scenes at once": (drivewm_rate, "drivewm"),
    "highway-env": (highway_env_rate, "highway_env"),
    "SUMO": (sumo_rate, "libsumo"),
}


def on_all_cores(rate: Callable[[float], float], seconds: float) -> float:
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(rate, [seconds] * cores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    drawn_s, catalogue = draw_seconds(args.draws), catalogue_ms()
    rates = {name: on_all_cores(rate, args.seconds) if find_spec(module) else None for name, (rate, module) in SIMULATORS.items()}
    from drivewm.store import provenance

    origin = provenance(0)
    if args.json:
        values = {"draws": args.draws, "draw_s": drawn_s, "catalogue": catalogue, "agent_steps_per_s": rates}
        print(json.dumps({**values, "device": origin.device, "cores": os.cpu_count(), "commit": origin.commit}))
        return
    print(f"{origin.device}, {os.cpu_count()} cores, commit {origin.commit}")
    print(f"  {args.draws} scenes of cut_in.motorway drawn in {drawn_s:.1f} s on one core")
    print(
        f"  the catalogue: {catalogue['median_ms']:.2f} ms per scene (median scenario), {catalogue['slowest_ms']:.1f} (slowest)"
    )
    ours = next(iter(rates.values())) or 1.0
    for name, rate in rates.items():
        told = "not installed" if rate is None else f"{rate:>10,.0f} agent-steps/s   {rate / ours:.2f} of ours"
        print(f"  {name:28} {told}")


if __name__ == "__main__":
    main()
