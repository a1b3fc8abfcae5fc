"""One page about a world model: held-out drives, measurements, pictures; as JSON for machines and Markdown for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, synth
from drivewm.evaluation.card import CardOptions, measure_card, save_pictures
from drivewm.evaluation.readers import READ_CLASSES, Readers
from drivewm.store import provenance, write_json, write_text
from drivewm.training.cache import FrameCache, PackOptions, pack
from drivewm.worldmodel.world import open_pipeline

Json = dict[str, Any]
Stage = Callable[[str], Callable[..., None]]  # title -> progress(done, total, what)

HELD_OUT_SEED = 90_001  # training sets are made with small seeds; the val split differs from train in roads as well


def held_out_cache(folder: Path, drives: int, stage: Stage) -> Path:
    """Drives that no training has seen, made and packed below ``folder``."""
    shares = (0.0, 1.0, 0.0)
    synth(folder / "drives", SynthOptions(drives, seed=HELD_OUT_SEED, split_shares=shares), stage("driving held-out roads"))
    pack(NuScenesFolder(folder / "drives"), folder / "cache", PackOptions("val", workers=2), stage("packing"))
    return folder / "cache"


@dataclass(frozen=True, slots=True)
class CardSources:
    """What is measured, with what, on what."""

    world: Path
    readers: Path
    cache: Path | None = None  # None: held-out drives are made


def make_card(sources: CardSources, out: Path, options: CardOptions, stage: Stage) -> Json:
    """Measure a world model and write ``card.json``, ``card.md`` and pictures to ``out``; returns the card."""
    pipeline, readers = open_pipeline(sources.world), Readers.load(sources.readers)
    held_out = sources.cache or held_out_cache(out / "held-out", options.drives, stage)
    card = measure_card(pipeline, FrameCache(held_out, options.seed), readers, options, stage("dreaming and reading"))
    pictures = save_pictures(card, out)
    del card["pictures"]
    card["provenance"] = asdict(provenance(options.seed, world=pipeline.identity(), readers=readers.fingerprint()))
    write_json(out / "card.json", card)
    write_text(out / "card.md", page(card, [path.name for path in pictures]))
    return card


def page(card: Json, pictures: list[str]) -> str:
    """The card as Markdown."""
    options, claims, origin = card["options"], card["claims"], card["provenance"]
    shares = claims["iou_share_of_reference"]
    lines = [
        f"# Dream card of {origin['ids']['world']}",
        "",
        f"{options['drives']} held-out drives of {options['seconds']:g} s after {options['context']} reference frames; "
        f"commit {origin['commit']}, {origin['device']}, seed {options['seed']}. Command: `drivewm card`.",
        "",
        "Top to bottom: reference, layout-driven dream, free dream (past, motion, sky). Front cameras, first to last frame.",
        "",
        *(f"![drive]({name})" for name in pictures),
        "",
        "| claim | measured | target |",
        "|---|---|---|",
        *(f"| IoU on dream / IoU on reference, {name} | {_number(shares[name])} | {_IOU_TARGET[name]} |" for name in shares),
        f"| speed error over floor, layout-driven | {_number(claims['pose_error_over_floor_layout'])} | 1.5 |",
        f"| speed error over floor, free | {_number(claims['pose_error_over_floor_free'])} | 1.5 |",
        f"| yaw rate error over floor, free | {_number(claims['yaw_rate_error_over_floor_free'])} | 1.5 |",
        f"| action-shuffle ratio, free | {_number(claims['action_shuffle_ratio_free'])} | >= 1.3 |",
        f"| other weather reaches the picture | {_number(claims['weather_obeyed'])} | >= 0.9 |",
        f"| other light reaches the picture | {_number(claims['light_obeyed'])} | >= 0.9 |",
        f"| standing things displaced from frame to frame, over reference | {_number(claims['displaced_over_reference'])} | |",
        f"| colour of vehicles, mean error of 255 | {_number(claims['vehicle_colour_error'])} | |",
        f"| vehicle IoU, last 2 s / first 2 s | {_number(claims['vehicle_iou_last_over_first_2s'])} | |",
        "",
        "| shown | "
        + " | ".join(f"IoU {name}" for name in READ_CLASSES[1:])
        + "".join(f" | {title}" for title in _OTHER_COLUMNS)
        + " |",
        "|---" * (len(READ_CLASSES) + len(_OTHER_COLUMNS)) + "|",
    ]
    for name, row in card["rows"].items():
        cells = [_number(row["iou"][kind]) for kind in READ_CLASSES[1:]]
        for key in ("speed_mae_mps", "yaw_rate_mae_radps"):
            cells.append(f"{row[key]['mean']:.3f} [{row[key]['low']:.3f}, {row[key]['high']:.3f}]")
        looks = row["appearance"]
        cells += [_number(row["weather_read"]), _number(row["light_read"]), f"{looks['displaced_rms']:.1f}"]
        cells += [_number(looks["colour_error"]["vehicle"]), f"{row['psnr_db']['mean']:.1f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _NOT_SHOWN, ""])


_IOU_TARGET = {"road": ">= 0.97", "vehicle": ">= 0.90", "two_wheeler": ">= 0.85", "pedestrian": ">= 0.85", "obstacle": ""}
_OTHER_COLUMNS = ("speed MAE m/s", "yaw rate MAE rad/s", "weather", "light", "displaced", "vehicle colour", "PSNR dB")
_NOT_SHOWN = """## What this does not show

- How policies rank in the dream and in the reference; that needs many policies and is not measured here.
- Anything about real roads: reference and held-out drives are procedural.
- Labels are boxes and map projected into the cameras, not exact silhouettes; dream and reference are read against the same.
- Rain drops and snow flakes fall independently in every frame of the reference; no model can predict them, so PSNR is low."""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
