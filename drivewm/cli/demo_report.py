"""The page that `drivewm demo` leaves: films, scores with intervals, what was void, parity, latency, how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivewm.datatypes import Score
from drivewm.distill.verify import Report
from drivewm.evaluation.report import Curve, Film, Page, Section, Table, Tile, write_page
from drivewm.evaluation.score import SuiteResult
from drivewm.evaluation.summary import COLUMNS, rows
from drivewm.tracking import open_command


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the stages made; ``large`` and ``onboard`` (the ONNX file) are scores of the same scenes."""

    out: Path
    large: SuiteResult
    onboard: SuiteResult
    checks: Report
    latency: tuple[dict[str, Any], ...]  # rows of the bundle's latency.json
    losses: tuple[float, ...]
    model_version: int
    seconds: float

    @property
    def report(self) -> Path:
        return self.out / "report.html"

    @property
    def parity(self) -> float:
        return max(self.checks.torch.logits, self.checks.torch.memory, self.checks.torch.trajectory)


def write_report(shown: Demonstration) -> Path:
    """Write ``out/report.html``."""
    p99_ms = next(row["p99_ms"] for row in shown.latency if row["file"] == "policy.onnx")
    void = shown.large.summary.all.void + shown.onboard.summary.all.void
    drives = shown.large.summary.all.drives + shown.onboard.summary.all.drives
    tiles = (
        _score_tile("large policy", shown.large),
        _score_tile("vehicle file (ONNX)", shown.onboard),
        Tile("void drives", f"{void} of {drives}", "the frames did not show the state", "void" if void else "good"),
        Tile("parity ONNX – torch", f"{shown.parity:.0e}", "largest difference", "good" if shown.checks.ok else "bad"),
        Tile("latency", f"{p99_ms:.1f} ms", "p99, one core, six cameras"),
        Tile("this call took", f"{shown.seconds / 60:.1f} min", shown.large.provenance.device),
    )
    ids = {
        "world": shown.large.world,
        "suite": shown.large.suite,
        "large policy": shown.large.policy,
        "small policy": shown.checks.policy_id,
        "vehicle file": shown.onboard.policy,
        "registered as": f"onboard version {shown.model_version}",
    }
    page = Page(
        title="From rare situations to a vehicle file",
        about=f"Suite {shown.large.suite}, world {shown.large.world}. Every figure on this page was measured in this run.",
        sections=(
            _drives("The large policy drives", shown.out, "large", shown.large),
            _learning(shown.losses),
            _bundle(shown),
            _drives("The vehicle file drives the same scenes", shown.out, "onboard", shown.onboard),
            Section("Go on", commands=_commands(shown)),
        ),
        tiles=tiles,
        stages=tuple(ids.items()),
    )
    return write_page(shown.report, page)


def _score_tile(label: str, result: SuiteResult) -> Tile:
    score = result.summary.all.score
    if score is None:
        return Tile(label, "void", "no drive counts", "void")
    return Tile(
        label, f"{score.value:.2f}", f"95 %: {score.low:.2f} to {score.high:.2f}, {score.count} scene{'s' * (score.count != 1)}"
    )


def _drives(title: str, out: Path, folder: str, result: SuiteResult) -> Section:
    about = (
        "All cameras, and the state from above with route, plan and trails. The frames of a void drive did not show the state."
    )
    films = tuple(_film(folder, case, score) for case, score in zip(result.cases, result.scores, strict=True))
    note = "; ".join(f"void, {reason}: {count}" for reason, count in result.summary.void_reasons.items())
    return Section(title, about, films=films, tables=(Table(COLUMNS, tuple(rows(result.summary)), note),))


def _film(folder: str, case: str, score: Score) -> Film:
    key = Path(case).stem
    facts = [("score", f"{score.total:.2f}" if score.valid else "none")]
    facts += [(event.kind.replace("_", " "), f"at {event.t_s:.1f} s") for event in score.events[:3]]
    facts += [("void", reason) for reason in score.void_reasons]
    verdict = "void" if not score.valid else "passed" if score.passed else "failed"
    return Film(score.scene_id.split("@")[0], f"{folder}/films/{key}.mp4", f"{folder}/films/{key}.png", verdict, tuple(facts))


def _learning(losses: Sequence[float]) -> Section:
    about = (
        "The small policy drove other draws of these scenarios; the large one commented on every plan it could have chosen, "
        "and the exact state said how good each would have been."
    )
    curves = (Curve("distillation loss", tuple(losses)),) if len(losses) > 1 else ()
    return Section("The small policy learns where it drove itself", about, curves=curves)


def _bundle(shown: Demonstration) -> Section:
    checks = tuple((check.name, "ok" if check.ok else "FAILS", check.value, check.needed) for check in shown.checks.checks)
    speeds = tuple(
        (row["file"], f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}", f"{row['p99_ms']:.1f}", row["machine"])
        for row in shown.latency
    )
    tables = (
        Table(("check", "", "found", "needed"), checks),
        Table(("file", "p50 ms", "p95 ms", "p99 ms", "machine"), speeds, "one car, one thread"),
    )
    return Section("The file for the vehicle", "What verification says of the bundle, and how fast it answers.", tables=tables)


def _commands(shown: Demonstration) -> tuple[str, ...]:
    return (
        open_command(),
        f"drivewm verify {shown.out / 'bundle'}",
        f"drivewm replay {shown.out / 'large' / 'cases'} --why --out {shown.out / 'why'}",
        f"drivewm score --policy {shown.out / 'bundle' / 'policy.onnx'} --suite smoke --world raster",
    )
