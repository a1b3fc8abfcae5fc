"""The phases of traffic lights as controllers of a storyboard (ASAM OpenSCENARIO 1.2, class TrafficSignalController)."""

from __future__ import annotations

from scenariogeneration import xosc

from drivewm.datatypes import Signal
from drivewm.scenarios.export.furniture import signal_id

STATES = ("green", "yellow", "red")  # in the order of Signal.phase_s
ALMOST_NONE_S = 1e-9


def traffic_lights(signals: tuple[Signal, ...]) -> list[xosc.TrafficSignalController]:
    """One controller per light; it begins in the phase, and as far into it, as the light does."""
    out = []
    for index, signal in enumerate(signals):
        light = xosc.TrafficSignalController(f"{signal_id(index)}_controller")
        for number, (state, duration) in enumerate(_turned(signal), start=1):
            phase = xosc.Phase(f"{state}_{number}", duration)
            phase.add_signal_state(signal_id(index), state)
            light.add_phase(phase)
        out.append(light)
    return out


def _turned(signal: Signal) -> list[tuple[str, float]]:
    """The cycle from t = 0 on; what lies before it in the first phase comes last."""
    at = signal.offset_s % sum(signal.phase_s)
    first = 0
    while at >= signal.phase_s[first] - ALMOST_NONE_S and first < 2:
        at -= signal.phase_s[first]
        first += 1
    order = [(first + k) % 3 for k in range(3)]
    cycle = [(STATES[k], signal.phase_s[k]) for k in order]
    if at <= ALMOST_NONE_S:
        return cycle
    state, whole = cycle[0]
    return [(state, whole - at), *cycle[1:], (state, at)]
