"""A crest as road engineers lay it out: how far one sees over it decides how round it is.

AASHTO, A Policy on Geometric Design of Highways and Streets (Green Book, 2018): stopping sight distance is S = v t + v^2 / 2 a
with t = 2.5 s and a = 3.4 m/s2, and a parabolic crest longer than S shows an object of 0.6 m to an eye at 1.08 m over S
where its length is L = A S^2 / (200 (sqrt(h1) + sqrt(h2))^2), with A the change of grade in percent. A parabola of radius
R has L = R A / 100, so R = S^2 / (2 (sqrt(h1) + sqrt(h2))^2), whatever the grades.
"""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array, Marking
from drivewm.scenarios.roads_options import SIGHT_LIMITS_M, RoadOptions
from drivewm.scenarios.roads_plan import Plan
from drivewm.scenarios.roads_through import carriageway, through_origin

EYE_M, OBJECT_M = 1.08, 0.60  # heights that sight distances are designed for
REACTION_S, BRAKING_MPS2 = 2.5, 3.4
# Lengths in sight distances: of the crest's curve, of the slope beside it, and the radius of the sag at its foot in radii of the
# crest. Grade times length does not depend on the sight distance then: every hill is 4.0 m high, the shorter ones are steeper.
_CREST, _SLOPE, _SAG_RADIUS = 1.25, 0.5, 0.5
_SAGITTA_M = 0.004  # by which the pieces of the profile may miss the parabola


def stopping_sight_m(speed_mps: float) -> float:
    """The distance at which a driver must see an object in order to stop before it."""
    return speed_mps * REACTION_S + speed_mps**2 / (2.0 * BRAKING_MPS2)


def crest_radius_m(sight_m: float) -> float:
    """Radius at the top of a parabolic crest that shows an object of 0.6 m just ``sight_m`` away from an eye at 1.08 m."""
    return float(sight_m**2 / (2.0 * (np.sqrt(EYE_M) + np.sqrt(OBJECT_M)) ** 2))


def hill_profile(sight_m: float) -> Array:
    """Height of the ground [P, 2] over x: level, up a slope, over the top at x = 0, and down in the same way."""
    radius = crest_radius_m(sight_m)
    half = 0.5 * _CREST * sight_m
    grade = half / radius
    foot = half + _SLOPE * sight_m
    sag = _SAG_RADIUS * radius
    end = foot + grade * sag
    crest = np.linspace(0.0, half, _pieces(half, radius) + 1)
    valley = np.linspace(foot, end, _pieces(end - foot, sag) + 1)
    below_top = np.concatenate(
        [crest**2 / (2.0 * radius), half * grade / 2.0 + grade * (foot - half) + _drop(valley - foot, grade, sag)]
    )
    side = np.stack([np.concatenate([crest, valley]), below_top[-1] - below_top], 1)
    return np.concatenate([side[:0:-1] * np.array([-1.0, 1.0]), side])


def _pieces(length_m: float, radius_m: float) -> int:
    return max(1, int(np.ceil(length_m / np.sqrt(8.0 * radius_m * _SAGITTA_M))))


def _drop(x_m: Array, grade: float, radius_m: float) -> Array:
    return np.asarray(grade * x_m - x_m**2 / (2.0 * radius_m))


def crest(options: RoadOptions) -> Plan:
    """A straight road over a hill whose top is at x = 0; without ``sight_m`` it shows what its speed limit asks for."""
    wanted = stopping_sight_m(options.speed_limit_mps) if options.sight_m is None else options.sight_m
    plan = carriageway(through_origin(options), options)
    plan.height_xz_m = hill_profile(float(np.clip(wanted, *SIGHT_LIMITS_M)))
    plan.markings = [_unbroken(marking) for marking in plan.markings] if options.lanes == options.oncoming == 1 else plan.markings
    return plan


def _unbroken(marking: Marking) -> Marking:
    """Nobody overtakes where nobody sees what comes."""
    return Marking(marking.xy, "solid", marking.width_m)
