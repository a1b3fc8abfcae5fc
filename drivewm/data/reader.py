"""Clips from any nuScenes folder: ours, or nuScenes itself with its 12 Hz sweeps, with or without map expansion and CAN bus."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from drivewm.data.assemble import RECORD, SPLIT_PREFIX
from drivewm.data.categories import conditions_from_words
from drivewm.data.devkit import find_version, open_devkit
from drivewm.data.index import SceneIndex, index_root
from drivewm.data.motion import actions_between, agents_at_frames, can_arrays, ego_motion
from drivewm.data.places import open_place
from drivewm.datatypes import Agents, Array, CameraRig, Clip, Conditions, Light, RoadMap, Weather, WorldState
from drivewm.errors import InputError, did_you_mean
from drivewm.store import read_json

_KEPT_SCENES = 64


@dataclass(frozen=True, slots=True)
class SceneInfo:
    """What is in a folder, for choosing clips."""

    token: str
    name: str
    description: str
    split: str | None  # "train" | "val" | "test"; None when no list names the scene
    frames: int
    rate_hz: float
    manner: str | None  # how the ego drives, known for synthetic scenes only
    expert: bool
    images_absent: int  # of frames x cameras; a clip of frames without them has states only


@dataclass(frozen=True, slots=True)
class _Scene:
    """All that a clip of a scene is cut from; F frames."""

    index: SceneIndex
    states: WorldState  # leading [F]
    road: RoadMap
    conditions: tuple[Conditions, ...]  # [F]


class NuScenesFolder:
    """Reads one nuScenes root, or a folder of several roots (``part-00``, ``part-01`` ...) as one data set.

    ``missing`` counts what the folder comes without, by scene name: "images" as soon as `scenes` is asked, "map" and "can_bus"
    as scenes are read. With ``sweeps=False`` only key frames count, for a folder whose sweeps were not fetched. Raises InputError
    naming file and token where tables, poses or boxes are wrong.
    """

    def __init__(self, root: str | Path, version: str | None = None, *, sweeps: bool = True) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError("is not a folder", file=self.root)
        parts = sorted(path for path in self.root.glob("part-*") if path.is_dir())
        self._roots = {part: find_version(part, version) for part in parts or [self.root]}
        self._scenes: dict[str, tuple[Path, SceneIndex]] = {}
        for part, name in self._roots.items():
            self._scenes |= {index.token: (part, index) for index in index_root(part, name, sweeps=sweeps)}
        self._open: OrderedDict[str, _Scene] = OrderedDict()
        self._there: dict[Path, frozenset[str]] = {}  # names of files by folder, listed once
        self._lacking: dict[str, int] = {}  # images that are not there, by scene
        self.missing: dict[str, set[str]] = {"images": set(), "map": set(), "can_bus": set()}

    def devkit(self) -> list[Any]:
        """The devkit's `NuScenes` objects, one per root; loaded anew on every call because they are large."""
        return [open_devkit(root, version) for root, version in self._roots.items()]

    def devkit_of(self, scene: str) -> Any:
        """The devkit's `NuScenes` over the root that holds a scene; loaded anew on every call."""
        root = self.root_of(scene)
        return open_devkit(root, self._roots[root])

    def scenes(self, split: str | None = None) -> list[SceneInfo]:
        """All scenes, or those of a split: "train", "val", "test", one in splits.json, or one of the devkit's lists."""
        names = self._split_names()
        if split is not None and split not in names:
            raise InputError(f"has no split {split!r}", file=self.root, hint=did_you_mean(split, list(names)) or ", ".join(names))
        by_name = {name: short for short in ("train", "val", "test") for name in names.get(short, ())}
        return [
            SceneInfo(
                token=index.token,
                name=index.name,
                description=index.description,
                split=by_name.get(index.name),
                frames=len(index.time_us),
                rate_hz=index.rig.rate_hz,
                manner=index.exact["manner"] if index.exact else None,
                expert=bool(index.exact["expert"]) if index.exact else True,
                images_absent=self._absent(root, index),
            )
            for root, index in self._scenes.values()
            if split is None or index.name in names[split]
        ]

    def rig(self, scene: str) -> CameraRig:
        """The calibrated cameras of a scene."""
        return self._found(scene)[1].rig

    def root_of(self, scene: str) -> Path:
        """The nuScenes root that holds the scene."""
        return self._found(scene)[0]

    def index(self, scene: str) -> SceneIndex:
        """What the tables say of the scene with this token (or name)."""
        return self._found(scene)[1]

    def clip(
        self,
        scene: str,
        start_frame: int = 0,
        frames: int | None = None,
        stride: int = 1,
        *,
        size_px: tuple[int, int] | None = None,
        states_only: bool = False,
    ) -> Clip:
        """``frames`` frames of the scene with token (or name) ``scene``, every ``stride``-th from ``start_frame`` on.

        ``frames=None`` takes all that follow. Images are resized to ``size_px`` (height, width) if given, the rig with them;
        with ``states_only`` there are none ([T, V, 0, 0, 3]). Raises InputError for frames that do not exist or cannot be read.
        """
        root, index = self._found(scene)
        ready = self._ready(root, index)
        count = len(index.time_us)
        wanted = range(start_frame, count if frames is None else start_frame + frames * stride, stride)
        if stride < 1 or len(wanted) == 0 or wanted[0] < 0 or wanted[-1] >= count:
            reason = f"frames {start_frame} ... every {stride} are not within its {count} frames"
            raise InputError(reason, file=self.root, place=f"scene {index.name}")
        rig = index.rig if size_px is None else index.rig.resized(*size_px)
        rows = np.array(wanted)
        states = ready.states[rows]
        following = np.append(rows, rows[-1] + stride) if rows[-1] + stride < count else rows
        ahead = ready.states[following]
        actions = actions_between(index.time_us[following], ahead.ego_xy_yaw_world, ahead.ego_speed_mps, ahead.ego_curvature_1pm)[
            : len(rows)
        ]
        images = np.zeros((len(rows), len(rig.names), 0, 0, 3), np.uint8)
        if not states_only:
            images = self._images(root, index, rows, rig.size_px)
        return Clip(
            images=images,
            rig=replace(rig, rate_hz=rig.rate_hz / stride),
            states=states,
            actions=actions,
            road=ready.road,
            conditions=tuple(ready.conditions[row] for row in rows),
            token=f"{index.token}:{start_frame}",
            exposure_s=(index.exposure_us[rows] - index.time_us[rows, None]) * 1e-6,
            frame_from_exposure=index.frame_from_exposure(rows),
            unknown=_unknown(index, ready.road),
        )

    def _found(self, scene: str) -> tuple[Path, SceneIndex]:
        if scene in self._scenes:
            return self._scenes[scene]
        for entry in self._scenes.values():
            if entry[1].name == scene:
                return entry
        names = [index.name for _, index in self._scenes.values()]
        raise InputError(f"has no scene {scene!r}", file=self.root, hint=did_you_mean(scene, names))

    def _absent(self, root: Path, index: SceneIndex) -> int:
        """How many of a scene's images are not there, as of the first time that somebody asked."""
        if index.token not in self._lacking:
            count = 0
            for name in (name for frame in index.files for name in frame):
                folder, _, file = name.rpartition("/")
                if (place := root / folder) not in self._there:
                    found = place.iterdir() if place.is_dir() else ()
                    self._there[place] = frozenset(path.name for path in found)
                count += file not in self._there[place]
            self._lacking[index.token] = count
            if count:
                self.missing["images"].add(index.name)
        return self._lacking[index.token]

    def _split_names(self) -> dict[str, Sequence[str]]:
        from nuscenes.utils.splits import create_splits_scenes

        own: dict[str, Sequence[str]] = {}
        for root, version in self._roots.items():
            file = root / version / "splits.json"
            for split, names in (read_json(file) if file.is_file() else {}).items():
                for known_as in {split, split.removeprefix(SPLIT_PREFIX)}:
                    own[known_as] = [*own.get(known_as, ()), *names]
        return own or dict(create_splits_scenes())

    def _ready(self, root: Path, index: SceneIndex) -> _Scene:
        """The scene with everything but its images, kept for the last few scenes."""
        if index.token in self._open:
            self._open.move_to_end(index.token)
            return self._open[index.token]
        speed, accel, curvature = ego_motion(index, self._can(root, index))
        place = open_place(root, index.location)
        if place is None:
            self.missing["map"].add(index.name)
        road = place.crop(index.ego_xy_yaw_world[:, :2], index.name) if place else RoadMap()
        t_s = (index.time_us - index.time_us[0]) * 1e-6
        lamps = [signal.state_at(t_s) for signal in road.signals]
        agents: Agents = agents_at_frames(index)
        states = WorldState(
            t_s=t_s,
            ego_xy_yaw_world=index.ego_xy_yaw_world,
            ego_speed_mps=speed,
            ego_accel_mps2=accel,
            ego_curvature_1pm=curvature,
            agents=agents,
            signal=np.stack(lamps, -1) if lamps else np.zeros((len(t_s), 0), np.int8),
        )
        self._open[index.token] = _Scene(index, states, road, self._conditions(root, index, t_s))
        if len(self._open) > _KEPT_SCENES:
            self._open.popitem(last=False)
        return self._open[index.token]

    def _can(self, root: Path, index: SceneIndex) -> dict[str, Array] | None:
        """Speed, acceleration and steering by time, or None where the CAN bus expansion lacks the scene."""
        files = {name: root / "can_bus" / f"{index.name}_{name}.json" for name in ("pose", "steeranglefeedback")}
        if not all(file.is_file() for file in files.values()):
            self.missing["can_bus"].add(index.name)
            return None
        from nuscenes.can_bus.can_bus_api import NuScenesCanBus

        bus = NuScenesCanBus(dataroot=str(root))
        try:
            pose, steering = (bus.get_messages(index.name, name, print_warnings=False) for name in files)
            arrays = can_arrays(list(pose), list(steering))
        except (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError) as error:
            raise InputError(f"message cannot be read: {error}", file=files["pose"]) from error
        if not len(arrays["utime"]) or not all(np.isfinite(values).all() for values in arrays.values()):
            raise InputError("message is empty or not finite", file=files["pose"])
        return arrays

    def _conditions(self, root: Path, index: SceneIndex, t_s: Array) -> tuple[Conditions, ...]:
        """Weather and light of every frame: as we recorded them, else as the description says."""
        if index.exact is None:
            return (conditions_from_words(index.description),) * len(t_s)
        try:
            rows = [(float(row["from_s"]), _conditions_from_json(row)) for row in index.exact["conditions"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            file = root / self._roots[root] / RECORD
            raise InputError(f"conditions are not as we write them: {error}", file=file, place=f"scene {index.name}") from error
        starts = np.array([from_s for from_s, _ in rows])
        return tuple(rows[int(np.searchsorted(starts, t + 1e-6, side="right")) - 1][1] for t in t_s)

    @staticmethod
    def _images(root: Path, index: SceneIndex, rows: Array, size_px: tuple[int, int]) -> Array:
        height, width = size_px
        reduced = reduction(index.rig.size_px, size_px)
        images = np.empty((len(rows), len(index.rig.names), height, width, 3), np.uint8)
        for i, frame in enumerate(rows):
            for view, file in enumerate(index.files[frame]):
                image = read_image(root / file, f"token {index.image_tokens[frame][view]}", reduced)
                if image.shape[:2] != (height, width):
                    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
                images[i, view] = image[..., ::-1]
        return images


def reduction(full_px: tuple[int, int], wanted_px: tuple[int, int]) -> int:
    """How much smaller (1, 2, 4, 8) a JPEG may be decoded so that twice the wanted pixels are left to average."""
    share = min(full / (2 * wanted) for full, wanted in zip(full_px, wanted_px, strict=True))
    return max(factor for factor in (1, 2, 4, 8) if factor == 1 or factor <= share)


_DECODED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


def read_image(path: Path, place: str | None = None, reduced: int = 1) -> Array:
    """A colour image [H, W, 3] in OpenCV's order (blue first), its sides divided by ``reduced``.

    Raises InputError when it is missing, cut short or no image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("image is missing", file=path, place=place) from error
    # OpenCV fills a JPEG that ends early with grey and says nothing: look for its end mark.
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-64:]:
        raise InputError("image is cut short", file=path, place=place)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), _DECODED[reduced]) if data else None
    if image is None:
        raise InputError("is not an image we can decode", file=path, place=place)
    return np.asarray(image)


def _unknown(index: SceneIndex, road: RoadMap) -> frozenset[str]:
    """What a scene does not tell. A recorded scene without a single box has not been annotated; a simulated one may be empty."""
    told = {"map": bool(road.drivable or road.lanes), "agents": bool(index.instance_tokens) or index.exact is not None}
    return frozenset(what for what, is_told in told.items() if not is_told)


def _conditions_from_json(row: dict[str, Any]) -> Conditions:
    return Conditions(Weather(row["weather"]), Light(row["light"]), float(row["sun_azimuth_rad"]), tuple(row["lost_cameras"]))
