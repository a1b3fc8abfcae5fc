"""`check_folder` finds what is broken and says where; what is absent by choice is only counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from drivewm.data.assemble import VERSION
from drivewm.data.check import check_folder
from drivewm.data.reader import NuScenesFolder
from drivewm.data.stats import folder_stats
from drivewm.errors import InputError


@pytest.fixture()
def copy(small_set: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_set, tmp_path / "copy", ignore=shutil.ignore_patterns("drives", "units"))
    return tmp_path / "copy"


def test_a_whole_set_has_no_problems(small_set: Path) -> None:
    report = check_folder(small_set)
    assert report.ok and report.absent == {}
    assert report.counts["scene"] == 2 and report.counts["images"] == 252 and report.counts["sample"] == 22


def _edit(copy: Path, table: str, change: Callable[[list], object]) -> None:
    file = copy / VERSION / f"{table}.json"
    rows = json.loads(file.read_text())
    change(rows)
    file.write_text(json.dumps(rows))


def test_a_missing_table_is_named(copy: Path) -> None:
    (copy / VERSION / "visibility.json").unlink()
    assert any(p.file.endswith("visibility.json") and "missing" in p.reason for p in check_folder(copy).problems)


def test_broken_json_is_named_with_its_line(copy: Path) -> None:
    (copy / VERSION / "log.json").write_text('[\n{"token": "a",\n')
    problems = check_folder(copy).problems
    assert any(p.file.endswith("log.json") and p.place.startswith("line") for p in problems)


def test_a_dangling_token_is_named(copy: Path) -> None:
    _edit(copy, "sample_annotation", lambda rows: rows[5].update(instance_token="f" * 32))
    token = json.loads((copy / VERSION / "sample_annotation.json").read_text())[5]["token"]
    found = [p for p in check_folder(copy, decode=False).problems if token in p.place]
    assert found and found[0].file.endswith("sample_annotation.json") and "f" * 32 in found[0].reason


@pytest.mark.parametrize(
    ("camera", "sentence"),
    [
        ({"camera_intrinsic": []}, "camera_intrinsic is empty"),
        ({"camera_intrinsic": None}, "camera_intrinsic is missing"),
        ({"camera_intrinsic": [[90.0, 0.0, 48.0, 0.0], [0.0, 90.0, 32.0, 0.0], [0.0, 0.0, 1.0, 0.0]]}, "needs 3 x 3 numbers"),
        ({"camera_intrinsic": [[-90.0, 0.0, 48.0], [0.0, 90.0, 32.0], [0.0, 0.0, 1.0]]}, "is no pinhole camera"),
        ({"camera_model": "fisheye"}, "unknown camera model 'fisheye'"),
        ({"camera_distortion": [-0.3, 0.1, 0.0, 0.0, 0.0]}, "camera_distortion [-0.3, 0.1, 0.0, 0.0, 0.0] is not of a pinhole"),
    ],
)
def test_a_camera_that_is_no_pinhole_is_refused_with_its_token(copy: Path, camera: dict[str, object], sentence: str) -> None:
    _edit(copy, "calibrated_sensor", lambda rows: rows[2].update(camera))
    token = json.loads((copy / VERSION / "calibrated_sensor.json").read_text())[2]["token"]
    problems = check_folder(copy, decode=False).problems
    assert [(p.file, p.place) for p in problems] == [(f"{VERSION}/calibrated_sensor.json", f"token {token}")]
    assert sentence in problems[0].reason
    with pytest.raises(InputError) as caught:
        NuScenesFolder(copy).clip("scene-2000", 0, 3)
    for part in ("calibrated_sensor.json", token, sentence):
        assert part in str(caught.value)


def test_a_camera_without_distortion_may_say_so(copy: Path) -> None:
    _edit(copy, "calibrated_sensor", lambda rows: rows[2].update(camera_model="pinhole", camera_distortion=[0.0] * 5))
    assert check_folder(copy, decode=False).ok
    assert len(NuScenesFolder(copy).clip("scene-2000", 0, 3).images) == 3


def test_nan_poses_and_flat_boxes_are_named(copy: Path) -> None:
    _edit(copy, "ego_pose", lambda rows: rows[2]["translation"].__setitem__(1, float("nan")))
    _edit(copy, "sample_annotation", lambda rows: rows[0]["size"].__setitem__(0, 0.0))
    problems = check_folder(copy, decode=False).problems
    tables = {Path(p.file).name: p for p in problems}
    assert set(tables) == {"ego_pose.json", "sample_annotation.json"}
    assert "not finite" in tables["ego_pose.json"].reason and tables["ego_pose.json"].place.startswith("token ")


def test_images_that_are_cut_missing_wrong_or_of_another_size(copy: Path) -> None:
    cut, gone, wrong, large = sorted((copy / "sweeps" / "CAM_BACK").glob("*.jpg"))[:4]
    cut.write_bytes(cut.read_bytes()[:700])
    gone.unlink()
    wrong.write_bytes(b"text")
    cv2.imwrite(str(large), np.zeros((128, 192, 3), np.uint8))
    report = check_folder(copy)
    reasons = {Path(p.file).name: p.reason for p in report.problems}
    assert "cut short" in reasons[cut.name] and "missing" in reasons[gone.name]
    assert "decode" in reasons[wrong.name] and "128x192" in reasons[large.name]
    assert report.counts["bad:image"] == 4 and not report.ok


def test_absent_map_and_can_bus_are_counted_not_fatal(copy: Path) -> None:
    shutil.rmtree(copy / "can_bus")
    shutil.rmtree(copy / "maps" / "expansion")
    report = check_folder(copy, decode=False)
    assert report.ok and report.absent == {"map": ("scene-2000", "scene-2001"), "can_bus": ("scene-2000", "scene-2001")}


def test_what_is_no_nuscenes_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no nuScenes folder"):
        check_folder(tmp_path)


def test_statistics_count_frames_manners_and_classes(small_set: Path) -> None:
    stats = folder_stats(small_set)
    assert stats.scenes == 2 and stats.frames == 42 and stats.hours == pytest.approx(8.4 / 3600)
    assert sum(stats.frames_by_weather.values()) == sum(stats.frames_by_light.values()) == 42
    assert sum(stats.frames_by_speed_mps.values()) == 42 and 0 <= stats.non_expert_share <= 1
    assert sum(stats.scenes_by_manner.values()) == 2 and stats.without == {}
