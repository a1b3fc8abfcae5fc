"""Does the dream know when it is wrong? Signals of doubt beside naive ones, held against true errors on held-out drives.

    python eval/benchmarks/uncertainty.py [--world dream] [--cache DIR] [--drives 32] [--seconds 4]

Half of the drives lay the curve from doubt to expected error, the other half is dreamed under it. Every signal is pooled over a
camera and inherited from frame to frame alike. Writes eval/results/worldmodel_uncertainty.md and .png.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from drivewm.cli.console import stages
from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.held_out import held_out_cache
from drivewm.evaluation.dreaming import FREE, LAYOUT, Dreamed, Drives, Regime, dream_drives, through_autoencoder
from drivewm.evaluation.readers import READ_CLASSES, Readers
from drivewm.evaluation.uncertainty import (
    CalibrationOptions,
    auroc,
    calibrate,
    halves,
    risk_at,
    risk_removed,
    squared_error,
)
from drivewm.store import provenance, write_text
from drivewm.training.cache import FrameCache
from drivewm.worldmodel.conditions import FREE_REGIME
from drivewm.worldmodel.flow import SMALLEST_STEP, noised
from drivewm.worldmodel.precision import inference_autocast
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.uncertainty import CARRIED, Calibration, doubt_of
from drivewm.worldmodel.world import EMBEDDED, open_pipeline

OUT = Path(__file__).parents[1] / "results" / "worldmodel_uncertainty.md"
MISREAD_SHARE = 0.1  # of a picture's pixels, read otherwise than in the reference
OBJECTS = [READ_CLASSES.index(name) for name in ("vehicle", "two_wheeler", "pedestrian")]
OBJECT_PX, FOUND_SHARE = 80, 0.25  # pixels of objects in a camera to be asked for them; share of them that must be read again
MEANING = f"""\
The error of a camera is the root mean square difference between the dreamed picture and the reference after the autoencoder, in
grey levels of 255. Misread: more than {MISREAD_SHARE:.0%} of its pixels are read as another class than in the reference. Object
missing: of the objects that fill {OBJECT_PX} px or more there, less than {FOUND_SHARE:.0%} is read here. Rank is Spearman's, with
a 95 % interval over drives. Risk removed: trusting the surest cameras first lowers the mean error by this share of what knowing
the errors would (1 all, 0 as by chance). Cost is per six-camera frame, beside the dream's own, in a batch of all drives; the
spread of two seeds is one dreamed frame more."""
INHERITED = (0.0, 0.5, 0.7, 0.8, 0.95)
Signal = Callable[[Dreamed], torch.Tensor]  # -> squared doubt of one frame [B, V, h, w]


def noise_like(dreamed: Dreamed, seed: int) -> torch.Tensor:
    return torch.randn(dreamed.latent.shape, generator=torch.Generator().manual_seed(1000 * seed + dreamed.before.frame))


def over_seeds(count: int) -> Signal:
    """Variance of the latents over ``count`` dreams of the same frame."""

    def signal(dreamed: Dreamed) -> torch.Tensor:
        others = [dreamed.session.dream(dreamed.before, dreamed.told, noise_like(dreamed, s))[0] for s in range(1, count)]
        return torch.stack([dreamed.latent, *others]).var(0).mean(3)[:, 0]

    return signal


def noised_again(tau: float) -> Signal:
    """How far the network's guess is from the finished latents when they are noised again to flow time ``tau``: one pass more."""

    def signal(dreamed: Dreamed) -> torch.Tensor:
        session, batch = dreamed.session, len(dreamed.latent)
        embedded = session.network.embed(dreamed.told, {group: torch.ones(batch, dtype=torch.bool) for group in session.drop})
        level = torch.full((batch, 1), tau)
        x = noised(dreamed.latent, noise_like(dreamed, 1), level)
        recalled = session.network.recall(dreamed.before.past, embedded)
        guess = session.network(x, level, torch.full((batch,), SMALLEST_STEP), embedded, recalled)
        return (guess.float() - dreamed.latent).square().mean(3)[:, 0]

    return signal


