"""What the dream does when a scene is edited on the way, when the car is made to do absurd things, and on rails.

    python eval/benchmarks/abilities_edits.py [--world dream] [--drives 3] [--out eval/results]

Each drive is one past of a second with many futures from the same memory: nothing, four edits of agents, six of the sky, four
absurd scripts. What the dream shows is read by the readers beside the exact frames of the same states. Writes
`worldmodel_edits.md` and pictures into `worldmodel_edits/`: the reference stands below the dream, time goes to the right.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from drivewm.config import content_folder
from drivewm.datatypes import Array, CameraRig, Light, Rollout, Scene, SemanticClass, Weather
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked
from drivewm.evaluation.readers import READ_TABLE, Readers
from drivewm.evaluation.whatif import Course, Shown, Split, agents_equal, drive_course, futures, on_rails, parse_branch
from drivewm.evaluation.worlds import load_world
from drivewm.geometry import relative_xy_yaw
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.policies.scripted import parse_script
from drivewm.protocols import World
from drivewm.scenarios.edits import parse_edits
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.quantities import SPEED, TIME, Quantity
from drivewm.scenarios.sampling import draw_scene
from drivewm.sim.raster import Frame, render
from drivewm.store import atomic_write, provenance
from drivewm.testing import BlankWorld

SCENARIO = "calm/steady_following.yaml"
RAILS = ("lead_vehicle/brakes.yaml", "cut_in/and_brakes.yaml")
RAILS_S = 6.0
STREET = {"speed": Quantity(30 / 3.6, SPEED), "gap": Quantity(1.6, TIME), "body": "car", "weather": "clear"}
PARTS_S, LASTS_S = 1.0, 3.0
AGENTS = {
    "insert pedestrian": "insert pedestrian 12 m ahead 3 m right",
    "insert car": "insert car 6 m ahead 3.6 m left at 30 km/h",
    "move lead": "move lead 3.2 m left",
    "remove lead": "remove lead",
}
SKIES = ("weather=rain", "weather=fog", "weather=snow", "light=dusk", "light=night", "light=low_sun")
SCRIPTS = ("left", "left; 2 s right", "brake", "right throttle")
SETTLED_FRAMES = 2  # after a change of sky, before it is judged
MIN_PX = 30  # smaller bodies are not judged
COLUMNS, TILE_PX, JPEG_QUALITY = 5, (107, 160), 88


@dataclass(frozen=True)
class Seen:
    """One future: what was driven, the dreamed frames, and the exact frames of the same states."""

    rollout: Rollout
    images: Array
    exact: Sequence[Frame]

    @property
    def reference(self) -> Array:
        return np.stack([frame.images for frame in self.exact])

    @property
    def first(self) -> int:
        """The first frame after the futures part."""
        return round(PARTS_S / (self.rollout.plan_every * self.rollout.scene.dt_s))


def seen(shown: Shown, rig: CameraRig) -> Seen:
    drive, exact = shown.rollout, []
    for frame in range(len(shown.images)):
        state = drive.states[frame * drive.plan_every]
        conditions = drive.scene.conditions_at(float(state.t_s))
        exact.append(render(drive.scene.road, state, conditions, rig, drive.scene.seed))
    return Seen(drive, shown.images, exact)


def drives(world: World, count: int, seed: int) -> list[dict[str, Seen]]:
    """For each drive all futures by name; "" is the one without any change."""
    driver = ConstantVelocity()
    words = {"": "policy=constant_velocity", **AGENTS, **{one: one for one in (*SKIES, *SCRIPTS)}}
    out = []
    for index in range(count):
        scene = draw_scene(load_scenario(content_folder("scenarios") / SCENARIO), index, seed, STREET)
        past = Course(driver, parse_edits("0 s remove neighbour"))
        split = Split(past, PARTS_S, tuple(parse_branch(text, PARTS_S, driver) for text in words.values()))
        shown = futures(replace(scene, horizon_s=LASTS_S), split, world, seed=seed)
        out.append({name: seen(one, world.rig) for name, one in zip(words, shown, strict=True)})
        print(f"drive {index + 1} of {count}", flush=True)
    return out


def agents_table(all_drives: list[dict[str, Seen]], readers: Readers) -> list[str]:
    lines = [
        "| edit at 1 s | judged | dream with it | reference with it | dream without it |",
        "|---|---|---|---|---|",
    ]
    for name in AGENTS:
        rows = [row for drive in all_drives for row in _found(drive, name, readers)]
        if rows:
            with_it, exact, without = np.mean(rows, 0)
            what = "where it was" if name == "remove lead" else "where it is now"
            lines.append(f"| {AGENTS[name]} | {len(rows)} views, {what} | {with_it:.2f} | {exact:.2f} | {without:.2f} |")
    return lines


def _found(drive: dict[str, Seen], name: str, readers: Readers) -> list[tuple[float, float, float]]:
    """Reader's IoU of the edited body in each view that shows enough of it: dream, reference, dream without the edit."""
    edited, plain = drive[name], drive[""]
    where = plain if name == "remove lead" else edited
    agents = where.rollout.states.agents
    row = int(edited.rollout.scene.edits[-1, 1])
    track = int(agents.track_id[-1, row])
    out = []
    for frame in range(edited.first, min(len(edited.images), len(plain.images))):
        for view in np.flatnonzero((where.exact[frame].instance == track).sum((1, 2)) >= MIN_PX):
            mask = where.exact[frame].instance[view] == track
            kind = int(READ_TABLE[np.bincount(where.exact[frame].semantics[view][mask], minlength=len(SemanticClass)).argmax()])
            shown = (edited.images[frame, view], edited.exact[frame].images[view], plain.images[frame, view])
            read = readers.segment(np.stack(shown))
            out.append(tuple(_iou(one == kind, mask) for one in read))
    return out  # type: ignore[return-value]


