"""OpenSCENARIO files become scenes that do what the files say."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from drivewm.datatypes import Action, AgentClass, Light, ManoeuvreKind, Scene, TriggerKind, Weather
from drivewm.errors import InputError
from drivewm.scenarios.openscenario.expressions import ExpressionError, evaluated
from drivewm.scenarios.openscenario.imported import draw_imported, load_openscenario
from drivewm.scenarios.openscenario.positions import stepped_lane
from drivewm.scenarios.openscenario.table import import_all, scenario_files, write_table
from drivewm.sim.engine import Engine

MUTATIONS = int(os.environ.get("DRIVEWM_MUTATIONS", "1000"))
SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "openscenario"

ROAD = """<OpenDRIVE><header revMajor="1" revMinor="7"/><road id="0" length="2000" junction="-1"><type s="0" type="motorway"/>
<planView><geometry s="0" x="0" y="0" hdg="0" length="2000"><line/></geometry></planView><lanes><laneSection s="0">
<center><lane id="0" type="none"/></center><right>
<lane id="-1" type="driving"><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane>
<lane id="-2" type="driving"><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane></right></laneSection></lanes></road>
</OpenDRIVE>"""

SPEED = (
    '<LongitudinalAction><SpeedAction><SpeedActionDynamics dynamicsShape="{shape}" value="{value}" dynamicsDimension="{dim}"/>'
    '<SpeedActionTarget><AbsoluteTargetSpeed value="{speed}"/></SpeedActionTarget></SpeedAction></LongitudinalAction>'
)
CAR = (
    '<Vehicle name="c" vehicleCategory="car"><BoundingBox><Center x="1.4" y="0" z="0.9"/>'
    '<Dimensions width="2.0" length="5.0" height="1.8"/></BoundingBox></Vehicle>'
)
LANE_CHANGE = (
    '<LateralAction><LaneChangeAction><LaneChangeActionDynamics dynamicsShape="linear" value="4" dynamicsDimension="time"/>'
    '<LaneChangeTarget><RelativeTargetLane entityRef="Ego" value="0"/></LaneChangeTarget></LaneChangeAction></LateralAction>'
)
AT_2_S = '<ByValueCondition><SimulationTimeCondition value="2" rule="greaterOrEqual"/></ByValueCondition>'
NEAR = (
    '<ByEntityCondition><TriggeringEntities triggeringEntitiesRule="any"><EntityRef entityRef="Ego"/></TriggeringEntities>'
    '<EntityCondition><RelativeDistanceCondition entityRef="Other" relativeDistanceType="longitudinal" value="20"'
    ' freespace="false" rule="lessThan" coordinateSystem="entity"/></EntityCondition></ByEntityCondition>'
)


def init(name: str, place: str, speed: str) -> str:
    speed_action = SPEED.format(shape="step", value=0, dim="time", speed=speed)
    return (
        f'<Private entityRef="{name}"><PrivateAction><TeleportAction><Position>{place}</Position></TeleportAction>'
        "</PrivateAction>"
        f"<PrivateAction>{speed_action}</PrivateAction></Private>"
    )


def event(name: str, action: str, condition: str, edge: str = "rising") -> str:
    return (
        f'<Event name="{name}" priority="overwrite"><Action name="{name}Action"><PrivateAction>{action}</PrivateAction></Action>'
        f'<StartTrigger><ConditionGroup><Condition name="x" delay="0" conditionEdge="{edge}">{condition}</Condition>'
        "</ConditionGroup></StartTrigger></Event>"
    )


def written(tmp_path: Path, events: str, *, parameters: str = "", other: str = "", extra: str = "", head: str = "") -> Path:
    (tmp_path / "road.xodr").write_text(ROAD)
    place = other or '<RelativeLanePosition entityRef="Ego" dLane="-1" ds="60" offset="0"/>'
    path = tmp_path / "test.xosc"
    path.write_text(f"""<?xml version="1.0"?>
{head}<OpenSCENARIO><FileHeader revMajor="1" revMinor="2" date="2024-01-01T00:00:00" description="A test" author="x"/>
<ParameterDeclarations><ParameterDeclaration name="v" parameterType="double" value="20"/>{parameters}</ParameterDeclarations>
<CatalogLocations/><RoadNetwork><LogicFile filepath="road.xodr"/></RoadNetwork>
<Entities><ScenarioObject name="Ego">{CAR}</ScenarioObject><ScenarioObject name="Other">{CAR}</ScenarioObject></Entities>
<Storyboard><Init><Actions>{extra}
{init("Ego", '<LanePosition roadId="0" laneId="-1" s="50"/>', "$v")}{init("Other", place, "${$v / 2}")}
</Actions></Init><Story name="s"><Act name="a">
<ManeuverGroup name="g" maximumExecutionCount="1"><Actors selectTriggeringEntities="false">
<EntityRef entityRef="Other"/></Actors><Maneuver name="m">{events}</Maneuver></ManeuverGroup>
<StartTrigger><ConditionGroup><Condition name="x" delay="0" conditionEdge="none"><ByValueCondition>
<SimulationTimeCondition value="0" rule="greaterOrEqual"/></ByValueCondition></Condition></ConditionGroup></StartTrigger>
</Act></Story><StopTrigger/></Storyboard></OpenSCENARIO>""")
    return path


def scene_of(path: Path, index: int = 0) -> Scene:
    return draw_imported(load_openscenario(path), index, 0)


def test_everybody_stands_where_the_file_puts_them(tmp_path: Path) -> None:
    scene = scene_of(written(tmp_path, ""))
    assert scene.start.ego_xy_yaw_world == pytest.approx([50, -1.75, 0]) and float(scene.start.ego_speed_mps) == 20
    # The reference point of a vehicle is its rear axle; a box is 1.4 m ahead of it.
    assert scene.start.agents.xy_yaw_world[0] == pytest.approx([111.4, -5.25, 0])
    assert scene.start.agents.speed_mps[0] == 10 and scene.start.agents.category[0] == AgentClass.CAR
    assert scene.start.agents.size_lwh_m[0] == pytest.approx([5, 2, 1.8])
    # The ego is to keep the speed of its script, which the meetings are made for; the lanes know the limit of the road.
    assert scene.speed_limit_mps == 20 and scene.road.lanes[0].speed_limit_mps == pytest.approx(130 / 3.6)
    assert {lane.id for lane in scene.road.lanes} == {"0.0.-1", "0.0.-2"}


def test_a_time_condition_brakes_at_its_time(tmp_path: Path) -> None:
    scene = scene_of(written(tmp_path, event("e", SPEED.format(shape="linear", value=5, dim="rate", speed=0), AT_2_S)))
    engine, speeds = Engine([scene]), []
    state = engine.start()
    for _ in range(50):
        state = engine.step(state, Action(np.zeros(1), np.zeros(1)))
        speeds.append(float(state.world.agents.speed_mps[0, 0]))
    # 10 m/s until 2 s, then 5 m/s^2 until it stands at 4 s.
    assert speeds[19] == pytest.approx(10) and speeds[29] == pytest.approx(5, abs=0.51) and speeds[40] == pytest.approx(0)


def test_a_cut_in_waits_for_the_ego(tmp_path: Path) -> None:
    scene = scene_of(written(tmp_path, event("e", LANE_CHANGE, NEAR)))
    scripts = scene.scripts
    assert scripts.trigger_kind[0, 0] == TriggerKind.DISTANCE and scripts.manoeuvre_kind[0, 0] == ManoeuvreKind.OFFSET
    assert scripts.manoeuvre_value[0, 0] == pytest.approx(3.5) and scripts.manoeuvre_rate[0, 0] == pytest.approx(4.0)
    # 20 m along the road, 3.5 m aside, and the ego's middle is as far ahead of its rear axle as the other's, give or take.
    assert scripts.trigger_value[0, 0] == pytest.approx(np.hypot(20, 3.5), abs=1.1)
    slow = Engine([scene])
    state = slow.start()
    for _ in range(80):
        state = slow.step(state, Action(np.full(1, -4.0), np.zeros(1)))
    assert state.world.agents.xy_yaw_world[0, 0, 1] == pytest.approx(-5.25), "an ego that brakes is never cut in on"


def test_an_event_follows_another_one(tmp_path: Path) -> None:
    after = (
        '<ByValueCondition><StoryboardElementStateCondition storyboardElementType="action" storyboardElementRef="firstAction"'
        ' state="completeState"/></ByValueCondition>'
    )
    braking = SPEED.format(shape="linear", value=2, dim="time", speed=4)
    going = SPEED.format(shape="linear", value=2, dim="time", speed=8)
    scene = scene_of(written(tmp_path, event("first", braking, AT_2_S) + event("second", going, after)))
    assert scene.scripts.trigger_value[0] == pytest.approx([2.0, 4.0], abs=0.11)
    assert scene.scripts.manoeuvre_rate[0] == pytest.approx([3.0, 2.0])


def test_a_trajectory_becomes_the_path(tmp_path: Path) -> None:
    points = "".join(
        f'<Vertex time="0"><Position><WorldPosition x="{x}" y="{y}"/></Position></Vertex>' for x, y in ((200, -20), (200, 20))
    )
    follow = (
        '<Private entityRef="Other"><PrivateAction><RoutingAction><FollowTrajectoryAction><Trajectory name="t" closed="false">'
        f"<Shape><Polyline>{points}</Polyline></Shape></Trajectory><TimeReference><None/></TimeReference>"
        '<TrajectoryFollowingMode followingMode="position"/></FollowTrajectoryAction></RoutingAction></PrivateAction></Private>'
    )
    scene = scene_of(written(tmp_path, "", extra=follow, other='<WorldPosition x="200" y="-20" h="1.5708"/>'))
    assert scene.scripts.path_xy[0, 30] == pytest.approx([200, 10], abs=0.05)
    assert scene.start.agents.xy_yaw_world[0, 2] == pytest.approx(np.pi / 2, abs=1e-3)


def test_weather_and_night_are_read(tmp_path: Path) -> None:
    weather = (
        '<GlobalAction><EnvironmentAction><Environment name="e"><Weather cloudState="rainy"><Sun elevation="-0.3" azimuth="0"/>'
        '<Precipitation precipitationType="rain" precipitationIntensity="5"/></Weather></Environment></EnvironmentAction>'
        "</GlobalAction>"
    )
    conditions = scene_of(written(tmp_path, "", extra=weather)).conditions
    assert (conditions.weather, conditions.light) == (Weather.RAIN, Light.NIGHT)


def test_names_may_be_put_together_and_parameters_declared_with_a_dollar(tmp_path: Path) -> None:
    """Both stand in public files: an event called "${$v + brake}", and a declaration of "$rate" beside uses of $rate."""
    brake = SPEED.format(shape="linear", value="$rate", dim="rate", speed=0)
    rate = '<ParameterDeclaration name="$rate" parameterType="double" value="4"/>'
    scene = scene_of(written(tmp_path, event("${$v + brake}", brake, AT_2_S), parameters=rate))
    assert scene.scripts.manoeuvre_rate[0, 0] == pytest.approx(4.0) and scene.scripts.manoeuvre_value[0, 0] == 0.0


def test_what_has_no_effect_is_listed_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, event("e", "\n<VisibilityAction graphics='true' traffic='true' sensors='false'/>", AT_2_S))
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if "VisibilityAction" in text)
    assert ("VisibilityAction", line) in {(note.element, note.line) for note in load_openscenario(path).notes}


def test_distributions_vary_the_draws_and_constraints_refuse(tmp_path: Path) -> None:
    limits = (
        '<ParameterDeclaration name="w" parameterType="double" value="1"><ConstraintGroup>'
        '<ValueConstraint rule="lessThan" value="${$v / 4}"/></ConstraintGroup></ParameterDeclaration>'
    )
    written(tmp_path, "", parameters=limits)
    varied = tmp_path / "varied.xosc"
    varied.write_text(
        '<OpenSCENARIO><FileHeader revMajor="1" revMinor="2"/><ParameterValueDistribution><ScenarioFile filepath="test.xosc"/>'
        '<Deterministic><DeterministicSingleParameterDistribution parameterName="v"><DistributionRange stepWidth="5">'
        '<Range lowerLimit="10" upperLimit="30"/></DistributionRange></DeterministicSingleParameterDistribution>'
        '<DeterministicSingleParameterDistribution parameterName="w"><DistributionSet><Element value="1"/><Element value="6"/>'
        "</DistributionSet></DeterministicSingleParameterDistribution></Deterministic></ParameterValueDistribution>"
        "</OpenSCENARIO>"
    )
    scenario = load_openscenario(varied)
    assert set(scenario.parameters) == {"v", "w"}
    scenes = [draw_imported(scenario, index, 3) for index in range(25)]
    pairs = {(float(scene.start.ego_speed_mps), str(scene.parameters["w"])) for scene in scenes}
    assert {v for v, _ in pairs} == {10, 15, 20, 25, 30} and all(v > 24 for v, w in pairs if w == "6")
    assert scenes[7].id == f"openscenario.varied@{scenario.sha8}:7#3"
    again = draw_imported(load_openscenario(varied), 7, 3)
    assert again.start.ego_speed_mps == scenes[7].start.ego_speed_mps and again.seed == scenes[7].seed


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", "5"), ("$a", 3.0), ("${$a * 2 + 1}", 7.0), ("${-$a}", -3.0), ("${sqrt(16) % 3}", 1.0), ("${not ($a > 2)}", False)],
)
def test_expressions(text: str, value: object) -> None:
    assert evaluated(text, {"a": 3.0}) == value


@pytest.mark.parametrize(
    "text", ["$b", "${1/0}", "${__import__('os')}", "${'a'.join}", "${10**9}", "${" + "(" * 900 + ")" * 900 + "}"]
)
def test_bad_expressions_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluated(text, {"a": 3.0})


def test_lane_numbers_skip_the_centre() -> None:
    assert [stepped_lane(-1, 1), stepped_lane(-3, 1), stepped_lane(1, -1), stepped_lane(-1, 2)] == [1, -2, -1, 2]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>\n'


@pytest.mark.parametrize(
    "head", [BOMB, '<!DOCTYPE x SYSTEM "file:///etc/hostname">\n', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>\n']
)
def test_entities_are_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(InputError, match="entities are refused"):
        load_openscenario(written(tmp_path, "", head=head))


def mutated(text: str, rng: np.random.Generator) -> str:
    """One to three changes: a value, a name, a missing, doubled or moved piece."""
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(6))
        values = list(re.finditer(r'="([^"]*)"', text))
        tags = list(re.finditer(r"<(\w+)[^<>]*/>", text))
        if kind <= 2 and values:
            hit = values[int(rng.integers(len(values)))]
            odd = ["", "-1", "1e30", "nan", "0", "$nothing", "${1/0}", "${$v", "Nobody", "-9999", "99999999", "true", "é"]
            text = text[: hit.start(1)] + str(rng.choice(odd)) + text[hit.end(1) :]
        elif kind <= 4 and tags:
            hit = tags[int(rng.integers(len(tags)))]
            text = text[: hit.start()] + (hit[0] * 2 if kind == 3 else "") + text[hit.end() :]
        else:
            at = int(rng.integers(len(text)))
            text = text[:at] + chr(int(rng.integers(32, 127))) + text[at + int(rng.integers(0, 3)) :]
    return text


@pytest.mark.parametrize("chunk", range(2))
def test_broken_files_are_one_sentence(tmp_path: Path, chunk: int) -> None:
    """Each of a thousand broken files is drawn or raises InputError, within seconds."""
    original = written(
        tmp_path, event("e", LANE_CHANGE, NEAR) + event("f", SPEED.format(shape="linear", value=5, dim="rate", speed=0), AT_2_S)
    )
    text, rng, refused = original.read_text(), np.random.default_rng([5, chunk]), 0
    for _ in range(MUTATIONS // 2):
        original.write_text(mutated(text, rng))
        begin = time.process_time()
        try:
            draw_imported(load_openscenario(original), 0, 0)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and ".xo" in str(error)
        assert time.process_time() - begin < 5.0
    assert 0.2 * MUTATIONS < 2 * refused < 0.95 * MUTATIONS


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample files at {SAMPLES}")
@pytest.mark.parametrize("folder", ["alks", "alks_templates", "euro_ncap_2023", "carla_scenario_runner"])
def test_public_files_load(folder: str, tmp_path: Path) -> None:
    rows = list(import_all(scenario_files([SAMPLES / folder])[::4]))
    assert [row.error for row in rows if row.error is not None] == []
    write_table(tmp_path / "table.md", rows, SAMPLES, "drivewm scenario import")
    assert f"| {folder} | {len(rows)} | {len(rows)} (100%) |" in (tmp_path / "table.md").read_text()
