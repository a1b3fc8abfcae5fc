"""A family of scenarios at a glance: for each the moment that it is about, from above and through the front camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, Rollout, Scene
from drivewm.evaluation.cases import driven_frames
from drivewm.evaluation.film import view_from_above
from drivewm.evaluation.pictures import BACKGROUND, beside, enlarged, labelled, stacked, write_jpeg
from drivewm.evaluation.preview import HEIGHT_PX, front_camera
from drivewm.geometry import ego_from_world
from drivewm.metrics.boxes import gap_m
from drivewm.metrics.series import HALF_EGO_M, contacts
from drivewm.policies.expert import ExpertPolicy
from drivewm.scenarios.catalogue import GALLERY_FILE, find
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.sim.raster import RasterWorld

COLUMNS, QUALITY = 3, 82
HALF_VIEW_RAD = np.radians(30.0)
CRITICAL_S = 3.0  # a longer time to collision is no conflict


def write_galleries(root: str | Path, seed: int = 0, progress: Callable[[int, int, str], None] | None = None) -> Iterator[Path]:
    """One JPEG for each folder of scenarios below ``root``, beside its files; the expert drives draw 0 in the exact world."""
    files = find(root)
    done = 0
    for folder in sorted({file.parent for file in files}):
        cells = []
        for file in (file for file in files if file.parent == folder):
            scenario = open_scenario(file)
            cells.append(labelled(moment(draw(scenario, 0, seed), seed), scenario.name))
            done += 1
            if progress:
                progress(done, len(files), scenario.name)
        yield write_jpeg(folder / GALLERY_FILE, sheet(cells), QUALITY)


def moment(scene: Scene, seed: int = 0) -> Array:
    """The most critical moment of the expert's drive that the front camera sees, from above and through that camera."""
    driven, images = driven_frames([scene], ExpertPolicy(), RasterWorld(front_camera()), seed=seed)[0]
    frame = min(_telling_step(driven) // driven.plan_every, len(images) - 1)
    above = view_from_above(driven, frame, HEIGHT_PX * 2, caption=" ")
    return beside([enlarged(above, HEIGHT_PX, round(above.shape[1] * HEIGHT_PX / above.shape[0])), images[frame, 0]])


def _telling_step(driven: Rollout) -> int:
    """The step with the smallest time to collision with somebody in view, else with the smallest gap to one, in view or not."""
    states = driven.states
    agents, centre = states.agents, EGO_SHAPE.centre_xy_yaw(states.ego_xy_yaw_world)[:, None]
    ahead = ego_from_world(agents.xy_yaw_world[..., :2], centre)
    seen = agents.valid & (np.abs(np.arctan2(ahead[..., 1], ahead[..., 0])) < HALF_VIEW_RAD)
    gap = gap_m(centre, HALF_EGO_M, agents.xy_yaw_world, 0.5 * agents.size_lwh_m[..., :2])
    _, ttc_s = contacts(states)
    for who, measure in ((seen & (ttc_s < CRITICAL_S), ttc_s), (seen, gap), (agents.valid, gap)):
        if (measure := np.where(who, measure, np.inf)).min(initial=np.inf) < np.inf:
            return int(measure.min(1).argmin())
    return len(states.t_s) // 2


def sheet(cells: Sequence[Array]) -> Array:
    """Cells of one size in rows of three."""
    blank = np.full_like(cells[0], BACKGROUND)
    rows = [[*cells[start : start + COLUMNS]] for start in range(0, len(cells), COLUMNS)]
    return stacked([beside([*row, *[blank] * (COLUMNS - len(row) if len(rows) > 1 else 0)]) for row in rows])
