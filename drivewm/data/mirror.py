"""A driven scene on the other side of the road: y becomes -y, and traffic that kept right keeps left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Action, ActorScripts, Agents, Array, Conditions, ManoeuvreKind, RoadMap, Scene, WorldState

_XY, _XY_YAW = np.array([1.0, -1.0]), np.array([1.0, -1.0, -1.0])
_OTHER = {"left": "right", "right": "left", "turn_left": "turn_right", "turn_right": "turn_left"}


def mirrored_scene(scene: Scene) -> Scene:
    """The same situation seen in a mirror. Played with mirrored actions it gives the mirrored states."""
    turned = {name: _OTHER.get(str(scene.parameters[name]), scene.parameters[name]) for name in ("turn", "manoeuvre")}
    return replace(
        scene,
        road=mirrored_road(scene.road),
        start=mirrored_states(scene.start),
        scripts=_scripts(scene.scripts),
        route_xy=scene.route_xy * _XY,
        conditions=_sky(scene.conditions),
        condition_changes=tuple((from_s, _sky(sky)) for from_s, sky in scene.condition_changes),
        parameters={**scene.parameters, **turned},
    )


def mirrored_road(road: RoadMap) -> RoadMap:
    """Lanes keep their direction of travel, so what was on their left is on their right."""
    return replace(
        road,
        lanes=tuple(replace(lane, centre_xy=lane.centre_xy * _XY, left=lane.right, right=lane.left) for lane in road.lanes),
        drivable=_areas(road.drivable),
        crosswalks=_areas(road.crosswalks),
        sidewalks=_areas(road.sidewalks),
        markings=tuple(replace(marking, xy=marking.xy * _XY) for marking in road.markings),
        signals=tuple(
            replace(signal, xy_yaw_world=signal.xy_yaw_world * _XY_YAW, stop_line_xy=signal.stop_line_xy * _XY)
            for signal in road.signals
        ),
        building_xy_yaw=road.building_xy_yaw * _XY_YAW,
        tree_xy_height=road.tree_xy_height * [1.0, -1.0, 1.0],
        tunnel_xy_yaw=road.tunnel_xy_yaw * _XY_YAW,
    )


def mirrored_states(states: WorldState) -> WorldState:
    """States with any leading axes."""
    agents: Agents = replace(states.agents, xy_yaw_world=states.agents.xy_yaw_world * _XY_YAW)
    pose = states.ego_xy_yaw_world * _XY_YAW
    return replace(states, ego_xy_yaw_world=pose, ego_curvature_1pm=-states.ego_curvature_1pm, agents=agents)


def mirrored_actions(actions: Action) -> Action:
    return replace(actions, curvature_1pm=-actions.curvature_1pm)


def _areas(polygons: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple((xy * _XY)[::-1].copy() for xy in polygons)  # they stay counter-clockwise


def _sky(conditions: Conditions) -> Conditions:
    return replace(conditions, sun_azimuth_rad=-conditions.sun_azimuth_rad)


def _scripts(scripts: ActorScripts) -> ActorScripts:
    sideways = scripts.manoeuvre_kind == ManoeuvreKind.OFFSET
    return replace(
        scripts,
        path_xy=scripts.path_xy * _XY,
        start_offset_m=-scripts.start_offset_m,
        manoeuvre_value=np.where(sideways, -scripts.manoeuvre_value, scripts.manoeuvre_value),
    )
