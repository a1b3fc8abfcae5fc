"""From a finished drive to what published scores look at, and from what they found to a `Score`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drivewm.datatypes import Event, Rollout, Score
from drivewm.metrics.published.pdm import Found, Setting
from drivewm.metrics.published.places import Places
from drivewm.metrics.published.ways import Ways
from drivewm.metrics.routes import Routes
from drivewm.protocols import POLICY_FAILURES


def ways_of(rollout: Rollout) -> Ways:
    """The drive as the only one of M = 1 ways."""
    states = rollout.states
    return Ways(
        xy_yaw=states.ego_xy_yaw_world[None],
        speed_mps=states.ego_speed_mps[None],
        accel_mps2=states.ego_accel_mps2[None],
        curvature_1pm=states.ego_curvature_1pm[None],
    )


def setting_of(rollout: Rollout, places: Places | None = None) -> Setting:
    """What the drive met; ``places`` of its scene, where they are known already."""
    scene, states = rollout.scene, rollout.states
    known = Places.of(scene) if places is None else places
    return Setting(states.agents, known, Routes.of([scene]), scene.road, states.t_s, scene.dt_s)


def events_of(rollout: Rollout, found: Mapping[str, Found]) -> list[Event]:
    """Where the parts of a drive fell, when, and with whom."""
    out, agents = [], rollout.states.agents
    for name, part in found.items():
        step, agent = int(part.step[0]), int(part.agent[0])
        if step >= 0:
            track_id = None if agent < 0 else int(agents.track_id[step, agent])
            out.append(Event(name, float(rollout.states.t_s[step]), track_id))
    return out


def weighted(terms: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Mean of ``terms`` with their weights; those that are absent do not count."""
    total = sum(weights[name] for name in terms)
    return sum(weights[name] * value for name, value in terms.items()) / total


def product(gates: Mapping[str, float]) -> float:
    return float(np.prod(list(gates.values())))


def told(
    rollout: Rollout,
    total: float,
    parts: tuple[dict[str, float], dict[str, float]],
    events: list[Event],
    inapplicable: tuple[str, ...],
    measures: dict[str, float],
) -> Score:
    """The score of a drive with its gates and terms. Who gave no usable plan has 0, as a driver that fails there."""
    gates, terms = parts
    if rollout.ended in POLICY_FAILURES:
        gates = gates | {"policy_ran": 0.0}
        events = [*events, Event(rollout.ended, float(rollout.states.t_s[-1]))]
        total = 0.0
    return Score(
        scene_id=rollout.scene.id,
        family=rollout.scene.family,
        valid=True,
        total=float(total),
        passed=all(value == 1.0 for value in gates.values()),
        gates=gates,
        terms=terms,
        inapplicable=inapplicable,
        events=tuple(sorted(events, key=lambda event: event.t_s)),
        measures=measures,
    )
