"""Colours of the reference world, as RGB in 0..255 under plain daylight."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import STATIC_CLASSES, AgentClass, Array

# Paint of vehicles and clothes; index 0 means "no paint of its own".
PAINT_RGB: Array = np.array(
    [
        (0, 0, 0), (238, 238, 234), (201, 205, 208), (150, 155, 160), (96, 101, 107), (40, 42, 46), (190, 28, 34),
        (128, 20, 28), (226, 84, 40), (240, 150, 30), (246, 206, 44), (206, 196, 120), (146, 116, 70), (92, 62, 42), (62, 96, 52),
        (38, 122, 66), (92, 170, 84), (166, 206, 92), (28, 120, 130), (60, 178, 186), (150, 206, 222), (64, 136, 206),
        (30, 84, 174), (24, 42, 104), (84, 66, 158), (134, 84, 176), (178, 118, 196), (214, 104, 160), (236, 164, 186),
        (176, 60, 96), (232, 196, 160), (116, 132, 112),
    ],
    np.uint8,
)  # fmt: skip

SKIN_RGB = np.array([(236, 196, 166), (206, 158, 120), (156, 108, 76), (104, 70, 50)], np.float32)
WALL_RGB = np.array(
    [
        (196, 176, 150),
        (176, 122, 98),
        (208, 200, 184),
        (158, 158, 156),
        (186, 152, 112),
        (150, 92, 78),
        (214, 190, 140),
        (140, 150, 160),
    ],
    np.float32,
)
ROOF_RGB = np.array([(146, 70, 52), (110, 62, 50), (92, 92, 96), (124, 84, 62)], np.float32)
CROWN_RGB = np.array([(66, 118, 50), (84, 134, 56), (52, 102, 56), (104, 136, 56)], np.float32)
TRUNK_RGB = np.array([88, 66, 48], np.float32)
POLE_RGB = np.array([104, 108, 112], np.float32)
HOUSING_RGB = np.array([28, 30, 32], np.float32)
LAMP_RGB = np.array([(255, 48, 36), (255, 196, 40), (48, 255, 120)], np.float32)  # in the order of SignalState


# Things, animals, and vehicles whose paint says what they are.
_LIVERIED = {AgentClass.CONSTRUCTION_VEHICLE, AgentClass.POLICE_CAR, AgentClass.AMBULANCE, AgentClass.ANIMAL}
_HAS_PAINT = np.array([c not in STATIC_CLASSES | _LIVERIED for c in AgentClass])


def mixed(number: Array | int, salt: int = 0) -> Array:
    """A well-spread unsigned 32-bit hash of integers, equal on every machine."""
    x = (np.asarray(number).astype(np.int64) + 0x9E3779B9 * (salt + 1)) & 0xFFFFFFFF
    for shift, factor in ((16, 0x45D9F3B), (16, 0x45D9F3B)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    return np.asarray(x ^ (x >> 16))


def paint_index(track_id: Array, category: Array) -> Array:
    """Index into PAINT_RGB of each agent: 1..31 from its track id alone, 0 for those that have no paint of their own."""
    index = 1 + mixed(track_id) % (len(PAINT_RGB) - 1)
    return np.where(_HAS_PAINT[np.asarray(category)], index, 0).astype(np.uint8)
