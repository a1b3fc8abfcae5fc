"""What light and weather do to colours: one table of numbers, no code per case elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, Conditions, Light, SemanticClass, Weather
from drivewm.sim.raster.faces import Faces
from drivewm.sim.raster.ground import SURFACES


def _rgb(*values: float) -> Array:
    return np.array(values, np.float32)


@dataclass(frozen=True, slots=True)
class Illumination:
    """Light falls as ``ambient + sun * cos``; all colours are RGB, 0..255 for things and about 1 for light."""

    ambient: Array
    sun: Array
    sun_elevation_rad: float
    sky_top: Array
    sky_low: Array  # at the horizon
    sun_glow: Array  # added to the sky around the sun
    haze_m: float  # distance at which 1 - 1/e of a colour is lost
    haze_rgb: Array
    shadow: float  # share of light that a cast shadow takes
    lights_on: bool = False
    head_lamp: float = 0.0  # light of the ego's own lamps just ahead of the car
    lit_windows: float = 0.0  # share of windows
    wet: float = 0.0  # strength of reflections on the road
    snow: bool = False


_BY_LIGHT = {
    Light.DAY: Illumination(
        _rgb(0.60, 0.63, 0.68), _rgb(0.52, 0.49, 0.43), 0.85, _rgb(84, 140, 212), _rgb(196, 218, 236), _rgb(40, 36, 24),
        900.0, _rgb(196, 214, 230), 0.38,
    ),
    Light.LOW_SUN: Illumination(
        _rgb(0.50, 0.46, 0.48), _rgb(0.82, 0.58, 0.32), 0.16, _rgb(104, 142, 190), _rgb(250, 206, 140), _rgb(150, 120, 70),
        420.0, _rgb(246, 206, 150), 0.40,
    ),
    Light.DUSK: Illumination(
        _rgb(0.36, 0.33, 0.42), _rgb(0.10, 0.06, 0.04), 0.05, _rgb(44, 52, 98), _rgb(222, 132, 100), _rgb(70, 40, 10),
        700.0, _rgb(170, 116, 112), 0.10, lights_on=True, head_lamp=0.35, lit_windows=0.30,
    ),
    Light.NIGHT: Illumination(
        _rgb(0.19, 0.18, 0.20), _rgb(0.03, 0.03, 0.04), 0.8, _rgb(6, 8, 20), _rgb(26, 26, 38), _rgb(0, 0, 0),
        600.0, _rgb(18, 18, 28), 0.15, lights_on=True, head_lamp=1.0, lit_windows=0.32,
    ),
}  # fmt: skip
_BRIGHTNESS = {Light.DAY: 1.0, Light.LOW_SUN: 0.85, Light.DUSK: 0.42, Light.NIGHT: 0.16}
_TINT = {
    Light.DAY: _rgb(1, 1, 1),
    Light.LOW_SUN: _rgb(1.12, 1.0, 0.84),
    Light.DUSK: _rgb(1.04, 0.92, 1.04),
    Light.NIGHT: _rgb(0.9, 0.95, 1.2),
}
_LAMP_LIGHT = _rgb(0.40, 0.36, 0.29)
# weather: sky, share of sun left, share of ambient left, haze distance
_BY_WEATHER = {
    Weather.RAIN: (_rgb(146, 154, 164), 0.06, 1.06, 150.0),
    Weather.FOG: (_rgb(206, 208, 208), 0.10, 1.14, 26.0),
    Weather.SNOW: (_rgb(204, 208, 216), 0.18, 1.12, 110.0),
}


def illumination(conditions: Conditions) -> Illumination:
    """The light of the given conditions."""
    light, weather = Light(conditions.light), Weather(conditions.weather)
    base = _BY_LIGHT[light]
    if weather is Weather.CLEAR:
        return base
    sky, sun, ambient, haze_m = _BY_WEATHER[weather]
    colour = sky * _BRIGHTNESS[light] * _TINT[light]
    return replace(
        base,
        ambient=base.ambient * ambient,
        sun=base.sun * sun,
        sky_top=colour * (1.0 if weather is Weather.FOG else 0.86),
        sky_low=colour,
        sun_glow=base.sun_glow * (0.25 if light is Light.LOW_SUN else 0.0),
        haze_m=haze_m,
        haze_rgb=colour,
        shadow=0.0,
        lights_on=base.lights_on or weather in (Weather.RAIN, Weather.FOG),
        wet=0.55 if weather is Weather.RAIN else 0.0,
        snow=weather is Weather.SNOW,
    )


def underground(outside: Illumination) -> Illumination:
    """The light of a tunnel's lamps; what is seen of the sky through its mouth stays as it is outside."""
    return replace(
        _BY_LIGHT[Light.NIGHT],
        ambient=_LAMP_LIGHT,
        sun=_rgb(0.0, 0.0, 0.0),
        sky_top=outside.sky_top,
        sky_low=outside.sky_low,
        sun_glow=outside.sun_glow,
        haze_m=400.0,
        haze_rgb=_rgb(40, 36, 30),
        head_lamp=0.6,
        shadow=0.0,
    )


