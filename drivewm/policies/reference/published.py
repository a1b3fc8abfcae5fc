"""What is published about careful drivers, as plain functions: distances, the cut-in rule, braking, friction, sight.

R157 is UN Regulation No. 157 on automated lane keeping systems, original version (E/ECE/TRANS/505/Rev.3/Add.156, text of
ECE/TRANS/WP.29/2020/81). Its driver model is Annex 4, Appendix 3, paragraph 3 and Table 1; from Amendment 1 on the same text is
Annex 3. Every function takes and gives arrays of any shape.
"""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import ON_FOOT, STATIC_CLASSES, Array, Conditions, Light, Weather

STANDARD_GRAVITY_MPS2 = 9.81

# R157 5.2.3.3: present speed (km/h) and minimum time gap (s). Between the lines the time gap is interpolated, as the text asks.
_TABLE_KMH = np.array([7.2, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
_TABLE_GAP_S = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6])
SHORTEST_GAP_M = 2.0  # R157 5.2.3.3: never less, however slow

# R157 5.2.5.2: a cut-in must not end in a collision if braking with 6 m/s2 after 0.35 s is enough.
CUT_IN_BRAKE_MPS2, CUT_IN_DELAY_S = 6.0, 0.35

# R157 Annex 4 Appendix 3, Table 1 (performance model factors) and 3.4.1 to 3.4.3.
WANDER_M = 0.375  # a vehicle whose centre is farther than this from the centre of its lane is changing lane
RISK_EVALUATION_S = 0.4  # from the moment it leaves that zone, or brakes hard, until the risk is judged
BRAKING_DELAY_S = 0.75  # from the end of perception until deceleration begins
FULL_BRAKE_MPS2 = 0.774 * STANDARD_GRAVITY_MPS2  # on a road of friction 1.0
BUILD_UP_S = 0.6  # until full deceleration
BRAKE_JERK_MPS3 = FULL_BRAKE_MPS2 / BUILD_UP_S  # 12.65
DANGER_TTC_S = 2.0  # a cut-in is a danger below this time to collision
DANGER_THW_S = 2.0  # a cut-out and a deceleration are one below this time headway
HARD_BRAKING_MPS2 = 5.0  # a lead that brakes harder is a danger; also the limit of what is no emergency manoeuvre (5.3.1.1)

# M. Green, "How long does it take to stop?", Transportation Human Factors 2(3), 2000, pp. 195-216: time until the foot is on the
# brake when the driver expects it (0.70 to 0.75 s), for common signals such as a lead's brake lights, and for surprises such as
# an object that suddenly moves into the path.
EXPECTED_REACTION_S, COMMON_REACTION_S, SURPRISE_REACTION_S = 0.75, 1.25, 1.5
# H. Summala, "Brake reaction times and driver behavior analysis", same issue, pp. 217-226: reactions of drivers who were not
# warned are reported for obstacles at a time to collision of about 4 s.
CONFLICT_TTC_S = 4.0
# AASHTO, A Policy on Geometric Design of Highways and Streets, stopping sight distance: comfortable for most drivers; eye height.
COMFORT_BRAKE_MPS2 = 3.4
EYE_HEIGHT_M = 1.08

# Share of gravity that brakes can use. Wet asphalt: R. K. Noon, Engineering Analysis of Vehicular Accidents, CRC Press 1994.
# Packed snow: F. Navin et al., Vehicle traction experiments on snow and ice, SAE 1996, mean braking coefficient of cars at
# -6 degrees Celsius. Dry and fog: R157.
BRAKING_SHARE = {Weather.CLEAR: 0.774, Weather.FOG: 0.774, Weather.RAIN: 0.50, Weather.SNOW: 0.35}

# UN Regulation No. 48, 6.2.6.1: the cut-off of a dipped beam falls by 1.0 to 1.5 %; from lamps at 0.65 m it meets the road here.
DIPPED_BEAM_M = 0.65 / 0.010
WITHOUT_LAMPS = [int(kind) for kind in (*ON_FOOT, *STATIC_CLASSES)]
VISIBLE_CONTRAST = 0.05  # meteorological optical range (WMO Guide No. 8): where 5 % of the contrast is left


