"""PDM scores of plans as DriveArena and HUGSIM take them along a drive: each plan is held against what the others then did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from drivewm.datatypes import EGO_SHAPE, Array, Rollout
from drivewm.geometry import box_corners_xy, compose_xy_yaw
from drivewm.metrics.boxes import overlap
from drivewm.metrics.comfort import COMFORT_BOUNDS
from drivewm.metrics.series import HALF_EGO_M

LOOK_AHEAD_S = (0.5, 1.0)  # time to collision: the plan moved on, the others where they are
STANDING_M = 1.0  # a plan that leads less far keeps its heading
FEWEST_POINTS = 4  # of a plan, now included, that comfort is asked of


@dataclass(frozen=True, slots=True)
class Planned:
    """F plans of K points, now first: [F, K + 1]."""

    t_s: Array  # [F, K + 1], 0 first
    centre: Array  # [F, K + 1, 3], middle of the body in the world
    step: Array  # [F, K + 1], state of the drive at that time; may lie behind its end
    rollout: Rollout

    @classmethod
    def of(cls, rollout: Rollout) -> Planned:
        plans, states = rollout.plans, rollout.states
        begin = np.minimum(rollout.plan_every * np.arange(len(plans.t_s)), len(states.t_s) - 1)
        now = states.ego_xy_yaw_world[begin][:, None]
        rear = np.concatenate([now, compose_xy_yaw(now, plans.xy_yaw_ego)], axis=1)
        away = np.hypot(*np.moveaxis(rear[:, -1, :2] - rear[:, 0, :2], -1, 0)) if len(rear) else np.zeros(0)
        rear[..., 2] = np.where((away < STANDING_M)[:, None], rear[:, :1, 2], rear[..., 2])
        t_s = np.concatenate([np.zeros((len(begin), 1)), plans.t_s], axis=1)
        step = begin[:, None] + np.round(t_s / rollout.scene.dt_s).astype(np.int64)
        return cls(t_s, EGO_SHAPE.centre_xy_yaw(rear), step, rollout)

    def collides(self, ahead_s: float = 0.0, lasting: bool = False) -> Array:
        """Whether each plan [F], moved on by ``ahead_s``, meets anybody.

        ``lasting``: after the drive's end all stay where they are at the plan's last point before it.
        """
        agents, last = self.rollout.states.agents, len(self.rollout.states.t_s) - 1
        step = np.minimum(self.step, np.where(self.step <= last, self.step, 0).max(1, initial=0)[:, None])
        pose = self.centre.copy()
        pose[..., :2] += ahead_s * self._velocity()
        reach = np.hypot(*HALF_EGO_M) + 0.5 * np.hypot(agents.size_lwh_m[..., 0], agents.size_lwh_m[..., 1])
        dx, dy = (agents.xy_yaw_world[..., axis][step] - pose[:, :, None, axis] for axis in (0, 1))
        near = agents.valid[step] & (dx * dx + dy * dy < reach[step] ** 2) & ((self.step <= last) | lasting)[..., None]
        f, k, n = np.nonzero(near)
        t = step[f, k]
        met = overlap(pose[f, k], HALF_EGO_M, agents.xy_yaw_world[t, n], 0.5 * agents.size_lwh_m[t, n, :2])
        out = np.zeros(len(pose), bool)
        out[f[met]] = True
        return out

    def too_close(self, lasting: bool = False) -> Array:
        """Whether a plan [F] meets anybody when it is moved on by its velocity for half a second or one."""
        return np.any([self.collides(ahead_s, lasting) for ahead_s in LOOK_AHEAD_S], axis=0)

    def comfortable(self, most_accel_mps2: float) -> Array:
        """Whether differences of the points stay inside nuPlan's bounds [F]; lateral acceleration is not looked at."""
        count = self.centre.shape[1]
        if count < FEWEST_POINTS:
            return np.ones(len(self.centre), bool)
        dt_s = np.diff(self.t_s, axis=1)
        speed = np.hypot(*np.moveaxis(np.diff(self.centre[..., :2], axis=1), -1, 0)) / dt_s
        accel = np.diff(speed, axis=1) / dt_s[:, 1:]
        rate = np.diff(np.unwrap(self.centre[..., 2], axis=1), axis=1) / dt_s
        quantities = {
            "jerk_mps3": np.diff(accel, axis=1) / dt_s[:, 2:],
            "yaw_rate_radps": rate,
            "yaw_accel_radps2": np.diff(rate, axis=1) / dt_s[:, 1:],
        }
        good = ((accel >= COMFORT_BOUNDS["accel_mps2"][0]) & (accel <= most_accel_mps2)).all(1)
        for name, values in quantities.items():
            good &= (np.abs(values) <= COMFORT_BOUNDS[name][1]).all(1)
        return np.asarray(good)

    def share_on_road(self, rows: int = 1) -> Array | None:
        """Share of each body [F, K + 1] on the drivable area; None without one.

        ``rows`` 1: by area. More: by how many of ``rows`` x ``rows`` parts of the body touch the area at all.
        """
        if not self.rollout.scene.road.drivable:
            return None
        area = shapely.union_all([shapely.Polygon(polygon).buffer(0) for polygon in self.rollout.scene.road.drivable])
        shapely.prepare(area)
        middle = (np.arange(rows) + 0.5) / rows * 2 - 1
        offset = np.stack(np.meshgrid(middle, middle, indexing="ij"), -1).reshape(-1, 2) * HALF_EGO_M
        parts = compose_xy_yaw(self.centre[..., None, :], np.concatenate([offset, np.zeros((len(offset), 1))], -1))
        boxes = shapely.polygons(box_corners_xy(parts, 2 * HALF_EGO_M / rows))
        if rows > 1:
            return np.asarray(shapely.intersects(area, boxes)).mean(-1)
        inside = np.asarray(shapely.contains(area, boxes), np.float64)
        partly = inside == 0
        inside[partly] = shapely.area(shapely.intersection(boxes[partly], area)) / shapely.area(boxes[partly])
        return np.asarray(inside[..., 0])

    def _velocity(self) -> Array:
        step = np.diff(self.centre[..., :2], axis=1) / np.diff(self.t_s, axis=1)[..., None]
        return np.concatenate([step[:, :1], step], axis=1)
