"""What if: a drive with edits and scripted actions on its way, one moment with several futures, and a world on rails."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Rollout, Scene, WorldState
from drivewm.errors import InputError
from drivewm.evaluation.cases import Case
from drivewm.policies.load import load_policy
from drivewm.policies.scripted import Script, ScriptedPolicy, parse_order, parse_script
from drivewm.protocols import Policy, World
from drivewm.rollout import Underway
from drivewm.scenarios.editing import edited
from drivewm.scenarios.edits import Edit, is_edit, parse_edit, parse_edits, timed
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.scenarios.quantities import TIME, QuantityError, quantity
from drivewm.store import load_record


@dataclass(frozen=True, slots=True)
class Course:
    """Who drives, what is edited on the way, and orders that the car follows instead of its driver from the first one on."""

    policy: Policy
    edits: tuple[Edit, ...] = ()
    script: Script = field(default_factory=Script)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """One past until ``at_s`` and what may come after it."""

    past: Course
    at_s: float
    branches: tuple[Course, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A finished drive and its frames uint8 [F, V, H, W, 3], one per plan."""

    rollout: Rollout
    images: NDArray[np.uint8]


class _Drive:
    """One scene under way on a course, with the frames that were shown."""

    def __init__(self, scene: Scene, course: Course, world: World, seed: int) -> None:
        self.under_way = Underway([scene], course.policy, world, seed=seed)
        self.period_s = self.under_way.plan_every * scene.dt_s
        self.frames: list[NDArray[np.uint8]] = []
        self._on(course)

    def _on(self, course: Course) -> None:
        end_s, now = self.under_way.scenes[0].horizon_s, self.under_way.frame
        late = [edit for edit in course.edits if edit.at_s >= end_s - 1e-6]
        if late or end_s <= course.script.begins_s < np.inf:
            what, at_s = (f"edit {late[0].text!r}", late[0].at_s) if late else ("actions", course.script.begins_s)
            raise InputError(f"{at_s:g} s is after the end of the drive", place=what, hint=f"it ends at {end_s:g} s")
        in_time = sorted(course.edits, key=lambda edit: edit.at_s)
        self._edits = [edit for edit in in_time if self.frame_of(edit.at_s) >= now]
        self._script, self._scripted = course.script, False

    def frame_of(self, at_s: float) -> int:
        """The first camera frame that is not before a time."""
        return int(np.ceil(at_s / self.period_s - 1e-6))

    def until(self, frame: float = np.inf) -> None:
        """Drive on to a camera frame, which is not yet shown, or to the end."""
        while not self.under_way.finished and self.under_way.frame < frame:
            now = self.under_way.frame
            if not self._scripted and self._script.orders and now >= self.frame_of(self._script.begins_s):
                rate_hz, dt_s = self.under_way.world.rig.rate_hz, self.under_way.scenes[0].dt_s
                self.under_way.hand_over(ScriptedPolicy(self._script, rate_hz, dt_s))
                self._scripted = True
            while self._edits and self.frame_of(self._edits[0].at_s) <= now:
                scene, state = self.under_way.scenes[0], self.under_way.state.world[0]
                self.under_way.edit([edited(scene, state, self._edits.pop(0))])
            self.under_way.advance(lambda frame, images, state: self.frames.append(images[0]))

    def fork(self, course: Course) -> _Drive:
        other = object.__new__(_Drive)
        other.under_way, other.period_s, other.frames = self.under_way.fork(), self.period_s, list(self.frames)
        other._on(course)
        if course.policy is not self.under_way.policy:
            other.under_way.hand_over(course.policy)
        return other

    def shown(self) -> Shown:
        rollout = self.under_way.records()[0]
        return Shown(rollout, np.stack(self.frames[: len(rollout.plans.t_s)]))


def drive_course(scene: Scene, course: Course, world: World, *, seed: int) -> Shown:
    """Drive one scene on a course; an edit takes place at the first camera frame that is not before its time."""
    drive = _Drive(scene, course, world, seed)
    drive.until()
    return drive.shown()