def minimum_time_gap_s(speed_mps: Array) -> Array:
    """R157 5.2.3.3; slower than 7.2 km/h and faster than 60 km/h, where its table ends, the first and last value are kept."""
    return np.interp(3.6 * np.asarray(speed_mps, np.float64), _TABLE_KMH, _TABLE_GAP_S)


def minimum_gap_m(speed_mps: Array) -> Array:
    """R157 5.2.3.3: minimum following distance, present speed times minimum time gap, and never less than 2 m."""
    return np.maximum(SHORTEST_GAP_M, np.asarray(speed_mps) * minimum_time_gap_s(speed_mps))


def must_avoid_cut_in(ttc_s: Array, closing_mps: Array) -> Array:
    """R157 5.2.5.2: whether a cut-in may not end in a collision.

    ``ttc_s`` is the time to collision when the tyre of the intruder is 0.3 m over the marking, ``closing_mps`` by how much the
    ego is faster. The intruder keeps its speed and was seen to move sideways for 0.72 s before.
    """
    return np.asarray(np.asarray(ttc_s) > np.asarray(closing_mps) / (2 * CUT_IN_BRAKE_MPS2) + CUT_IN_DELAY_S)


def brake_mps2(since_s: Array, most_mps2: Array | float = FULL_BRAKE_MPS2) -> Array:
    """Deceleration (positive) ``since_s`` after it began: a ramp of `BRAKE_JERK_MPS3` up to ``most_mps2``."""
    return np.clip(BRAKE_JERK_MPS3 * np.asarray(since_s, np.float64), 0.0, most_mps2)


def speed_lost_mps(since_s: Array, most_mps2: Array | float = FULL_BRAKE_MPS2) -> Array:
    """Integral of `brake_mps2`: by how much a car is slower ``since_s`` after deceleration began."""
    since = np.maximum(np.asarray(since_s, np.float64), 0.0)
    ramp = np.minimum(since, most_mps2 / BRAKE_JERK_MPS3)
    return np.asarray(0.5 * BRAKE_JERK_MPS3 * ramp**2 + most_mps2 * (since - ramp))


def braking_distance_m(shed_mps: Array, most_mps2: Array | float = FULL_BRAKE_MPS2) -> Array:
    """Way until ``shed_mps`` of speed are gone, from when deceleration begins and relative to who keeps the final speed.

    With the closing speed this is what the gap to a slower car shrinks by; with the speed itself the way to a standstill.
    """
    shed = np.asarray(shed_mps, np.float64)
    ramp_s = most_mps2 / BRAKE_JERK_MPS3
    in_ramp = 0.5 * BRAKE_JERK_MPS3 * ramp_s**2
    # Within the ramp: shed = j t^2 / 2, way = shed t - j t^3 / 6 = 2/3 shed t.
    short = 2.0 / 3.0 * shed * np.sqrt(2 * shed / BRAKE_JERK_MPS3)
    long = shed * ramp_s - BRAKE_JERK_MPS3 * ramp_s**3 / 6 + np.maximum(shed - in_ramp, 0.0) ** 2 / (2 * most_mps2)
    return np.where(shed <= in_ramp, short, long)


def braking_limit_mps2(weather: Weather) -> float:
    """The hardest braking that the road allows in this weather."""
    return BRAKING_SHARE[Weather(weather)] * STANDARD_GRAVITY_MPS2


def visual_range_m(haze_m: float) -> float:
    """How far dark things are seen through haze that leaves 1/e of the contrast after ``haze_m`` (Koschmieder's law)."""
    return -haze_m * float(np.log(VISIBLE_CONTRAST))


def lamp_range_m(conditions: Conditions, category: Array) -> Array:
    """How far road users [...] are seen by their own lamps or those of the ego: inf, except who has none at night."""
    dark = np.isin(category, WITHOUT_LAMPS) & (Light(conditions.light) is Light.NIGHT)
    return np.where(dark, DIPPED_BEAM_M, np.inf)