def _iou(read: Array, mask: Array) -> float:
    """Within the box around the mask and two pixels more, so that other bodies of the class elsewhere do not count."""
    rows, columns = np.nonzero(mask)
    part = slice(max(0, rows.min() - 2), rows.max() + 3), slice(max(0, columns.min() - 2), columns.max() + 3)
    return float((read[part] & mask[part]).sum() / max(1, (read[part] | mask[part]).sum()))


def sky_table(all_drives: list[dict[str, Seen]], readers: Readers) -> list[str]:
    lines = [
        "| change at 1 s | frames | read right in the dream | in the reference | in the dream without it |",
        "|---|---|---|---|---|",
    ]
    total = []
    for name in SKIES:
        key, _, value = name.partition("=")
        target = [str(one) for one in (Weather if key == "weather" else Light)].index(value)
        right = []
        for drive in all_drives:
            late = slice(drive[name].first + SETTLED_FRAMES, None)
            pictures = (drive[name].images[late], drive[name].reference[late], drive[""].images[late])
            right.append([readers.sky(one)[key == "light"] == target for one in pictures])
        here, exact, without = (np.concatenate([one[i] for one in right]) for i in range(3))
        total.append((here, exact))
        lines.append(f"| {name} | {len(here)} | {here.mean():.0%} | {exact.mean():.0%} | {without.mean():.0%} |")
    here, exact = (np.concatenate(one) for one in zip(*total, strict=True))
    return [*lines, f"| all | {len(here)} | {here.mean():.0%} | {exact.mean():.0%} | |"]


