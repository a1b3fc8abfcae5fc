"""A place prepared for painting: the static geometry of a map, computed once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from drivewm.datatypes import Array, RoadMap, WorldState
from drivewm.sim.raster.agents import agent_faces
from drivewm.sim.raster.faces import Faces, joined_faces
from drivewm.sim.raster.ground import Ground, ground_of
from drivewm.sim.raster.relief import Relief, relief_of
from drivewm.sim.raster.scenery import RANGE_M, Trees, building_faces, tree_faces, trees_of
from drivewm.sim.raster.signals import Signals, signal_faces, signals_of
from drivewm.sim.raster.strips import Strips, strips_of
from drivewm.sim.raster.tunnels import tunnel_faces

_REMEMBERED = 256
_prepared: OrderedDict[int, tuple[RoadMap, Place]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Place:
    road: RoadMap
    ground: Ground
    relief: Relief | None
    strips: Strips | None  # the ground where there is a relief
    buildings: Faces  # and tunnels; world frame
    trees: Trees
    signals: Signals | None

    def faces(self, state: WorldState, *, plain: bool, lights_on: bool = False) -> Faces:
        """Everything that stands or moves near the ego, in the ego frame."""
        ego: Array = state.ego_xy_yaw_world
        parts = [
            self.buildings.near(ego[:2], RANGE_M).moved_to(ego),
            tree_faces(self.trees, ego),
            *([signal_faces(self.signals, state, plain=plain)] if self.signals else []),
            *agent_faces(state, self.relief, plain=plain, lights_on=lights_on),
        ]
        faces = joined_faces(parts)
        return faces if self.relief is None else faces.lowered(float(self.relief.height_m(ego[0])))


def place_of(road: RoadMap) -> Place:
    """The prepared place of a map; remembered for the maps used last."""
    entry = _prepared.get(id(road))
    if entry is None:
        built = joined_faces([building_faces(road), tunnel_faces(road)])
        ground, relief = ground_of(road), relief_of(road)
        strips = None if relief is None else strips_of(ground, relief)
        entry = (road, Place(road, ground, relief, strips, built, trees_of(road), signals_of(road)))
        _prepared[id(road)] = entry  # keeps the map alive, so that its id stays its own
        if len(_prepared) > _REMEMBERED:
            _prepared.popitem(last=False)
    return entry[1]
