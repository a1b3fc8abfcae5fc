"""The picture of a failure: first mistake, a second before the event, and the event, from above and through the front camera."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array, Rollout
from drivewm.evaluation.birdseye import Overlay, birdseye
from drivewm.evaluation.cases import Case
from drivewm.evaluation.fault import Failure, row_of, step_of
from drivewm.evaluation.film import TRAIL_S
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked
from drivewm.evaluation.preview import front_camera
from drivewm.sim.raster import RasterWorld

WIDTH_PX = 400
CAMERA_PX = 225, 400
BEFORE_S = 1.0


def fault_strip(case: Case, found: Failure) -> Array:
    """Panels side by side, in the order of time; the one whom it was about wears a ring.

    The front camera is that of the exact world, whatever the policy saw. Without a first mistake the first panel is the start.
    """
    rollout = case.rollout
    event = step_of(rollout, found.event)
    panels = [
        (_first(rollout, found), 0),
        (max(0, event - round(BEFORE_S / rollout.scene.dt_s)), 1),
        (event, 2),
    ]
    words = (_called(found), f"{BEFORE_S:g} s before the event", found.what)
    shown = sorted({step: words[which] for step, which in reversed(panels)}.items())
    return beside([_panel(rollout, found, step, text) for step, text in shown], gap_px=8)


def _first(rollout: Rollout, found: Failure) -> int:
    if found.avoidable is None or found.avoidable.until_s is None:
        return 0
    return int(np.argmin(np.abs(rollout.states.t_s - found.avoidable.until_s)))


def _called(found: Failure) -> str:
    if found.avoidable is None:
        return "start"
    return "start (not preventable)" if found.avoidable.until_s is None else "first mistake"


def _panel(rollout: Rollout, found: Failure, step: int, text: str) -> Array:
    scene, state = rollout.scene, rollout.states[step]
    row, frame = row_of(rollout, found.event), min(step // rollout.plan_every, len(rollout.plans.t_s) - 1)
    overlay = Overlay(
        route_xy_world=scene.route_xy,
        plan_xy_yaw_ego=rollout.plans.xy_yaw_ego[frame],
        plan_from_xy_yaw_world=rollout.states.ego_xy_yaw_world[frame * rollout.plan_every],
        trail=rollout.states[max(0, step - round(TRAIL_S / scene.dt_s)) : step + 1],
        ringed_xy_world=None if row is None or not state.agents.valid[row] else state.agents.xy_yaw_world[row, :2],
        caption=text,
    )
    above = birdseye(scene.road, state, overlay, size_px=WIDTH_PX)
    images, _ = RasterWorld(front_camera(*CAMERA_PX)).start([scene], rollout.states[step : step + 1], rollout.provenance.seed)
    return stacked([above, labelled(enlarged(images[0, 0], *CAMERA_PX), "front camera, exact world")])