def actions_table(all_drives: list[dict[str, Seen]], readers: Readers) -> list[str]:
    lines = [
        "| orders from 1 s on | true turn, deg/s | error in the dream | in the reference | speed error, m/s | in the reference |",
        "|---|---|---|---|---|---|",
    ]
    every: list[Array] = []
    for name in SCRIPTS:
        rows = np.concatenate([_motion(drive[name], readers) for drive in all_drives])
        every.append(rows)
        turn, speed = np.rad2deg(rows[:, 0]), rows[:, 1]
        error = np.abs(turn[:, 1:] - turn[:, :1]).mean(0)
        off = np.abs(speed[:, 1:] - speed[:, :1]).mean(0)
        span = f"{turn[:, 0].min():.0f} to {turn[:, 0].max():.0f}"
        lines.append(f"| {name} | {span} | {error[0]:.1f} | {error[1]:.1f} | {off[0]:.1f} | {off[1]:.1f} |")
    turn = np.concatenate(every)[:, 0]
    slopes = [np.polyfit(turn[:, 0], turn[:, i], 1)[0] for i in (1, 2)]
    rho = [np.corrcoef(turn[:, 0], turn[:, i])[0, 1] for i in (1, 2)]
    words = "Read turn against true turn, all orders: slope {:.2f} (reference {:.2f}), correlation {:.2f} ({:.2f})."
    return [*lines, "", words.format(*slopes, *rho)]


def _motion(one: Seen, readers: Readers) -> Array:
    """Yaw rate (rad/s) and speed (m/s) [frames, 2, 3] after the parting: true, read in the dream, read in the reference."""
    states = one.rollout.states[:: one.rollout.plan_every]
    pose, period_s = states.ego_xy_yaw_world[: len(one.images)], float(states.t_s[1] - states.t_s[0])
    true = np.stack([relative_xy_yaw(after, before)[[0, 2]] for before, after in pairwise(pose)])
    read = np.stack([true, readers.motion(one.images), readers.motion(one.reference)], -1)[one.first :]
    return np.asarray(read[:, ::-1] / period_s)


def futures_table(all_drives: list[dict[str, Seen]]) -> list[str]:
    lines = ["| future | before 1 s | after, dream | after, reference |", "|---|---|---|---|"]
    for name in (*AGENTS, *SKIES, *SCRIPTS):
        rows = []
        for drive in all_drives:
            one, plain = drive[name], drive[""]
            frames = min(len(one.images), len(plain.images))
            apart = [np.abs(a[:frames].astype(int) - b[:frames]).mean((1, 2, 3, 4)) for a, b in _pairs(one, plain)]
            rows.append((apart[0][: one.first].max(), apart[0][one.first :].mean(), apart[1][one.first :].mean()))
        before, dream, reference = np.mean(rows, 0)
        lines.append(f"| {name} | {before:g} | {dream:.1f} | {reference:.1f} |")
    return lines


def _pairs(one: Seen, plain: Seen) -> list[tuple[Array, Array]]:
    return [(one.images, plain.images), (one.reference, plain.reference)]


def rails_table(seed: int) -> list[str]:
    """States alone: no camera is needed to see whether agents do what they did."""
    lines = ["| scenario | orders | agents as recorded, on rails | off rails, moved by up to |", "|---|---|---|---|"]
    for name in RAILS:
        scene = replace(draw_scene(load_scenario(content_folder("scenarios") / name), 0, seed), horizon_s=RAILS_S)
        first = drive_course(scene, Course(IdmPolicy()), BlankWorld(), seed=seed).rollout
        for words in ("0 s brake", "0 s left; 1 s right; 2 s repeat"):
            course = Course(IdmPolicy(), script=parse_script(words))
            again = drive_course(on_rails(first), course, BlankWorld(), seed=seed).rollout
            other = drive_course(scene, course, BlankWorld(), seed=seed).rollout
            equal = "yes, bit for bit" if agents_equal(first.states, again.states) else "no"
            lines.append(f"| {first.scene.id.split('@')[0]} | {words} | {equal} | {_apart_m(first, other):.1f} m |")
    return lines


def _apart_m(one: Rollout, other: Rollout) -> float:
    steps = min(len(one.states.t_s), len(other.states.t_s))
    delta = one.states.agents.xy_yaw_world[:steps, :, :2] - other.states.agents.xy_yaw_world[:steps, :, :2]
    return float(np.hypot(delta[..., 0], delta[..., 1]).max(initial=0.0))


