"""An OpenSCENARIO file as a scenario: a distribution over scenes, drawn like one written in the project's own language."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from drivewm.datatypes import ActorScripts, Agents, Array, ManoeuvreKind, RoadMap, Scene, TriggerKind, WorldState
from drivewm.errors import InputError
from drivewm.geometry import point_at_s
from drivewm.scenarios.distributions import Distribution
from drivewm.scenarios.opendrive.roadmap import road_map
from drivewm.scenarios.openscenario.expressions import Value
from drivewm.scenarios.openscenario.longitudinal import Impossible
from drivewm.scenarios.openscenario.movers import Mover
from drivewm.scenarios.openscenario.reading import Note, Reading, Shared, load_catalogs
from drivewm.scenarios.openscenario.rehearsal import Rehearsed, rehearse
from drivewm.scenarios.openscenario.vary import Variation, broken_constraint, variation
from drivewm.scenarios.sampling import LOOK_AHEAD_M, TRACK_IDS
from drivewm.scenarios.xml import Element, child, read_xml

FAMILY = "openscenario"
TRIES = 200
REACH_M = 120.0  # of road around everybody's way
REVISIONS = ("1",)


@dataclass(frozen=True)
class ImportedScenario:
    """A file that was read and drawn from once."""

    name: str
    family: str
    about: str
    maps_to: tuple[str, ...]
    parameters: Mapping[str, Distribution]
    sha8: str  # of the file and all files that it refers to
    file: Path
    notes: tuple[Note, ...]  # what has no effect, or another one
    source: _Source

    @property
    def id(self) -> str:
        return f"{self.name}@{self.sha8}"


@dataclass(frozen=True)
class _Source:
    """The elements behind a scenario, and where they stand."""

    file: Path  # of the scenario itself
    root: Element
    varied: Variation
    given: Reading  # of the file that was asked for
    catalogs: Mapping[tuple[str, str], tuple[Element, Path]]


def load_openscenario(path: str | Path) -> ImportedScenario:
    """Reads an .xosc file and draws from it once; raises `InputError` with file and line for whatever is wrong with it."""
    file = Path(path)
    shared = Shared()
    given = Reading(file, {}, shared)
    top = read_xml(file, "OpenSCENARIO")
    shared.files[file] = file.read_bytes()
    header = child(top, "FileHeader")
    if header is not None and str(header.get("revMajor", "1")) not in REVISIONS:
        given.fail(header, f"is OpenSCENARIO {header.get('revMajor')}.{header.get('revMinor')}", "1.0 to 1.3 can be read")
    scenario_file, root, varied = file, top, Variation({})
    distributed = child(top, "ParameterValueDistribution")
    if child(top, "Catalog") is not None:
        raise given.error(top, "is a catalog, not a scenario")
    if distributed is not None:
        given.use(distributed)
        scenario_file = given.path(given.need(distributed, "ScenarioFile"), "filepath")
        varied = variation(given, distributed)
        root = read_xml(scenario_file, "OpenSCENARIO")
        shared.files[scenario_file] = scenario_file.read_bytes()
    reading = Reading(scenario_file, {}, shared)
    reading = reading.within(reading.declarations(root))
    load_catalogs(reading, root)
    source = _Source(scenario_file, root, varied, given, shared.catalogs)
    scenario = ImportedScenario(
        name=f"{FAMILY}.{re.sub(r'[^A-Za-z0-9_]+', '_', file.stem)}",
        family=FAMILY,
        about=str(header.get("description", "")) if header is not None else "",
        maps_to=(),
        parameters=varied.parameters,
        sha8="",
        file=file,
        notes=(),
        source=source,
    )
    _, _, drawn = _attempt(scenario, np.random.default_rng(0), shared)
    given.unread(top)
    reading.unread(root)
    # Where the files lie does not change what they say.
    digest = hashlib.sha256(b"\0".join(sorted(drawn.shared.files.values()))).hexdigest()
    return replace(scenario, sha8=digest[:8], notes=tuple(sorted(shared.notes.values())))


def draw_imported(scenario: ImportedScenario, index: int, seed: int) -> Scene:
    """Draw number ``index``; depends on scenario, index and seed alone. Raises `InputError` when no draw is possible."""
    sequence = np.random.SeedSequence([seed, index, zlib.crc32(scenario.name.encode())])
    rng = np.random.default_rng(sequence.spawn(1)[0])
    shared = Shared(catalogs=dict(scenario.source.catalogs))
    rehearsed, values, _ = _attempt(scenario, rng, shared)
    return _scene(scenario, rehearsed, values, f"{index}#{seed}", int(sequence.generate_state(1)[0]))


def _attempt(scenario: ImportedScenario, rng: np.random.Generator, shared: Shared) -> tuple[Rehearsed, dict[str, Value], Reading]:
    """A rehearsal with values that satisfy the constraints and are possible."""
    source = scenario.source
    refused = InputError("no draw is possible", file=scenario.file)
    for _ in range(TRIES if source.varied.parameters else 1):
        values = source.varied.draw(rng)
        reading = Reading(source.file, {}, shared)
        declared = reading.declarations(source.root)
        unknown = set(values) - set(declared)
        if unknown:
            raise InputError(f"{source.file.name} has no parameter {sorted(unknown)[0]!r}", file=scenario.file)
        reading = reading.within(reading.declarations(source.root, values))
        broken = broken_constraint(reading, source.root)
        if broken is not None:
            refused = InputError(f"parameter {broken[0]!r} breaks its constraints", file=source.file, line=broken[1])
            continue
        try:
            return rehearse(reading, source.root), values, reading
        except Impossible as problem:
            refused = InputError(problem.reason, file=source.file, line=problem.element.sourceline)
    raise refused


def _scene(scenario: ImportedScenario, rehearsed: Rehearsed, values: dict[str, Value], draw: str, seed: int) -> Scene:
    stage, horizon = rehearsed.stage, rehearsed.horizon_s
    ego = stage.movers[stage.ego]
    others = [mover for mover in stage.movers.values() if mover.present and not mover.is_ego]
    rng = np.random.default_rng(seed)
    begin, offset, speed = ego.start
    reach = max(speed, 1.2 * rehearsed.speed_limit_mps) * horizon + LOOK_AHEAD_M
    route = _line(ego, begin + np.arange(0.0, reach, 1.0), offset)
    road = _road(route, others, rehearsed)
    pose = point_at_s(route, 0.0)
    bend = point_at_s(route, 1.0)[2] - pose[2]
    zero = np.zeros(())
    start = WorldState(
        t_s=zero,
        ego_xy_yaw_world=pose,
        ego_speed_mps=np.array(speed),
        ego_accel_mps2=zero,
        ego_curvature_1pm=np.array((bend + np.pi) % (2 * np.pi) - np.pi),
        agents=_agents(others, rng),
        signal=np.array([signal.state_at(0.0) for signal in road.signals], np.int8).reshape(-1),
    )
    return Scene(
        id=f"{scenario.id}:{draw}",
        family=scenario.family,
        road=road,
        start=start,
        scripts=_scripts(others, horizon),
        conditions=rehearsed.conditions,
        route_xy=route,
        speed_limit_mps=rehearsed.speed_limit_mps,
        horizon_s=horizon,
        seed=seed,
        condition_changes=tuple(rehearsed.changes),
        parameters={name: value if isinstance(value, float) else str(value) for name, value in values.items()},
    )


def _line(mover: Mover, s_m: Array, offset_m: float) -> Array:
    """Points [P, 2] of a mover's path, 1 m apart."""
    line = np.array([mover.pose_at(float(s), offset_m)[:2] for s in s_m])
    return point_at_s(line, np.arange(0.0, float(len(line)), 1.0))[:, :2]


