"""What every reader says of each frame of a drive, as errors that can be summed over any stretch of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.appearance import displaced_by_frame
from drivewm.evaluation.dream_card.reading import Counts, counted
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.dreaming import Images
from drivewm.evaluation.readers import READ_CLASSES


@dataclass(frozen=True, slots=True)
class Sign:
    title: str
    unit: str
    is_share_of_frames: bool = False


SIGNS = {
    "road": Sign("road", "1 - IoU"),
    "vehicle": Sign("vehicles", "1 - IoU"),
    "pedestrian": Sign("people", "1 - IoU"),
    "speed": Sign("speed", "m/s"),
    "turn": Sign("yaw rate", "rad/s"),
    "weather": Sign("weather", "share of frames misread", is_share_of_frames=True),
    "light": Sign("light", "share of frames misread", is_share_of_frames=True),
    "place": Sign("displacement of standing things", "grey levels of 255"),
}


@dataclass(frozen=True, slots=True)
class Signs:
    """Readings of B drives in the F frames after the context."""

    counts: Counts
    told_mps: Array  # [B, F]
    speed_mps: Array  # read less told
    turn_radps: Array
    weather: Array  # bool: read as told
    light: Array
    displaced: Array  # grey levels; NaN where nothing that stands is in view

    @property
    def frames(self) -> int:
        return int(self.speed_mps.shape[1])

    def parts(self, sign: str) -> tuple[Array, Array]:
        """Error and weight of every frame [B, F]: the error over any stretch is the ratio of their sums."""
        if sign in READ_CLASSES:
            both, either = (
                part[..., READ_CLASSES.index(sign)].astype(np.float64) for part in (self.counts.both, self.counts.either)
            )
            return either - both, either
        errors = {
            "speed": np.abs(self.speed_mps),
            "turn": np.abs(self.turn_radps),
            "weather": ~self.weather,
            "light": ~self.light,
            "place": self.displaced,
        }
        values = np.asarray(errors[sign], np.float64)
        return np.nan_to_num(values), np.isfinite(values).astype(np.float64)


def read_signs(sample: Sample, shown: Images) -> Signs:
    """Read the frames after the context of ``shown`` [B, T, V, H, W, 3]."""
    before = slice(sample.drives.context - 1, None)  # the motion of a frame is read from it and the one before
    told = {
        key: value[:, sample.late].numpy() for key, value in sample.drives.told.items() if key in ("motion", "weather", "light")
    }
    forward_m, turn_rad, time_s = (told["motion"][..., index] for index in (2, 4, 5))
    moved = np.stack([sample.readers.motion(row[before]) for row in shown])
    skies = [sample.readers.sky(row[sample.late]) for row in shown]
    weather, light = (np.stack([sky[index] for sky in skies]) for index in (0, 1))
    rows = ({key: value[row : row + 1, before] for key, value in sample.drives.told.items()} for row in range(len(shown)))
    return Signs(
        counts=counted(sample, shown),
        told_mps=forward_m / time_s,
        speed_mps=(moved[..., 0] - forward_m) / time_s,
        turn_radps=(moved[..., 1] - turn_rad) / time_s,
        weather=weather == told["weather"],
        light=light == told["light"],
        displaced=np.concatenate([displaced_by_frame(shown[i : i + 1, before], row) for i, row in enumerate(rows)]),
    )
