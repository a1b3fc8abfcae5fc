"""Facts about OpenDRIVE geometry that can be derived by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.geometry import polyline_s_m
from drivewm.scenarios.opendrive.network import Network
from drivewm.scenarios.opendrive.planview import PlanElement, clothoid_pose
from drivewm.scenarios.opendrive.reading import read_roads
from drivewm.scenarios.opendrive.roadmap import road_map

ORIGIN = np.zeros(3)


def road_file(tmp_path: Path, geometry: str, *, lanes: str = "", link: str = "", more: str = "") -> Path:
    lanes = lanes or (
        '<laneSection s="0"><left><lane id="1" type="driving"><width sOffset="0" a="3" b="0" c="0" d="0"/></lane></left>'
        '<center><lane id="0" type="none"/></center>'
        '<right><lane id="-1" type="driving"><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane>'
        '<lane id="-2" type="driving"><width sOffset="0" a="4" b="0" c="0" d="0"/></lane></right></laneSection>'
    )
    path = tmp_path / "road.xodr"
    path.write_text(
        f'<OpenDRIVE><header revMajor="1" revMinor="7"/><road id="7" length="100" junction="-1">{link}'
        f"<planView>{geometry}</planView><lanes>{lanes}</lanes></road>{more}</OpenDRIVE>"
    )
    return path


LINE = '<geometry s="0" x="0" y="0" hdg="0" length="100"><line/></geometry>'


def test_an_arc_ends_where_its_radius_says() -> None:
    quarter = PlanElement("arc", 0.0, ORIGIN, 50 * np.pi / 2, (1 / 50,))
    assert quarter.pose(np.array(quarter.length_m)) == pytest.approx([50, 50, np.pi / 2], abs=1e-9)
    right = PlanElement("arc", 0.0, np.array([1.0, 2.0, np.pi / 2]), 50 * np.pi / 2, (-1 / 50,))
    assert right.pose(np.array(right.length_m)) == pytest.approx([51, 52, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("start", "end", "length"), [(0.0, 0.02, 80.0), (0.01, -0.03, 60.0), (-0.02, -0.001, 120.0), (0.1, 0.1001, 9.0)]
)
def test_a_clothoid_turns_by_its_mean_curvature(start: float, end: float, length: float) -> None:
    spiral = PlanElement("spiral", 0.0, ORIGIN, length, (start, end))
    s = np.linspace(0.0, length, 20_001)
    pose = spiral.pose(s)
    assert pose[-1, 2] == pytest.approx((start + end) / 2 * length, abs=1e-9)
    # The integral of the unit tangent, by the trapezoid rule.
    yaw = start * s + (end - start) / (2 * length) * s**2
    tangent = np.stack([np.cos(yaw), np.sin(yaw)], -1)
    way = np.sum(0.5 * (tangent[1:] + tangent[:-1]) * np.diff(s)[:, None], axis=0)
    assert pose[-1, :2] == pytest.approx(way, abs=1e-6)


def test_a_clothoid_that_hardly_changes_is_an_arc() -> None:
    assert clothoid_pose(np.array(30.0), 0.02, 1e-10) == pytest.approx(clothoid_pose(np.array(30.0), 0.02, 0.0), abs=1e-5)


def test_polynomials_keep_their_arc_length() -> None:
    poly3 = PlanElement("poly3", 0.0, ORIGIN, 40.0, (0.0, 0.0, 0.01, 0.0))
    s = np.linspace(0.0, 40.0, 400)
    assert polyline_s_m(poly3.pose(s)[:, :2])[-1] == pytest.approx(40.0, abs=0.01)
    assert poly3.pose(np.array(20.0))[1] == pytest.approx(0.01 * poly3.pose(np.array(20.0))[0] ** 2, abs=1e-3)
    cubic = PlanElement("paramPoly3", 0.0, ORIGIN, 10.0, (0, 10, 0, 0, 0, 0, 3, 0), True)
    assert cubic.pose(np.array(10.0))[:2] == pytest.approx([10, 3])
    by_length = PlanElement("paramPoly3", 0.0, ORIGIN, 10.0, (0, 1, 0, 0, 0, 0, 0.03, 0), False)
    assert by_length.pose(np.array(10.0)) == pytest.approx([10, 3, np.arctan2(0.6, 1.0)])


def test_lane_centres_lie_where_the_widths_put_them_and_left_lanes_drive_against_s(tmp_path: Path) -> None:
    network = Network(read_roads(road_file(tmp_path, LINE)))
    assert network.lane_pose("7", -1, 20.0) == pytest.approx([20, -1.75, 0])
    assert network.lane_pose("7", -2, 20.0, 0.5) == pytest.approx([20, -5.0, 0])
    assert np.abs(network.lane_pose("7", 1, 20.0)) == pytest.approx([20, 1.5, np.pi])
    place = network.locate(np.array([30.0, -5.0, 0.1]))
    assert place is not None and (place.road, place.lane) == ("7", -2)
    assert (place.s_m, place.t_m) == pytest.approx((30.0, -5.0))


def test_a_widening_lane_pushes_its_neighbours_out(tmp_path: Path) -> None:
    lanes = (
        '<laneOffset s="0" a="1" b="0" c="0" d="0"/><laneSection s="0"><center><lane id="0" type="none"/></center><right>'
        '<lane id="-1" type="driving"><width sOffset="0" a="3" b="0.02" c="0" d="0"/></lane>'
        '<lane id="-2" type="driving"><width sOffset="0" a="4" b="0" c="0" d="0"/></lane></right></laneSection>'
    )
    network = Network(read_roads(road_file(tmp_path, LINE, lanes=lanes)))
    assert float(network.centre_t("7", -1, 50.0)) == pytest.approx(1 - 2.0)
    assert float(network.centre_t("7", -2, 50.0)) == pytest.approx(1 - 4.0 - 2.0)


def test_a_road_becomes_a_map(tmp_path: Path) -> None:
    network = Network(read_roads(road_file(tmp_path, LINE)))
    road = road_map(network, np.array([[50.0, 0.0]]), 200.0)
    assert {lane.id: lane.width_m for lane in road.lanes} == pytest.approx({"7.0.1": 3.0, "7.0.-1": 3.5, "7.0.-2": 4.0})
    right = road.lane("7.0.-2")
    assert (right.left, right.right) == ("7.0.-1", None)
    assert road.lane("7.0.1").centre_xy[0] == pytest.approx([100, 1.5]) and road.lane("7.0.1").centre_xy[-1] == pytest.approx(
        [0, 1.5]
    )
    assert len(road.drivable) == 1
    assert np.ptp(road.drivable[0], axis=0) == pytest.approx([100.1, 10.6], abs=0.05)


def test_ways_lead_through_roads_and_junctions(tmp_path: Path) -> None:
    def road(number: int, x: float, y: float, heading: float, junction: str, shape: str, link: str, linked: str) -> str:
        return (
            f'<road id="{number}" length="20" junction="{junction}"><link>{link}</link><planView><geometry s="0" x="{x}" y="{y}" '
            f'hdg="{heading}" length="20">{shape}</geometry></planView><lanes><laneSection s="0"><center><lane id="0"/>'
            f'</center><right><lane id="-1" type="driving"><link>{linked}</link><width sOffset="0" a="3" b="0" c="0"/></lane>'
            f"</right></laneSection></lanes></road>"
        )

    out = '<successor id="-1"/>'
    arc = f'<arc curvature="{np.pi / 2 / 20}"/>'
    radius = 20 / (np.pi / 2)
    text = (
        "<OpenDRIVE>"
        + road(1, 0, 0, 0, "-1", "<line/>", '<successor elementType="junction" elementId="9"/>', "")
        + road(2, 20, 0, 0, "9", "<line/>", '<successor elementType="road" elementId="4" contactPoint="start"/>', out)
        + road(3, 20, 0, 0, "9", arc, '<successor elementType="road" elementId="5" contactPoint="start"/>', out)
        + road(4, 40, 0, 0, "-1", "<line/>", "", "")
        + road(5, 20 + radius, radius, np.pi / 2, "-1", "<line/>", "", "")
        + '<junction id="9">'
        + "".join(
            f'<connection incomingRoad="1" connectingRoad="{r}" contactPoint="start"><laneLink from="-1" to="-1"/></connection>'
            for r in (3, 2)
        )
        + "</junction></OpenDRIVE>"
    )
    path = tmp_path / "junction.xodr"
    path.write_text(text)
    network = Network(read_roads(path))
    assert network.way(("1", 0, -1), 5.0, 50.0)[-1] == pytest.approx([60, -1.5], abs=0.1)
    turning = network.way(("1", 0, -1), 5.0, 50.0, (("5", 0, -1),))
    assert turning[-1][0] == pytest.approx(20 + radius + 1.5, abs=0.1)
    assert network.lanes_between(("1", 0, -1), ("5", 0, -1)) == [("3", 0, -1), ("5", 0, -1)]
    assert road_map(network, turning, 100.0).lane("1.0.-1").successors == ("3.0.-1", "2.0.-1")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><OpenDRIVE/>', "entities are refused"),
        ("<OpenDRIVE>", "is not XML"),
        ("<OpenSCENARIO/>", "not with <OpenDRIVE>"),
        ("<OpenDRIVE/>", "has no road"),
        ('<OpenDRIVE><road id="1" length="3"/></OpenDRIVE>', "planView"),
        (
            '<OpenDRIVE>\n<road id="1"><planView>\n<geometry s="0" x="nan" y="0" hdg="0" length="3"><line/></geometry>'
            "</planView></road>"
            "</OpenDRIVE>",
            ":3: geometry: x='nan' is not a number",
        ),
    ],
)
def test_bad_files_are_one_sentence(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "bad.xodr"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.xodr") as caught:
        read_roads(path)
    assert what in str(caught.value)
