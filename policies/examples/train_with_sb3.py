"""PPO of stable-baselines3 learns to keep its distance; its return before and after, beside idm, standing still and full braking.

    pip install 'drivewm[rl]'
    python policies/examples/train_with_sb3.py --minutes 5 --out page.md

What is compared are draws that were not trained on: the first of each scenario, as `drivewm score` takes them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import RescaleAction
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from drivewm.policies.load import load_policy
from drivewm.store import provenance, write_text

Driver = Callable[[gymnasium.Env, Any], np.ndarray]  # environment and observation to action in [-1, 1]


class Clock(BaseCallback):
    """Ends the training after some minutes."""

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self.until_s = time.monotonic() + 60 * minutes

    def _on_step(self) -> bool:
        return time.monotonic() < self.until_s


def environment(scenarios: list[str]) -> gymnasium.Env:
    made = gymnasium.make("drivewm.gym:drivewm/Scenario-v0", scenario=scenarios, action="accel")
    return RescaleAction(made, np.float32(-1.0), np.float32(1.0))


def returns(driver: Driver, scenarios: list[str], draws: int) -> np.ndarray:
    """The return of each held-out drive."""
    out = []
    for scenario in scenarios:
        env = environment([scenario])
        for draw in range(draws):
            seen, _ = env.reset(seed=0, options={"draw": draw})
            total, over = 0.0, False
            while not over:
                seen, reward, terminated, truncated, _ = env.step(driver(env, seen))
                total, over = total + float(reward), terminated or truncated
            out.append(total)
    return np.array(out)


def rescaled(env: gymnasium.Env, accel_mps2: float) -> np.ndarray:
    low, high = env.unwrapped.action_space.low, env.unwrapped.action_space.high
    return (2 * (np.array([accel_mps2], np.float32) - low) / (high - low) - 1).clip(-1, 1).astype(np.float32)


def idm(env: gymnasium.Env, seen: Any) -> np.ndarray:
    observation, truth = env.unwrapped.moment()
    plan, _ = IDM.act(observation, None, truth)
    return rescaled(env, float(env.unwrapped.action_of(plan)[0]))


def line(name: str, values: np.ndarray) -> dict[str, Any]:
    error = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    bad = (values < 0).mean()
    print(f"{name:22s} return {values.mean():7.2f} +- {error:.2f}   worst {values.min():7.2f}   below zero {bad:.0%}", flush=True)
    return {"name": name, "mean": float(values.mean()), "half_95": float(error), "worst": float(values.min()), "bad": float(bad)}


def page(told: list[dict[str, Any]], arguments: argparse.Namespace, env_steps: int, minutes: float) -> str:
    origin = provenance(arguments.seed)
    lines = ["# Learning from reward", ""]
    lines += [f"`python policies/examples/train_with_sb3.py --minutes {arguments.minutes:g} --seed {arguments.seed}` on"]
    lines += [f"{origin.device}, commit {origin.commit[:8]}, {origin.created[:10]}; one process, one thread."]
    lines += ["", f"PPO of stable-baselines3 learns gas and brake in {', '.join(f'`{name}`' for name in arguments.scenario)}"]
    lines += [
        f"({env_steps:,} steps of 0.2 s in {minutes:.1f} minutes, {env_steps / minutes / 60:.0f} a second). Held out are the"
    ]
    lines += [f"first {arguments.draws} draws of each scenario, which no training sees. Returns with 95 % of the normal error;"]
    lines += ["a return below zero is a drive that ended in an offence before it earned as much.", ""]
    lines += ["| driver | return | worst | below zero |", "|---|---:|---:|---:|"]
    lines += [f"| {t['name']} | {t['mean']:.2f} ± {t['half_95']:.2f} | {t['worst']:.2f} | {t['bad']:.0%} |" for t in told]
    return "\n".join([*lines, "", "One seed: how far another one gets is not measured.", ""])


IDM = load_policy("idm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", nargs="+", default=["lead_vehicle.brakes", "cut_in.motorway", "calm.steady_following"])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--draws", type=int, default=10, help="held-out draws of each scenario")
    parser.add_argument("--envs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a page (.md) with the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train_on = make_vec_env(lambda: environment(arguments.scenario), n_envs=arguments.envs, seed=arguments.seed)
    how = {"n_steps": 256, "batch_size": 256, "gamma": 0.98, "learning_rate": 5e-4}
    model = PPO("MlpPolicy", train_on, **how, seed=arguments.seed, device="cpu")

    def learner(env: gymnasium.Env, seen: Any) -> np.ndarray:
        return np.asarray(model.predict(seen, deterministic=True)[0])

    told = [
        line("stops and stands", returns(lambda env, seen: rescaled(env, -5.0), arguments.scenario, arguments.draws)),
        line("keeps its speed", returns(lambda env, seen: rescaled(env, 0.0), arguments.scenario, arguments.draws)),
        line("idm (sees the truth)", returns(idm, arguments.scenario, arguments.draws)),
        line("PPO before training", returns(learner, arguments.scenario, arguments.draws)),
    ]
    began = time.monotonic()
    model.learn(10**9, callback=Clock(arguments.minutes))
    minutes = (time.monotonic() - began) / 60
    told.append(line(f"PPO after {minutes:.1f} min", returns(learner, arguments.scenario, arguments.draws)))
    if arguments.out:
        write_text(arguments.out, page(told, arguments, model.num_timesteps, minutes))
    print(json.dumps({"env_steps": model.num_timesteps, "minutes": round(minutes, 2), "results": told}))


if __name__ == "__main__":
    main()
