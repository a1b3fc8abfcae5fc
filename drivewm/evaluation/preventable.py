"""Whether a named driver gets through a scene without a collision: what a scenario asks under ``where`` as preventable(NAME)."""

from __future__ import annotations

from drivewm.datatypes import Scene
from drivewm.errors import InputError
from drivewm.policies.load import load_policy
from drivewm.protocols import POLICY_FAILURES
from drivewm.rollout import rollout
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import content_hash
from drivewm.testing import BlankWorld

_ANSWERS: dict[tuple[str, str], bool] = {}  # what was found out in this process; it follows from scene and driver alone


def preventable(scene: Scene, driver: str) -> bool:
    """Whether the registered privileged policy ``driver`` drives ``scene`` to its end without touching anybody, at fault or not.

    Driven without frames at the rate of the usual cameras, so the answer is that of `drivewm score --policy DRIVER`.
    Raises InputError for an unknown driver, or one that needs camera pictures.
    """
    policy = load_policy(driver)
    if not policy.spec.privileged:
        raise InputError(f"{driver} looks through cameras and cannot judge a scene", hint="r157, attentive, idm or expert can")
    key = (content_hash(scene), driver)
    if key not in _ANSWERS:
        drive = rollout([scene], policy, BlankWorld(nuscenes_rig(2, 2)), seed=0)[0]
        if drive.ended in POLICY_FAILURES:
            raise InputError(f"{driver} gave no sound plan in {scene.id}")
        _ANSWERS[key] = drive.ended == "horizon"
    return _ANSWERS[key]
