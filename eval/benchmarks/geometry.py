"""How well boxes, LiDAR, map and images of real data sets fit one another, as a table, and pictures to look at.

    python eval/benchmarks/geometry.py SAMPLES --out runs/geometry

SAMPLES holds ``nuscenes_scene0061``, ``dgp`` and ``argoverse2`` as public repositories keep them; what is absent is named.
The pictures show images under the terms of their owners and stay out of this repository.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from drivewm.cli import run
from drivewm.data.reader import NuScenesFolder
from drivewm.evaluation.geometry import Geometry, measure
from drivewm.evaluation.overlay import Overlay, write_film
from drivewm.evaluation.pictures import write_png
from eval.benchmarks.scene0061 import build

HEAD = "| data set | frame | cameras | boxes | points right | seen | best shift (px of 1600) | on the road | level ground (px) |"

KEY_FRAMES = 3  # of each scene


def converted(source: Path, kind: str, out: Path) -> Path:
    """The folder of another format as nuScenes tables."""
    words = ["data", "convert", str(source), "--from", kind, "--to", "nuscenes", "--out", str(out)]
    if run(words):
        raise SystemExit(f"cannot convert {source}")
    return out


def row(name: str, found: Geometry) -> str:
    """One line of the table."""
    moved = [camera.flat_px[0] for camera in found.cameras for _ in range(camera.boxes)]
    worst = max((camera.flat_px[1] for camera in found.cameras), default=0.0)
    cells = (
        f"{name} {found.scene}",
        found.frame,
        len(found.cameras),
        found.boxes,
        f"{found.points_agree} of {found.boxes_with_points}" if found.boxes_with_points else "no LiDAR",
        f"{found.boxes_seen} of {found.boxes_with_points}" if found.boxes_with_points else "-",
        "-" if found.shift_px is None else f"{found.shift_px[0]}, {found.shift_px[1]}",
        "no map" if found.centre_on_road is None else f"{100 * found.centre_on_road:.1f} %",
        f"median {np.median(moved):.1f}, worst {worst:.0f}" if moved else "-",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/geometry"))
    options = parser.parse_args()
    sources: dict[str, Callable[[Path], Path]] = {
        "nuscenes_scene0061": lambda out: build(options.samples / "nuscenes_scene0061", out),
        "dgp": lambda out: converted(options.samples / "dgp", "dgp", out),
        "argoverse2": lambda out: converted(options.samples / "argoverse2" / "adcf7d18", "argoverse2", out),
    }
    print(HEAD)
    print("|" + "---|" * (HEAD.count("|") - 1))
    for name, make in sources.items():
        if not (options.samples / name).is_dir():
            print(f"{name} is not in {options.samples}", file=sys.stderr)
            continue
        root = options.out / name
        folder = NuScenesFolder(root if root.is_dir() else make(root))
        for scene in folder.scenes():
            measured, nusc = 0, folder.devkit_of(scene.token)
            drawn = Overlay(folder, nusc, scene.token)
            for frame in range(scene.frames):
                found = measure(folder, nusc, scene.token, frame) if measured < KEY_FRAMES else None
                if found is not None:
                    measured += 1
                    print(row(name, found), flush=True)
                    write_png(options.out / f"{name}-{scene.name}-{frame}.png", drawn.picture(frame))
            if name == "argoverse2":
                write_film(drawn, options.out / "argoverse2.mp4")


if __name__ == "__main__":
    main()
