"""What guidance does to agents: reader IoU on layout-driven dreams of held-out drives at several scales and steps.

python eval/benchmarks/guidance.py                      (makes its held-out drives)
python eval/benchmarks/guidance.py --cache CACHE --world runs/worldmodel/world --strip guidance.png
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from drivewm.evaluation.appearance import psnr_db
from drivewm.evaluation.dream_card.held_out import held_out_cache
from drivewm.evaluation.dreaming import Drives, Images, Regime, draw_drives, dream_drives
from drivewm.evaluation.readers import EMBEDDED as READERS
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE, Readers, class_iou
from drivewm.store import provenance
from drivewm.training.cache import FrameCache
from drivewm.worldmodel.guidance import AGENTS, RegionGuidance
from drivewm.worldmodel.world import EMBEDDED, open_pipeline

SHOWN = ("vehicle", "two_wheeler", "pedestrian", "obstacle", "road")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="dream")
    parser.add_argument("--cache", type=Path, help="held-out drives encoded by `drivewm data encode`")
    parser.add_argument("--drives", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[0], help="denoising steps; 0: the model's own")
    parser.add_argument("--everywhere", action="store_true", help="guide all cells, not only those of agents")
    parser.add_argument("--strip", type=Path, help="write reference and dreams of the drive with most agents as a PNG")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pipeline, readers = open_pipeline(EMBEDDED if args.world == "dream" else Path(args.world)), Readers.load(READERS)
    with tempfile.TemporaryDirectory() as made:
        folder = args.cache or held_out_cache(Path(made), args.drives, lambda title: lambda *progress: None)
        cache = FrameCache(folder, args.seed)
        drives = draw_drives(cache, args.drives, 4 + round(args.seconds * cache.rig.rate_hz), context=4)
    region = "everywhere" if args.everywhere else "agents"
    rows, films = {"reference": measure(drives.images, drives, readers)}, {"reference": drives.images}
    for steps, scale in product(args.steps, args.scales):
        began = time.perf_counter()
        count = steps or pipeline.transformer.size.dream_steps
        name = f"K = {count}, guidance {scale:g}"
        regime = Regime(name, steps=count, guidance=RegionGuidance(scale, region))
        films[name] = dream_drives(pipeline, drives, regime, args.seed)
        took_s = time.perf_counter() - began
        rows[name] = measure(films[name], drives, readers) | {"seconds": took_s}
    origin = provenance(args.seed, world=pipeline.identity(), readers=readers.fingerprint())
    if args.strip:
        shown = np.isin(drives.told["label"].numpy(), AGENTS).reshape(args.drives, -1)
        busiest = int(shown.sum(1).argmax())
        cv2.imwrite(str(args.strip), cv2.cvtColor(strip(films, busiest), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if args.json:
        print(json.dumps({"world": pipeline.identity(), "region": region, "rows": rows}))
        return
    what = f"{pipeline.identity()}, {args.drives} drives x {args.seconds:g} s, region {region}"
    print(f"{what}, commit {origin.commit}, {origin.device}")
    print("| shown | " + " | ".join(f"IoU {name}" for name in SHOWN) + " | PSNR dB | speed error m/s | dreaming s |")
    print("|---|" + "---|" * (len(SHOWN) + 3))
    for name, row in rows.items():
        cells = ["-" if row["iou"][kind] is None else f"{row['iou'][kind]:.3f}" for kind in SHOWN]
        rest = f"{row['psnr_db']:.1f} | {row['speed_mps']:.2f} | {row.get('seconds', 0.0):.1f}"
        print(f"| {name} | {' | '.join(cells)} | {rest} |")


def measure(shown: Images, drives: Drives, readers: Readers) -> dict[str, Any]:
    """What the segmentation reader sees after the context, and how near the pixels are."""
    late = slice(drives.context, None)
    truth = READ_TABLE[drives.told["label"][:, late].numpy()]
    iou = dict(zip(READ_CLASSES, class_iou(readers.segment(shown[:, late]), truth), strict=True))
    motion = drives.told["motion"][:, late].numpy()
    ahead_m = np.stack([readers.motion(row[drives.context - 1 :])[:, 0] for row in shown])
    speed_mps = float(np.abs((ahead_m - motion[..., 2]) / motion[..., 5]).mean())
    return {"iou": iou, "psnr_db": float(psnr_db(shown[:, late], drives.images[:, late]).mean()), "speed_mps": speed_mps}


def strip(films: dict[str, Images], drive: int) -> np.ndarray:
    """Front cameras of one drive at four moments, one band per film."""
    bands = []
    for film in films.values():
        moments = np.linspace(4, film.shape[1] - 1, 4).astype(int)
        bands.append(np.concatenate([np.concatenate([film[drive, t, v] for v in (0, 1, 2)], 1) for t in moments], 1))
    return np.concatenate(bands, 0)


if __name__ == "__main__":
    main()
