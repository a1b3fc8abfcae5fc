"""Setting the gate's limits: what the readers say of reference drives, in which nothing is ever truly void."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivewm.datatypes import CameraRig, Scene
from drivewm.evaluation.cases import driven_frames
from drivewm.evaluation.gate import Evidence, FrameReaders, Gate, Thresholds, calibrate
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.policies.expert import ExpertPolicy
from drivewm.protocols import Policy
from drivewm.sim.raster import RasterWorld

DRIVERS: tuple[type[Policy], ...] = (ExpertPolicy, IdmPolicy, ConstantVelocity)  # careful, plain, careless


def reference_evidence(
    scenes: Sequence[Scene], readers: FrameReaders, rig: CameraRig, progress: Callable[[int, int], None] | None = None
) -> list[Evidence]:
    """What the gate measures on drives in the reference world, one per scene; the drivers take turns."""
    gate, world, out = Gate(readers, rig), RasterWorld(rig), []
    for index, scene in enumerate(scenes):
        drive, images = driven_frames([scene], DRIVERS[index % len(DRIVERS)](), world, seed=index)[0]
        out.append(gate.measure(drive, images))
        if progress:
            progress(index + 1, len(scenes))
    return out


def calibrated(
    scenes: Sequence[Scene], readers: FrameReaders, rig: CameraRig, progress: Callable[[int, int], None] | None = None
) -> Thresholds:
    """Limits under which at most 2 % of these reference drives are void; a few hundred scenes of the whole catalogue will do."""
    return calibrate(reference_evidence(scenes, readers, rig, progress))