def rails_picture(scene: Scene, world: World, seed: int) -> Array:
    """A first drive, and the brake for nothing among agents on its rails."""
    absurd = "1 s left; 2 s right"
    first = drive_course(scene, Course(IdmPolicy()), world, seed=seed)
    course = Course(IdmPolicy(), script=parse_script(absurd))
    second = drive_course(on_rails(first.rollout), course, world, seed=seed)
    rows = {"first drive": seen(first, world.rig), f"on rails: {absurd}": seen(second, world.rig)}
    return picture(rows, world.rig)


def picture(rows: dict[str, Seen], rig: CameraRig) -> Array:
    """Front camera; for each row the dream above the reference, moments to the right."""
    front, panels = rig.names.index("CAM_FRONT"), []
    for name, one in rows.items():
        moments = np.linspace(0, len(one.images) - 1, COLUMNS).round().astype(int)
        for source, images in (("dream", one.images), ("reference", one.reference)):
            tiles = [enlarged(images[frame, front], *TILE_PX) for frame in moments]
            tiles[0] = labelled(tiles[0], f"{source}")
            panels.append(beside(tiles, 2))
        bar = np.full((22, panels[-1].shape[1], 3), 24, np.uint8)
        period_s = one.rollout.plan_every * one.rollout.scene.dt_s
        when = ", ".join(f"{moment * period_s:.1f}" for moment in moments)
        panels.insert(-2, labelled(bar, f"{name or 'nothing is changed'}   {when} s"))
    return stacked(panels, 2)


def write_jpeg(path: Path, shown: Array) -> None:
    _, data = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="dream")
    parser.add_argument("--drives", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("eval/results"))
    args = parser.parse_args()
    world, readers = load_world(args.world), Readers.load()
    all_drives = drives(world, args.drives, args.seed)
    folder = args.out / "worldmodel_edits"
    first = all_drives[0]
    for name, chosen in {"agents": ("", *AGENTS), "sky": SKIES, "actions": SCRIPTS}.items():
        write_jpeg(folder / f"{name}.jpg", picture({one: first[one] for one in chosen}, world.rig))
    write_jpeg(folder / "rails.jpg", rails_picture(first[""].rollout.scene, world, args.seed))
    page = [PAGE.format(world=world.id, readers=readers.fingerprint(), drives=args.drives, origin=provenance(args.seed))]
    sections = {
        "Agents come, move and go": (agents_table(all_drives, readers), AGENTS_NOTE, "agents"),
        "Weather and light change": (sky_table(all_drives, readers), "", "sky"),
        "Absurd actions are obeyed": (actions_table(all_drives, readers), "", "actions"),
        "One moment, several futures": (futures_table(all_drives), FUTURES_NOTE, ""),
        "A world on rails": (rails_table(args.seed), RAILS_NOTE, "rails"),
    }
    for title, (lines, note, shown) in sections.items():
        page += [f"## {title}", "", *([note, ""] if note else []), *lines, ""]
        page += [f"![{title}](worldmodel_edits/{shown}.jpg)", ""] if shown else []
    with atomic_write(args.out / "worldmodel_edits.md") as temporary:
        temporary.write_text("\n".join(page))
    print("\n".join(page))


PAGE = """# Edits, absurd actions, futures and rails

{world}, {readers}, {drives} drives of `calm.steady_following` at 30 km/h by day in clear weather, the lead 13 m ahead.
Commit {origin.commit}, {origin.device}. Made by `python eval/benchmarks/abilities_edits.py --drives {drives}`.
Every drive is one past of a second and its futures from one memory.
"""
AGENTS_NOTE = (
    f"The reader's IoU of the edited body, within the box around it, in views that show at least {MIN_PX} px of it. Who was "
    "removed should be found no more, the others as in the reference."
)
FUTURES_NOTE = (
    "Mean difference per pixel value (of 255) from the future in which nothing is changed. Before they part, all show the same."
)
RAILS_NOTE = "Agents heed the recorded ego. Off rails the same orders change what the others do."

if __name__ == "__main__":
    main()
