"""How well a dream starts: from recorded, generated or no frames, from pictures, in another car, with a camera lost on the way.

    python eval/benchmarks/abilities_starts.py [--world dream] [--scenes 6] [--seconds 4] [--parts starts cars lost recorded]
                                               [--samples SAMPLES] [--out eval/results]

The privileged expert drives scenes of the catalogue once; every row shows the same states. Shares are IoU of what readers find
in the dream (from frame 4 on) over what they find in the reference world's frames of the same states and cameras, all
scenes together. Writes `worldmodel_starts.md` and a strip of pictures for each ability, reference above dream. SAMPLES may hold
``nuscenes_scene0061``; its pictures are not kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from drivewm.data.synth import SynthOptions, synth
from drivewm.data.views import read_views
from drivewm.datatypes import Action, Array, CameraRig, Clip, Rollout
from drivewm.evaluation.cases import frames_of
from drivewm.evaluation.overlap import overlap_difference
from drivewm.evaluation.pictures import beside, labelled, mosaic, stacked, write_png
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE, Readers, class_iou
from drivewm.evaluation.resume import Stretch, as_recorded
from drivewm.evaluation.suite import load_suite
from drivewm.evaluation.worlds import WorldOptions, load_world
from drivewm.policies.expert import ExpertPolicy
from drivewm.protocols import World
from drivewm.rollout import rollout
from drivewm.sim.faults import losing
from drivewm.sim.raster import RasterWorld
from drivewm.sim.raster.layout import layout
from drivewm.sim.rigs import level_camera, nuscenes_rig
from drivewm.store import atomic_write, provenance, write_text
from drivewm.testing import BlankWorld
from drivewm.worldmodel.openings import Pictures, Recorded
from drivewm.worldmodel.world import DreamWorld

sys.path.insert(0, str(Path(__file__).parents[2]))
PARTS = ("starts", "cars", "lost", "recorded")
CLASSES = ("road", "vehicle", "two_wheeler", "pedestrian")
ABOUT = (
    "Shares are IoU of what readers find in the dream from frame 4 on over what they find in the reference world's",
    "frames of the same states and cameras (%), all scenes together; an empty cell: the class does not occur. Overlap is the",
    "mean difference (of 255) of the colours that two cameras give to the same place. The cars of the second table are dreamed",
    "from scratch, so that nothing but the conditions says where the cameras stand.",
)
SKIPPED = 4  # frames of a drive that no row is judged by, because some dreams are shown them
MOMENTS = (0, 1, 5, 15)  # frames of a strip
RIG = nuscenes_rig()


@dataclass(frozen=True)
class Film:
    """Frames [F, V, H, W, 3] of each drive, in the dream and in the reference; with labels and depths of the layout."""

    dream: list[Array]
    reference: list[Array]
    label: list[Array]
    depth: list[Array]
    rig: CameraRig

    def late(self, name: str, first: int) -> Array:
        return np.concatenate([frames[first:] for frames in getattr(self, name)])

    def shares(self, readers: Readers, first: int) -> dict[str, float | None]:
        truth = READ_TABLE[self.late("label", first)]
        here, there = (class_iou(readers.segment(self.late(name, first)), truth) for name in ("dream", "reference"))
        named = {name: (a / b if a is not None and b else None) for name, a, b in zip(READ_CLASSES, here, there, strict=True)}
        return {name: named[name] for name in CLASSES}

    def overlap(self, name: str) -> float:
        """Mean over the drives' frames of how differently cameras show the same place."""
        found = [
            overlap_difference(frames[t], depth[t], self.rig)
            for frames, depth in zip(getattr(self, name), self.depth, strict=True)
            for t in MOMENTS
            if t < len(frames)
        ]
        known = [value for value in found if value is not None]
        return float(np.mean(known)) if known else float("nan")


def states_of(drive: Rollout) -> Any:
    return drive.states[:: drive.plan_every][: len(drive.plans.t_s)]


