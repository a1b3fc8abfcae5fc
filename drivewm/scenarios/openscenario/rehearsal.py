"""The rehearsal: a scenario played once with an ego that keeps to its own script, to learn when everybody does what.

The state engine knows paths, speeds and offsets that begin at a time or at a distance to the ego. The storyboard knows far more
conditions. So it is played through here; what fires when the ego comes near becomes a step by distance, all else a step by time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drivewm.datatypes import Conditions, Signal, TriggerKind
from drivewm.scenarios.openscenario.actions import private_action
from drivewm.scenarios.openscenario.causes import Cause, rehearsed_gap
from drivewm.scenarios.openscenario.entities import SPEED_LIMIT, Body, ego_of, entities, selections
from drivewm.scenarios.openscenario.environment import conditions_of
from drivewm.scenarios.openscenario.longitudinal import Start
from drivewm.scenarios.openscenario.movers import FASTEST_MPS, Mover, gap_m, time_to_collision_s
from drivewm.scenarios.openscenario.reading import Reading, Unsupported
from drivewm.scenarios.openscenario.signals import signals
from drivewm.scenarios.openscenario.stage import Stage, is_mirrored, network_of
from drivewm.scenarios.openscenario.storyboard import Board, Weather, board, global_action
from drivewm.scenarios.xml import Element, child, children, tag

LONGEST_S, SHORTEST_S, AFTER_S = 60.0, 8.0, 4.0
ASSUMED_ACCEL_MPS2 = 1.5
SLOWEST_MPS = 0.5  # below, a script wants the ego to stand
DT_S = 0.1


@dataclass
class Rehearsed:
    """How a scenario goes."""

    stage: Stage
    horizon_s: float
    conditions: Conditions
    changes: list[tuple[float, Conditions]] = field(default_factory=list)
    speed_limit_mps: float = 50 / 3.6
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True)
class _Opening:
    """One private action of <Init>."""

    mover: Mover
    kind: str
    start: Start
    needs: tuple[str, ...]  # entities to which it refers


ORDER = {"TeleportAction": 0, "RoutingAction": 1, "LongitudinalAction": 2}


def rehearse(reading: Reading, root: Element) -> Rehearsed:
    """Plays a scenario with the parameters of ``reading``; raises `InputError`, and `Impossible` where another draw may do."""
    bodies = entities(reading, root)
    ego = ego_of(bodies)
    network = network_of(reading, root)
    movers = {name: Mover(body, name == ego) for name, body in bodies.items()}
    stage = Stage(network, movers, ego, selections(reading, root), is_mirrored(root), dt_s=DT_S)
    stage.parameters = dict(reading.values)
    _variables(reading, root, stage)
    out = Rehearsed(stage, LONGEST_S, Conditions(), signals=signals(reading, root, network))

    def weather(now: Stage, inner: Reading, element: Element) -> None:
        current = out.changes[-1][1] if out.changes else out.conditions
        changed = conditions_of(inner, element, current)
        if now.t_s <= 0:
            out.conditions = changed
        elif changed != current:
            out.changes.append((now.t_s, changed))

    openings = _openings(reading, root, stage, weather)
    _open(stage, openings)
    stories = board(reading, root, ego, weather)
    _check_ego(reading, root, stage, bodies[ego])
    out.speed_limit_mps = _limit_mps(stage)
    scripted = any(o.mover.is_ego and o.kind == "LongitudinalAction" for o in openings)
    if not scripted:
        movers[ego].aim_mps, movers[ego].rate_mps2 = min(out.speed_limit_mps, 50 / 3.6), ASSUMED_ACCEL_MPS2
    for mover in movers.values():
        mover.start, mover.begun = (mover.s_m, mover.offset_m, mover.speed_mps), True
    out.horizon_s = _play(stage, stories)
    if scripted and movers[ego].fastest_mps > SLOWEST_MPS:
        # The meetings of the file are meant for this speed; at the limit of the road the ego would miss them.
        out.speed_limit_mps = movers[ego].fastest_mps
    told = bodies[ego].properties.get(SPEED_LIMIT)
    if told is not None:
        out.speed_limit_mps = _told_mps(reading, bodies[ego], told)
    stories.promise(stage)
    for event in stories.events():
        if event.times == 0:
            event.reading.note(event.element, "never begins while the ego keeps to its own script")
    for mover in movers.values():
        if not mover.is_ego:
            mover.stay()
        if not mover.placed:
            mover.present = False
            reading.note(mover.body.element, "has no position and stays away")
    return out


def _variables(reading: Reading, root: Element, stage: Stage) -> None:
    group = child(root, "VariableDeclarations")
    for one in [] if group is None else children(group, "VariableDeclaration"):
        stage.variables[reading.text(one, "name")] = reading.value(one, "value")


def _openings(reading: Reading, root: Element, stage: Stage, weather: Weather) -> list[_Opening]:
    group = reading.need(root, "Storyboard", "Init")
    actions = reading.child(group, "Actions")
    out: list[_Opening] = []
    for one in [] if actions is None else reading.children(actions):
        if tag(one) == "GlobalAction":
            try:
                global_action(reading, one, weather)(stage, stage.movers[stage.ego], Cause())
            except Unsupported as problem:
                reading.note(problem.element, problem.why)
        elif tag(one) == "Private":
            mover = stage.mover(reading, one, reading.text(one, "entityRef"))
            out += [found for action in reading.children(one, "PrivateAction") for found in _opening(reading, action, mover)]
        else:
            reading.note(one, "not supported as an action")
    return out


def _opening(reading: Reading, action: Element, mover: Mover) -> list[_Opening]:
    inner = children(action)
    if inner and tag(inner[0]) == "ControllerAction" and mover.is_ego:
        reading.note(inner[0], "the policy drives the ego")
        return []
    try:
        start = private_action(reading, action)
    except Unsupported as problem:
        reading.note(problem.element, problem.why)
        return []
    needs = tuple(reading.text(e, "entityRef") for e in inner[0].iter() if isinstance(e.tag, str) and e.get("entityRef"))
    return [_Opening(mover, tag(inner[0]), start, needs)]


def _open(stage: Stage, openings: list[_Opening]) -> None:
    """Begins all openings: positions before routes before speeds, and each after those of the entities to which it refers."""
    waiting = sorted(openings, key=lambda o: ORDER.get(o.kind, 3))
    while waiting:
        names = {(o.mover.name, o.kind) for o in waiting}
        ready = [o for o in waiting if not any((name, o.kind) in names for name in o.needs if name != o.mover.name)]
        first = [o for o in (ready or waiting) if ORDER.get(o.kind, 3) == min(ORDER.get(p.kind, 3) for p in (ready or waiting))]
        for one in first:
            one.start(stage, one.mover, Cause())
        waiting = [o for o in waiting if o not in first]


def _check_ego(reading: Reading, root: Element, stage: Stage, body: Body) -> None:
    ego = stage.movers[stage.ego]
    if not ego.placed:
        reading.fail(body.element, f"the ego {stage.ego!r} has no position", "give it a TeleportAction in Init")
    if not np.isfinite(ego.pose).all() or np.abs(ego.pose[:2]).max() > 1e7:
        reading.fail(body.element, "the ego stands beyond all roads")


def _told_mps(reading: Reading, body: Body, told: str) -> float:
    try:
        return float(np.clip(float(told), SLOWEST_MPS, FASTEST_MPS))
    except ValueError:
        reading.fail(body.element, f"{SPEED_LIMIT} is {told[:40]!r}, not a number")


def _limit_mps(stage: Stage) -> float:
    """Of the lane in which the ego starts."""
    ego = stage.movers[stage.ego]
    found = stage.network.locate(ego.pose, driving=True)
    limit = 50 / 3.6
    if found is not None and found.lane is not None:
        road = stage.network.road(found.road)
        limit = road.sections[road.section_index(found.s_m)].lanes[found.lane].speed_mps or road.speed_mps
    return limit


def _play(stage: Stage, stories: Board) -> float:
    """Runs to the end and returns how long the scene lasts."""
    ego, last, nearest = stage.movers[stage.ego], 0.0, (np.inf, 0.0)
    for step in range(round(LONGEST_S / stage.dt_s)):
        stage.t_s = step * stage.dt_s
        before = sum(len(m.steps) for m in stage.movers.values())
        stories.look(stage)
        for mover in stage.movers.values():
            for planned in [p for p in mover.plan if p.at_s <= stage.t_s + 1e-9]:
                mover.plan.remove(planned)
                mover.aim(stage.t_s, planned.speed_mps, planned.rate_mps2, rehearsed_gap(stage, mover, planned.watches_ego))
        if sum(len(m.steps) for m in stage.movers.values()) > before:
            last = stage.t_s
        if stories.stop is not None and stories.stop.groups and stories.stop.fires(stage):
            alone = stories.stop.cause(None).reacts
            if alone is not None and alone.kind is TriggerKind.TIME:
                return stage.t_s  # the file itself says how long it is meant to go on
            return float(np.clip(round(stage.t_s) + AFTER_S, SHORTEST_S, LONGEST_S))
        moving = [mover for mover in stage.movers.values() if mover.present and mover.placed]
        for mover in moving:
            if mover is not ego:
                gap = gap_m(mover, ego)
                mover.nearest_m = min(mover.nearest_m, gap)
                soon = time_to_collision_s(mover, ego, mover.centre[:2], ego.centre[:2])
                mover.soonest_s = min(mover.soonest_s, soon)
                nearest = min(nearest, (round(gap, 2), stage.t_s))
        for mover in moving:
            mover.advance(stage.t_s, stage.dt_s)
    end = max(last, nearest[1] if np.isfinite(nearest[0]) else 0.0)
    return float(np.clip(round(end) + 2 * AFTER_S, SHORTEST_S, LONGEST_S))
