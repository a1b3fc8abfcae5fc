"""Setting the gate's limits on drives in which nothing is ever truly void: the reference's frames, no sharper than a dream's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivewm.datatypes import Array, Scene
from drivewm.evaluation.cases import driven_frames
from drivewm.evaluation.gate import Evidence, Gate, Thresholds, calibrate
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.policies.expert import ExpertPolicy
from drivewm.protocols import Policy
from drivewm.sim.raster import RasterWorld

DRIVERS: tuple[type[Policy], ...] = (ExpertPolicy, IdmPolicy, ConstantVelocity)  # careful, plain, careless
Blur = Callable[[Array], Array]  # frames uint8 [F, V, H, W, 3] to the same frames, encoded and decoded
Progress = Callable[[int, int], None]


def reference_evidence(scenes: Sequence[Scene], gate: Gate, blur: Blur, progress: Progress | None = None) -> list[Evidence]:
    """What the gate measures on blurred drives in the reference world, one per scene; the drivers take turns."""
    world, out = RasterWorld(gate.rig), []
    for index, scene in enumerate(scenes):
        drive, images = driven_frames([scene], DRIVERS[index % len(DRIVERS)](), world, seed=index)[0]
        out.append(gate.measure(drive, blur(images)))
        if progress:
            progress(index + 1, len(scenes))
    return out


def calibrated(scenes: Sequence[Scene], gate: Gate, blur: Blur, progress: Progress | None = None) -> Thresholds:
    """Limits under which at most 2 % of these drives are void; a few hundred scenes of the whole catalogue will do.

    ``blur`` is the autoencoder of the world that is to be judged: no dream can look sharper.
    """
    return calibrate(reference_evidence(scenes, gate, blur, progress))
