"""What the stages of the loop leave in MLflow: one run per stage, tied to the others by the ids of what they made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivewm.errors import InputError
from drivewm.store import content_hash, file_hash, read_json
from drivewm.tracking import EXPERIMENT, LINEAGE, Run

SOURCE = "source.json"  # beside packed clips: which data set they are from

if TYPE_CHECKING:
    from drivewm.distill.verify import Report
    from drivewm.evaluation.dream_card.card import DreamCard
    from drivewm.evaluation.score import SuiteResult


def dataset_id(roots: Sequence[Path]) -> str:
    """Name of a data set by what its tables say: equal scenes and images, equal name."""
    tables = sorted(file for root in roots for table in ("scene", "sample_data") for file in root.glob(f"v1.0-*/{table}.json"))
    if not tables:
        raise InputError("holds no nuScenes tables", file=roots[0])
    return f"{roots[0].absolute().name}@{content_hash([file_hash(file) for file in tables])[:8]}"


def data_of(cache: Path) -> dict[str, str]:
    """The data set that a cache was made from, as a link; nothing for a cache that does not say."""
    note = cache / SOURCE
    return {"dataset": str(read_json(note)["dataset"])} if note.is_file() else {}


def dataset(roots: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """A data set that was made; returns its id."""
    name = dataset_id(roots)
    with Run(EXPERIMENT, f"data set {name}") as run:
        run.params(settings)
        run.link("dataset", name)
    return name


def scores(result: SuiteResult, folder: Path, parent: str | None = None) -> str:
    """A scored suite: means, rates, the result file, films and view from above; returns the run's id."""
    everything = result.summary.all
    name = f"score {result.policy} on {result.suite} in {result.world}"
    with Run.of_folder(EXPERIMENT, name, folder, parent=parent) as run:
        run.params({"suite": result.suite, "policy": result.policy, "world": result.world})
        run.provenance(result.provenance)
        means = {"score": everything.score, "passed": everything.passed}
        run.metrics({kind: mean.value for kind, mean in means.items() if mean} | {"void_rate": everything.void_rate})
        run.metrics({f"score.{group.name}": group.score.value for group in result.summary.families if group.score})
        run.artifact(folder / "result.json")
        if (folder / "films").is_dir():
            run.artifact(folder / "films", "films")
    return run.id


def policy(kind: str, name_or_path: str, id: str, parent: str | None = None) -> None:
    """A policy that was trained earlier: what it was made from, and its card."""
    from drivewm.policies.load import ASSETS
    from drivewm.policies.weights import read_card

    path = Path(name_or_path)
    weights = path if path.suffix == ".safetensors" else ASSETS / f"{name_or_path}.safetensors"
    with Run(EXPERIMENT, f"{kind} {id}", parent=parent) as run:
        run.provenance(read_card(weights).provenance)
        run.link(kind, id)
        run.artifact(weights.with_suffix(".json"))


def world(name_or_path: str, id: str, parent: str | None = None) -> None:
    """A world that is driven in; a learned one with its card and with what it was made from."""
    from drivewm.evaluation.dream_card.card import holds_card, load_card
    from drivewm.worldmodel.world import EMBEDDED

    folder = Path(name_or_path) if Path(name_or_path).is_dir() else EMBEDDED
    with Run(EXPERIMENT, f"world {id}", parent=parent) as run:
        run.link("world", id)
        if not id.startswith("dream"):
            return
        for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".md", ".png")):
            run.artifact(path)
        origin = load_card(folder).provenance.ids if holds_card(str(folder)) else {}
        for kind, name in origin.items():
            if kind in LINEAGE and kind != "world":
                run.link(kind, name)


def card(folder: Path, made: DreamCard, parent: str | None = None) -> None:
    """A measured dream card: every claim as a metric, every light as a tag, the pages and pictures beside it."""
    measured = {
        re.sub(r"[^A-Za-z0-9_./ -]+", " ", f"{answer.key}/{claim.name}"): claim.estimate.value
        for answer in made.everything
        for claim in answer.claims
        if claim.estimate is not None and isfinite(claim.estimate.value)
    }
    with Run(EXPERIMENT, f"card {made.world}", parent=parent) as run:
        run.provenance(made.provenance)
        run.metrics(measured)
        run.params({f"light.{key}": light or "no target" for key, light in made.lights.items()})
        for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".md", ".html", ".png", ".jpg")):
            run.artifact(path)


def bundle(folder: Path, name: str, report: Report, latency: list[dict[str, Any]], parent: str | None = None) -> int:
    """An exported bundle: parity, latency, its files, and a new version of the registered model; returns the version."""
    from drivewm.policies.load import load_policy
    from drivewm.policies.weights import read_card

    with Run(EXPERIMENT, f"export {report.policy_id}", parent=parent) as run:
        run.provenance(read_card(folder / "policy.safetensors").provenance)
        run.link("policy", report.policy_id)
        run.metrics(measured(report, latency))
        run.link("onnx", load_policy(folder / "policy.onnx").spec.id)
        run.artifact(folder, "bundle")
        version = run.register_onnx(name, folder / "policy.onnx", {"verified": str(report.ok)})
    return version


def measured(report: Report, latency: list[dict[str, Any]]) -> Mapping[str, float]:
    """The figures of a bundle as metrics."""
    parity = {f"parity.{name}": value for name, value in (("logits", report.torch.logits), ("memory", report.torch.memory))}
    return parity | {f"latency.{row['file']}.p99_ms": float(row["p99_ms"]) for row in latency}
