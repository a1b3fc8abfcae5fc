"""Weather and light as an OpenSCENARIO Environment; the inverse of what `openscenario.environment` reads."""

from __future__ import annotations

import math

from scenariogeneration import xosc

from drivewm.datatypes import Conditions, Light, Weather

SUN = {  # elevation in degrees, illuminance in lux, hour of the day
    Light.DAY: (40.0, 60_000.0, 12),
    Light.LOW_SUN: (6.0, 20_000.0, 18),
    Light.DUSK: (-3.0, 100.0, 19),
    Light.NIGHT: (-25.0, 1.0, 23),
}
SIGHT_M = {Weather.FOG: 60.0}
CLEAR_SIGHT_M = 20_000.0
MM_PER_H = {Weather.RAIN: 8.0, Weather.SNOW: 4.0}
GRIP = {Weather.RAIN: 0.7, Weather.SNOW: 0.4}  # share of that of a dry road, for players that use it; this project's do not


def environment(name: str, conditions: Conditions) -> xosc.Environment:
    weather = conditions.weather
    elevation, lux, hour = SUN[conditions.light]
    azimuth = (math.pi / 2 - conditions.sun_azimuth_rad) % (2 * math.pi)  # clockwise from north
    kind = {Weather.RAIN: xosc.PrecipitationType.rain, Weather.SNOW: xosc.PrecipitationType.snow}
    clouds = xosc.FractionalCloudCover.zeroOktas if weather is Weather.CLEAR else xosc.FractionalCloudCover.eightOktas
    return xosc.Environment(
        name,
        timeofday=xosc.TimeOfDay(False, 2024, 6, 21, hour, 0, 0),
        weather=xosc.Weather(
            cloudstate=clouds,
            sun=xosc.Sun(lux, azimuth, math.radians(elevation)),
            fog=xosc.Fog(SIGHT_M.get(weather, CLEAR_SIGHT_M)),
            precipitation=xosc.Precipitation(kind.get(weather, xosc.PrecipitationType.dry), MM_PER_H.get(weather, 0.0)),
        ),
        roadcondition=xosc.RoadCondition(GRIP.get(weather, 1.0)),
    )
