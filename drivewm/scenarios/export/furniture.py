"""What stands on and beside roads as OpenDRIVE objects and signals (ASAM OpenDRIVE 1.7, sections 13 and 14)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scenariogeneration import xodr

from drivewm.datatypes import Array, RoadMap, Signal
from drivewm.geometry import ego_from_world, frenet_sd, wrap_angle_rad
from drivewm.scenarios.export.strips import Strip

TREE_RADIUS_M = 1.5
LAMP = "1000001"  # the type of a traffic light in OpenDRIVE's own catalogue
LAMP_M = 3.0
BEYOND = 10.0  # a metre beyond the end of a road counts as this many beside it


def furnished(road: RoadMap, roads: list[Strip], written: Mapping[int, xodr.Road]) -> list[str]:
    """Adds everything to the roads that are ``written`` and returns what has no place there."""
    for i, outline in enumerate(road.crosswalks):
        strip, s, t, yaw = _place(roads, np.asarray(outline).mean(0))
        pose = np.array([*np.asarray(outline).mean(0), yaw])
        crosswalk = xodr.Object(s, t, Type=xodr.ObjectType.crosswalk, subtype="zebra", name=f"crosswalk_{i + 1}")
        shape = xodr.Outline(closed=True, outer=True, id=0)
        for k, (u, v) in enumerate(ego_from_world(outline, pose)):
            shape.add_corner(xodr.CornerLocal(float(u), float(v), 0.0, 0.0, id=k))
        crosswalk.add_outline(shape)
        written[strip.id].add_object(crosswalk)
    for i, (pose, size) in enumerate(zip(road.building_xy_yaw, road.building_size_lwh_m, strict=True)):
        strip, s, t, yaw = _place(roads, pose[:2])
        length, width, height = map(float, size)
        turn = float(wrap_angle_rad(pose[2] - yaw))
        box = {"length": length, "width": width, "height": height, "hdg": turn, "name": f"building_{i + 1}"}
        written[strip.id].add_object(xodr.Object(s, t, Type=xodr.ObjectType.building, subtype="house", **box))
    for i, (x, y, height) in enumerate(road.tree_xy_height):
        strip, s, t, _ = _place(roads, np.array([x, y]))
        crown = {"radius": TREE_RADIUS_M, "height": float(height), "name": f"tree_{i + 1}"}
        written[strip.id].add_object(xodr.Object(s, t, Type=xodr.ObjectType.vegetation, subtype="tree", **crown))
    for i, signal in enumerate(road.signals):
        strip, lamp = _lamp(roads, signal, signal_id(i))
        written[strip.id].add_signal(lamp)
    return _tunnels(road, roads, written)


def signal_id(index: int) -> str:
    """The name that road and storyboard give to the signal ``index`` of a map."""
    return f"signal_{index + 1}"


def _place(roads: list[Strip], xy: Array) -> tuple[Strip, float, float, float]:
    """The road nearest to a point [2], its arc length, the offset and the heading of the road there."""
    costs = []
    for strip in roads:
        s, t = frenet_sd(strip.lanes[0].centre_xy, xy)
        costs.append(abs(float(t)) + BEYOND * max(-float(s), float(s) - strip.length_m, 0.0))
    strip = roads[int(np.argmin(costs))]
    s = float(np.clip(frenet_sd(strip.lanes[0].centre_xy, xy)[0], 0.0, strip.length_m))
    for _ in range(3):
        x, y, yaw = strip.reference(np.array(s))
        s = float(np.clip(s + (xy[0] - x) * np.cos(yaw) + (xy[1] - y) * np.sin(yaw), 0.0, strip.length_m))
    x, y, yaw = strip.reference(np.array(s))
    return strip, s, float(-(xy[0] - x) * np.sin(yaw) + (xy[1] - y) * np.cos(yaw)), float(yaw)


def _lamp(roads: list[Strip], signal: Signal, name: str) -> tuple[Strip, xodr.Signal]:
    """A light at the arc length of its stop line, for the lanes of its road."""
    ruled = [strip for strip in roads if any(lane.id in signal.lane_ids for lane in strip.lanes)]
    strip, s, _, yaw = _place(ruled[:1] or roads, np.asarray(signal.stop_line_xy).mean(0))
    x, y, _ = strip.reference(np.array(s))
    t = float(-(signal.xy_yaw_world[0] - x) * np.sin(yaw) + (signal.xy_yaw_world[1] - y) * np.cos(yaw))
    lamp = xodr.Signal(s, t, country="OpenDRIVE", Type=LAMP, name=name, dynamic=xodr.Dynamic.yes, zOffset=LAMP_M)
    numbers = [-k for k, lane in enumerate(strip.lanes, start=1) if lane.id in signal.lane_ids] or [-1]
    lamp.add_validity(min(numbers), max(numbers))
    return strip, lamp


def _tunnels(road: RoadMap, roads: list[Strip], written: Mapping[int, xodr.Road]) -> list[str]:
    """Tunnels as stretches of the roads that run through them; their width and height have no place in the format."""
    number = 0
    for pose, size in zip(road.tunnel_xy_yaw, road.tunnel_size_lwh_m, strict=True):
        for strip in roads:
            s = np.linspace(0.0, strip.length_m, max(2, int(strip.length_m)))
            local = ego_from_world(strip.reference(s)[:, :2], pose)
            inside = s[(np.abs(local) < size[:2] / 2).all(1)]
            if len(inside) > 1:
                number += 1
                name = f"tunnel_{number}"
                written[strip.id].add_tunnel(xodr.Tunnel(float(inside[0]), float(np.ptp(inside)), name, name))
    return ["the width and height of a tunnel"] if number else []