def without_layout(dreamed: Dreamed) -> torch.Tensor:
    """How far the frame would be another one, had the layout not been told."""
    free = Session(dreamed.session.network, dreamed.session.steps, FREE_REGIME)
    other = free.dream(dreamed.before, dreamed.told, noise_like(dreamed, 1))[0]
    return (other - dreamed.latent).square().mean(3)[:, 0]


def detail(dreamed: Dreamed) -> torch.Tensor:
    """Naive: how much there is to see in the camera."""
    return dreamed.latent.var((-1, -2), keepdim=True).expand_as(dreamed.latent).mean(3)[:, 0]


def guesses(dreamed: Dreamed) -> torch.Tensor:
    """What the session says itself, without what it inherits."""
    after, before = dreamed.after.doubt, dreamed.before.doubt
    assert after is not None and before is not None
    return after - CARRIED * before


SIGNALS: dict[str, Signal] = {
    "first and last guess (reported)": guesses,
    "spread of 2 seeds": over_seeds(2),
    "spread of 4 seeds": over_seeds(4),
    "noised again to 0.25": noised_again(0.25),
    "noised again to 0.5": noised_again(0.5),
    "with and without layout": without_layout,
    "naive: detail in the picture": detail,
}
OURS, TIME, BOTH = "first and last guess (reported)", "naive: seconds dreamed", "reported x detail"


@dataclass(frozen=True)
class Seen:
    """Signals (squared, of single frames) and what is true of the same cameras."""

    signals: dict[str, Array]  # [B, F, V, h, w]
    cost_s: dict[str, float]  # per six-camera frame in this batch
    error: Array  # squared, grey levels [B, F, V, h, w]
    latent_error: Array  # [B, F, V], root mean square
    misread: Array  # bool [B, F, V]
    asked: Array  # bool [B, F, V]: the reference shows objects that the readers find there
    missing: Array  # bool [B, F, V]: of those cameras, the ones in whose dream they are not found
    shown: Array
    exact: Array

    @property
    def camera_error(self) -> Array:
        return np.asarray(np.sqrt(self.error.mean((-1, -2))))

    def score(self, name: str, carried: float = CARRIED) -> Array:
        """One number per camera [B, F, V]."""
        if name == TIME:
            return np.broadcast_to(np.arange(self.error.shape[1])[:, None], self.error.shape[:3]).astype(float)
        if name == BOTH:
            return self.score(OURS) * self.score("naive: detail in the picture")
        out: list[Array] = []
        before: Array = np.zeros(())
        for frame in self.signals[name].mean((-1, -2)).swapaxes(0, 1):
            before = frame + carried * before
            out.append(before)
        return np.sqrt(np.stack(out, 1))


def look(pipeline: Any, drives: Drives, regime: Regime, readers: Readers, seed: int) -> Seen:
    names = [name for name in SIGNALS if not (regime.drop and SIGNALS[name] is without_layout)]
    kept: dict[str, list[Array]] = {name: [] for name in names}
    cost = dict.fromkeys(names, 0.0)
    latents: list[Array] = []

    def note(dreamed: Dreamed) -> None:
        latents.append(dreamed.latent[:, 0].numpy())
        for name in names:
            began = time.perf_counter()
            kept[name].append(SIGNALS[name](dreamed).float().numpy())
            if name == OURS:  # what the session itself pays for it
                doubt_of(dreamed.latent, dreamed.latent, dreamed.before.doubt, dreamed.told["lost"][:, 0])
            cost[name] += time.perf_counter() - began

    late, codec = slice(drives.context, None), pipeline.codec
    shown = dream_drives(pipeline, drives, regime, seed, note)[:, late]
    exact = through_autoencoder(pipeline, drives.images[:, late])
    with inference_autocast(pipeline.device):
        truth = torch.stack([codec.encode(torch.from_numpy(row)) for row in drives.images[:, late]]).float().numpy()
    here, there = readers.segment(shown), readers.segment(exact)
    objects_there = np.isin(there, OBJECTS)
    found = (objects_there & np.isin(here, OBJECTS)).sum((-1, -2))
    asked = objects_there.sum((-1, -2)) >= OBJECT_PX
    return Seen(
        signals={name: np.stack(values, 1) for name, values in kept.items()},
        cost_s={name: seconds / latents[0].shape[0] / len(latents) for name, seconds in cost.items()},
        error=squared_error(shown, exact, pipeline.transformer.size.downsampling),
        latent_error=np.sqrt(np.square(np.stack(latents, 1) - truth).mean((-1, -2, -3))),
        misread=(here != there).mean((-1, -2)) > MISREAD_SHARE,
        asked=asked,
        missing=asked & (found < FOUND_SHARE * objects_there.sum((-1, -2))),
        shown=shown,
        exact=exact,
    )


