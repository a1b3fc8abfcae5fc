"""The reference driver's own drive of a scene: the privileged expert, who sees the state and needs no camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivewm.datatypes import Rollout, Scene
from drivewm.policies.expert import ExpertPolicy
from drivewm.rollout import rollout
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import content_hash
from drivewm.testing import BlankWorld

KEPT = 512  # drives; what falls out is driven again, with the same result
_DRIVES: dict[str, Rollout] = {}  # of this process, the oldest first; a drive follows from its key alone


def reference_drives(scenes: Sequence[Scene], rate_hz: float = 5.0) -> list[Rollout]:
    """The expert's drive of each scene with ``rate_hz`` plans a second; nothing is rendered."""
    keys = [content_hash([content_hash(scene), rate_hz]) for scene in scenes]
    new = {key: scene for key, scene in zip(keys, scenes, strict=True) if key not in _DRIVES}
    if new:
        world = BlankWorld(replace(nuscenes_rig(), rate_hz=rate_hz))
        _DRIVES.update(zip(new, rollout(list(new.values()), ExpertPolicy(), world, seed=0), strict=True))
    out = [_DRIVES[key] for key in keys]
    while len(_DRIVES) > KEPT:
        del _DRIVES[next(iter(_DRIVES))]
    return out
