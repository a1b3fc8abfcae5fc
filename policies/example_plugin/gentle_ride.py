"""A metric in thirty lines: how much of the drive was gentle, and nothing if it hit somebody by its own fault."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Rollout, Score
from drivewm.metrics.gates import no_at_fault_collision
from drivewm.metrics.published.formula import Reference
from drivewm.metrics.series import Series

GENTLE_MPS2 = 1.5  # lengthwise and sideways together


def score(rollout: Rollout, reference: Reference) -> Score:
    states = rollout.states
    sideways = states.ego_speed_mps**2 * states.ego_curvature_1pm
    felt = np.hypot(states.ego_accel_mps2, sideways)
    hit = no_at_fault_collision(Series.of(rollout, reference.progress_m))
    gate, gentle = hit.value or 0.0, float((felt <= GENTLE_MPS2).mean())
    return Score(
        scene_id=rollout.scene.id,
        family=rollout.scene.family,
        valid=True,
        total=gate * gentle,
        passed=gate == 1.0,
        gates={"no_at_fault_collision": gate},
        terms={"gentle": gentle},
        events=hit.events,
        measures={"hardest_mps2": float(felt.max())},
    )
