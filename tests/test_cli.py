"""The program as its users meet it: help, JSON, and what it says to bad input."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer

from drivewm import __version__
from drivewm.cli import app, run
from drivewm.cli.console import plain
from drivewm.config import shipped_content
from drivewm.datatypes import Event, Weather

TREE = Path(__file__).with_name("help_tree.txt")
PROGRAM = [sys.executable, "-c", "from drivewm.cli import main; main()"]


def help_tree() -> str:
    """Every command with its arguments and options, one per line."""
    lines: list[str] = []

    def visit(command: Any, name: str) -> None:
        parts = sorted(p.opts[0] if p.param_type_name == "option" else p.name.upper() for p in command.params)
        lines.append(" ".join([name, *(part for part in parts if part != "--help")]))
        for child, inner in sorted(getattr(command, "commands", {}).items()):
            visit(inner, f"{name} {child}")

    visit(typer.main.get_command(app), "drivewm")
    return "\n".join(lines) + "\n"


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of one command."""
    code = run([str(argument) for argument in arguments])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    code, out, err = told(capsys, *arguments, "--json")
    assert code == 0, err
    answer = json.loads(out.strip().splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one sentence that a command says about bad input."""
    code, out, err = told(capsys, *arguments)
    assert code == 2 and out == "" and err.startswith("drivewm: ") and err.count("\n") == 1, (code, out, err)
    return err.removeprefix("drivewm: ").rstrip("\n")


def test_the_tree_of_commands_is_the_promised_one() -> None:
    assert help_tree() == TREE.read_text(), f"if the change is meant: python {__file__}"


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for line in TREE.read_text().splitlines():
        names = [word for word in line.split()[1:] if word.islower() and not word.startswith("-")]
        code, out, _ = told(capsys, *names, "--help")
        assert code == 0 and "Usage:" in out and len(out.splitlines()) > 5, names
        assert max(map(ord, out)) < 0x1F000, "a word between colons became a pictogram"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--version") == (0, f"{__version__}\n", "")


def test_info_names_what_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    facts = json_of(capsys, "info")
    assert {"expert", "idm", "teacher"} <= set(facts["policies"]) and {"raster", "dream", "free"} <= set(facts["worlds"])
    code, out, err = told(capsys, "info")
    assert code == 0 and "constant_velocity" in out and err == ""


def test_doctor_tries_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    report = json_of(capsys, "doctor")
    assert report["healthy"] and {"torch", "video", "onnx", "disk"} <= {f["part"] for f in report["findings"]}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["scenrio"], "No such command 'scenrio'."),
        (["score"], "Missing option '--policy'"),
        (["score", "--policy", "expert", "--seed", "-1"], "Invalid value for '--seed'"),
        (["info", "--jsn"], "No such option: --jsn"),
        (["data", "check", "/nowhere"], "/nowhere: is not a folder"),
        (["replay", "/nowhere/case.safetensors"], "/nowhere/case.safetensors: does not exist"),
        (["verify", "/nowhere"], "/nowhere: is not a bundle folder"),
        (["scenario", "check", "/nowhere.yaml"], "/nowhere.yaml: does not exist"),
        (["scenario", "draw", "cut_in.motrway"], "there is no scenario 'cut_in.motrway' (did you mean 'cut_in.motorway'"),
        (["score", "--policy", "exprt"], "unknown policy 'exprt' (did you mean 'expert'"),
        (["score", "--policy", "expert", "--suite", "smke"], "unknown suite 'smke'"),
        (["score", "--policy", "expert", "--world", "rastr"], "unknown world 'rastr' (did you mean 'raster'"),
        (["score", "--policy", "expert", "--world", "dream:fre"], "unknown word 'fre' after the name of a world"),
        (["dream", "cut_in.motorway", "--regime", "fre"], "unknown regime 'fre' (layout or free)"),
        (["dream", "cut_in.motorway", "--without", "smell"], "unknown condition smell to leave out (layout, "),
        (["dream", "cut_in.motorway", "--rig", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
        (["dream", "cut_in.motorway", "--lose", "CAM_BCK@2"], "there is no camera 'CAM_BCK' to lose (did you mean 'CAM_BACK'"),
        (["dream", "cut_in.motorway", "--lose", "CAM_BACK"], "--lose 'CAM_BACK' is not understood"),
        (["dream", "cut_in.motorway", "--picture", "/nowhere.png"], "/nowhere.png: image is missing"),
        (["dream", "cut_in.motorway", "--text", "a wet street"], "--text and --text-encoder belong together"),
        (["dream", "cut_in.motorway", "--world", "raster", "--regime", "free"], "the world 'raster' cannot be told otherwise"),
        (["continue", "/nowhere"], "/nowhere: is not a folder"),
    ],
)
def test_bad_input_is_one_sentence(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], sentence: str) -> None:
    assert refused(capsys, *arguments).startswith(sentence)


def test_a_wrong_scenario_names_file_and_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good = (shipped_content("scenarios") / "cut_in" / "motorway.yaml").read_text()
    path = tmp_path / "wrong.yaml"
    path.write_text(good.replace("lane: left", "lane: lfet"))
    line = next(i for i, text in enumerate(path.read_text().splitlines(), start=1) if "lfet" in text)
    assert refused(capsys, "scenario", "draw", path).startswith(f"{path}:{line}: ")
    path.write_text("name: [unclosed")
    assert refused(capsys, "scenario", "draw", path).startswith(f"{path}:1: is not YAML")


def test_an_onnx_file_without_a_contract_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        "plain",
        [value("x", onnx.TensorProto.FLOAT, [1])],
        [value("y", onnx.TensorProto.FLOAT, [1])],
    )
    path = tmp_path / "plain.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10), str(path))
    assert refused(capsys, "score", "--policy", path).startswith(f"{path}: ")
    path.write_bytes(b"not a graph")
    assert refused(capsys, "score", "--policy", path).startswith(f"{path}: ")


def test_scenes_are_drawn_and_stored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drawn = json_of(capsys, "scenario", "draw", "cut_in.motorway", "-n", "2", "--seed", "3", "--out", tmp_path)
    again = json_of(capsys, "scenario", "draw", "cut_in.motorway", "-n", "2", "--seed", "3")
    assert [s["hash"] for s in drawn["scenes"]] == [s["hash"] for s in again["scenes"]]
    assert len({s["hash"] for s in drawn["scenes"]}) == 2 and all(Path(file).is_file() for file in drawn["files"])


def test_a_full_disk_ends_with_a_sentence_and_no_file(tmp_path: Path) -> None:
    command = [*PROGRAM, "scenario", "draw", "cut_in.motorway", "--out", str(tmp_path / "scenes")]

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=small_disk, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"drivewm: {tmp_path}/scenes/cut_in.motorway-0-0.json: no space left while writing\n"
    assert not any((tmp_path / "scenes").iterdir())


def test_every_shipped_scenario_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json_of(capsys, "scenario", "check", shipped_content("scenarios"), "--draws", "2")
    assert answer["checked"] >= 64 and answer["wrong"] == []
    listed = json_of(capsys, "scenario", "list")["scenarios"]
    assert len({row["family"] for row in listed}) >= 12 and all(row["maps_to"] for row in listed)


def test_check_tells_all_wrong_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("name: x.y\nabout: z\n")
    code, out, err = told(capsys, "scenario", "check", tmp_path)
    assert code == 2 and len(err.splitlines()) == 2 and "0 of 2 scenarios are right" in out


def test_check_explains_and_drives(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "scenario", "check", "cut_in.motorway", "--explain")
    assert code == 0 and "of 20 draws accepted" in out and "$gap < 8 s * $slower" in out and "1 of 1 scenarios are right" in out
    answer = json_of(
        capsys, "scenario", "check", "calm.steady_following", "--thorough", "--draws", "6", "--driven", "2", "--explain"
    )
    assert answer["tests"][0]["expert_passes"] == 1.0 and answer["tests"][0]["driven"] == 2
    assert sum(answer["rejections"]["calm.steady_following"]["coverage"]["speed"]["accepted"]) == 6


def test_a_list_can_be_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json_of(capsys, "scenario", "list", "--family", "weather", "--tag", "fog", "--maps-to", "euro ncap")["scenarios"]
    assert {row["name"] for row in rows} == {"weather.fog_bank", "weather.fog_oncoming"}
    assert "did you mean 'weather'" in refused(capsys, "scenario", "list", "--family", "wether")


def test_a_new_workspace_is_one(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json_of(capsys, "init", tmp_path / "mine")
    assert answer["files"] > 20
    monkeypatch.chdir(tmp_path / "mine")
    assert json_of(capsys, "info")["scenarios"] == str(tmp_path / "mine" / "scenarios")
    assert json_of(capsys, "scenario", "check", "scenarios", "--draws", "0")["wrong"] == []
    assert refused(capsys, "init", tmp_path / "mine").startswith(f"{tmp_path}/mine: already exists")


def test_a_suite_is_scored_once_and_judged_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    suite = tmp_path / "two.yaml"
    suite.write_text("name: two\nabout: Two calm drives.\nscenarios: [calm/steady_following.yaml]\ndraws: 2\n")
    command = ("score", "--policy", "idm", "--suite", suite, "--world", "raster", "--out", tmp_path / "out")
    first = json_of(capsys, *command)
    assert first["drives"] == 2 and first["void_rate"] == 0.0 and 0.0 < first["score"]["value"] <= 1.0
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "cases").iterdir()}
    assert json_of(capsys, *command)["score"] == first["score"]
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "cases").iterdir()} == stamps, "a drive was repeated"
    judged = json_of(capsys, "replay", tmp_path / "out" / "cases")
    assert judged["replayed"] == 2 and judged["changed"] == 0


def test_a_data_set_is_made_checked_and_its_damage_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "set"
    made = json_of(capsys, "data", "synth", "--out", folder, "--scenes", "1", "--seconds", "1", "--workers", "1")
    assert made["scenes"] == 1 and made["images"] == 6 * made["frames"] and made["id"].startswith("set@")
    assert json_of(capsys, "data", "check", folder)["ok"] and json_of(capsys, "data", "stats", folder)["scenes"] == 1
    assert refused(capsys, "data", "synth", "--out", folder, "--scenes", "1", "--seconds", "2").startswith(
        f"{folder}: holds a data set"
    )

    image = next((folder / "samples" / "CAM_FRONT").glob("*.jpg"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    assert refused(capsys, "data", "encode", folder, "--out", tmp_path / "cache", "--workers", "1").startswith(f"{image}: ")
    assert not list((tmp_path / "cache").glob("*.frames.safetensors*")), "half a scene must not be left"
    image.write_bytes(whole)
    assert json_of(capsys, "data", "encode", folder, "--out", tmp_path / "cache", "--workers", "1")["scenes"] == 1

    table = next(folder.glob("v1.0-*/ego_pose.json"))
    table.unlink()
    assert "ego_pose" in refused(capsys, "data", "stats", folder)
    code, out, _ = told(capsys, "data", "check", folder)
    assert code == 1 and "ego_pose.json: table is missing" in out


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    command = [*PROGRAM, "data", "synth", "--out", str(tmp_path / "set"), "--scenes", "500", "--workers", "1"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job may ignore it
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "set" / "synth.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "drivewm: interrupted\n")


def test_json_values_are_plain() -> None:
    values = {"a": np.float32(0.5), "b": (np.int8(3), Path("x")), "c": float("nan"), "d": Event("hit", 1.0), "e": Weather.FOG}
    assert plain(values) == {"a": 0.5, "b": [3, "x"], "c": None, "d": {"kind": "hit", "t_s": 1.0, "track_id": None}, "e": "fog"}
    assert json.dumps(plain({"array": np.eye(2)})) == '{"array": [[1.0, 0.0], [0.0, 1.0]]}'


if __name__ == "__main__":
    TREE.write_text(help_tree())
