"""Rounds of distillation: new scenes each time, everything visited counts, and a killed lesson goes on."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from drivewm.datatypes import Scene
from drivewm.distill.distil import DistilOptions
from drivewm.distill.rounds import LESSON, VISITS, WEIGHTS, Lesson, RoundsOptions, all_visits, distil_rounds
from drivewm.errors import InputError
from drivewm.policies.load import load_onboard
from drivewm.policies.onboard import OnboardPolicy
from drivewm.policies.teacher import TeacherPolicy
from drivewm.sim.raster import RasterWorld

OPTIONS = RoundsOptions(rounds=2, distil=DistilOptions(steps=4, batch=2, stretch=2))


def test_two_rounds_go_on_where_they_were_stopped(
    student: OnboardPolicy, teacher: TeacherPolicy, world: RasterWorld, scenes: Sequence[Scene], tmp_path: Path
) -> None:
    asked: list[int] = []
    drives: list[tuple[int, int]] = []
    steps: list[int] = []

    def scenes_of(number: int) -> Sequence[Scene]:
        asked.append(number)
        return scenes[number : number + 1]

    def stop(step: int, values: dict[str, float]) -> None:
        if step > OPTIONS.distil.steps:
            raise KeyboardInterrupt

    lesson = Lesson(teacher, world, scenes_of)
    with pytest.raises(KeyboardInterrupt):
        distil_rounds(student, lesson, tmp_path, OPTIONS, on_log=stop)
    stamps = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("drive-*.safetensors")}
    first = (tmp_path / "round-0" / WEIGHTS).read_bytes()

    learned = distil_rounds(
        student,
        lesson,
        tmp_path,
        OPTIONS,
        lambda done, total: drives.append((done, total)),
        lambda step, values: steps.append(step),
    )
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("drive-*.safetensors")} == stamps, "a drive was repeated"
    assert (tmp_path / "round-0" / WEIGHTS).read_bytes() == first and min(steps, default=5) > 4, "the first round was repeated"
    assert learned.spec.id == load_onboard(tmp_path / WEIGHTS).spec.id != student.spec.id
    assert asked == [0, 1, 0, 1] and len(all_visits(tmp_path)) == 2 and drives == []


def test_a_folder_keeps_to_its_lesson(
    student: OnboardPolicy, teacher: TeacherPolicy, world: RasterWorld, scenes: Sequence[Scene], tmp_path: Path
) -> None:
    lesson = Lesson(teacher, world, lambda number: scenes[:1])
    one = RoundsOptions(distil=DistilOptions(steps=2, batch=1, stretch=2))
    distil_rounds(student, lesson, tmp_path, one)
    with pytest.raises(InputError, match="belongs to a lesson with another settings"):
        distil_rounds(student, lesson, tmp_path, RoundsOptions(seed=1, distil=one.distil))
    (tmp_path / LESSON).write_text("[]")
    with pytest.raises(InputError, match="belongs to a lesson"):
        distil_rounds(student, lesson, tmp_path, one)
    with pytest.raises(InputError, match=f"{VISITS}.*holds no visited drives"):
        all_visits(tmp_path / "elsewhere")
