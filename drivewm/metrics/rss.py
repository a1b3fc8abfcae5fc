"""Safe distances of Responsibility-Sensitive Safety (Shalev-Shwartz et al. 2017, arXiv 1708.06374, definitions 1, 2 and 6).

IEEE 2846-2022 names the same assumptions about others, and leaves their values to the user. Ours are those that ad-rss-lib
proposes (github.com/intel/ad-rss-lib, Appendix-ParameterDiscussion). All functions broadcast; speeds are those towards the other
where that is said, else forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array


@dataclass(frozen=True, slots=True)
class RssParameters:
    """What is assumed of everybody; only the response time differs between the ego and others."""

    ego_response_s: float = 1.0
    other_response_s: float = 2.0
    accel_mps2: float = 3.5  # as much as anybody may gain while responding
    brake_least_mps2: float = 4.0  # as hard as the one behind will brake at least
    brake_most_mps2: float = 8.0  # as hard as the one in front may brake
    brake_own_lane_mps2: float = 3.0  # as hard as one in its own lane must brake for somebody who comes against it
    lateral_accel_mps2: float = 0.2
    lateral_brake_mps2: float = 0.8
    fluctuation_m: float = 0.1  # lateral distance that is left when both have stopped moving sideways


DEFAULT = RssParameters()


def stopping_m(speed_mps: Array, response_s: Array | float, accel_mps2: float, brake_mps2: float) -> Array:
    """Way of one who gains speed while responding and then brakes to a stop."""
    reached = speed_mps + response_s * accel_mps2
    return np.asarray(speed_mps * response_s + 0.5 * accel_mps2 * response_s**2 + reached**2 / (2 * brake_mps2))


def safe_behind_m(rear_mps: Array, front_mps: Array, response_s: Array | float, p: RssParameters = DEFAULT) -> Array:
    """Distance that the one behind needs when both drive the same way and the one in front brakes (definition 1)."""
    need = stopping_m(rear_mps, response_s, p.accel_mps2, p.brake_least_mps2) - front_mps**2 / (2 * p.brake_most_mps2)
    return np.asarray(np.maximum(0.0, need))


def safe_oncoming_m(ego_mps: Array, other_mps: Array, p: RssParameters = DEFAULT) -> Array:
    """Distance that both need to stop when the other comes against the ego in the ego's lane (definition 2)."""
    own = stopping_m(ego_mps, p.ego_response_s, p.accel_mps2, p.brake_own_lane_mps2)
    return own + stopping_m(other_mps, p.other_response_s, p.accel_mps2, p.brake_least_mps2)


def sideways_m(towards_mps: Array, response_s: Array | float, p: RssParameters = DEFAULT) -> Array:
    """Way towards the other of one who accelerates towards it while responding and then stops moving sideways.

    Who still moves away by then brakes for nobody, as in ad-rss-lib: it is the nearest that counts.
    """
    reached = np.maximum(0.0, towards_mps + response_s * p.lateral_accel_mps2)
    way = towards_mps * response_s + 0.5 * p.lateral_accel_mps2 * response_s**2
    return np.asarray(way + reached**2 / (2 * p.lateral_brake_mps2))


def safe_beside_m(ego_towards_mps: Array, other_towards_mps: Array, p: RssParameters = DEFAULT) -> Array:
    """Lateral distance that both need (definition 6)."""
    need = sideways_m(ego_towards_mps, p.ego_response_s, p) + sideways_m(other_towards_mps, p.other_response_s, p)
    return np.asarray(np.maximum(0.0, need + p.fluctuation_m))
