"""Traffic lights: the lamps of the road with the phases that the scenario gives them (ASAM OpenSCENARIO 1.2, TrafficSignals)."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array, Signal
from drivewm.scenarios.opendrive.furniture import Lamp
from drivewm.scenarios.opendrive.network import DRIVING, Network
from drivewm.scenarios.opendrive.reading import Road
from drivewm.scenarios.opendrive.roadmap import name
from drivewm.scenarios.openscenario.reading import Reading
from drivewm.scenarios.xml import Element, child, children

STATES = ("green", "yellow", "red")


def signals(reading: Reading, root: Element, network: Network) -> tuple[Signal, ...]:
    """All lights that have a plain cycle; others are listed."""
    programs: dict[str, list[tuple[str, float]]] = {}
    group = child(root, "RoadNetwork", "TrafficSignals")
    for controller in [] if group is None else children(group, "TrafficSignalController"):
        own: dict[str, list[tuple[str, float]]] = {}
        for phase in children(controller, "Phase"):
            for one in children(phase, "TrafficSignalState"):
                own.setdefault(reading.text(one, "trafficSignalId"), []).append(
                    (reading.text(one, "state").lower(), reading.number(phase, "duration"))
                )
        delayed = controller.get("delay") is not None and reading.number(controller, "delay") != 0
        cycles = {lamp: _cycle(phases) for lamp, phases in own.items()}
        if delayed or not cycles or any(cycle is None for cycle in cycles.values()):
            reading.note(controller, "only a plain cycle of green, yellow and red is known")
            continue
        reading.use_all(controller)
        if group is not None:
            reading.use(group)
        programs.update(own)
    out = []
    for road in network.file.roads.values():
        for lamp in road.lamps:
            cycle = _cycle(programs.get(lamp.id, []))
            found = None if cycle is None else _signal(road, lamp, *cycle)
            out += [] if found is None else [found]
    return tuple(out)


def _cycle(phases: list[tuple[str, float]]) -> tuple[tuple[float, float, float], float] | None:
    """Durations of green, yellow and red, and how far into the cycle it is at the start."""
    words = [next((state for state in STATES if state in word), "") for word, _ in phases]
    durations = [duration for _, duration in phases]
    done = 0.0  # of the first phase, before the start
    if len(words) == 4 and words[0] == words[3]:
        done = durations.pop()
        durations[0] += done
        words.pop()
    if sorted(words) != sorted(STATES) or min(durations) <= 0:
        return None
    first = STATES.index(words[0])
    if [STATES[(first + k) % 3] for k in range(3)] != words:
        return None
    green, yellow, red = (durations[(k - first) % 3] for k in range(3))
    return (green, yellow, red), (0.0, green, green + yellow)[first] + done


def _signal(road: Road, lamp: Lamp, phase_s: tuple[float, float, float], offset_s: float) -> Signal | None:
    """The light at a lamp; its stop line crosses the lanes for which it is valid."""
    s = float(np.clip(lamp.s_m, 0.0, road.length_m))
    index = road.section_index(s)
    section = road.sections[index]
    lanes = [n for n in section.lanes if lamp.first <= n <= lamp.last and section.lanes[n].kind in DRIVING]
    if not lanes or len({n > 0 for n in lanes}) > 1:
        return None
    edges = [float(edge) for n in lanes for edge in road.edges(section, n, np.array(s))]
    turned = 0.0 if road.along_s(lanes[0]) else np.pi
    pose: Array = road.pose(s, lamp.t_m) + np.array([0.0, 0.0, turned])
    stop = road.pose(np.array([s, s]), np.array([max(edges), min(edges)]))[:, :2]
    return Signal(pose, stop, tuple(name((road.id, index, n)) for n in lanes), phase_s, offset_s)
