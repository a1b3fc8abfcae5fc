"""Steps per second of the scenario environments: one at a time, many on one engine, and with the cameras of the reference world.

    python eval/benchmarks/gym_speed.py [--seconds 5] [--scenario cut_in.motorway] [--json]

A step is 0.2 s of driving (two engine steps), state vector and reward included; drives that end begin anew inside the time
measured. Actions are drawn beforehand: mild braking and gas, the car steers along its route. One process, one thread.
"""

from __future__ import annotations

import argparse
import json
import time

import gymnasium
import numpy as np

ENV_ID = "drivewm.gym:drivewm/Scenario-v0"
CASES = (
    ("one", 1, None, {}),
    ("batch of 8, one engine", 8, None, {}),
    ("batch of 32, one engine", 32, None, {}),
    ("8 in Gymnasium's SyncVectorEnv", 8, "sync", {}),
    ("batch of 8 with six cameras", 8, None, {"world": "raster", "observation": "both"}),
)


def steps_per_second(count: int, mode: str | None, seconds: float, options: dict[str, object]) -> tuple[float, int]:
    """Steps of all environments per second, and how many drives began anew meanwhile."""
    envs = gymnasium.make_vec(ENV_ID, num_envs=count, vectorization_mode=mode, action="accel", **options)
    actions = np.random.default_rng(0).uniform(-2.0, 1.0, (64, count, 1)).astype(np.float32)
    envs.reset(seed=0)
    envs.step(actions[0])
    began, done, anew = time.perf_counter(), 0, 0
    while time.perf_counter() - began < seconds:
        _, _, terminated, truncated, _ = envs.step(actions[done % len(actions)])
        done, anew = done + 1, anew + int((terminated | truncated).sum())
    return done * count / (time.perf_counter() - began), anew


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--scenario", default="cut_in.motorway")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for name, count, mode, options in CASES:
        rate, anew = steps_per_second(count, mode, arguments.seconds, {"scenario": arguments.scenario, **options})
        rows.append({"case": name, "steps_per_s": round(rate, 1), "drives_begun": anew})
        if not arguments.json:
            print(f"{name:32s} {rate:9.1f} steps/s   {anew} drives begun", flush=True)
    if arguments.json:
        print(json.dumps({"scenario": arguments.scenario, "rows": rows}))


if __name__ == "__main__":
    main()
