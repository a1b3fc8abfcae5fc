"""The four tests of a scenario of the catalogue: it can be drawn, it asks for something, it can be solved, its scripts play.

Doing nothing keeps the ego's first speed along its route. A scenario of the family ``calm`` must end well with it, every other
one must not. The reference driver is the privileged expert.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Action, Array, Scene, SignalState, TriggerKind
from drivewm.evaluation.cases import judged, progress_m
from drivewm.geometry import frenet_sd, point_at_s
from drivewm.metrics.boxes import overlap
from drivewm.policies.expert import ExpertPolicy
from drivewm.rollout import rollout
from drivewm.scenarios.language import Scenario
from drivewm.scenarios.sampling import Rejections, draw_scene, rejections
from drivewm.sim.engine import Engine
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld

CALM = "calm"
MOST_REJECTED = 0.99  # of the draws, by one constraint
LEAST_SHARE = 0.95  # of drives that must end as the family promises
BATCH = 10  # scenes that the reference driver drives at once
Progress = Callable[[int, int], None]  # steps done and in all


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the tests of one scenario found."""

    name: str
    rejections: Rejections
    driven: int  # accepted draws that were driven
    nothing_fails: float  # share of them in which doing nothing ends badly
    expert_passes: float  # share in which the reference driver passes all gates
    silent: tuple[str, ...]  # steps that fired in none of them
    expert_failures: tuple[str, ...]  # "draw 7: no_at_fault_collision"

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each test that is not passed."""
        worst = max(self.rejections.reasons.items(), key=lambda item: item[1], default=("", 0))
        calm = self.name.partition(".")[0] == CALM
        found = []
        if worst[1] > MOST_REJECTED * self.rejections.draws:
            found.append(f"{worst[0]!r} turns {worst[1]} of {self.rejections.draws} draws away")
        if calm and self.nothing_fails > 0:
            found.append(f"doing nothing ends badly in {self.nothing_fails:.0%} of the draws of a calm scenario")
        if not calm and self.nothing_fails < LEAST_SHARE:
            found.append(f"doing nothing ends badly in only {self.nothing_fails:.0%} of the draws")
        if self.expert_passes < LEAST_SHARE:
            found.append(f"the expert passes only {self.expert_passes:.0%} of the draws ({'; '.join(self.expert_failures[:3])})")
        found += [f"{step} never happens" for step in self.silent]
        return tuple(found)


def self_test(
    scenario: Scenario, draws: int = 200, driven: int = 20, seed: int = 0, progress: Progress | None = None
) -> SelfTest:
    """Sample ``draws`` scenes, and drive the first ``driven`` accepted ones twice."""
    count, scenes = min(draws, driven), []
    for index in range(draws):
        scene = draw_scene(scenario, index, seed)
        scenes += [scene] if index < count else []
        if progress:
            progress(index + 1, draws + count)
    fails, fired = idle_drive(scenes)
    passes, why = [], []
    for begin in range(0, count, BATCH):
        batch = scenes[begin : begin + BATCH]
        for drive in rollout(batch, ExpertPolicy(), BlankWorld(nuscenes_rig(2, 2)), seed=seed):
            verdict = judged(drive, progress_m(drive)).score
            passes.append(verdict.passed)
            bad = ", ".join(gate for gate, value in verdict.gates.items() if value < 1.0)
            why += [] if verdict.passed else [f"draw {len(passes) - 1}: {bad}"]
        if progress:
            progress(draws + len(passes), draws + count)
    return SelfTest(
        name=scenario.name,
        rejections=rejections(scenario, draws, seed),
        driven=count,
        nothing_fails=float(np.mean(fails)),
        expert_passes=float(np.mean(passes)),
        silent=silent_steps(scenario, scenes, fired),
        expert_failures=tuple(why),
    )


def idle_drive(scenes: Sequence[Scene]) -> tuple[Array, Array]:
    """Keep the first speed along the route: whether that ends badly [B], and how many steps of each script fired [B, N].

    Badly is to touch somebody, to pass a red light, or to leave the paved road.
    """
    engine = Engine(scenes)
    state = engine.start()
    speed = state.world.ego_speed_mps
    s = np.array([float(frenet_sd(scene.route_xy, scene.start.ego_xy_yaw_world[:2])[0]) for scene in scenes])
    bad = np.zeros(len(scenes), bool)
    half_ego = np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m]) / 2
    front = EGO_SHAPE.rear_axle_to_centre_m + EGO_SHAPE.length_m / 2
    lines = [_stop_lines_s_m(scene) for scene in scenes]
    for step in range(max(scene.steps for scene in scenes)):
        state = engine.step(state, Action(np.zeros_like(s), np.zeros_like(s)))
        past, s = s + front, s + speed * engine.dt_s
        pose = np.stack([point_at_s(scene.route_xy, at) for scene, at in zip(scenes, s, strict=True)])
        state = replace(state, world=replace(state.world, ego_xy_yaw_world=pose, ego_speed_mps=speed))
        running = step < np.array([scene.steps for scene in scenes])
        agents = state.world.agents
        near = overlap(EGO_SHAPE.centre_xy_yaw(pose)[:, None], half_ego, agents.xy_yaw_world, agents.size_lwh_m[..., :2] / 2)
        bad |= (near & agents.valid).any(1) & running
        for b, crossed in enumerate(lines):
            red = state.world.signal[b, : len(crossed)] == SignalState.RED
            bad[b] |= bool(running[b] and (red & (past[b] < crossed) & (crossed <= s[b] + front)).any())
    return bad, np.asarray(state.traffic.step)


def _stop_lines_s_m(scene: Scene) -> Array:
    """Where the route crosses the stop line of each signal that is meant for the ego [S]; inf for the others."""
    out = np.full(len(scene.road.signals), np.inf)
    for i, signal in enumerate(scene.road.signals):
        if any(lane.startswith("main.") for lane in signal.lane_ids):
            out[i] = float(frenet_sd(scene.route_xy, signal.stop_line_xy.mean(0))[0])
    return out


def silent_steps(scenario: Scenario, scenes: Sequence[Scene], fired: Array) -> tuple[str, ...]:
    """Steps that wait in some scene and fire in none, as the document counts them."""
    names = _names(scenario)
    waiting: dict[tuple[int, int], bool] = {}
    for b, scene in enumerate(scenes):
        for agent, kinds in enumerate(scene.scripts.trigger_kind):
            for step in np.flatnonzero(kinds != TriggerKind.NEVER):
                key = (agent, int(step))
                waiting[key] = waiting.get(key, False) or bool(fired[b, agent] > step)
    return tuple(f"{names.get(a, f'road user {a}')}.steps[{k}]" for (a, k), done in sorted(waiting.items()) if not done)


def _names(scenario: Scenario) -> dict[int, str]:
    """The entry under ``actors`` of each row, as far as the counts are plain numbers."""
    out: list[str] = []
    for name, actor in (scenario.source.tree.get("actors") or {}).items():
        count = actor.get("count", 1)
        if not isinstance(count, int):
            break
        out += [f"actors.{name}"] * count
    return dict(enumerate(out))
