"""NAVSIM's own scorer on the ways of `scorer.py`; for a Python that has NAVSIM and the nuPlan devkit, and knows no drivewm.

    python scorer_navsim.py task.npz result.npz REPEATS

It builds what NAVSIM takes from its cache (occupancy maps, drivable map, centre line) outside the clock, then times
`PDMScorer.score_proposals`. Comfort is asked separately, with the shape of this car, because the scorer asks it of no drive
without a recorded past; it is not in the time.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import shapely
from navsim.planning.simulation.planner.pdm_planner.observation.pdm_observation import PDMObservation
from navsim.planning.simulation.planner.pdm_planner.observation.pdm_occupancy_map import PDMDrivableMap
from navsim.planning.simulation.planner.pdm_planner.scoring.pdm_comfort_metrics import ego_is_comfortable
from navsim.planning.simulation.planner.pdm_planner.scoring.pdm_scorer import PDMScorer
from navsim.planning.simulation.planner.pdm_planner.utils.pdm_path import PDMPath
from nuplan.common.actor_state.agent import Agent
from nuplan.common.actor_state.oriented_box import OrientedBox
from nuplan.common.actor_state.scene_object import SceneObjectMetadata
from nuplan.common.actor_state.state_representation import StateSE2, StateVector2D
from nuplan.common.actor_state.static_object import StaticObject
from nuplan.common.actor_state.tracked_objects import TrackedObjects
from nuplan.common.actor_state.tracked_objects_types import TrackedObjectType
from nuplan.common.actor_state.vehicle_parameters import VehicleParameters
from nuplan.common.maps.maps_datatypes import SemanticMapLayer
from nuplan.planning.simulation.observation.observation_type import DetectionsTracks
from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling

KINDS = {
    4: TrackedObjectType.BICYCLE,
    7: TrackedObjectType.TRAFFIC_CONE,
}  # numbers of drivewm.datatypes.AgentClass; else a vehicle


def states(task) -> np.ndarray:
    """NAVSIM's eleven columns [M, T + 1, 11]."""
    pose, speed, accel, curvature = (task[name] for name in ("xy_yaw", "speed", "accel", "curvature"))
    out = np.zeros((*speed.shape, 11))
    turning = speed * curvature
    out[..., :3], out[..., 3], out[..., 5], out[..., 6] = pose, speed, accel, speed * turning
    out[..., 9], out[..., 10] = turning, np.gradient(turning, 0.1, axis=-1)
    return out


def tracks(task) -> list[DetectionsTracks]:
    out = []
    for pose, size, speed in zip(task["agent_pose"], task["agent_size"], task["agent_speed"], strict=True):
        objects = []
        for n, kind in enumerate(task["agent_kind"]):
            box = OrientedBox(StateSE2(*pose[n]), *size[n])
            about = SceneObjectMetadata(0, str(n), n, str(n))
            track_type = KINDS.get(int(kind), TrackedObjectType.VEHICLE)
            if track_type is TrackedObjectType.TRAFFIC_CONE:
                objects.append(StaticObject(track_type, box, about))
            else:
                velocity = StateVector2D(speed[n] * np.cos(pose[n, 2]), speed[n] * np.sin(pose[n, 2]))
                objects.append(Agent(track_type, box, velocity, about))
        out.append(DetectionsTracks(TrackedObjects(objects)))
    return out


def main(task_file: str, result_file: str, repeats: str) -> None:
    warnings.simplefilter("ignore")
    task = np.load(task_file)
    length, width, height, wheelbase, to_centre = task["shape"]
    shape = VehicleParameters(width, to_centre + length / 2, length / 2 - to_centre, to_centre, wheelbase, "ego", "car", height)
    sampling = TrajectorySampling(num_poses=task["speed"].shape[1] - 1, interval_length=0.1)
    polygons = [shapely.Polygon(ring) for ring in task["lanes"]] + [shapely.Polygon(ring) for ring in task["drivable"]]
    lanes = len(task["lanes"])
    tokens = [str(k) for k in range(len(polygons))]
    layers = [SemanticMapLayer.LANE] * lanes + [SemanticMapLayer.ROADBLOCK] * (len(polygons) - lanes)
    ground = PDMDrivableMap(tokens, layers, polygons)
    route = PDMPath([StateSE2(x, y, 0.0) for x, y in task["route"]])
    on_route = [str(k) for k in np.flatnonzero(task["on_route"])]
    scorer, ways = PDMScorer(sampling, vehicle_parameters=shape), states(task)
    observation = PDMObservation(sampling, sampling, 1000.0, observation_sample_res=1)
    observation.update_detections_tracks(tracks(task))
    seconds = []
    for _ in range(int(repeats)):
        began = time.process_time()
        results = scorer.score_proposals(ways, observation, route, on_route, ground)
        seconds.append(time.process_time() - began)
    columns = {name: np.array([r[name].iloc[0] for r in results], float) for name in results[0].columns if "weighted" not in name}
    comfortable = ego_is_comfortable(ways, 0.1 * np.arange(ways.shape[1]), shape).all(-1)
    np.savez(result_file, seconds=seconds, comfortable=comfortable, **columns)


if __name__ == "__main__":
    main(*sys.argv[1:])
