"""What the ego does in a random drive, and the schedule that shows every weather and light with every manoeuvre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Light, Weather

# Roads whose map tables hold all that the cameras see; a nuScenes map has no place for the walls of a tunnel.
TOWN_KINDS = (
    "straight", "curve", "merge", "exit", "roundabout", "t_junction", "four_way", "crosswalk", "parking_row", "roadworks",
)  # fmt: skip
_CALM = ("follow", "follow_loosely")


@dataclass(frozen=True, slots=True)
class Manoeuvre:
    """Roads on which it is done, manners of driving, and where the way goes at a junction."""

    kinds: tuple[str, ...]
    manners: tuple[str, ...]
    turns: tuple[str, ...] = ("left", "right", "straight")


# Experts and others in turn, so that any few in a row hold about the same share of both.
MANOEUVRES: dict[str, Manoeuvre] = {
    "keep_straight": Manoeuvre(("straight", "crosswalk", "parking_row", "roadworks"), _CALM, ("straight",)),
    "brake": Manoeuvre(TOWN_KINDS, ("hard_brake", "full_stop")),
    "follow_bend": Manoeuvre(("curve", "roundabout"), _CALM),
    "turn_left": Manoeuvre(("four_way", "t_junction"), _CALM, ("left",)),
    "stray": Manoeuvre(TOWN_KINDS, ("drift", "swerve")),
    "turn_right": Manoeuvre(("four_way", "t_junction"), _CALM, ("right",)),
    "leave_lane": Manoeuvre(TOWN_KINDS, ("wrong_lane", "off_road")),
    "change_lane": Manoeuvre(("straight", "curve", "merge", "exit", "roadworks"), ("lane_change",)),
    "join_or_leave": Manoeuvre(("merge", "exit"), _CALM),
    "reckless": Manoeuvre(TOWN_KINDS, ("reckless", "random")),
}
SKIES = tuple((str(weather), str(light)) for weather in Weather for light in Light)


def scheduled(index: int, *key: int) -> tuple[tuple[str, str], str]:
    """Sky (weather, light) and manoeuvre of drive number ``index``.

    Every 16 drives in a row show every sky once, and every 160 show every sky with every manoeuvre once.
    """
    names, block = list(MANOEUVRES), index // len(SKIES)
    sky = balanced(index, len(SKIES), *key, 1)
    around = np.random.default_rng(np.random.SeedSequence([*key, 2, block // len(names)])).permutation(len(SKIES))
    return SKIES[sky], names[(int(around[sky]) + block) % len(names)]


def balanced(index: int, count: int, *key: int) -> int:
    """Item of a fair schedule: every run of ``count`` indices sees each of ``count`` items once, in an order of its own."""
    block, place = divmod(index, count)
    order = np.random.default_rng(np.random.SeedSequence([*key, block])).permutation(count)
    return int(order[place])
