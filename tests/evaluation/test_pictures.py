from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from drivewm.datatypes import AgentClass, Agents, RoadMap, Signal, SignalState, WorldState
from drivewm.errors import InputError
from drivewm.evaluation import birdseye as be
from drivewm.evaluation.pictures import beside, mosaic, strip, write_png
from drivewm.evaluation.video import read_video, video_writer, write_gif, write_video


def state(
    ego: tuple[float, float, float] = (0, 0, 0),
    agent: tuple[float, float, float] | None = None,
    kind: AgentClass = AgentClass.CAR,
) -> WorldState:
    agents = Agents.empty(1)
    if agent is not None:
        agents = Agents(
            np.zeros(1, np.int32),
            np.array([kind], np.int8),
            np.array([agent]),
            np.zeros(1),
            np.zeros(1),
            np.array([[4.6, 2.0, 1.5]]),
            np.ones(1, bool),
        )
    return WorldState(
        np.array(0.0), np.array(ego, float), np.array(10.0), np.array(0.0), np.array(0.0), agents, np.zeros(1, np.int8)
    )


def place() -> RoadMap:
    road = np.array([[-100.0, -4.0], [100.0, -4.0], [100.0, 4.0], [-100.0, 4.0]])
    light = Signal(np.array([20.0, -6.0, 0.0]), np.array([[18.0, -4.0], [18.0, 0.0]]), ("main.0",), (1.0, 1.0, 1.0))
    return RoadMap(drivable=(road,), signals=(light,))


def centre_of(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Mean (column, row) of the pixels of a colour."""
    rows, columns = np.nonzero((np.abs(picture.astype(int) - colour) < 12).all(-1))
    assert len(rows), f"nothing of colour {colour}"
    return np.array([columns.mean(), rows.mean()])


def test_a_car_ten_metres_ahead_is_drawn_straight_above_the_ego_at_scale() -> None:
    for yaw in (0.0, 1.0, -2.5):  # ego heading is always up, whatever the world heading
        ahead = (10 * np.cos(yaw), 10 * np.sin(yaw), yaw)
        picture = be.birdseye(RoadMap(), _no_signals(state((0, 0, yaw), ahead)), size_px=320, span_m=40.0)
        car, ego = centre_of(picture, be.AGENT_COLOUR[AgentClass.CAR]), centre_of(picture, be.EGO)
        assert car[0] == pytest.approx(ego[0], abs=1.0)
        assert ego[1] - car[1] == pytest.approx((10 - 1.386) * 320 / 40, abs=4.0)  # ego is drawn around its body centre


def test_left_of_the_ego_is_left_in_the_picture() -> None:
    picture = be.birdseye(RoadMap(), _no_signals(state((5, 5, 1.2), (5 - 6 * np.sin(1.2), 5 + 6 * np.cos(1.2), 0.0))))
    assert centre_of(picture, be.AGENT_COLOUR[AgentClass.CAR])[0] < centre_of(picture, be.EGO)[0] - 20


def _no_signals(s: WorldState) -> WorldState:
    from dataclasses import replace

    return replace(s, signal=np.zeros(0, np.int8))


def test_road_terrain_and_the_state_of_a_traffic_light_are_seen() -> None:
    picture = be.birdseye(place(), state())
    assert tuple(picture[100, 256]) == be.ROAD and tuple(picture[100, 20]) == be.TERRAIN
    red = be.SIGNAL_COLOUR[SignalState.RED]
    assert centre_of(picture, red)[1] < centre_of(picture, be.EGO)[1]


def test_a_plan_to_the_left_is_drawn_from_where_it_was_made() -> None:
    plan = np.array([[4.0, 0.0, 0.0], [8.0, 2.0, 0.4], [12.0, 5.0, 0.5]])
    now = be.birdseye(place(), state(), be.Overlay(plan_xy_yaw_ego=plan))
    older = be.birdseye(place(), state(), be.Overlay(plan_xy_yaw_ego=plan, plan_from_xy_yaw_world=np.array([-8.0, 0.0, 0.0])))
    assert centre_of(now, be.PLAN)[0] < 256
    assert centre_of(older, be.PLAN)[1] - centre_of(now, be.PLAN)[1] == pytest.approx(8 * 512 / 56, abs=12)


def test_six_cameras_stand_in_two_rows_in_the_order_of_the_rig() -> None:
    images = np.stack([np.full((64, 96, 3), 30 * (v + 1), np.uint8) for v in range(6)])
    picture = mosaic(images, [f"CAM_{v}" for v in range(6)], panel_width_px=192)
    assert picture.shape == (2 * 128 + 4, 3 * 192 + 8, 3)
    middles = [picture[y, x, 0] for y in (64 + 20, 132 + 84) for x in (96, 292, 488)]
    assert middles == [30, 60, 90, 120, 150, 180]


def test_a_strip_holds_the_first_and_the_last_moment() -> None:
    pictures = [np.full((10, 20, 3), t, np.uint8) for t in range(100)]
    out = strip(pictures, 4)
    assert out.shape == (10, 4 * 20 + 3 * 4, 3)
    assert [out[5, 10 + 24 * i, 0] for i in range(4)] == [0, 33, 66, 99]


def test_a_video_is_h264_in_yuv420p_with_its_index_first_and_gives_the_pictures_back(tmp_path: Path) -> None:
    ramp = [np.full((65, 97, 3), 10 * t + 20, np.uint8) for t in range(12)]
    path = write_video(tmp_path / "film.mp4", ramp, rate_hz=5.0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 5)
        assert float(stream.duration * stream.time_base) == pytest.approx(12 / 5.0)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    back = read_video(path)
    assert back.shape == (12, 64, 96, 3)
    assert np.abs(back.mean((1, 2, 3)) - [p.mean() for p in ramp]).max() < 4


def test_a_film_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), video_writer(tmp_path / "film.mp4", 5.0) as append:
        append(np.zeros((64, 64, 3), np.uint8))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"x\.mp4: not a readable video"):
        read_video(tmp_path / "x.mp4")


def test_png_and_gif_keep_colour_and_time(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    assert tuple(cv2.imread(str(write_png(tmp_path / "a.png", red)))[0, 0]) == (0, 0, 200)
    from PIL import Image

    with Image.open(write_gif(tmp_path / "a.gif", [red, 255 - red, red], 10.0)) as gif:
        assert (gif.n_frames, gif.info["duration"]) == (3, 100)


def test_panels_of_different_height_are_centred() -> None:
    out = beside([np.full((10, 4, 3), 255, np.uint8), np.full((4, 4, 3), 255, np.uint8)], gap_px=2)
    assert out.shape == (10, 10, 3) and (out[3:7, 6:] == 255).all() and (out[:3, 6:] != 255).all()