def _road(route: Array, others: list[Mover], rehearsed: Rehearsed) -> RoadMap:
    ways = [route[::10]]
    for mover in others:
        reach = min(mover.start[0] + _fastest_mps(mover) * rehearsed.horizon_s, mover.start[0] + 3000.0)
        ways.append(point_at_s(mover.path_xy, np.arange(mover.start[0], reach + 1.0, 20.0))[:, :2])
    near = np.concatenate(ways)
    close = [one for one in rehearsed.signals if np.hypot(*(near - one.xy_yaw_world[:2]).T).min() <= REACH_M]
    return replace(road_map(rehearsed.stage.network, near, REACH_M), signals=tuple(close))


def _fastest_mps(mover: Mover) -> float:
    return max([mover.start[2], *(value for _, _, kind, value, _ in mover.steps if kind == ManoeuvreKind.SPEED)])


def _agents(others: list[Mover], rng: np.random.Generator) -> Agents:
    count = len(others)
    poses = []
    for mover in others:
        x, y, yaw = mover.pose_at(mover.start[0] + mover.centre_x_m, mover.start[1])
        poses.append([x, y, yaw])
    return Agents(
        track_id=rng.choice(np.arange(1, TRACK_IDS), count, replace=False).astype(np.int32),
        category=np.array([mover.body.category for mover in others], np.int8).reshape(-1),
        xy_yaw_world=np.array(poses).reshape(count, 3),
        speed_mps=np.array([mover.start[2] for mover in others], np.float64),
        accel_mps2=np.zeros(count),
        size_lwh_m=np.array([mover.body.size_lwh_m for mover in others]).reshape(count, 3),
        valid=np.ones(count, bool),
    )


def _metres(path_xy: Array, points: int) -> Array:
    """The first ``points`` vertices of a path whose vertices are 1 m apart, straight on beyond its end."""
    more = np.arange(1, max(points - len(path_xy), 0) + 1)[:, None] * (path_xy[-1] - path_xy[-2])
    return np.vstack([path_xy, path_xy[-1] + more])[:points]


def _scripts(others: list[Mover], horizon_s: float) -> ActorScripts:
    if not others:
        return ActorScripts.empty()
    points = int(max(max(mover.start[0], 0.0) + mover.centre_x_m + _fastest_mps(mover) * horizon_s for mover in others)) + 90
    count = max(1, *(len(mover.steps) for mover in others))
    never = (TriggerKind.NEVER, 0.0, ManoeuvreKind.NONE, 0.0, 1.0)
    table = [[*mover.steps, *[never] * (count - len(mover.steps))] for mover in others]
    column = np.array([[[float(x) for x in step] for step in row] for row in table])
    speed = np.array([mover.start[2] for mover in others], np.float64)
    return ActorScripts(
        path_xy=np.stack([_metres(mover.path_xy, points) for mover in others]),
        start_s_m=np.array([mover.start[0] + mover.centre_x_m for mover in others], np.float64),
        start_offset_m=np.array([mover.start[1] for mover in others], np.float64),
        start_speed_mps=speed,
        desired_speed_mps=np.array([m.start[2] if m.desired_mps is None else m.desired_mps for m in others], np.float64),
        reactive=np.array([mover.reactive for mover in others], bool),
        trigger_kind=column[..., 0].astype(np.int8),
        trigger_value=column[..., 1],
        manoeuvre_kind=column[..., 2].astype(np.int8),
        manoeuvre_value=column[..., 3],
        manoeuvre_rate=column[..., 4],
    )
