"""Commands for data sets in nuScenes format."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from drivewm.cli import tracked
from drivewm.cli.console import Json, Seed, Workers, finish, progress

app = typer.Typer(help="Make, check and prepare data sets in nuScenes format.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="A nuScenes folder, ours or nuScenes itself.")]
Version = Annotated[str | None, typer.Option("--version", help="Which tables, for example v1.0-mini; by default the only ones.")]


@app.command()
def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the data set.")],
    scenes: Annotated[int, typer.Option(help="Drives to make; a set can grow later.")] = 200,
    seconds: Annotated[float, typer.Option(help="Length of each drive.")] = 12.0,
    camera_hz: Annotated[float, typer.Option("--camera-hz", help="Frames per second.")] = 5.0,
    height: Annotated[int, typer.Option(help="Pixels.")] = 64,
    width: Annotated[int, typer.Option(help="Pixels.")] = 96,
    seed: Seed = 0,
    workers: Workers = 2,
    as_json: Json = False,
) -> None:
    """Random drives in procedural towns as genuine nuScenes tables, images, map expansion and CAN bus. Resumes."""
    from drivewm.data.synth import SynthOptions
    from drivewm.data.synth import synth as make

    options = SynthOptions(scenes, seconds, camera_hz, height, width, seed, workers)
    with progress("driving", as_json) as report:
        made = make(out, options, report)
    name = tracked.dataset(made.roots, {"scenes": scenes, "seconds": seconds, "camera_hz": camera_hz, "seed": seed})
    shown = f"{name}: {made.scenes} drives, {made.images} images in {', '.join(map(str, made.roots))}"
    values = {"id": name, "folder": out, "roots": made.roots, "scenes": made.scenes, "frames": made.frames, "images": made.images}
    finish(as_json, values, shown)


@app.command()
def check(
    folder: Folder,
    version: Version = None,
    decode: Annotated[bool, typer.Option(help="Decode every image, not only look for it.")] = True,
    workers: Workers = 2,
    as_json: Json = False,
) -> None:
    """Validate a folder and name what is wrong or missing with file and token. Exit code 1 when something is wrong."""
    from drivewm.data.check import check_folder

    with progress("checking", as_json) as report:
        found = check_folder(folder, version, decode=decode, workers=workers, progress=report)
    problems = [": ".join(part for part in (p.file, p.place, p.reason) if part) for p in found.problems]
    absent = [f"without {what}: {len(names)} ({_some(names)})" for what, names in found.absent.items()]
    counts = ", ".join(f"{count} {what}" for what, count in found.counts.items() if count)
    total = sum(count for what, count in found.counts.items() if what.startswith("bad:"))
    some = "all" if total == len(problems) else f"the first {len(problems)}"
    verdict = "this folder is right" if found.ok else f"{total} problems, {some} are listed above"
    finish(
        as_json,
        {"ok": found.ok, "problems": problems, "counts": found.counts, "absent": found.absent},
        *problems,
        counts,
        *absent,
        verdict,
    )
    if not found.ok:
        raise typer.Exit(1)


def _some(names: tuple[str, ...], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@app.command()
def stats(
    folders: Annotated[list[Path], typer.Argument(help="nuScenes folders, ours or nuScenes itself; several are compared.")],
    split: Annotated[str | None, typer.Option(help="train, val, test, or a list of the devkit.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Page (.html) with maps, pictures and histograms.")] = None,
    version: Version = None,
    as_json: Json = False,
) -> None:
    """What is in a data set: hours, weather, light, road users, manners of driving; as a table, or with --out as a page."""
    from dataclasses import asdict

    from rich.table import Table

    from drivewm.data.reader import NuScenesFolder
    from drivewm.data.stats import folder_stats
    from drivewm.errors import InputError
    from drivewm.evaluation.data_page import read_set, write_data_page

    if out is not None and out.suffix != ".html":
        raise InputError(f"is a page (.html), not {out.suffix!r}", file=out)
    known, sets = [], []
    for folder in folders:
        with progress(f"reading {folder.name}", as_json) as report:
            if out is None:
                known.append(asdict(folder_stats(NuScenesFolder(folder, version), split, report)))
            else:
                sets.append(read_set(folder, version, split, report, len(folders)))
                known.append(asdict(sets[-1].stats))
    if out is not None:
        write_data_page(out, sets, shlex.join(["drivewm", *sys.argv[1:]]))
        finish(as_json, {"page": out, "sets": known}, str(out))
        return
    table = Table(*(["", *map(str, folders)] if len(folders) > 1 else []), show_header=len(folders) > 1, box=None)
    for name in known[0]:
        table.add_row(name.replace("_", " "), *(_told(values[name]) for values in known))
    finish(as_json, known[0] if len(known) == 1 else {"sets": known}, table)


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@app.command()
def encode(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the cache.")],
    split: Annotated[str | None, typer.Option(help="train, val or test; by default everything.")] = None,
    autoencoder: Annotated[
        Path | None, typer.Option(help="Folder of a trained autoencoder; adds its latents, which `train worldmodel` needs.")
    ] = None,
    version: Version = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of a frame in pixels; by default as the images are.")] = None,
    stride: Annotated[int, typer.Option(help="Take every how many-th frame: 12 Hz and 6 give 2 Hz.", min=1)] = 1,
    key_frames: Annotated[bool, typer.Option("--key-frames", help="Only key frames, for a folder without its sweeps.")] = False,
    workers: Workers = 2,
    as_json: Json = False,
) -> None:
    """Decode a data set once for training: frames, conditions, and latents when there is an autoencoder. Resumes."""
    from drivewm.data.reader import NuScenesFolder
    from drivewm.evaluation.reconstruction import size_of
    from drivewm.store import write_json
    from drivewm.training.cache import PackOptions, encode_latents, pack
    from drivewm.worldmodel.autoencoder import FrameCodec

    codec = FrameCodec.load(autoencoder) if autoencoder else None
    options = PackOptions(split, size_of(size) if size else None, stride, workers)
    with progress("packing", as_json) as report:
        packed = pack(NuScenesFolder(folder, version, sweeps=not key_frames), out, options, report)
    roots = sorted(folder.glob("part-*")) or [folder]
    write_json(out / tracked.SOURCE, {"dataset": tracked.dataset_id(roots), "split": split})
    latents = None
    if codec is not None:
        with progress("encoding", as_json) as report:
            latents = encode_latents(out, codec, report)
    scenes, bare = len(packed.made) + len(packed.kept), packed.without_images
    values = {"cache": out, "scenes": scenes, "made": len(packed.made), "latents": codec is not None, "latents_made": latents}
    shown = f"{scenes} scenes in {out}, {len(packed.made)} of them made now"
    told = [f"left out, because none of their images are there: {len(bare)} scenes ({_some(bare)})"] if bare else []
    finish(as_json, {**values, "without_images": bare}, *told, shown)


@app.command()
def overlay(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture (.png) of one frame, or film (.mp4) of the whole scene.")],
    scene: Annotated[str | None, typer.Option(help="Name or token; by default the first.")] = None,
    frame: Annotated[int, typer.Option(help="Which frame, from 0.", min=0)] = 0,
    version: Version = None,
    as_json: Json = False,
) -> None:
    """Draw boxes, LiDAR and road over the images, and measure how well they fit."""
    from drivewm.data.reader import NuScenesFolder
    from drivewm.errors import InputError
    from drivewm.evaluation.geometry import in_words, measure
    from drivewm.evaluation.overlay import Overlay, write_film
    from drivewm.evaluation.pictures import write_png

    if out.suffix not in (".png", ".mp4"):
        raise InputError(f"is a picture (.png) or a film (.mp4), not {out.suffix!r}", file=out)
    read = NuScenesFolder(folder, version)
    name = scene or read.scenes()[0].name
    nusc = read.devkit_of(name)
    drawn = Overlay(read, nusc, name)
    with progress("drawing", as_json) as report:
        write_png(out, drawn.picture(frame)) if out.suffix == ".png" else write_film(drawn, out, report)
    found = measure(read, nusc, name, frame)
    finish(as_json, {"picture": out, "geometry": found}, *in_words(found), str(out))


@app.command()
def reconstruct(
    sources: Annotated[list[Path], typer.Argument(help="Images, folders of images, videos, nuScenes folders; each is reported.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report.json and a sheet of pictures for each source.")],
    autoencoder: Annotated[
        str, typer.Option(help="tiny, a folder of ours or of diffusers, or owner/name in the local Hugging Face cache.")
    ] = "tiny",
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels; by default as they are, 432x768 at most.")] = None,
    frames: Annotated[int, typer.Option(help="Pictures of each source, evenly spread.", min=1)] = 24,
    clip: Annotated[int, typer.Option(help="Frames in a row at once, for autoencoders of video.", min=1)] = 1,
    features: Annotated[
        Path | None, typer.Option(help="Folder of a vision model of transformers to compare features of.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Real pictures through an autoencoder and back: how alike they stay, beside JPEG and blur. Nothing is downloaded."""
    from rich.table import Table

    from drivewm.evaluation.reconstruction import ReconstructOptions, reconstruct, report_rows, size_of

    options = ReconstructOptions(size_of(size) if size else None, frames, clip, features)
    with progress("reconstructing", as_json) as report:
        found = reconstruct(sources, autoencoder, out, options, report)
    head, *rows = report_rows(found)
    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*row)
    finish(as_json, {"report": out / "report.json", **found}, table, f"mean (worst); pictures in {out}")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Recordings: one drive, or a folder of several.")],
    from_format: Annotated[str, typer.Option("--from", help="dgp, argoverse2, or the name of an adapter of your own.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the data set; must be new.")],
    to_format: Annotated[str, typer.Option("--to", help="What to write.")] = "nuscenes",
    camera_hz: Annotated[float | None, typer.Option("--camera-hz", help="Images per second and camera; by default all.")] = None,
    key_hz: Annotated[float, typer.Option("--key-hz", help="Key frames per second.")] = 2.0,
    link: Annotated[bool, typer.Option(help="Hard links to images that stay as they are, instead of copies.")] = False,
    as_json: Json = False,
) -> None:
    """Recordings in another format as genuine nuScenes tables, images, sweeps and map; whole or not at all."""
    from drivewm.data.formats.convert import SOURCES, ConvertOptions, check_target
    from drivewm.data.formats.convert import convert as make

    check_target(to_format)
    with progress("converting", as_json) as report:
        made = make(source, from_format, out, ConvertOptions(camera_hz, key_hz, link), report)
    told = [f"{name}: {sentence}" for name, of in made.left_out.items() for sentence in of]
    counts = ", ".join(f"{count} {what}" for what, count in made.counts.items() if count)
    absent = [f"absent {what}: {count}" for what, count in made.absent.items()]
    shown = f"{len(made.scenes)} drives in {made.folder}: {counts}"
    more = [f"and {len(told) - 20} sentences more in {made.version}/{SOURCES}"] if len(told) > 20 else []
    values = {"folder": made.folder, "version": made.version, "scenes": made.scenes, "counts": made.counts}
    finish(as_json, {**values, "absent": made.absent, "left_out": told}, shown, *absent, *told[:20], *more)