# sky, terrain, road, sidewalk, crosswalk, kerb, stripe, paint
_GROUND_RGB = np.zeros((SURFACES, 3), np.float32)
_GROUND_RGB[1:] = [
    (98, 126, 66), (98, 99, 102), (172, 166, 158), (98, 99, 102), (196, 194, 188), (240, 240, 236), (244, 244, 240)
]  # fmt: skip
_SNOW_RGB = np.zeros((SURFACES, 3), np.float32)
_SNOW_RGB[1:] = [
    (238, 242, 248), (140, 144, 150), (220, 224, 230), (140, 144, 150), (204, 208, 214), (226, 230, 234), (228, 230, 234)
]  # fmt: skip
_SNOW_WHITE = _rgb(236, 240, 246)
_WET = np.array([1.0, 0.80, 0.56, 0.72, 0.56, 0.7, 0.86, 0.88], np.float32)


def ground_rgb(light: Illumination) -> Array:
    """Lit colours float32 [SURFACES, 3] of sky (0), terrain, road and everything painted on it."""
    own = _SNOW_RGB if light.snow else _GROUND_RGB
    if light.wet:
        own = own * _WET[:, None]
    return np.asarray(own * (light.ambient + light.sun * np.sin(light.sun_elevation_rad)), np.float32)


_SNOW_COVER = np.zeros(len(SemanticClass), np.float32)
_SNOW_COVER[[SemanticClass.BUILDING, SemanticClass.TREE]] = 0.9, 0.5


def face_rgb(faces: Faces, index: Array, normal: Array, light: Illumination, sun_ego: Array) -> Array:
    """Lit colours float32 [M, 3] of the faces ``index`` [M], whose unit normals [M, 3] are given in the ego frame."""
    rgb, glow, flat = faces.rgb[index], faces.glow[index], faces.two_sided[index]
    if light.snow:  # lies on what looks up: roofs, and the tops of crowns
        cover = _SNOW_COVER[faces.label[index]] * np.where(flat, (rgb[:, 1] > 110.0), normal[:, 2] > 0.3)
        rgb = rgb + (_SNOW_WHITE - rgb) * cover[:, None]
    toward = np.where(flat, 0.55, np.maximum(normal @ sun_ego, 0.0))
    sky_seen = 0.86 + 0.14 * np.where(flat, 0.3, normal[:, 2])
    lit = light.ambient * sky_seen[:, None] + light.sun * toward[:, None]
    return np.asarray(rgb * (glow[:, None] + (1.0 - glow[:, None]) * lit), np.float32)


def sun_direction_ego(conditions: Conditions, light: Illumination, ego_yaw_rad: float) -> Array:
    """Unit vector [3] towards the sun in the ego frame."""
    azimuth, elevation = conditions.sun_azimuth_rad - ego_yaw_rad, light.sun_elevation_rad
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], np.float32)
