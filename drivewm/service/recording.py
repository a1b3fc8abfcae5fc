"""A person's drive as a case and a film, stored like those of a policy, so that `drivewm replay` can judge it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from drivewm.datatypes import Action, Array, Rollout, Trajectory, WorldState
from drivewm.evaluation.cases import judged, reference_progress_m
from drivewm.evaluation.film import Take, write_film
from drivewm.evaluation.gate import gate_for
from drivewm.rollout import touching
from drivewm.service.drive import Drive, held_plan
from drivewm.store import provenance, save_record

PERSON = "person"
SHORTEST_S = 1.0  # less says nothing


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a drive was stored, and what it is worth."""

    film: Path
    case: Path
    seconds: float
    total: float | None  # None: void


def finished(drive: Drive) -> tuple[Rollout, Array] | None:
    """A kept drive so far as a record with its frames [F, V, H, W, 3]; None when it is shorter than `SHORTEST_S`.

    It ends as a policy's does: at the first state that touches somebody. Its horizon is the time that the person drove.
    """
    moments, ended = drive.moments, "horizon"
    passed = [step for moment in moments for step in moment.passed]
    for count, (_, state) in enumerate(passed, start=1):
        if touching(state)[0]:
            passed, ended = passed[:count], "collision"
            break
    if len(passed) * drive.engine.dt_s < SHORTEST_S:
        return None
    frames = -(-len(passed) // drive.steps_per_frame)
    shown = moments[:frames]
    states = [moments[0].state.world, *(state for _, state in passed)]
    runs = [(name, list(run)) for name, run in groupby(shown, key=lambda moment: moment.regime)]
    regimes = ", ".join(f"{name} from {float(run[0].now.t_s):.1f} s" for name, run in runs)
    world = drive.ride.worlds[shown[-1].regime]
    rollout = Rollout(
        scene=replace(shown[-1].scene, horizon_s=len(passed) * drive.engine.dt_s),
        states=WorldState.stack([state[0] for state in states]),
        actions=Action.stack([action[0] for action, _ in passed]),
        plans=Trajectory.stack([held_plan(moment) for moment in shown]),
        plan_every=drive.steps_per_frame,
        ended=ended,
        latency_ms=np.zeros(frames),
        provenance=provenance(drive.ride.seed, {"regimes": regimes}, policy=PERSON, world=world.id),
    )
    return rollout, np.stack([moment.images for moment in shown])


def store(drive: Drive, film: Path) -> Stored | None:
    """Write ``film`` (.mp4) with its pictures, and the case (.safetensors) beside it; None when there is too little to store."""
    done = finished(drive)
    if done is None:
        return None
    rollout, images = done
    world = drive.ride.worlds[drive.moment.regime]
    case = judged(rollout, reference_progress_m([rollout.scene], drive.rig.rate_hz)[0], images, gate_for(world))
    write_film(film, rollout, [Take(world.id, images)], drive.rig)
    save_record(film.with_suffix(".safetensors"), case)
    total = case.score.total if case.score.valid else None
    return Stored(film, film.with_suffix(".safetensors"), rollout.scene.horizon_s, total)
