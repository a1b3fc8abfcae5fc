"""Experiments land in one sqlite file with lineage; nothing leaves the machine; failures are one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from drivewm import store
from drivewm.config import content_folder, run_folder, runs_root
from drivewm.datatypes import EGO_SHAPE
from drivewm.errors import InputError
from drivewm.tracking import Run, open_command, tracking_uri


@pytest.fixture(scope="module")
def shared_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "runs"


@pytest.fixture(autouse=True)
def runs_folder(shared_runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One database for all tests of this file: making its tables takes two seconds."""
    monkeypatch.setenv("DRIVEWM_RUNS", str(shared_runs))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return shared_runs


def client(folder: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", registry_uri=f"sqlite:///{folder / 'mlflow.db'}")


def doubling_onnx(path: Path) -> Path:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [value("x", onnx.TensorProto.FLOAT, [3])],
        [value("y", onnx.TensorProto.FLOAT, [3])],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), str(path))
    return path


def test_a_run_holds_settings_curves_files_and_lineage(runs_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>fine</p>")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"x")
    with Run("demo", "train teacher") as parent, Run("demo", "score", parent=parent.id) as run:
        run.params({"policy": {"width": 64}, "car": EGO_SHAPE, "note": "x" * 9000, **{f"p{i}": i for i in range(150)}})
        for step in range(30):
            run.metrics({"loss": 1.0 / (step + 1), "rate": np.float32(0.5)}, step)
        run.artifact(tmp_path / "report.html")
        run.artifact(tmp_path / "videos", "media")
        run.link("world", "embedded@1234")
        run.provenance(store.provenance(3, dataset="synth@ab", policy="teacher@cd", rig="six"))
    seen = client(runs_folder).get_run(run.id)
    assert seen.info.status == "FINISHED" and seen.data.tags["mlflow.parentRunId"] == parent.id
    assert seen.data.params["policy.width"] == "64" and seen.data.params["car.length_m"] == "4.084"
    assert len(seen.data.params["note"]) == 500 and seen.data.params["p149"] == "149"
    curve = client(runs_folder).get_metric_history(run.id, "loss")
    assert [(m.step, m.value) for m in curve] == [(s, 1.0 / (s + 1)) for s in range(30)]
    assert seen.data.metrics["rate"] == 0.5
    tags = seen.data.tags
    assert (
        tags["lineage.world"] == "embedded@1234"
        and tags["lineage.dataset"] == "synth@ab"
        and tags["lineage.policy"] == "teacher@cd"
    )
    assert tags["drivewm.rig"] == "six" and tags["drivewm.seed"] == "3"
    files = {item.path for item in client(runs_folder).list_artifacts(run.id)}
    assert files == {"report.html", "media"}
    assert next((runs_folder / "artifacts").rglob("a.mp4")).read_bytes() == b"x"


def test_a_resumed_run_goes_on_with_its_curve(runs_folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Run("train", "worldmodel") as first:
        first.metrics({"loss": 2.0}, 0)
        raise KeyboardInterrupt
    assert client(runs_folder).get_run(first.id).info.status == "KILLED"
    with Run("train", "worldmodel", run_id=first.id) as second:
        second.metrics({"loss": 1.0}, 1)
    assert [m.value for m in client(runs_folder).get_metric_history(first.id, "loss")] == [2.0, 1.0]
    assert client(runs_folder).get_run(first.id).info.status == "FINISHED"


def test_work_that_goes_on_in_a_folder_goes_on_in_its_run(runs_folder: Path, tmp_path: Path) -> None:
    ids = []
    for steps in (100, 200):
        with Run.of_folder("train", "teacher", tmp_path) as run:
            run.params({"steps": steps})
            ids.append(run.id)
    assert ids[0] == ids[1] and client(runs_folder).get_run(ids[0]).data.params == {"steps": "100"}
    store.write_json(tmp_path / "mlflow.json", {"run_id": "0" * 32, "uri": tracking_uri()})
    with Run.of_folder("train", "teacher", tmp_path) as run:
        assert run.id not in ids, "a run that was deleted is begun anew"


def test_a_failed_run_says_why(runs_folder: Path) -> None:
    with pytest.raises(InputError, match="too short"), Run("train", "x") as run:
        raise InputError("too short", file="a.yaml")
    seen = client(runs_folder).get_run(run.id)
    assert seen.info.status == "FAILED" and seen.data.tags["error"] == "InputError: a.yaml: too short"


def test_an_onnx_file_becomes_versions_that_load_and_run(runs_folder: Path, tmp_path: Path) -> None:
    path = doubling_onnx(tmp_path / "policy.onnx")
    with Run("demo", "export") as run:
        run.link("teacher", "teacher@77")
        assert run.register_onnx("onboard", path, {"parity": "1e-6"}) == 1
        assert run.register_onnx("onboard", path) == 2
        for bad, sentence in ((tmp_path / "absent.onnx", "does not exist"), (Path(__file__), "is not an ONNX file")):
            with pytest.raises(InputError, match=sentence):
                run.register_onnx("onboard", bad)
    version = client(runs_folder).get_model_version("onboard", "1")
    assert version.run_id == run.id and version.tags == {"lineage.teacher": "teacher@77", "parity": "1e-6"}
    file = next((runs_folder / "artifacts").rglob("model.onnx"))
    out = onnxruntime.InferenceSession(str(file)).run(None, {"x": np.arange(3, dtype=np.float32)})
    np.testing.assert_array_equal(out[0], [0.0, 2.0, 4.0])


def test_wrong_stores_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("this is no database, " * 100)
    for uri in (f"sqlite:///{tmp_path}/broken.db", "gopher://nowhere", "http://127.0.0.1:9"):
        with pytest.raises(InputError) as caught, Run("x", "y", uri):
            pass
        assert str(caught.value).startswith(f"{uri}: experiment tracking failed: ") and "\n" not in str(caught.value)
    with Run("x", "y") as run:
        with pytest.raises(InputError, match="does not exist"):
            run.artifact(tmp_path / "absent.html")
        with pytest.raises(ValueError, match="lineage knows"):
            run.link("cousin", "z")


def test_the_address_comes_from_argument_environment_or_runs(runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri() == f"sqlite:///{runs_folder}/mlflow.db" and str(runs_folder) in open_command()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    assert tracking_uri() == "http://tracking.example" and tracking_uri("file:///x") == "file:///x"


OFFLINE = """
import socket, sys
def refuse(self, address):
    if self.family != socket.AF_UNIX:
        print("reached for", address); sys.stdout.flush(); import os; os._exit(9)
socket.socket.connect = refuse
socket.getaddrinfo = lambda host, *rest, **more: refuse(socket.socket(), host)
import drivewm.tracking
assert "mlflow" not in sys.modules, "mlflow must load on use only"
with drivewm.tracking.Run("a", "b") as run:
    run.metrics({"x": 1.0})
    run.register_onnx("m", sys.argv[1])
"""


def test_nothing_reaches_for_the_network_and_nothing_is_printed(tmp_path: Path) -> None:
    path = doubling_onnx(tmp_path / "policy.onnx")
    done = subprocess.run([sys.executable, "-c", OFFLINE, str(path)], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_run_folders_get_new_names(runs_folder: Path, tmp_path: Path) -> None:
    first = run_folder("score")
    first.mkdir(parents=True)
    assert first.parent == runs_folder == runs_root() and run_folder("score") != first
    assert run_folder("score", tmp_path / "mine") == tmp_path / "mine"
    with pytest.raises(ValueError, match="kind of run"):
        run_folder("../x")


def test_a_workspace_content_folder_goes_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = content_folder("scenarios")
    assert ours.is_dir()
    (tmp_path / "scenarios").mkdir()
    monkeypatch.chdir(tmp_path)
    assert content_folder("scenarios") == tmp_path / "scenarios" != ours
