"""Bird's-eye view: a WorldState drawn on its RoadMap, ego heading up. Pictures are uint8 RGB [H, W, 3]."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from drivewm.datatypes import EGO_SHAPE, ON_FOOT, WHEELED_BODIES, AgentClass, Agents, Array, RoadMap, SignalState, WorldState
from drivewm.geometry import box_corners_xy, compose_xy_yaw, ego_from_world

Colour = tuple[int, int, int]

TERRAIN, ROAD, SIDEWALK, BUILDING, ROOF_EDGE = (47, 56, 52), (82, 88, 96), (112, 114, 114), (66, 68, 80), (88, 90, 104)
WALL = (150, 146, 136)
PAINT, STOP, KERB, CROSSWALK, TREE = (226, 226, 220), (255, 255, 255), (140, 142, 142), (196, 198, 196), (62, 98, 70)
EGO, ROUTE, PLAN, TRAIL = (72, 202, 255), (58, 112, 150), (120, 255, 170), (176, 182, 190)
RING, RING_M = (255, 72, 66), 3.6
AGENT_COLOUR: dict[AgentClass, Colour] = {
    AgentClass.CAR: (255, 166, 70),
    AgentClass.TRUCK: (224, 128, 66),
    AgentClass.BUS: (236, 200, 84),
    AgentClass.MOTORCYCLE: (214, 120, 255),
    AgentClass.BICYCLE: (240, 130, 220),
    AgentClass.PEDESTRIAN: (255, 236, 110),
    AgentClass.BARRIER: (255, 96, 84),
    AgentClass.TRAFFIC_CONE: (255, 96, 84),
    AgentClass.DEBRIS: (200, 110, 96),
    AgentClass.TRAILER: (200, 112, 62),
    AgentClass.CONSTRUCTION_VEHICLE: (232, 172, 40),
    AgentClass.POLICE_CAR: (110, 150, 255),
    AgentClass.AMBULANCE: (255, 150, 140),
    AgentClass.CHILD: (255, 214, 150),
    AgentClass.SCOOTER: (214, 236, 120),
    AgentClass.STROLLER: (236, 220, 160),
    AgentClass.ANIMAL: (204, 170, 120),
}
SIGNAL_COLOUR: dict[SignalState, Colour] = {
    SignalState.RED: (255, 72, 66),
    SignalState.YELLOW: (255, 208, 64),
    SignalState.GREEN: (86, 232, 120),
}
SUPERSAMPLING = 2
_SHIFT = 4  # fractional bits of pixel coordinates, so that slow motion is smooth


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is drawn over the state; every part may be absent."""

    route_xy_world: Array | None = None  # [R, 2]
    plan_xy_yaw_ego: Array | None = None  # [K, 3], made at ``plan_from_xy_yaw_world``
    plan_from_xy_yaw_world: Array | None = None  # [3]; None: the plan was made now
    trail: WorldState | None = None  # leading [T], oldest first
    ringed_xy_world: Array | None = None  # [2], somebody to look at
    caption: str = ""


