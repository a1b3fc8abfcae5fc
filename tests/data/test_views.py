"""Pictures that a user has find their cameras."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from drivewm.data.views import read_views
from drivewm.errors import InputError
from drivewm.sim.rigs import nuscenes_rig

RIG = nuscenes_rig()


def picture(file: Path, shade: int, size: tuple[int, int] = (90, 160)) -> str:
    cv2.imwrite(str(file), np.full((*size, 3), shade, np.uint8))
    return str(file)


def test_one_picture_is_the_camera_that_looks_ahead_whatever_it_is_called(tmp_path: Path) -> None:
    views = read_views([picture(tmp_path / "street.jpg", 90)], RIG)
    assert list(views) == ["CAM_FRONT"] and views["CAM_FRONT"].shape == (90, 160, 3)


def test_files_are_known_by_name_by_word_or_by_order(tmp_path: Path) -> None:
    one = [picture(tmp_path / "x__CAM_FRONT_LEFT__9.png", 50), f"CAM_BACK={picture(tmp_path / 'b.png', 60)}"]
    assert {name: int(view[0, 0, 0]) for name, view in read_views(one, RIG).items()} == {"CAM_FRONT_LEFT": 50, "CAM_BACK": 60}
    six = [picture(tmp_path / f"{i}.png", 10 * i) for i in range(6)]
    assert {name: int(view[0, 0, 0]) for name, view in read_views(six, RIG).items()} == {
        n: 10 * i for i, n in enumerate(RIG.names)
    }


def test_a_mosaic_is_cut_into_its_cameras(tmp_path: Path) -> None:
    shades = np.arange(6).reshape(2, 3) * 20
    cv2.imwrite(
        str(file := tmp_path / "all.png"), np.repeat(np.kron(shades, np.ones((90, 160)))[..., None], 3, -1).astype(np.uint8)
    )
    for given in (str(file), f"mosaic={file}"):
        views = read_views([given], RIG)
        assert {name: set(np.unique(view)) for name, view in views.items()} == {n: {20 * i} for i, n in enumerate(RIG.names)}


def test_pictures_of_no_camera_are_refused(tmp_path: Path) -> None:
    two = [picture(tmp_path / name, 1) for name in ("a.png", "b.png")]
    with pytest.raises(InputError, match=r"a\.png: does not say which camera took it .write for example CAM_FRONT_LEFT=a\.png"):
        read_views(two, RIG)
    with pytest.raises(InputError, match=r"b\.png: is a second picture"):
        read_views([f"CAM_BACK={file}" for file in two], RIG)
    (broken := tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        read_views([str(broken)], RIG)
    with pytest.raises(InputError, match="image is missing"):
        read_views([str(tmp_path / "nowhere.png")], RIG)
