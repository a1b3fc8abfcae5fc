"""Maps: the layers of nuScenes alone, without our extra records, still give a road."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Point, Polygon

from drivewm.data.assemble import load_drive
from drivewm.data.masks import PX_PER_M, write_mask
from drivewm.data.places import Place, rings
from drivewm.data.reader import NuScenesFolder
from drivewm.errors import InputError


@pytest.fixture(scope="module")
def plain_set(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small set with the map expansion as nuScenes would publish it."""
    root = tmp_path_factory.mktemp("plain") / "set"
    shutil.copytree(small_set, root, ignore=shutil.ignore_patterns("samples", "sweeps"))
    for file in (root / "maps" / "expansion").glob("*.json"):
        document = json.loads(file.read_text())
        del document["drivewm"]
        file.write_text(json.dumps(document))
    return root


@pytest.mark.parametrize("name", ["scene-2000", "scene-2001"])
def test_lanes_paint_and_areas_come_from_the_layers(plain_set: Path, small_set: Path, name: str) -> None:
    plain = NuScenesFolder(plain_set).clip(name, states_only=True).road
    full = NuScenesFolder(small_set).clip(name, states_only=True).road
    drive = load_drive(small_set, name)
    ego_lanes = [lane for lane in plain.lanes if lane.successors or len(lane.centre_xy) > 30]
    painted = {marking.kind for marking in plain.markings}
    assert len(ego_lanes) >= 1 and painted & {"dashed", "solid"}
    # Between lanes of one direction the tables tell the paint; between directions they do not, and it is read as solid.
    assert "dashed" in painted or not any(lane.left or lane.right for lane in full.lanes if not lane.id.startswith("parking"))
    widths = {lane.id: lane.width_m for lane in full.lanes}
    assert all(min(abs(lane.width_m - width) for width in widths.values()) < 0.1 for lane in plain.lanes)
    area = sum(Polygon(xy).area for xy in plain.drivable)
    assert area == pytest.approx(sum(Polygon(xy).area for xy in full.drivable), rel=0.05)
    stops = [marking for marking in drive.scene.road.markings if marking.kind == "stop"]
    assert len([marking for marking in plain.markings if marking.kind == "stop"]) == len(stops)
    assert len(plain.building_xy_yaw) == 0 and plain.signals == ()


def test_areas_with_holes_are_cut_and_keep_their_area() -> None:
    square, hole = Point(0, 0).buffer(10), Point(2, 1).buffer(3)
    other = Point(-5, 0).buffer(1)
    parts = rings(square.difference(hole).difference(other))
    assert sum(Polygon(part).area for part in parts) == pytest.approx(square.area - hole.area - other.area)
    assert not any(Polygon(part).contains(Point(2, 1)) or Polygon(part).contains(Point(-5, 0)) for part in parts)
    assert all(Polygon(part).exterior.is_ccw for part in parts)


def test_masks_are_exact_to_a_pixel_and_readable(tmp_path: Path) -> None:
    from nuscenes.utils.map_mask import MapMask

    triangle = np.array([[20.0, 10.0], [80.0, 10.0], [50.0, 60.0]])
    write_mask(tmp_path / "mask.png", [triangle], (100.0, 70.0))
    mask = MapMask(str(tmp_path / "mask.png"))
    assert mask.mask().shape == (70 * PX_PER_M, 100 * PX_PER_M) and set(np.unique(mask.mask())) == {0, 255}
    rng = np.random.default_rng(0)
    xy = rng.uniform([0, 0], [100, 70], (500, 2))
    shape = Polygon(triangle)
    clear = np.array([shape.exterior.distance(Point(p)) > 0.2 for p in xy])
    inside = np.array([shape.contains(Point(p)) for p in xy])
    assert np.array_equal(mask.is_on_mask(xy[clear, 0], xy[clear, 1]), inside[clear])


def test_a_broken_expansion_is_named(plain_set: Path, tmp_path: Path) -> None:
    file = tmp_path / "maps" / "expansion" / "boston-seaport.json"
    file.parent.mkdir(parents=True)
    whole = next((plain_set / "maps" / "expansion").glob("*.json")).read_text()
    for text in (whole[:500], "{}", json.dumps({**json.loads(whole), "version": "1.0"})):
        file.write_text(text)
        with pytest.raises(InputError, match=r"boston-seaport.json"):
            Place(tmp_path, "boston-seaport")
    document = json.loads(whole)
    document["polygon"] = document["polygon"][:2]
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"boston-seaport.json.*missing"):
        Place(tmp_path, "boston-seaport")
