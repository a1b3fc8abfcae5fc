"""The demonstration from end to end, with untrained networks in the exact world: every stage leaves what the next one needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from drivewm.cli import run
from drivewm.policies.load import save_policy
from drivewm.policies.onboard import OnboardConfig, OnboardNetwork
from drivewm.policies.teacher import TeacherConfig, TeacherNetwork

SCENARIO = """
name: calm.short
about: A free road.
maps_to: [none]
vary: {speed: "[25 .. 35] km/h"}
road: {kind: straight}
ego: {speed: $speed}
end: {after: 2 s}
"""
SUITE = "name: short\nabout: One free road.\nscenarios: [calm/short.yaml]\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one short scenario and two untrained policies."""
    for path, text in (("scenarios/calm/short.yaml", SCENARIO), ("eval/suites/short.yaml", SUITE)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    torch.manual_seed(0)
    small = TeacherConfig(stage_channels=(8, 16, 32), width=32, heads=2, encoder_layers=1, decoder_layers=1)
    save_policy(tmp_path / "teacher.safetensors", TeacherNetwork(small), seed=0, dataset="synth@0")
    save_policy(tmp_path / "onboard.safetensors", OnboardNetwork(OnboardConfig()), seed=0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def demo(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    who = ("--teacher", "teacher.safetensors", "--student", "onboard.safetensors", "--world", "raster")
    code = run(["demo", *who, "--suite", "short", "--steps", "4", "--out", "demo", *more])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def test_the_demonstration_runs_and_goes_on(workspace: Path, runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = demo(capsys)
    assert code == 0, err
    assert str(workspace / "demo" / "report.html") in out and "mlflow ui" in out
    assert [line for line in err.splitlines() if line.endswith(" ...")] == [
        "large policy drives ...",
        "small policy drives, large one comments ...",
        "small policy learns ...",
        "vehicle file ...",
        "vehicle file drives ...",
    ]
    page = (workspace / "demo" / "report.html").read_text()
    linked = re.findall(r'(?:src|poster)="([^"]+)"', page)
    assert len(linked) == 4 and all((workspace / "demo" / name).stat().st_size > 1000 for name in linked)
    assert "http" not in re.sub(r"http://www\.w3\.org\S*", "", page), "the page must not reach for the network"

    stamps = {file: file.stat().st_mtime_ns for file in (workspace / "demo").rglob("*.safetensors")}
    code, out, err = demo(capsys, "--json")
    answer = json.loads(out.strip().splitlines()[-1])
    assert code == 0 and err == "" and answer["parity"] <= 1e-4 and answer["onboard"]["drives"] == 1
    assert {file: file.stat().st_mtime_ns for file in (workspace / "demo").rglob("*.safetensors")} == stamps, "work was repeated"
    _check_lineage(runs_folder)


def test_dream_and_preview_make_films(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = ("--out", "films", "--json")
    assert run(["dream", "calm.short", "--policy", "idm", "--world", "raster", *film]) == 0
    (drive,) = json.loads(capsys.readouterr().out)["drives"]
    assert drive["valid"] and drive["total"] > 0.5 and Path(drive["film"]).read_bytes()[4:8] == b"ftyp"
    assert run(["replay", drive["case"], "--json"]) == 0 and json.loads(capsys.readouterr().out)["changed"] == 0
    assert run(["scenario", "preview", "scenarios", *film]) == 0
    (made,) = json.loads(capsys.readouterr().out)["films"]
    assert Path(made["film"]).stat().st_size > 1000 and Path(made["strip"]).is_file()


def _check_lineage(runs_folder: Path) -> None:
    """From the registered file back to the scores, the small policy, the large one and its data set, by ids alone."""
    from mlflow import MlflowClient

    client = MlflowClient(
        tracking_uri=f"sqlite:///{runs_folder / 'mlflow.db'}", registry_uri=f"sqlite:///{runs_folder / 'mlflow.db'}"
    )
    experiment = client.get_experiment_by_name("drivewm").experiment_id
    tags = client.get_model_version("onboard", "2").tags
    assert tags["verified"] in ("True", "False") and tags["lineage.policy"].startswith("onboard@")
    tied = client.search_runs([experiment], f"tags.`lineage.teacher` = '{tags['lineage.teacher']}'")
    names = " ".join(run.info.run_name for run in tied)
    assert "export" in names and "teacher@" in names
    teachers = [run for run in tied if run.info.run_name.startswith("teacher")]
    assert teachers[0].data.tags["lineage.dataset"] == "synth@0"
    learned = client.search_runs([experiment], f"tags.`lineage.policy` = '{tags['lineage.policy']}'")
    assert any(run.info.run_name.startswith("distil") for run in learned)
    scored = client.search_runs([experiment], f"tags.`lineage.policy` = '{tags['lineage.onnx']}'")
    assert [run.info.run_name.partition(" ")[0] for run in scored] == ["score"]


def test_the_parts_must_fit(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = demo(capsys, "--teacher", "idm")
    assert (code, out) == (2, "") and "the demonstration needs a large and a small policy, not idm" in err