class _Canvas:
    """World metres to pixels around the ego, which looks up from ``below`` of the way to the lower edge."""

    def __init__(self, ego_xy_yaw_world: Array, size_px: int, span_m: float, below: float = 0.7) -> None:
        self.size = size_px * SUPERSAMPLING
        self.image = np.full((self.size, self.size, 3), TERRAIN, np.uint8)
        self.ego, self.px_per_m, self.span_m, self.below = np.asarray(ego_xy_yaw_world), self.size / span_m, span_m, below

    def px(self, xy_world: ArrayLike) -> Array:
        ego = ego_from_world(xy_world, self.ego)
        xy = np.stack([0.5 * self.size - ego[..., 1] * self.px_per_m, self.below * self.size - ego[..., 0] * self.px_per_m], -1)
        return np.asarray(np.clip(np.round(xy * 2**_SHIFT), -(2**24), 2**24), np.int32)

    def near(self, xy_world: ArrayLike, margin_m: float = 0.0) -> bool:
        """Whether any of the points' bounding circle can touch the picture; saves the distant part of large maps."""
        xy = np.asarray(xy_world, np.float64).reshape(-1, 2)
        centre = (xy.min(0) + xy.max(0)) / 2
        radius = float(np.hypot(*(xy.max(0) - centre))) + margin_m
        return float(np.hypot(*(centre - self.ego[:2]))) <= radius + self.span_m

    def fill(self, polygon_xy: ArrayLike, colour: Colour) -> None:
        if self.near(polygon_xy):
            cv2.fillPoly(self.image, [self.px(polygon_xy)], colour, cv2.LINE_AA, _SHIFT)

    def line(self, xy: ArrayLike, colour: Colour, width_m: float, closed: bool = False) -> None:
        if len(np.asarray(xy)) > 1 and self.near(xy):
            width = max(1, round(width_m * self.px_per_m))
            cv2.polylines(self.image, [self.px(xy)], closed, colour, width, cv2.LINE_AA, _SHIFT)

    def dot(self, xy: ArrayLike, colour: Colour, radius_m: float) -> None:
        if self.near(xy, radius_m):
            x, y = self.px(xy)
            cv2.circle(
                self.image, (int(x), int(y)), max(1, round(radius_m * self.px_per_m * 2**_SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT
            )

    def ring(self, xy: ArrayLike, colour: Colour, radius_m: float) -> None:
        x, y = self.px(xy)
        radius, width = round(radius_m * self.px_per_m * 2**_SHIFT), max(1, round(0.25 * self.px_per_m))
        cv2.circle(self.image, (int(x), int(y)), radius, colour, width, cv2.LINE_AA, _SHIFT)

    def finished(self) -> Array:
        half = self.size // SUPERSAMPLING
        picture: Array = cv2.resize(self.image, (half, half), interpolation=cv2.INTER_AREA)
        return picture


def birdseye(
    road: RoadMap, state: WorldState, overlay: Overlay | None = None, *, size_px: int = 512, span_m: float = 56.0
) -> Array:
    """Picture [size_px, size_px, 3] of a state without leading axes; ``span_m`` is the width of what is seen."""
    overlay = overlay or Overlay()
    canvas = _Canvas(state.ego_xy_yaw_world, size_px, span_m)
    _draw_place(canvas, road)
    if overlay.route_xy_world is not None:
        canvas.line(overlay.route_xy_world, ROUTE, 0.9)
    _draw_signals(canvas, road, state.signal)
    if overlay.trail is not None:
        _draw_trails(canvas, overlay.trail)
    _draw_agents(canvas, state.agents)
    _draw_ego(canvas, state)
    if overlay.ringed_xy_world is not None:
        canvas.ring(overlay.ringed_xy_world, RING, RING_M)
    if overlay.plan_xy_yaw_ego is not None:
        made_at = state.ego_xy_yaw_world if overlay.plan_from_xy_yaw_world is None else overlay.plan_from_xy_yaw_world
        plan = compose_xy_yaw(made_at, overlay.plan_xy_yaw_ego)
        canvas.line(np.concatenate([np.asarray(made_at)[None, :2], plan[:, :2]]), PLAN, 0.22)
        for point in plan[:, :2]:
            canvas.dot(point, PLAN, 0.38)
    picture = canvas.finished()
    return _write_panel(picture, state, overlay.caption)


def _draw_place(canvas: _Canvas, road: RoadMap) -> None:
    for polygon in road.sidewalks:
        canvas.fill(polygon, SIDEWALK)
    for polygon in road.drivable:
        canvas.fill(polygon, ROAD)
    for polygon in road.crosswalks:
        for stripe in _stripes(polygon) if canvas.near(polygon) else ():
            canvas.fill(stripe, CROSSWALK)
    for marking in road.markings:
        if not canvas.near(marking.xy):
            continue
        colour = {"stop": STOP, "kerb": KERB}.get(marking.kind, PAINT)
        for piece in _dashes(marking.xy) if marking.kind == "dashed" else [marking.xy]:
            canvas.line(piece, colour, marking.width_m)
    for corners in box_corners_xy(road.building_xy_yaw, road.building_size_lwh_m[:, :2]):
        canvas.fill(corners, BUILDING)
        canvas.line(corners, ROOF_EDGE, 0.3, closed=True)
    for corners in box_corners_xy(road.tunnel_xy_yaw, road.tunnel_size_lwh_m[:, :2]):
        for wall in (corners[[0, 3]], corners[[1, 2]]):
            canvas.line(wall, WALL, 0.6)
    for x_m in _summits(road):
        for polygon in road.drivable:
            across = polygon[:, 1][[np.argmin(polygon[:, 1]), np.argmax(polygon[:, 1])]]
            canvas.line(np.stack([np.full(2, x_m), across], 1), WALL, 0.5)
    for x, y, height in road.tree_xy_height:
        canvas.dot((x, y), TREE, 0.22 * height)


def _summits(road: RoadMap) -> Array:
    """Where the ground stops rising and begins to fall along x."""
    x, z = road.height_xz_m.T
    rising = np.diff(z) > 0
    return np.asarray(x[1:-1][rising[:-1] & ~rising[1:]])


def _stripes(polygon_xy: Array, stripe_m: float = 0.5, gap_m: float = 0.5) -> list[Array]:
    """The bars of a zebra crossing, across its longer side; a crossing that is no quadrilateral is filled whole."""
    polygon = np.asarray(polygon_xy, np.float64)
    if len(polygon) != 4:
        return [polygon]
    if np.hypot(*(polygon[1] - polygon[0])) < np.hypot(*(polygon[2] - polygon[1])):
        polygon = np.roll(polygon, -1, axis=0)
    a, b, c, d = polygon
    length = float(np.hypot(*(b - a)))
    cuts = [(s / length, min(s + stripe_m, length) / length) for s in np.arange(0.5 * gap_m, length, stripe_m + gap_m)]
    return [np.array([a + u * (b - a), a + v * (b - a), d + v * (c - d), d + u * (c - d)]) for u, v in cuts]


def _dashes(xy: Array, dash_m: float = 3.0, gap_m: float = 6.0) -> list[Array]:
    step = np.hypot(*np.diff(np.asarray(xy), axis=0).T)
    s = np.concatenate([[0.0], np.cumsum(step)])
    ends = [(a, min(a + dash_m, s[-1])) for a in np.arange(0.0, s[-1], dash_m + gap_m)]
    return [np.stack([np.interp(np.linspace(a, b, 4), s, np.asarray(xy)[:, i]) for i in (0, 1)], -1) for a, b in ends]


def _draw_signals(canvas: _Canvas, road: RoadMap, states: Array) -> None:
    for signal, state in zip(road.signals, states, strict=True):
        colour = SIGNAL_COLOUR[SignalState(int(state))]
        canvas.line(signal.stop_line_xy, colour, 0.5)
        canvas.dot(signal.xy_yaw_world[:2], (20, 22, 24), 1.0)
        canvas.dot(signal.xy_yaw_world[:2], colour, 0.7)


def _draw_trails(canvas: _Canvas, trail: WorldState) -> None:
    canvas.line(trail.ego_xy_yaw_world[:, :2], TRAIL, 0.16)
    for n in range(trail.agents.valid.shape[1]):
        canvas.line(trail.agents.xy_yaw_world[trail.agents.valid[:, n], n, :2], TRAIL, 0.12)


def _draw_agents(canvas: _Canvas, agents: Agents) -> None:
    for n in np.flatnonzero(agents.valid):
        category, pose = AgentClass(int(agents.category[n])), agents.xy_yaw_world[n]
        colour = AGENT_COLOUR[category]
        if category in ON_FOOT or category == AgentClass.TRAFFIC_CONE:
            canvas.dot(pose[:2], (26, 28, 30), 0.62)
            canvas.dot(pose[:2], colour, 0.48)
            continue
        _draw_box(canvas, pose, agents.size_lwh_m[n, :2], colour)
        if category in WHEELED_BODIES and agents.accel_mps2[n] < -1.0:
            rear = box_corners_xy(pose, agents.size_lwh_m[n, :2])[2:]
            canvas.line(rear, SIGNAL_COLOUR[SignalState.RED], 0.4)


def _draw_box(canvas: _Canvas, xy_yaw: Array, size_lw_m: Array, colour: Colour) -> None:
    canvas.fill(box_corners_xy(xy_yaw, np.asarray(size_lw_m) + 0.24), (26, 28, 30))
    canvas.fill(box_corners_xy(xy_yaw, size_lw_m), colour)
    nose = np.array([[0.5, 0.0, 0.0], [0.18, 0.36, 0.0], [0.18, -0.36, 0.0]]) * [size_lw_m[0], size_lw_m[1], 1.0]
    dark = (int(0.55 * colour[0]), int(0.55 * colour[1]), int(0.55 * colour[2]))
    canvas.fill(compose_xy_yaw(xy_yaw, nose)[:, :2], dark)


def _draw_ego(canvas: _Canvas, state: WorldState) -> None:
    _draw_box(canvas, EGO_SHAPE.centre_xy_yaw(state.ego_xy_yaw_world), np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m]), EGO)


def _write_panel(picture: Array, state: WorldState, caption: str) -> Array:
    size = len(picture)
    scale = size / 512
    text = f"{float(state.t_s):4.1f} s   {3.6 * float(state.ego_speed_mps):3.0f} km/h   {float(state.ego_accel_mps2):+.1f} m/s2"
    for line, y in ((text, size - 14 * scale), (caption, 24 * scale)):
        at = (round(12 * scale), round(y))
        cv2.putText(picture, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, (20, 24, 24), max(1, round(3 * scale)), cv2.LINE_AA)
        cv2.putText(
            picture, line, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, (245, 245, 240), max(1, round(1 * scale)), cv2.LINE_AA
        )
    return picture
