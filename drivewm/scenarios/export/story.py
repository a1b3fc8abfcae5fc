"""What happens, as a storyboard: how everybody begins, and each step of a script as an event with its trigger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scenariogeneration import xosc

from drivewm.datatypes import Array, ManoeuvreKind, Scene, TriggerKind
from drivewm.scenarios.export.entities import keeps_distance
from drivewm.scenarios.export.environment import environment
from drivewm.scenarios.export.ways import Way

EGO = "Ego"
NEARLY = 0.2  # share of a lane's width by which a lane change may miss the middle of the other lane


@dataclass(frozen=True)
class Shifts:
    """What is added to the values of a script so that a reader, who measures from reference points and lanes, finds them."""

    trigger: Array  # [N, M]
    offset_m: Array  # [N, M]

    @property
    def largest(self) -> float:
        return float(max(np.abs(self.trigger).max(initial=0.0), np.abs(self.offset_m).max(initial=0.0)))

    @classmethod
    def none(cls, scene: Scene) -> Shifts:
        shape = scene.scripts.trigger_kind.shape
        return cls(np.zeros(shape), np.zeros(shape))


@dataclass(frozen=True)
class Part:
    """One agent: its row in the scene, its name, its first pose [3], and its way if it may move."""

    row: int
    name: str
    start_xy_yaw: Array
    way: Way | None
    lane_m: float  # width of the lanes on its way


def at_once() -> xosc.TransitionDynamics:
    return xosc.TransitionDynamics(xosc.DynamicsShapes.step, xosc.DynamicsDimension.time, 0)


def world(pose: Array) -> xosc.WorldPosition:
    return xosc.WorldPosition(float(pose[0]), float(pose[1]), h=float(pose[2]))


def opening(scene: Scene, parts: list[Part], way: list[Array] | Way) -> xosc.Init:
    """Weather, places, ways and speeds at the start."""
    out, scripts = xosc.Init(), scene.scripts
    out.add_global_action(xosc.EnvironmentAction(environment("start", scene.conditions)))
    out.add_init_action(EGO, xosc.TeleportAction(world(scene.start.ego_xy_yaw_world)))
    out.add_init_action(EGO, xosc.AbsoluteSpeedAction(float(scene.start.ego_speed_mps), at_once()))
    if isinstance(way, Way):
        out.add_init_action(EGO, _follow(EGO, way))
    else:
        route = xosc.Route("ego_route")
        for pose in way:
            route.add_waypoint(world(pose), xosc.RouteStrategy.shortest)
        out.add_init_action(EGO, xosc.AssignRouteAction(route))
    for part in parts:
        out.add_init_action(part.name, xosc.TeleportAction(world(part.start_xy_yaw)))
        if part.way is None:
            continue
        out.add_init_action(part.name, xosc.AbsoluteSpeedAction(float(scripts.start_speed_mps[part.row]), at_once()))
        out.add_init_action(part.name, _follow(part.name, part.way))
        if scripts.reactive[part.row]:
            idm = keeps_distance(float(scripts.desired_speed_mps[part.row]))
            out.add_init_action(part.name, xosc.AssignControllerAction(idm, activateLateral=False))
    return out


def _follow(name: str, way: Way) -> xosc.FollowTrajectoryAction:
    line = xosc.Trajectory(f"{name}_way", False)
    line.add_shape(xosc.Polyline([], [xosc.WorldPosition(float(x), float(y)) for x, y in way.corners_xy]))
    return xosc.FollowTrajectoryAction(line, xosc.FollowingMode.position, initialDistanceOffset=way.start_m)


def story(scene: Scene, parts: list[Part], shifts: Shifts) -> xosc.Story | None:
    """The events of all agents and of the weather; None where nothing happens."""
    act = xosc.Act("act", _when([_time(0.0)]))
    groups = [group for part in parts if (group := _group(scene, part, shifts)) is not None]
    if scene.condition_changes:
        groups.append(_weather(scene))
    for group in groups:
        act.add_maneuver_group(group)
    out = xosc.Story("story")
    out.add_act(act)
    return out if groups else None


def ending(horizon_s: float) -> xosc.Trigger:
    return _when([_time(horizon_s)], "stop")


def _weather(scene: Scene) -> xosc.ManeuverGroup:
    group, changes = xosc.ManeuverGroup("weather"), xosc.Maneuver("weather_changes")
    for i, (t_s, conditions) in enumerate(scene.condition_changes, start=1):
        event = xosc.Event(f"weather_{i}", xosc.Priority.parallel)
        event.add_action(f"weather_{i}_action", xosc.EnvironmentAction(environment(f"weather_{i}", conditions)))
        event.add_trigger(_when([_time(t_s)]))
        changes.add_event(event)
    group.add_maneuver(changes)
    return group


def _group(scene: Scene, part: Part, shifts: Shifts) -> xosc.ManeuverGroup | None:
    """The steps of one agent; each waits until the one before has begun."""
    scripts, row = scene.scripts, part.row
    script = xosc.Maneuver(f"{part.name}_script")
    before, offset = "", float(scripts.start_offset_m[row])
    for step in range(scripts.trigger_kind.shape[1]):
        kind = TriggerKind(int(scripts.trigger_kind[row, step]))
        if kind is TriggerKind.NEVER or scripts.manoeuvre_kind[row, step] == ManoeuvreKind.NONE:
            break
        name = f"{part.name}_step_{step + 1}"
        event = xosc.Event(name, xosc.Priority.parallel)
        value, rate = float(scripts.manoeuvre_value[row, step]), float(scripts.manoeuvre_rate[row, step])
        if scripts.manoeuvre_kind[row, step] == ManoeuvreKind.SPEED:
            ramp = xosc.TransitionDynamics(xosc.DynamicsShapes.linear, xosc.DynamicsDimension.rate, rate)
            event.add_action(f"{name}_action", xosc.AbsoluteSpeedAction(value, ramp))
        else:
            event.add_action(f"{name}_action", _sideways(part, value - offset, rate, float(shifts.offset_m[row, step])))
            offset = value
        trigger = float(scripts.trigger_value[row, step]) + float(shifts.trigger[row, step])
        event.add_trigger(_after(before, [_condition(kind, trigger, part.name)]))
        script.add_event(event)
        before = name
    if not before:
        return None
    out = xosc.ManeuverGroup(f"{part.name}_group")
    out.add_actor(part.name)
    out.add_maneuver(script)
    return out


def _sideways(part: Part, change_m: float, within_s: float, shift_m: float) -> xosc.RelativeLaneChangeAction:
    """To another lane if that is where it leads, else within the lane."""
    lanes = round(change_m / part.lane_m)
    rest = change_m - lanes * part.lane_m
    if abs(rest) > NEARLY * part.lane_m:
        lanes, rest = 0, change_m
    dynamics = xosc.TransitionDynamics(xosc.DynamicsShapes.sinusoidal, xosc.DynamicsDimension.time, within_s)
    return xosc.RelativeLaneChangeAction(lanes, part.name, dynamics, rest + shift_m)


def _condition(kind: TriggerKind, value: float, agent: str) -> xosc.ValueTrigger | xosc.EntityTrigger:
    if kind is TriggerKind.TIME:
        return _time(value)
    if kind is TriggerKind.DISTANCE:
        near = xosc.RelativeDistanceCondition(
            value, xosc.Rule.lessOrEqual, xosc.RelativeDistanceType.euclidianDistance, EGO, alongroute=False, freespace=False
        )
    else:
        near = xosc.TimeToCollisionCondition(
            *(value, xosc.Rule.lessOrEqual),
            alongroute=False,
            freespace=False,
            entity=EGO,
            distance_type=xosc.RelativeDistanceType.euclidianDistance,
            coordinate_system=xosc.CoordinateSystem.entity,
        )
    return xosc.EntityTrigger(f"{agent}_near", 0, xosc.ConditionEdge.none, near, agent)


def _time(t_s: float) -> xosc.ValueTrigger:
    # A time that is a sum of tenths must not lie a rounding error behind the instant it means.
    reached = xosc.SimulationTimeCondition(round(t_s, 6), xosc.Rule.greaterOrEqual)
    return xosc.ValueTrigger("time", 0, xosc.ConditionEdge.none, reached)


def _after(before: str, conditions: list[xosc.ValueTrigger | xosc.EntityTrigger]) -> xosc.Trigger:
    """Conditions that count from when another event goes on or is over."""
    if not before:
        return _when(conditions)
    out = xosc.Trigger()
    for state in (xosc.StoryboardElementState.runningState, xosc.StoryboardElementState.completeState):
        group = xosc.ConditionGroup()
        begun = xosc.StoryboardElementStateCondition(xosc.StoryboardElementType.event, before, state)
        group.add_condition(xosc.ValueTrigger("after", 0, xosc.ConditionEdge.none, begun))
        for one in conditions:
            group.add_condition(one)
        out.add_conditiongroup(group)
    return out


def _when(conditions: list[xosc.ValueTrigger | xosc.EntityTrigger], point: str = "start") -> xosc.Trigger:
    out, group = xosc.Trigger(point), xosc.ConditionGroup(point)
    for one in conditions:
        group.add_condition(one)
    out.add_conditiongroup(group)
    return out
