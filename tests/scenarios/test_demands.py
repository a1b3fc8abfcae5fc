"""What an author asks of a drive is written like a constraint, gets its values with the scene, and is a gate of the score."""

from dataclasses import replace
from pathlib import Path

import pytest

from drivewm.errors import InputError
from drivewm.metrics import score
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from tests.straight_road import Actor, drive, scene

TEXT = """\
name: lead_vehicle.demanding
about: A car stands ahead, and we are asked to keep away from it.
vary:
  speed: "[36 .. 54] km/h"
score:
  - $min_gap > 0.5 s * $speed
  - $end_speed < 1 km/h
road: {kind: straight}
ego: {speed: $speed}
actors:
  other: {is: car, lane: same, ahead: 60 m}
end: {after: 8 s}
"""


def _file(folder: Path, text: str) -> Path:
    file = folder / "demanding.yaml"
    file.write_text(text)
    return file


def test_a_scene_carries_its_demands_with_the_drawn_values(tmp_path: Path) -> None:
    drawn = draw_scene(load_scenario(_file(tmp_path, TEXT)), 0, 0)
    speed = drawn.parameters["speed"]
    assert drawn.demands == (f"$min_gap > 0.5 s * ({speed!r} m/s)", "$end_speed < 1 km/h")


def test_who_passes_closer_than_demanded_does_not_pass() -> None:
    """A car that passes a parked one with 1.5 m between the bodies."""
    beside = Actor(80.0, y_m=1.5 + 0.5 * (1.73 + 1.8))
    for demanded_m, kept in ((1.4, True), (1.6, False)):
        drives = drive(replace(scene([beside], speed_mps=10.0), demands=(f"$min_gap > {demanded_m} m",)), 0.0)
        judged = score(drives, reference_progress_m=100.0)
        assert judged.measures["min_gap_m"] == pytest.approx(1.5, abs=0.01)
        assert judged.gates["demands"] == float(kept) and judged.passed == kept and (judged.total > 0) == kept
        assert [event.kind for event in judged.events] == ([] if kept else ["demand not kept: $min_gap > 1.6 m"])


def test_braking_is_measured_as_a_positive_deceleration() -> None:
    judged = score(
        drive(replace(scene(speed_mps=10.0), demands=("$hardest_braking < 2.9 m/s2",)), -3.0), reference_progress_m=15.0
    )
    assert judged.measures["hardest_braking_mps2"] == pytest.approx(3.0, abs=0.05) and judged.gates["demands"] == 0.0


def test_a_demand_that_cannot_be_calculated_is_not_kept() -> None:
    """A share of the impact speed of a drive without an impact."""
    judged = score(drive(replace(scene(speed_mps=10.0), demands=("1 m / $impact_speed < 1 s",)), 0.0), reference_progress_m=100.0)
    assert judged.gates["demands"] == 0.0


def test_nobody_near_keeps_every_distance() -> None:
    demands = ("$min_gap > 5 m", "$min_ttc > 2 s", "$impact_speed == 0 m/s")
    assert score(drive(replace(scene(speed_mps=10.0), demands=demands), 0.0), reference_progress_m=100.0).gates["demands"] == 1.0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("$min_gap > 0.5 s * $speed", "$min_gap > 0.5 s", "compares a length with a time"),
        ("$end_speed < 1 km/h", "$final_speed < 1 km/h", "$final_speed is not defined"),
        ("$end_speed < 1 km/h", "$end_speed", "not a comparison"),
        ("$end_speed < 1 km/h", "1 m < 2 m", "says nothing about the drive"),
        ('speed: "[36', 'min_gap: 3 m\n  speed: "[36', "measured in every drive"),
    ],
)
def test_a_wrong_demand_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=r"demanding\.yaml:\d+") as refused:
        load_scenario(_file(tmp_path, TEXT.replace(old, new)))
    assert told in str(refused.value)
