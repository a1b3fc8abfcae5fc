"""nuScenes scene-0061 from the parts of it that are public, as the v1.0-mini folder a user has.

The parts (six images, LiDAR and boxes of one key frame; ego and object tracks; drivable area) come from three repositories and
are no tables. Here they become tables again: 39 key frames at 2 Hz whose images are there for the first one only, as if the rest
of the blob had not been fetched, and lanes, dividers and drivable area become a map expansion. Tokens of scene, sample, instances
and images are the genuine ones.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pyquaternion import Quaternion
from shapely.geometry import LineString, box, shape

from drivewm.data.categories import ATTRIBUTES, CLASS_OF, VISIBILITY, token
from drivewm.data.expansion import MapExpansion
from drivewm.data.places import rings
from drivewm.data.tables import TableWriter, table_writer
from drivewm.datatypes import Array, Lane, Marking, RoadMap
from drivewm.geometry import resample_polyline

NAME, LOCATION = "scene-0061", "singapore-onenorth"
KEY_EVERY = 5  # steps of the tracks' 10 Hz
MAP_REACH_M = 150.0
CANVAS_EDGE_M = (2025.0, 1585.6)
CHANNELS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT", "LIDAR_TOP")


def build(sample: Path, out: Path) -> Path:
    """Writes the folder ``out`` from the sample folder; gives ``out``."""
    info = json.loads((sample / "index" / "sample.json").read_text())["data_list"][0]
    tracks = json.loads((sample / "tracks" / "scene-0061.json").read_text())
    version = out / "v1.0-mini"
    version.mkdir(parents=True)
    (out / "maps").mkdir()
    mask = next((sample / "map").glob("*.png"))
    (out / "maps" / mask.name).symlink_to(mask.resolve())
    with table_writer(version) as tables:
        _vocabulary(tables, info)
        log = tables.add("log", token("log"), logfile=NAME, vehicle="n015", date_captured="2018-07-24", location=LOCATION)
        tables.add("map", token("map"), category="semantic_prior", filename=f"maps/{mask.name}", log_tokens=[log])
        steps = range(0, int(tracks["length"]), KEY_EVERY)
        start_us = round(info["timestamp"] * 1e6)
        times_us = [start_us + step * 100_000 for step in steps]
        samples = [info["token"], *(token("sample", step) for step in steps[1:])]
        scene = tables.add(
            "scene",
            tracks["metadata"]["scenario_token"],
            log_token=log,
            nbr_samples=len(samples),
            first_sample_token=samples[0],
            last_sample_token=samples[-1],
            name=NAME,
            description="Parked truck, construction, intersection, turn left, following a van",
        )
        for i, (name, time_us) in enumerate(zip(samples, times_us, strict=True)):
            tables.add("sample", name, timestamp=time_us, **_around(samples, i), scene_token=scene)
        _sensors(tables, out, info, tracks, samples)
        _boxes(tables, info, tracks, samples)
    _images(sample, out, info)
    _expansion(sample, out, tracks)
    return out


def _around(names: list[str], i: int) -> dict[str, str]:
    return {"prev": names[i - 1] if i else "", "next": names[i + 1] if i + 1 < len(names) else ""}


def _vocabulary(tables: TableWriter, info: dict[str, Any]) -> None:
    for name in ATTRIBUTES:
        tables.add("attribute", token("attribute", name), name=name, description="")
    for name in CLASS_OF:
        tables.add("category", token("category", name), name=name, description="")
    for level, words, _ in VISIBILITY:
        tables.add("visibility", level, level=words, description="")
    for channel in CHANNELS:
        camera = info["images"].get(channel)
        sensor = tables.add("sensor", token("sensor", channel), channel=channel, modality="camera" if camera else "lidar")
        pose = np.array(camera["cam2ego"] if camera else info["lidar_points"]["lidar2ego"])
        tables.add(
            "calibrated_sensor",
            token("calibrated_sensor", channel),
            sensor_token=sensor,
            translation=pose[:3, 3].tolist(),
            rotation=Quaternion(matrix=_orthonormal(pose[:3, :3])).elements.tolist(),
            camera_intrinsic=camera["cam2img"] if camera else [],
        )


def _orthonormal(matrix: Array) -> Array:
    """The nearest rotation; the sample holds single precision."""
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)


def _pose_at(info: dict[str, Any], tracks: dict[str, Any], time_us: float) -> tuple[list[float], list[float]]:
    """Position and quaternion of the car. The LiDAR's own pose is given with all tilt; the way since is the track's."""
    track = tracks["tracks"]["ego"]["state"]
    at_s, steps_s = (time_us - info["timestamp"] * 1e6) * 1e-6, np.arange(len(track["heading"])) * 0.1
    base = np.array(info["ego2global"])
    position, heading = np.array(track["position"])[:, :2], np.unwrap(track["heading"])
    velocity = (position[1] - position[0]) / 0.1  # some cameras expose before the first step
    turn = (heading[1] - heading[0]) / 0.1
    xy = np.array([np.interp(at_s, steps_s, position[:, i]) for i in (0, 1)]) + min(at_s, 0.0) * velocity
    yaw = np.interp(at_s, steps_s, heading) + min(at_s, 0.0) * turn - heading[0]
    rotation = Quaternion(axis=[0, 0, 1], radians=float(yaw)) * Quaternion(matrix=_orthonormal(base[:3, :3]))
    return [*(base[:2, 3] + xy - position[0]).tolist(), 0.0], rotation.elements.tolist()


def _sensors(tables: TableWriter, out: Path, info: dict[str, Any], tracks: dict[str, Any], samples: list[str]) -> None:
    start_us = round(info["timestamp"] * 1e6)
    for channel in CHANNELS:
        camera = info["images"].get(channel)
        late_us = round((camera["timestamp"] - info["timestamp"]) * 1e6) if camera else 0
        first = camera["sample_data_token"] if camera else token("sample_data", channel, 0)
        names = [first, *(token("sample_data", channel, k) for k in range(1, len(samples)))]
        for k, name in enumerate(names if camera else names[:1]):
            time_us = start_us + k * KEY_EVERY * 100_000 + late_us
            translation, rotation = _pose_at(info, tracks, time_us)
            pose = token("pose", channel, k)
            tables.add("ego_pose", pose, timestamp=time_us, translation=translation, rotation=rotation)
            file = camera["img_path"] if camera else info["lidar_points"]["lidar_path"]
            tables.add(
                "sample_data",
                name,
                sample_token=samples[k],
                ego_pose_token=pose,
                calibrated_sensor_token=token("calibrated_sensor", channel),
                timestamp=time_us,
                fileformat="jpg" if camera else "pcd",
                is_key_frame=True,
                height=900 if camera else 0,
                width=1600 if camera else 0,
                filename=f"samples/{channel}/{file if k == 0 else file.replace('15324029', f'later{k:02d}')}",
                **(_around(names, k) if camera else {"prev": "", "next": ""}),
            )


def _boxes(tables: TableWriter, info: dict[str, Any], tracks: dict[str, Any], samples: list[str]) -> None:
    known = _labelled(info)
    for instance, track in tracks["tracks"].items():
        state, name = track["state"], track["metadata"]["type"]
        shown = [k for k in range(len(samples)) if state["valid"][k * KEY_EVERY]]
        if instance == "ego" or not shown or name not in CLASS_OF:
            continue
        tokens = [token("annotation", instance, k) for k in shown]
        tables.add(
            "instance",
            instance,
            category_token=token("category", name),
            nbr_annotations=len(shown),
            first_annotation_token=tokens[0],
            last_annotation_token=tokens[-1],
        )
        for j, k in enumerate(shown):
            step = k * KEY_EVERY
            points, centre = 0, [float(v) for v in state["position"][step]]
            size = [float(np.ravel(state[edge][step])[0]) for edge in ("width", "length", "height")]
            rotation = Quaternion(axis=[0, 0, 1], radians=float(state["heading"][step])).elements.tolist()
            if k == 0 and len(known):
                away = [float(np.hypot(other[0][0] - centre[0], other[0][1] - centre[1])) for other in known]
                if min(away) < 0.5:
                    centre, size, rotation, points = known.pop(int(np.argmin(away)))
            tables.add(
                "sample_annotation",
                tokens[j],
                sample_token=samples[k],
                instance_token=instance,
                visibility_token="",
                attribute_tokens=[],
                translation=centre,
                size=size,
                rotation=rotation,
                **_around(tokens, j),
                num_lidar_pts=points,
                num_radar_pts=0,
            )


def _labelled(info: dict[str, Any]) -> list[tuple[list[float], list[float], list[float], int]]:
    """The boxes of the first key frame in the world: centre, size (w, l, h), quaternion, LiDAR points."""
    world = np.array(info["ego2global"]) @ np.array(info["lidar_points"]["lidar2ego"])
    out = []
    for found in info["instances"]:
        x, y, z, length, width, height, yaw = found["bbox_3d"]
        rotation = Quaternion(matrix=_orthonormal(world[:3, :3])) * Quaternion(axis=[0, 0, 1], radians=yaw)
        centre = (world @ [x, y, z, 1.0])[:3].tolist()
        out.append((centre, [width, length, height], rotation.elements.tolist(), int(found["num_lidar_pts"])))
    return out


def _images(sample: Path, out: Path, info: dict[str, Any]) -> None:
    files = {channel: sample / "images" / camera["img_path"] for channel, camera in info["images"].items()}
    files["LIDAR_TOP"] = sample / "lidar" / info["lidar_points"]["lidar_path"]
    for channel, file in files.items():
        (out / "samples" / channel).mkdir(parents=True)
        shutil.copy(file, out / "samples" / channel / file.name)


def _expansion(sample: Path, out: Path, tracks: dict[str, Any]) -> None:
    """The surroundings of the drive as layers of the map expansion, nothing else."""
    ego = np.array(tracks["tracks"]["ego"]["state"]["position"])[:, :2]
    around = box(*(ego.min(0) - MAP_REACH_M), *(ego.max(0) + MAP_REACH_M))
    areas = json.loads((sample / "map" / "onenorth_drivable_area.json").read_text())
    drivable = [ring for area in shape(areas).geoms for ring in rings(area.intersection(around))]
    lanes, markings = [], []
    for name, feature in tracks["map_features"].items():
        xy = np.array([point[:2] for point in feature["polyline"]], np.float64)
        if not LineString(xy).intersects(around):
            continue
        if feature["type"] == "LANE_SURFACE_STREET":
            connector = "polygon" not in feature  # the source keeps outlines of lanes only
            width_m = (
                3.2 if connector else shape({"type": "Polygon", "coordinates": [feature["polygon"]]}).area / LineString(xy).length
            )
            lanes.append(Lane(f"{name}>" if connector else name, resample_polyline(xy, 1.0), width_m, 13.9))
        elif not name.startswith("boundary"):
            markings.append(Marking(xy, "dashed" if "BROKEN" in feature["type"] else "solid"))
    expansion = MapExpansion(LOCATION, CANVAS_EDGE_M)
    road = RoadMap(lanes=tuple(lanes), drivable=tuple(drivable), markings=tuple(markings))
    expansion.add(NAME, road, (0.0, 0.0, *CANVAS_EDGE_M))
    document = expansion.document()
    del document["drivewm"]
    (out / "maps" / "expansion").mkdir()
    (out / "maps" / "expansion" / f"{LOCATION}.json").write_text(json.dumps(document))