def shown(world: World, drive: Rollout, first: int = 0) -> Array:
    """A drive's states from frame ``first`` on in a world."""
    states = states_of(drive)
    still = Action(np.zeros(1), np.zeros(1))
    images, memory = world.start([drive.scene], states[first][None], 0)
    frames = [images[0]]
    for t in range(first + 1, len(states.t_s)):
        images, memory = world.step(memory, states[t][None], still)
        frames.append(images[0])
    return np.stack(frames)


def filmed(make: Callable[[Rollout, int], World], drives: Sequence[Rollout], exact: Film, first: int = 0) -> Film:
    """The drives in a world, beside the reference that ``exact`` holds of them."""
    dreams = [shown(make(drive, i), drive, first) for i, drive in enumerate(drives)]
    known = ([frames[first:] for frames in getattr(exact, name)] for name in ("reference", "label", "depth"))
    return Film(dreams, *known, exact.rig)


def reference_of(drives: Sequence[Rollout], rig: CameraRig) -> Film:
    """The drives in the reference world, which stands for the dream too."""
    layouts = []
    for drive in drives:
        states = states_of(drive)
        layouts.append([layout(drive.scene.road, states[t], rig) for t in range(len(states.t_s))])
    frames = [shown(RasterWorld(rig), drive) for drive in drives]
    labels, depths = ([np.stack([getattr(now, name) for now in row]) for row in layouts] for name in ("label", "log_depth"))
    return Film(frames, frames, labels, depths, rig)


def clip_of(drive: Rollout, images: Array) -> Clip:
    """The first frames of a drive with pictures that someone made of them, as a recording."""
    count, views = len(images), len(RIG.names)
    pose = np.broadcast_to(np.eye(4), (count, views, 4, 4))
    told = (drive.scene.conditions,) * count
    states = states_of(drive)[:count]
    return Clip(images, RIG, states, np.zeros((count, 2)), drive.scene.road, told, drive.scene.id, np.zeros((count, views)), pose)


def other_cars() -> dict[str, CameraRig]:
    """Cars that training has not seen."""

    def around(turns_deg: Sequence[float], focal_px: float, height_m: float) -> CameraRig:
        intrinsics = np.array([[focal_px, 0.0, 48.0], [0.0, focal_px, 32.0], [0.0, 0.0, 1.0]])
        poses = np.stack([level_camera((1.0, 0.0, height_m), turn) for turn in turns_deg])
        names = tuple(f"AT_{turn:g}" for turn in turns_deg)
        return CameraRig(names, np.stack([intrinsics] * len(names)), poses, (64, 96), 5.0)

    higher, zoomed = RIG.ego_from_camera.copy(), RIG.intrinsics.copy()
    higher[:, 2, 3] += 0.6
    zoomed[:, :2, :2] *= 0.7
    return {
        "nuScenes car": RIG,
        "cameras 0.6 m higher": replace(RIG, ego_from_camera=higher),
        "turned by 10 degrees": replace(RIG, ego_from_camera=turned(10.0) @ RIG.ego_from_camera),
        "focal length x 0.7": replace(RIG, intrinsics=zoomed),
        "four cameras of 100 degrees": around((90.0, 0.0, -90.0, 180.0), 40.3, 1.8),
        "seven cameras of 70 degrees": around((51.4, 0.0, -51.4, 102.9, 180.0, -102.9, 154.3), 68.5, 1.6),
        "one camera": RIG.only(RIG.names.index("CAM_FRONT")),
    }


def turned(degrees: float) -> Array:
    turn = np.eye(4)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[:2, :2] = [[cos, -sin], [sin, cos]]
    return turn


