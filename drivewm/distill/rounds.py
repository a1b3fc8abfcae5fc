"""On-policy distillation in rounds: the small policy drives, the large one comments, the small one learns; then again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from drivewm.datatypes import Scene
from drivewm.distill.collect import CollectOptions, Visits, collect, load_visits, save_visits
from drivewm.distill.distil import DistilOptions, distil
from drivewm.errors import InputError
from drivewm.evaluation.cases import frames_of
from drivewm.execution import Progress
from drivewm.policies.load import load_onboard, save_policy
from drivewm.policies.onboard import OnboardPolicy
from drivewm.policies.teacher import TeacherPolicy
from drivewm.protocols import World
from drivewm.store import content_hash, read_json, write_json
from drivewm.training.loop import OnLog

VISITS, WEIGHTS, LESSON = "visits", "onboard.safetensors", "lesson.json"


@dataclass(frozen=True, slots=True)
class Lesson:
    """Who teaches, in which world, on which scenes; ``scenes`` gives those of a round, new ones each time."""

    teacher: TeacherPolicy
    world: World
    scenes: Callable[[int], Sequence[Scene]]


@dataclass(frozen=True, slots=True)
class RoundsOptions:
    rounds: int = 1
    seed: int = 0
    collect: CollectOptions = field(default_factory=CollectOptions)
    distil: DistilOptions = field(default_factory=DistilOptions)


def distil_rounds(
    student: OnboardPolicy,
    lesson: Lesson,
    out: str | Path,
    options: RoundsOptions,
    progress: Progress | None = None,
    on_log: OnLog | None = None,
) -> OnboardPolicy:
    """The small policy after all rounds; each round learns from everything visited so far.

    ``out`` receives ``visits/``, one folder per round, and ``onboard.safetensors`` with its card. What stands there is not done
    again, so a killed call goes on. ``progress`` hears camera frames driven, ``on_log`` the losses over the steps of all rounds.
    Raises InputError when ``out`` belongs to another lesson.
    """
    out, collected = Path(out), 0
    ids = {"teacher": lesson.teacher.spec.id, "world": lesson.world.id}
    _claim(out, student, ids, options)
    visits: list[Visits] = []
    for number in range(options.rounds):
        scenes = lesson.scenes(number)

        def tell(done: int, total: int, before: int = collected) -> None:
            if progress:
                progress(before + done, options.rounds * total)

        folder, weights = out / VISITS / f"round-{number}", out / f"round-{number}" / WEIGHTS
        if not (out / VISITS / f"round-{number}.json").exists():
            seen = collect(
                student, lesson.teacher, lesson.world, scenes, replace(options.collect, seed=options.seed + number), tell
            )
            save_visits(folder, seen)
            write_json(out / VISITS / f"round-{number}.json", {"drives": len(seen), "frames": sum(map(len, seen))})
        visits += load_visits(folder)
        collected += sum(frames_of(scene, lesson.world.rig.rate_hz) for scene in scenes)
        if not weights.exists():
            offset = number * options.distil.steps

            def log(step: int, values: dict[str, float], offset: int = offset) -> None:
                if on_log:
                    on_log(offset + step, values)

            network = distil(student.network, visits, weights.parent, replace(options.distil, seed=options.seed + number), log)
            save_policy(weights, network, seed=options.seed, teacher=ids["teacher"], world=ids["world"])
        student = load_onboard(weights)
    if not (out / WEIGHTS).is_file() or load_onboard(out / WEIGHTS).spec.id != student.spec.id:
        save_policy(out / WEIGHTS, student.network, seed=options.seed, teacher=ids["teacher"], world=ids["world"])
    return student


def all_visits(out: str | Path) -> list[Visits]:
    """Everything that was visited in the rounds below ``out``, in order."""
    folders = sorted((Path(out) / VISITS).glob("round-*/"), key=lambda path: int(path.name.partition("-")[2]))
    if not folders:
        raise InputError("holds no visited drives", file=Path(out) / VISITS, hint="`drivewm distill` makes them")
    return [visit for folder in folders for visit in load_visits(folder)]


def _claim(out: Path, student: OnboardPolicy, ids: dict[str, str], options: RoundsOptions) -> None:
    """Notes what is learned here; another lesson in the same folder would mix what was visited."""
    settings = {name: value for name, value in asdict(options).items() if name != "rounds"}
    lesson = {"student": student.spec.id, **ids, "settings": content_hash(settings)[:12]}
    file = out / LESSON
    if not file.is_file():
        write_json(file, lesson)
        return
    known = read_json(file)
    changed = [name for name in lesson if not isinstance(known, dict) or known.get(name) != lesson[name]]
    if changed:
        raise InputError(f"belongs to a lesson with another {', '.join(changed)}", file=out, hint="choose another folder")
