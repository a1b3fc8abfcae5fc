"""A car's cameras from a file, and what is said to a file that no camera fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.sim.engine import Engine
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rig_file import read_rig
from drivewm.testing import straight_scene

VAN = """\
cameras:
  - name: FRONT
    size_px: [800, 1280]
    fov_deg: 90
    xyz_m: [2.4, 0.0, 2.3]
    yaw_deg: 0
    pitch_deg: -10
  - name: LEFT
    model: pinhole
    size_px: [400, 640]
    focal_px: [320, 320]
    centre_px: [320, 200]
    xyz_m: [1.0, 1.0, 2.3]
    yaw_deg: 90
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "van.yaml"
    file.write_text(text)
    return file


def test_cameras_stand_and_look_as_the_file_says(tmp_path: Path) -> None:
    rig = read_rig(written(tmp_path, VAN))
    assert (rig.names, rig.size_px, rig.rate_hz) == (("FRONT", "LEFT"), (800, 1280), 5.0)
    np.testing.assert_allclose(rig.intrinsics[0], [[640, 0, 640], [0, 640, 400], [0, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(rig.intrinsics[1], rig.intrinsics[0], atol=1e-9)  # brought onto the raster of the first
    down = np.radians(-10)
    np.testing.assert_allclose(rig.ego_from_camera[0, :3, 2], [np.cos(down), 0, np.sin(down)], atol=1e-9)
    np.testing.assert_allclose(rig.ego_from_camera[1, :3, 2], [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(rig.ego_from_camera[:, :3, 3], [[2.4, 0, 2.3], [1, 1, 2.3]])
    for pose in rig.ego_from_camera[:, :3, :3]:
        np.testing.assert_allclose(pose @ pose.T, np.eye(3), atol=1e-9)


def test_a_rolled_camera_sees_the_horizon_rise_on_one_side(tmp_path: Path) -> None:
    """Clockwise roll: the camera's right side goes down, so the ground fills more of the picture's right."""
    rig = read_rig(written(tmp_path, VAN.replace("pitch_deg: -10", "roll_deg: 20"))).resized(64, 96)
    image = RasterWorld(rig).start([scene := straight_scene()], Engine([scene]).start().world, 0)[0][0, 0].astype(float)
    blue = image[..., 2] - image[..., 1]  # sky is bluer than grass and road
    assert (blue[:, :20] > 20).mean() > (blue[:, -20:] > 20).mean()


def test_json_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "rig.json"
    camera = {"name": "F", "size_px": [90, 160], "focal_px": 120, "xyz_m": [1, 0, 1.5], "yaw_deg": 0}
    file.write_text(json.dumps({"rate_hz": 10, "cameras": [camera]}))
    assert read_rig(file).rate_hz == 10.0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("model: pinhole", "model: fisheye", "van.yaml:9: cameras[1].model: unknown camera model 'fisheye' (pinhole"),
        (
            "model: pinhole",
            "distortion: [0.1, 0, 0, 0]",
            "van.yaml:9: cameras[1].distortion: rigs know pinhole cameras only (take distortion out of pictures first",
        ),
        ("fov_deg: 90", "fov_deg: 190", "van.yaml:4: cameras[0].fov_deg: fov_deg must be a number from 5 to 170, not 190"),
        ("fov_deg: 90", "focal_px: -3", "focal_px must be a number from 1 to 1e+06, not -3"),
        ("fov_deg: 90", "about: wide", "unknown key 'about'"),
        ("    fov_deg: 90\n", "", "a camera needs focal_px or fov_deg, one of the two"),
        ("[2.4, 0.0, 2.3]", "[2.4, 0.0]", "xyz_m must be 3 numbers, not [2.4, 0.0]"),
        ("[2.4, 0.0, 2.3]", "[2.4, 0.0, .nan]", "is not a value"),
        ("[2.4, 0.0, 2.3]", "[2.4, 0.0, high]", "xyz_m must be a number from -30 to 30, not 'high'"),
        ("name: LEFT", "name: FRONT", "camera 'FRONT' is there twice"),
        ("yaw_deg: 90", "yw_deg: 90", "unknown key 'yw_deg' (did you mean 'yaw_deg'"),
        ("    yaw_deg: 0\n", "", "yaw_deg must be a number from -360 to 360, not None"),
        (VAN, "cameras: []", "cameras must be a list of 1 to 16"),
        (VAN, "rate_hz: 5", "cameras must be a list of 1 to 16"),
        ("cameras:", "rate_hz: 0\ncameras:", "rate_hz must be a number from 0.1 to 100, not 0"),
    ],
)
def test_a_wrong_file_is_one_sentence_with_its_line(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in VAN
    with pytest.raises(InputError) as caught:
        read_rig(written(tmp_path, VAN.replace(old, new, 1)))
    assert sentence in str(caught.value) and str(caught.value).startswith(str(tmp_path))
