"""One recorded drive before it becomes nuScenes tables: the scene, what happened in it, and what the cameras saw of whom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Action, Agents, Array, CameraRig, RoadMap, Scene, WorldState


@dataclass(frozen=True, slots=True)
class Drive:
    """T engine steps. Coordinates are those of the scene; a data set puts every drive at its own spot of a map."""

    name: str  # "scene-2000"
    split: str
    manner: str  # how the ego drove: "follow", "drift" ...
    scene: Scene
    states: WorldState  # leading [T + 1]
    actions: Action  # leading [T]
    frame_every: int  # engine steps per camera frame
    seen_share: Array  # float32 [F, N], share of each agent's pixels that some camera saw
    rig: CameraRig
    ended: str  # "horizon" | "collision"

    @property
    def frame_steps(self) -> Array:
        """Indices [F] of the states that were photographed."""
        return np.arange(len(self.seen_share)) * self.frame_every


def bounds_xy(road: RoadMap, driven_xy: Array) -> tuple[Array, Array]:
    """Lower and upper corner [2] of all that belongs to a drive: its road, buildings, trees, and where the ego went [P, 2]."""
    parts = [driven_xy, *road.drivable, *road.sidewalks, *(lane.centre_xy for lane in road.lanes)]
    parts += [road.tree_xy_height[:, :2]]
    reach = 0.5 * np.hypot(road.building_size_lwh_m[:, 0], road.building_size_lwh_m[:, 1])[:, None]
    parts += [road.building_xy_yaw[:, :2] - reach, road.building_xy_yaw[:, :2] + reach]
    xy = np.concatenate(parts)
    return xy.min(0), xy.max(0)


def moved_road(road: RoadMap, by_xy: Array) -> RoadMap:
    """The same place ``by_xy`` [2] further."""
    shift = np.array([*by_xy, 0.0])
    return RoadMap(
        lanes=tuple(replace(lane, centre_xy=lane.centre_xy + by_xy) for lane in road.lanes),
        drivable=tuple(polygon + by_xy for polygon in road.drivable),
        crosswalks=tuple(polygon + by_xy for polygon in road.crosswalks),
        sidewalks=tuple(polygon + by_xy for polygon in road.sidewalks),
        markings=tuple(replace(marking, xy=marking.xy + by_xy) for marking in road.markings),
        signals=tuple(
            replace(signal, xy_yaw_world=signal.xy_yaw_world + shift, stop_line_xy=signal.stop_line_xy + by_xy)
            for signal in road.signals
        ),
        building_xy_yaw=road.building_xy_yaw + shift,
        building_size_lwh_m=road.building_size_lwh_m,
        tree_xy_height=road.tree_xy_height + shift,
    )


def moved_states(states: WorldState, by_xy: Array) -> WorldState:
    """The same motion ``by_xy`` [2] further."""
    shift = np.array([*by_xy, 0.0])
    agents: Agents = replace(states.agents, xy_yaw_world=states.agents.xy_yaw_world + shift)
    return replace(states, ego_xy_yaw_world=states.ego_xy_yaw_world + shift, agents=agents)