def futures(scene: Scene, split: Split, world: World, *, seed: int) -> list[Shown]:
    """Drive the past until the first camera frame that is not before the parting, then on along each branch from this one memory.

    Edits and orders of the past that are still to come take place in every branch; one with orders of its own has only these.
    Raises InputError when a branch asks for something before that moment, or the drive ends before it.
    """
    past, at_s = split.past, split.at_s
    drive = _Drive(scene, past, world, seed)
    drive.until(drive.frame_of(at_s))
    if drive.under_way.finished or at_s >= scene.horizon_s:
        raise InputError(f"the drive is over before {at_s:g} s", place="branch", hint="branch at an earlier moment")
    out = []
    for branch in split.branches:
        first_s = min([branch.script.begins_s, *(edit.at_s for edit in branch.edits)])
        if first_s < at_s - 1e-6:
            reason = f"{first_s:g} s is before {at_s:g} s, when the futures part"
            raise InputError(reason, place=f"branch {branch.name!r}", hint="times are those of the scene")
        script = branch.script if branch.script.orders else past.script
        future = drive.fork(replace(branch, edits=(*past.edits, *branch.edits), script=script))
        future.until()
        out.append(future.shown())
    return out


def course_of(policy: Policy, edits: Sequence[str], actions: str | None) -> Course:
    """A course in words; ``actions`` may be the name of a text file."""
    if actions is not None and os.path.isfile(actions):
        actions = Path(actions).read_text(encoding="utf-8", errors="replace")
    script = Script() if actions is None else parse_script(actions)
    return Course(policy, tuple(edit for text in edits for edit in parse_edits(text)), script)


def split_of(past: Course, at: str | None, branches: Sequence[str]) -> Split | None:
    """Where the futures part and what they are; None when there is only one."""
    if at is None and not branches:
        return None
    if at is None or not branches:
        missing = "when the futures part" if at is None else "what the futures are"
        raise InputError(
            f"it is not said {missing}", place="branch", hint="for example --branch-at 3s --branch left --branch brake"
        )
    try:
        at_s = quantity(at, TIME)
    except QuantityError as error:
        raise InputError(error.reason, place="--branch-at", hint=error.hint) from None
    return Split(past, at_s, tuple(parse_branch(text, at_s, past.policy) for text in branches))


def scenes_to_dream(files: Sequence[Path], rails: Path | None, index: int, seed: int) -> dict[str, Scene]:
    """The scenes behind scenario files, or the one of a stored drive on rails, by the names that their films get."""
    if rails is not None and not files:
        return {f"{rails.stem}-rails": on_rails(load_record(Case, rails).rollout)}
    if rails is not None or not files:
        raise InputError("give scenarios, or one stored drive with --rails", hint="a stored drive brings its own scene")
    return {f"{file.stem}-{index}": draw(open_scenario(file), index, seed) for file in files}


def parse_branch(text: str, at_s: float, driver: Policy) -> Course:
    """A future in words: edits, orders and ``policy=NAME``, parted by semicolons; what has no time is at ``at_s``.

    ``driver`` drives on when nobody else is named.
    """
    edits, orders = [], []
    for when_s, item in timed(text, at_s):
        if item.startswith("policy="):
            driver = load_policy(item.removeprefix("policy=").strip())
        elif is_edit(item):
            edits.append(parse_edit(when_s, item))
        else:
            parse_order(when_s, item)
            orders.append(f"{when_s:.9g} s {item}")
    return Course(driver, tuple(edits), parse_script(";".join(orders)) if orders else Script(), text)


def on_rails(first: Rollout) -> Scene:
    """The scene of a drive in which agents do what they did then, whatever the ego does; it lasts as long as that drive.

    Agents heed the recorded ego, so their triggers and their distances come out the same, bit for bit.
    """
    states = first.states
    if len(states.t_s) < 2:
        raise InputError("the stored drive was over when it began, so there is nothing to repeat", place="rails")
    rails = np.concatenate([states.ego_xy_yaw_world, states.ego_speed_mps[:, None]], 1)
    return replace(first.scene, rails=rails, horizon_s=round((len(states.t_s) - 1) * first.scene.dt_s, 9))


def agents_equal(a: WorldState, b: WorldState) -> bool:
    """Whether agents did the same in two drives, bit for bit, as long as both lasted."""
    steps = min(len(a.t_s), len(b.t_s))
    one, two = a[:steps].agents, b[:steps].agents
    same = np.array_equal(one.valid, two.valid)
    names = ("xy_yaw_world", "speed_mps", "accel_mps2")
    return same and all(np.array_equal(getattr(one, name)[one.valid], getattr(two, name)[two.valid]) for name in names)
