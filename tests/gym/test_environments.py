"""Scenarios as Gymnasium environments: they keep its rules, and one engine for many cars changes nothing for any of them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.vector import AutoresetMode  # noqa: E402

from drivewm.errors import InputError  # noqa: E402
from drivewm.gym import ENV_ID  # noqa: E402
from drivewm.policies.baselines import IdmPolicy  # noqa: E402

BRAKES = "lead_vehicle.brakes"


def accel(value: float, count: int = 0) -> Any:
    return np.full((count, 1) if count else (1,), value, np.float32)


def driven(env: Any, action: Any, **reset: Any) -> tuple[float, bool, bool, dict[str, Any]]:
    """Return of a drive with one action throughout, how it ended, and the last info."""
    env.reset(**reset)
    total = 0.0
    while True:
        _, reward, terminated, truncated, info = env.step(action)
        total += reward
        if terminated or truncated:
            return total, terminated, truncated, info


def test_who_names_the_module_needs_no_import() -> None:
    code = f"import gymnasium; e = gymnasium.make('drivewm.gym:{ENV_ID}'); print(e.reset(seed=0)[1]['family'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "cut_in"


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized.*")
@pytest.mark.parametrize("options", [{}, {"action": "accel"}, {"world": "raster", "observation": "both"}])
def test_it_keeps_gymnasiums_own_rules(options: dict[str, Any]) -> None:
    check_env(gymnasium.make(ENV_ID, render_mode="rgb_array", **options).unwrapped)


def test_who_does_not_brake_hits_the_lead_and_who_brakes_does_not() -> None:
    env = gymnasium.make(ENV_ID, scenario=BRAKES, action="accel")
    hit = driven(env, accel(0.0), seed=3)
    assert hit[1:3] == (True, False) and hit[3]["offences"] == ("collision",)
    stood = driven(env, accel(-5.0), seed=3)
    assert stood[1:3] == (False, True) and stood[3]["offences"] == ()
    assert hit[0] < stood[0] and hit[3]["scene"] == stood[3]["scene"]


def test_who_steers_off_the_road_is_stopped() -> None:
    env = gymnasium.make(ENV_ID, scenario=BRAKES)
    total, terminated, _, info = driven(env, np.array([0.0, -0.05], np.float32), seed=0)
    assert terminated and info["offences"] == ("off_road",) and total < -5.0


def test_a_policy_may_drive_here_and_gets_further_than_one_that_stops() -> None:
    env = gymnasium.make(ENV_ID, scenario=BRAKES, action="accel").unwrapped
    env.reset(seed=3)
    total, over = 0.0, False
    while not over:
        plan, _ = IdmPolicy().act(*_split(env.moment()))
        _, reward, terminated, truncated, info = env.step(env.action_of(plan))
        total, over = total + reward, terminated or truncated
    assert info["offences"] == () and total > driven(env, accel(-5.0), seed=3)[0]


def _split(moment: tuple[Any, Any]) -> tuple[Any, None, Any]:
    return moment[0], None, moment[1]


def test_environments_of_a_batch_drive_as_each_does_alone() -> None:
    many = gymnasium.make_vec(ENV_ID, num_envs=3, scenario=[BRAKES, "cut_in.motorway"], action="accel")
    alone = [gymnasium.make(ENV_ID, scenario=[BRAKES, "cut_in.motorway"], action="accel") for _ in range(3)]
    seen, _ = many.reset(seed=5)
    single = [env.reset(seed=5 + b)[0] for b, env in enumerate(alone)]
    over, begun = np.zeros(3, bool), 0
    for step in range(70):
        assert np.abs(seen - np.stack(single)).max() < 1e-5, step
        seen, reward, terminated, truncated, _ = many.step(accel(0.3, 3))
        for b, env in enumerate(alone):
            if over[b]:  # the batch began anew with this step
                single[b], begun = env.reset()[0], begun + 1
                assert reward[b] == 0.0 and not terminated[b] and not truncated[b]
                continue
            single[b], expected, *ends, _ = env.step(accel(0.3))
            assert reward[b] == pytest.approx(expected, abs=1e-6) and [terminated[b], truncated[b]] == ends
        over = terminated | truncated
    assert begun >= 3


def test_the_modes_of_beginning_anew_are_those_of_gymnasium() -> None:
    options = {"num_envs": 2, "scenario": BRAKES, "action": "accel"}
    for mode in AutoresetMode:
        envs = gymnasium.make_vec(ENV_ID, autoreset_mode=mode, **options)
        assert envs.metadata["autoreset_mode"] is mode
        envs.reset(seed=0)
        while True:
            seen, _, terminated, truncated, infos = envs.step(accel(1.0, 2))
            over = terminated | truncated
            if over.any():
                break
        b = int(np.flatnonzero(over)[0])
        if mode is AutoresetMode.SAME_STEP:
            assert infos["_final_obs"][b] and not np.array_equal(infos["final_obs"][b], seen[b])
            assert infos["final_info"]["offences"][b] == ("collision",)
        if mode is AutoresetMode.DISABLED:
            with pytest.raises(InputError, match="must be reset"):
                envs.step(accel(1.0, 2))
            again, _ = envs.reset(options={"reset_mask": over})
            assert np.array_equal(again[~over], seen[~over]) and not np.array_equal(again[b], seen[b])
            envs.step(accel(1.0, 2))


def test_the_first_draws_are_left_to_suites_unless_asked_for() -> None:
    env = gymnasium.make(ENV_ID, scenario=BRAKES)
    drawn = [int(env.reset(seed=seed)[1]["scene"].split(":")[1].split("#")[0]) for seed in range(3)]
    assert min(drawn) >= 10_000 and len(set(drawn)) == 3
    assert env.reset(options={"draw": 3})[1]["scene"].split(":")[1] == "3#0"


def test_what_does_not_go_together_is_refused_in_a_sentence() -> None:
    for options, words in (({"observation": "images"}, "do not go together"), ({"scenario": "nowhere.at_all"}, "no scenario")):
        with pytest.raises(InputError, match=words):
            gymnasium.make(ENV_ID, **options)
    env = gymnasium.make(ENV_ID, scenario=BRAKES, action="accel", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(InputError, match="not finite"):
        env.step(accel(np.nan))