def rank_with_interval(score: Array, true: Array) -> str:
    """Spearman's rank correlation over all cameras and frames; the interval is over drives (bootstrap)."""
    rng, count = np.random.default_rng(0), len(score)
    picks = [rng.integers(count, size=count) for _ in range(100)]
    low, high = np.quantile([spearmanr(score[p].ravel(), true[p].ravel()).statistic for p in picks], [0.025, 0.975])
    return f"{spearmanr(score.ravel(), true.ravel()).statistic:.2f} [{low:.2f}, {high:.2f}]"


def table(seen: Seen) -> list[str]:
    error, latent = seen.camera_error, seen.latent_error
    worst = error >= np.quantile(error, 0.9)
    lines = [
        "| signal | rank, picture | rank, latents | AUROC, worst tenth | AUROC, misread | AUROC, object missing | risk removed "
        "| cost, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in [*seen.signals, BOTH, TIME]:
        score, cost = seen.score(name), seen.cost_s.get(name, 0.0)
        areas = (auroc(score, worst), auroc(score, seen.misread), auroc(score[seen.asked], seen.missing[seen.asked]))
        ranks = (rank_with_interval(score, error), rank_with_interval(score, latent))
        shown = [*ranks, *("–" if area is None else f"{area:.2f}" for area in areas)]
        lines.append(
            f"| {name} | " + " | ".join(shown) + f" | {risk_removed(score.ravel(), error.ravel()):.2f} | {1e3 * cost:.1f} |"
        )
    return lines


def page(world: str, seen: dict[str, Seen], calibration: Calibration, args: argparse.Namespace) -> str:
    origin, some = provenance(args.seed), next(iter(seen.values()))
    drives, frames, views = some.error.shape[:3]
    lines = [
        "# Does the dream know when it is wrong?",
        "",
        f"{world}, {origin.device}, {torch.get_num_threads()} threads, commit {origin.commit}. Command: "
        f"`python eval/benchmarks/uncertainty.py --drives {args.drives} --seconds {args.seconds:g}`.",
        f"{drives} held-out drives x {frames} dreamed frames x {views} cameras; as many other drives laid the curves.",
        "",
        *MEANING.splitlines(),
        "",
        f"![risk, calibration, time, an example]({OUT.with_suffix('.png').name})",
    ]
    for name, one in seen.items():
        lines += ["", f"## {name.capitalize()}", "", *table(one), ""]
        rates = (one.camera_error.mean(), one.misread.mean(), one.asked.mean(), one.missing.sum() / max(one.asked.sum(), 1))
        words = "Mean error {:.1f}; {:.0%} of the cameras are misread; {:.0%} show objects, in {:.0%} of those they are missing."
        lines.append(words.format(*rates))
        swept = ", ".join(
            f"{share:g}: {spearmanr(one.score(OURS, share).ravel(), one.camera_error.ravel()).statistic:.2f}"
            for share in INHERITED
        )
        lines.append(f"Rank by the share of squared doubt that the next frame inherits: {swept}; {CARRIED:g} is built in.")
    lines += ["", "## Expected error", "", "| regime | off by, median | mean expected | mean true |", "|---|---|---|---|"]
    for (name, one), curve in zip(seen.items(), calibration.curves, strict=True):
        expected = np.interp(one.score(OURS), curve.doubt, curve.error)
        lines.append(f"| {name} | {curve.off_by:.0%} | {expected.mean():.1f} | {one.camera_error.mean():.1f} |")
    return "\n".join([*lines, ""])


def draw(path: Path, seen: dict[str, Seen], calibration: Calibration) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.4), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4, gridspec_kw={"height_ratios": [1.0, 1.25]}, squeeze=False)
    coverage = np.linspace(0.05, 1.0, 40)
    for axis, (name, one) in zip(axes[0], seen.items(), strict=False):
        error = one.camera_error.ravel()
        for label in (OURS, "spread of 4 seeds", "naive: detail in the picture"):
            axis.plot(coverage, risk_at(one.score(label).ravel(), error, coverage), label=label)
        axis.plot(coverage, risk_at(error, error, coverage), "k:", label="omniscient")
        axis.axhline(error.mean(), color="grey", lw=0.8, label="by chance")
        axis.set(title=f"{name}: surest first", xlabel="share of cameras trusted", ylabel="mean error", ylim=(0, None))
    axes[0][0].legend(fontsize=6.5, loc="lower right")
    for (name, one), curve in zip(seen.items(), calibration.curves, strict=True):
        expected = np.interp(one.score(OURS), curve.doubt, curve.error)
        order = np.array_split(np.argsort(expected.ravel()), 10)
        means = [[values.ravel()[part].mean() for part in order] for values in (expected, one.camera_error)]
        axes[0][2].plot(*means, "o-", ms=3, label=name)
        time_s = 0.2 * np.arange(1, expected.shape[1] + 1)
        line = axes[0][3].plot(time_s, one.camera_error.mean((0, 2)), label=f"{name}, true")[0]
        axes[0][3].plot(time_s, expected.mean((0, 2)), "--", color=line.get_color(), label="expected")
    axes[0][2].axline((0, 0), slope=1, color="grey", lw=0.8)
    axes[0][2].set(title="expected and true error", xlabel="expected", ylabel="true")
    axes[0][3].set(title="error over time", xlabel="s since the last given frame", ylim=(0, None))
    for axis in axes[0][2:]:
        axis.legend(fontsize=6.5)
    one, curve = next(iter(seen.items()))[1], calibration.curves[0]
    doubt = np.square(one.score(OURS)).mean((1, 2))  # the drive whose doubt lies in the middle
    drive, frame = int(np.argsort(doubt)[len(doubt) // 2]), one.error.shape[1] // 2
    squared = np.zeros(one.error[drive, frame].shape)
    for earlier in one.signals[OURS][drive, : frame + 1]:
        squared = earlier + CARRIED * squared
    panels = (
        ("reference", one.exact[drive, frame]),
        ("dream, layout-driven", one.shown[drive, frame]),
        ("expected error", curve.of_cells(squared)),
        ("true error", np.sqrt(one.error[drive, frame])),
    )
    for axis, (title, values) in zip(axes[1], panels, strict=True):
        axis.imshow(np.concatenate(list(values[:3]), 0), vmin=0, vmax=80, cmap="inferno")
        axis.set(title=title, xticks=[], yticks=[])
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="dream")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--drives", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pipeline, readers = open_pipeline(EMBEDDED if args.world == "dream" else Path(args.world)), Readers.load()
    options = CalibrationOptions(args.seconds, seed=args.seed)
    with TemporaryDirectory() as scratch, stages() as stage, torch.no_grad():
        cache = FrameCache(args.cache or held_out_cache(Path(scratch), args.drives, stage), args.seed)
        args.drives = len(cache.files)
        calibration = calibrate(pipeline, cache, options, stage("laying the curves"))
        stage("comparing signals")
        _, tried = halves(cache, options)
        seen = {regime.name: look(pipeline, tried, regime, readers, args.seed) for regime in (LAYOUT, FREE)}
    draw(OUT.with_suffix(".png"), seen, calibration)
    write_text(OUT, page(pipeline.identity(), seen, calibration, args))
    print(OUT.read_text())


if __name__ == "__main__":
    main()
