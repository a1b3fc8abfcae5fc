"""A policy in forty lines: follow the route, slow down when the picture ahead changes quickly."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import ROUTE_SPACING_M, Observation, Trajectory
from drivewm.protocols import GroundTruth, PolicySpec

FRONT = 1  # CAM_FRONT in the order of the rig
CALM, ALARM = 4.0, 16.0  # mean change of the middle of the picture, in grey levels of 255
SLOW_MPS = 2.0


class CarefulCruise:
    """Constant speed along the route, less of it the more the middle of the front camera changes from frame to frame.

    What is remembered is handed in and out: the last picture of each car. An object of this class never changes.
    """

    spec = PolicySpec("careful_cruise", plan_t_s=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0))

    def start(self, batch: int, seed: int) -> None:
        return None

    def act(
        self, observation: Observation, memory: np.ndarray | None, truth: GroundTruth | None = None
    ) -> tuple[Trajectory, np.ndarray]:
        height, width = observation.images.shape[-3:-1]
        front = observation.images[:, -1, FRONT, height // 3 :, width // 4 : -width // 4].mean(-1)
        change = np.zeros(len(front)) if memory is None else np.abs(front - memory).mean((1, 2))
        caution = np.clip((change - CALM) / (ALARM - CALM), 0.0, 1.0)
        speed = (1 - caution) * observation.speed_limit_mps + caution * SLOW_MPS
        t_s = np.tile(self.spec.plan_t_s, (len(front), 1))
        pose = np.stack([self._along(route, v * t) for route, v, t in zip(observation.route_xy_ego, speed, t_s, strict=True)])
        return Trajectory(t_s, pose, np.repeat(speed[:, None], t_s.shape[1], 1)), front

    @staticmethod
    def _along(route_xy: np.ndarray, s_m: np.ndarray) -> np.ndarray:
        station = ROUTE_SPACING_M * np.arange(len(route_xy))
        heading = np.unwrap(np.arctan2(np.gradient(route_xy[:, 1]), np.gradient(route_xy[:, 0])))
        return np.stack([np.interp(s_m, station, values) for values in (route_xy[:, 0], route_xy[:, 1], heading)], -1)
