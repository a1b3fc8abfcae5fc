"""What page and program say to each other: short JSON texts one way, frames with their figures the other."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from drivewm.datatypes import Array, CameraRig
from drivewm.errors import InputError, did_you_mean
from drivewm.evaluation.birdseye import Overlay, birdseye
from drivewm.service.drive import Drive, Moment, held_plan
from drivewm.service.ride import EXACT, FREE
from drivewm.service.wheel import KEYS, wheel_deg

DEEDS = ("restart", "back", "weather", "light", "regime", "pause")
LONGEST_MESSAGE = 512  # bytes
BIRDSEYE_PX, JPEG_QUALITY = 384, 90


@dataclass(frozen=True, slots=True)
class Asked:
    """One message of a person: the keys held now, or one thing to do."""

    keys: frozenset[str] | None = None
    deed: str | None = None
    number: int = 0  # counts a person's messages; frames say which was the last that they obey


def read_message(text: str) -> Asked:
    """``{"keys": ["left", "up"], "number": 7}`` or ``{"do": "restart"}``; raises InputError for anything else."""
    if len(text) > LONGEST_MESSAGE:
        raise InputError(f"a message has at most {LONGEST_MESSAGE} characters")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("a message is JSON") from None
    if not isinstance(told, dict) or len(set(told) & {"keys", "do"}) != 1 or set(told) - {"keys", "do", "number"}:
        raise InputError('a message is {"keys": [...]} or {"do": "..."}', hint='"number" may stand beside it')
    number = told.get("number", 0)
    if type(number) is not int or not 0 <= number < 2**53:
        raise InputError("the number of a message counts from 0")
    if "do" in told:
        if told["do"] not in DEEDS:
            raise InputError(f"unknown deed {told['do']!r}", hint=did_you_mean(str(told["do"]), list(DEEDS)) or ", ".join(DEEDS))
        return Asked(deed=told["do"], number=number)
    keys = told["keys"]
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or not KEYS.issuperset(keys):
        raise InputError("held keys are a list", hint=", ".join(sorted(KEYS)))
    return Asked(keys=frozenset(keys), number=number)


def greeting(drive: Drive) -> dict[str, Any]:
    """What the page must know before the first frame."""
    scene, rig = drive.ride.scene, drive.rig
    return {
        "scenario": scene.id.split("@")[0],
        "scene": scene.id,
        "cameras": [name.removeprefix("CAM_").replace("_", " ").lower() for name in rig.names],
        "rows": rows_on_car(rig),
        "size_px": list(rig.size_px),
        "rate_hz": rig.rate_hz,
        "regimes": list(drive.ride.worlds),
        "recorded": drive.keep,
    }


def rows_on_car(rig: CameraRig) -> list[list[int]]:
    """Cameras as they sit on the car seen from above: those that look ahead, then those that look back, each from the left."""
    ahead = rig.ego_from_camera[:, :2, 2]
    left = list(np.argsort(-ahead[:, 1], kind="stable"))
    rows = [[int(v) for v in left if ahead[v, 0] >= 0], [int(v) for v in left if ahead[v, 0] < 0]]
    return [row for row in rows if row]


def figures(drive: Drive) -> dict[str, Any]:
    """What the instruments show."""
    moment, now, conditions = drive.moment, drive.moment.now, drive.conditions
    return {
        "t_s": round(float(now.t_s), 2),
        "xy_yaw": [round(float(x), 4) for x in now.ego_xy_yaw_world],
        "speed_kmh": round(3.6 * float(now.ego_speed_mps), 1),
        "limit_kmh": round(3.6 * drive.ride.scene.speed_limit_mps),
        "accel_mps2": round(float(now.ego_accel_mps2), 2),
        "curvature_1pm": round(float(now.ego_curvature_1pm), 5),
        "wheel_deg": round(wheel_deg(float(now.ego_curvature_1pm)), 1),
        "weather": conditions.weather.value,
        "light": conditions.light.value,
        "regime": moment.regime,
        "world": drive.world.id,
        "dream": moment.regime != EXACT,
        "back_s": round(drive.back_s, 1),
        "ended": moment.ended,
        "notes": _notes(drive),
    }


def _notes(drive: Drive) -> list[str]:
    told = " by the map, of which this dream is not told" if drive.moment.regime == FREE else ""
    return [note + told for note, true in (("collision", drive.touches()), ("off the road", drive.off_road())) if true]


def frame_message(drive: Drive, extra: dict[str, Any]) -> bytes:
    """The last moment: length of the JSON (4 bytes, big end first), JSON, JPEG of the cameras in a column, JPEG from above."""
    moment = drive.moment
    cameras, above = _jpeg(moment.images.reshape(-1, *moment.images.shape[2:])), _jpeg(view_from_above(drive, moment))
    head = json.dumps({**figures(drive), **extra, "cameras_bytes": len(cameras)}).encode()
    return struct.pack(">I", len(head)) + head + cameras + above


def view_from_above(drive: Drive, moment: Moment) -> Array:
    """The state with the route and the way that wheel and pedals lead now."""
    overlay = Overlay(route_xy_world=drive.ride.scene.route_xy, plan_xy_yaw_ego=held_plan(moment).xy_yaw_ego)
    return birdseye(moment.scene.road, moment.now, overlay, size_px=BIRDSEYE_PX)


def _jpeg(picture: Array) -> bytes:
    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise ValueError(f"cannot encode a picture of shape {picture.shape} as JPEG")
    return bytes(data)
