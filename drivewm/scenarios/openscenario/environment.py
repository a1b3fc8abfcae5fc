"""Weather and light from an <Environment> (ASAM OpenSCENARIO 1.2, class Environment)."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from drivewm.datatypes import Conditions, Light, Weather
from drivewm.geometry import wrap_angle_rad
from drivewm.scenarios.openscenario.reading import Reading
from drivewm.scenarios.xml import Element

FOG_M = 1000.0  # meteorological definition: fog is sight below 1 km
WET = 0.05  # intensity of rain or snow from which on it is seen, as a share (1.0) or in mm/h (1.1 and later)
LOW_SUN_RAD, DUSK_RAD = math.radians(12.0), math.radians(0.0)
NIGHT_LUX = 10.0


def conditions_of(reading: Reading, element: Element, current: Conditions) -> Conditions:
    """The conditions after an EnvironmentAction; what is not said stays."""
    entry = reading.referenced(element, "Environment")
    if entry is None:
        return current
    inner, environment = entry
    out = current
    weather = inner.child(environment, "Weather")
    sun = None if weather is None else inner.child(weather, "Sun")
    time = inner.child(environment, "TimeOfDay")
    if weather is not None:
        out = replace(out, weather=_weather(inner, weather, out.weather))
    if sun is not None:
        azimuth = inner.number(sun, "azimuth", 0.0)  # clockwise from north
        out = replace(out, light=_light(inner, sun), sun_azimuth_rad=float(wrap_angle_rad(math.pi / 2 - azimuth)))
    if time is not None and (sun is None or out.light is Light.DAY):
        found = re.search(r"T(\d\d):", inner.text(time, "dateTime", ""))
        hour = int(found[1]) if found else 12
        if sun is None and (hour < 6 or hour >= 21):
            out = replace(out, light=Light.NIGHT)
        elif sun is None:
            out = replace(out, light=Light.DAY)
    return out


def _weather(reading: Reading, element: Element, current: Weather) -> Weather:
    rain, fog = reading.child(element, "Precipitation"), reading.child(element, "Fog")
    out = current
    if rain is not None:
        kind = reading.text(rain, "precipitationType", "dry")
        name = "intensity" if rain.get("intensity") is not None else "precipitationIntensity"
        strong = reading.number(rain, name, 0.0) > WET
        out = Weather.CLEAR if not strong else {"rain": Weather.RAIN, "snow": Weather.SNOW}.get(kind, Weather.CLEAR)
    if fog is not None and out is not Weather.RAIN and out is not Weather.SNOW:
        if reading.number(fog, "visualRange", 1e6) < FOG_M:
            return Weather.FOG
        return Weather.CLEAR if rain is not None or current is Weather.FOG else out
    return out


def _light(reading: Reading, sun: Element) -> Light:
    elevation = reading.number(sun, "elevation", 1.0)
    bright = reading.number(sun, "illuminance", 1e5)
    if elevation < math.radians(-6.0) or bright < NIGHT_LUX:
        return Light.NIGHT
    if elevation < DUSK_RAD:
        return Light.DUSK
    return Light.LOW_SUN if elevation < LOW_SUN_RAD else Light.DAY