def write_strip(path: Path, rows: dict[str, Array], names: Sequence[str], captions: Sequence[str]) -> None:
    """Frames [M, V, H, W, 3] of each row, moments side by side, as a PNG of 256 colours."""
    lines = []
    for name, frames in rows.items():
        panels = [mosaic(frame, names, panel_width_px=112) for frame in frames]
        panels = [
            stacked([labelled(np.full((16, p.shape[1], 3), 24, np.uint8), f"{name}, {at}"), p], gap_px=0)
            for p, at in zip(panels, captions, strict=True)
        ]
        lines.append(beside(panels))
    picture = Image.fromarray(stacked(lines)).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    with atomic_write(path) as temporary:
        picture.save(temporary, optimize=True)


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}"


class Bench:
    def __init__(self, world: str, scenes: int, seconds: float, out: Path) -> None:
        chosen = [replace(scene, horizon_s=min(seconds, scene.horizon_s)) for scene in load_suite("smoke").scenes(0)[:scenes]]
        drives = rollout(chosen, ExpertPolicy(), BlankWorld(RIG), seed=0)
        self.drives = [drive for drive in drives if len(drive.plans.t_s) >= frames_of(drive.scene, RIG.rate_hz)]
        self.world, self.out, self.readers = world, out, Readers.load()
        self.exact = reference_of(self.drives, RIG)
        self.lines: list[str] = []

    def dreaming(self, **options: Any) -> DreamWorld:
        world = load_world(self.world, WorldOptions(**options))
        if not isinstance(world, DreamWorld):
            raise SystemExit(f"{self.world} is not a learned world")
        return world

    def picture(self, name: str, film: Film, drive: int = 0, first: int = 0) -> None:
        moments = [t for t in MOMENTS if t < len(film.dream[drive])]
        rows = {"reference": film.reference[drive][moments], "dream": film.dream[drive][moments]}
        captions = [f"{(t + first) / RIG.rate_hz:.1f} s" for t in moments]
        write_strip(self.out / "worldmodel_starts" / f"{name}.png", rows, film.rig.names, captions)

    def starts(self, folder: Path) -> None:
        """From frames of all kinds and from none, layout-driven and free."""
        reference = self.exact.reference
        usual, scratch = self.dreaming(), self.dreaming(context_frames=0)
        invented = [shown(scratch, drive)[:4] for drive in self.drives]

        def pictures(row: int, cameras: Sequence[str]) -> Pictures:
            files = []
            for name in cameras:
                view = reference[row][0, RIG.names.index(name)]
                files.append(str(write_png(folder / f"{row}-{name}.png", view)))
            return Pictures(read_views(files, RIG))

        def all_in_one(row: int) -> Pictures:
            views = reference[row][0]
            picture = np.concatenate([np.concatenate(list(views[i : i + 3]), 1) for i in (0, 3)], 0)
            return Pictures(read_views([str(write_png(folder / f"{row}-all.png", picture))], RIG))

        def generated(drive: Rollout, row: int) -> World:
            return self.dreaming(opening=Recorded((clip_of(drive, invented[row]),)))

        front = ["CAM_FRONT"]
        rows: dict[str, tuple[str, Callable[[Rollout, int], World], int]] = {
            "one reference frame": ("", lambda d, i: usual, 0),
            "four reference frames": ("", lambda d, i: self.dreaming(context_frames=4), 0),
            "four frames of a dream": ("generated", generated, 3),
            "scratch": ("scratch", lambda d, i: scratch, 0),
            "six picture files": ("", lambda d, i: self.dreaming(opening=pictures(i, RIG.names)), 0),
            "one picture of all cameras": ("", lambda d, i: self.dreaming(opening=all_in_one(i)), 0),
            "one picture of the front": ("picture", lambda d, i: self.dreaming(opening=pictures(i, front)), 0),
            "one reference frame, without boxes": ("", lambda d, i: self.dreaming(without=frozenset({"boxes"})), 0),
            "free, four reference frames": ("free", lambda d, i: self.dreaming(free=True, context_frames=4), 0),
            "free, one reference frame": ("", lambda d, i: self.dreaming(free=True), 0),
            "free, one picture of the front": ("", lambda d, i: self.dreaming(free=True, opening=pictures(i, front)), 0),
        }
        self.table("start", "share of the reference's IoU (%)", "overlap")
        for name, (strip, make, first) in rows.items():
            film = filmed(make, self.drives, self.exact, first)
            self.row(name, film, first)
            if strip:
                self.picture(strip, film, first=first)

    def cars(self) -> None:
        self.table("car", "share of the reference's IoU (%)", "overlap")
        cars = other_cars()
        for name, rig in cars.items():
            world = self.dreaming(rig=rig, context_frames=0)
            exact = self.exact if rig is RIG else reference_of(self.drives, rig)
            film = filmed(lambda d, i, world=world: world, self.drives, exact)  # type: ignore[misc]
            self.row(name, film)
            if name in ("turned by 10 degrees", "four cameras of 100 degrees", "seven cameras of 70 degrees"):
                self.picture("rig-" + name.split()[0], film, drive=min(1, len(self.drives) - 1))
            if name.startswith("turned"):
                straight = self.exact.late("reference", 0).astype(float)
                dream, own = (film.late(kind, 0).astype(float) for kind in ("dream", "reference"))
                self.turned = np.abs(dream - own).mean(), np.abs(dream - straight).mean()
        self.lines += [
            "",
            f"Turned by 10 degrees the dream differs by {self.turned[0]:.1f} of 255 from what the reference's turned cameras "
            f"see, and by {self.turned[1]:.1f} from what its straight ones see.",
        ]

    def lost(self) -> None:
        """The camera ahead is lost for the second third of the drives."""
        count = min(len(frames) for frames in self.exact.reference)
        gone, back = count // 3, 2 * count // 3
        scenes = [replace(d, scene=losing(d.scene, "CAM_FRONT", gone / RIG.rate_hz, back / RIG.rate_hz)) for d in self.drives]
        usual = self.dreaming()
        film = filmed(lambda d, i: usual, scenes, reference_of(scenes, RIG))
        whole = filmed(lambda d, i: usual, self.drives, self.exact)
        front = RIG.names.index("CAM_FRONT")
        light = np.stack([frames[:count, front].mean((1, 2, 3)) for frames in film.dream]).mean(0)
        kept = [view for view in range(len(RIG.names)) if view != front]
        self.lines += [
            "",
            "| the camera ahead | its mean brightness (of 255) | road IoU of the other cameras | and without the loss |",
            "|---|---|---|---|",
        ]
        for word, part in (("before", slice(1, gone)), ("lost", slice(gone, back)), ("back", slice(back, count))):
            truth = READ_TABLE[np.concatenate([label[part][:, kept] for label in film.label])]
            road = [
                class_iou(self.readers.segment(np.concatenate([frames[part][:, kept] for frames in one.dream])), truth)[1]
                for one in (film, whole)
            ]
            self.lines.append(f"| {word} | {light[part].mean():.1f} | {road[0]:.3f} | {road[1]:.3f} |")
            print(self.lines[-1], flush=True)
        moments = [gone - 1, gone, back - 1, back, count - 1]
        rows = {"reference": film.reference[0][moments], "dream": film.dream[0][moments]}
        captions = [f"{t / RIG.rate_hz:.1f} s" for t in moments]
        write_strip(self.out / "worldmodel_starts" / "lost.png", rows, RIG.names, captions)

    def recorded(self, folder: Path, seconds: float, samples: Path | None) -> None:
        """Drives of a nuScenes-format folder that no training has seen."""
        root = folder / "drives"
        synth(root, SynthOptions(scenes=3, seconds=seconds + 2.0, seed=909, workers=1))
        self.lines += ["", "| recorded drive | PSNR dream / last frame / autoencoder (dB) | " + " | ".join(CLASSES) + " |"]
        self.lines.append("|---|---|" + "---|" * len(CLASSES))
        made = []
        for shown_frames in (1, 4):
            for scene in (2000, 2001, 2002):
                stretch = Stretch(f"scene-{scene}", context=shown_frames, seconds=seconds)
                made.append(as_recorded(root, stretch, self.world, WorldOptions(), 0))
            rows = [one.figures for one in made[-3:]]
            psnr = " / ".join(
                f"{np.mean([row[f'psnr_db_{k}'] for row in rows]):.1f}" for k in ("dream", "last_frame", "autoencoder")
            )
            shares = [[row.get(f"iou_share_{name}") for row in rows] for name in CLASSES]
            cells = [
                percent(float(np.mean([v for v in vs if v is not None])) if any(v is not None for v in vs) else None)
                for vs in shares
            ]
            self.lines.append(f"| three made ones, {shown_frames} frames shown | {psnr} | {' | '.join(cells)} |")
        last = made[-2]
        moments = [3, 4, 8, min(18, len(last.images) - 1)]
        rows_ = {"recorded": last.recorded[moments], "dream": last.images[moments]} if last.recorded is not None else {}
        write_strip(
            self.out / "worldmodel_starts" / "recorded.png", rows_, last.clip.rig.names, [f"{(t - 3) / 5:.1f} s" for t in moments]
        )
        if samples is not None and (samples / "nuscenes_scene0061").is_dir():
            from eval.benchmarks.scene0061 import build

            real = build(samples / "nuscenes_scene0061", folder / "real")
            one = as_recorded(real, Stretch(context=1, seconds=4.0), self.world, WorldOptions(), 0)
            cells = [percent(one.figures.get(f"iou_{name}")) for name in CLASSES]
            self.lines.append(
                f"| nuScenes scene-0061 from its six pictures, 2 Hz: IoU itself, no share | | {' | '.join(cells)} |"
            )

    def table(self, what: str, shares: str, overlap: str) -> None:
        self.lines += [
            "",
            f"| {what} | " + " | ".join(CLASSES) + f" | {overlap}: dream | reference |",
            "|---|" + "---|" * (len(CLASSES) + 2),
        ]

    def row(self, name: str, film: Film, first: int = 0) -> None:
        shares = film.shares(self.readers, SKIPPED - first)
        cells = [percent(shares[kind]) for kind in CLASSES] + [f"{film.overlap(kind):.1f}" for kind in ("dream", "reference")]
        self.lines.append(f"| {name} | {' | '.join(cells)} |".replace("nan", ""))
        print(self.lines[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="dream")
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--out", type=Path, default=Path("eval/results"))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    bench = Bench(args.world, args.scenes, args.seconds, args.out)
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[], None]] = {
            "starts": lambda: bench.starts(Path(folder)),
            "cars": bench.cars,
            "lost": bench.lost,
            "recorded": lambda: bench.recorded(Path(folder), args.seconds, args.samples),
        }
        command = (
            f"python eval/benchmarks/abilities_starts.py --world {args.world} --scenes {args.scenes} --seconds {args.seconds:g}"
        )
        for part in args.parts:
            parts[part]()
            write_text(args.out / "worldmodel_starts.md", page(bench, command + (" --samples SAMPLES" if args.samples else "")))


def page(bench: Bench, command: str) -> str:
    origin = provenance(0)
    strips = sorted((bench.out / "worldmodel_starts").glob("*.png"))
    return "\n".join(
        [
            "# How well a dream starts, and what it is told",
            "",
            f"World `{bench.dreaming().id}`, {len(bench.drives)} scenes, {origin.device}, commit {origin.commit}. Made by",
            "",
            f"    {command}",
            "",
            *ABOUT,
            *bench.lines,
            "",
            *[f"![{strip.stem}](worldmodel_starts/{strip.name})" for strip in strips],
            "",
        ]
    )


if __name__ == "__main__":
    main()
