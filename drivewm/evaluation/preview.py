"""A scenario as an author wants to see it, within seconds: the expert drives, from above and through the front camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from drivewm.datatypes import Array, CameraRig, Rollout, Scene
from drivewm.evaluation.cases import Case, driven_frames, judged, progress_m
from drivewm.evaluation.film import view_from_above
from drivewm.evaluation.pictures import beside, enlarged, labelled, strip, write_png
from drivewm.evaluation.video import write_gif, write_video
from drivewm.policies.baselines import ConstantVelocity
from drivewm.policies.expert import ExpertPolicy
from drivewm.protocols import Policy
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig

HEIGHT_PX, WIDTH_PX = 180, 320  # of the rendered front camera
SHOWN_PX = 400  # height of both panels


@dataclass(frozen=True, slots=True)
class Preview:
    film: Path
    strip: Path
    case: Case


def front_camera(height: int = HEIGHT_PX, width: int = WIDTH_PX) -> CameraRig:
    """The front camera of the nuScenes rig alone."""
    rig = nuscenes_rig(height, width)
    index = rig.names.index("CAM_FRONT")
    one = slice(index, index + 1)
    return replace(rig, names=rig.names[one], intrinsics=rig.intrinsics[one], ego_from_camera=rig.ego_from_camera[one])


def preview(scene: Scene, out: str | Path, *, driver: str = "expert", seed: int = 0) -> Preview:
    """Write ``out`` (.mp4, or .gif) and a strip of four moments beside it.

    ``driver``: "expert", or "constant_velocity" to see the conflict that the scenario asks a driver to solve.
    """
    out = Path(out)
    policy: Policy = ConstantVelocity() if driver == "constant_velocity" else ExpertPolicy()
    world = RasterWorld(front_camera())
    driven, images = driven_frames([scene], policy, world, seed=seed)[0]
    pictures = list(_pictures(driven, images[:, 0]))
    write_png(out.with_suffix(".strip.png"), strip(pictures, 3))
    writer = write_gif if out.suffix == ".gif" else write_video
    writer(out, pictures, world.rig.rate_hz)
    return Preview(out, out.with_suffix(".strip.png"), judged(driven, progress_m(driven)))


def _pictures(driven: Rollout, seen: Array) -> Iterator[Array]:
    for frame, image in enumerate(seen):
        width = round(SHOWN_PX * image.shape[1] / image.shape[0])
        yield beside([view_from_above(driven, frame, SHOWN_PX), labelled(enlarged(image, SHOWN_PX, width), "front")])
