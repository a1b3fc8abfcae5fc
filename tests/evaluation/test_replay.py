"""Stored drives: judged again to the last bit, written for other programs, and the same whoever drove beside them."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from drivewm.datatypes import AgentClass
from drivewm.errors import InputError
from drivewm.evaluation.cases import Case, judged, progress_m
from drivewm.evaluation.drive_record import DriveRecord
from drivewm.evaluation.failures_page import write_failures_page
from drivewm.evaluation.replay import ReplayOptions, Verdict, replay_all
from drivewm.evaluation.score import ScoreOptions, score_suite
from drivewm.evaluation.suite import Suite, suite_of
from drivewm.evaluation.video import read_video
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.records import encode_record
from drivewm.rollout import rollout
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import file_hash, load_record, save_record
from drivewm.testing import BlankWorld, straight_scene
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer

SCENES = [straight_scene(10.0, lead=(gap_m, 0.0), horizon_s=2.0) for gap_m in (8.0, 11.0, 14.0, 60.0, 90.0)]


@pytest.fixture
def cases(tmp_path: Path) -> list[Path]:
    """Five drives at constant speed, three of which hit the standing car ahead."""
    drives = rollout(SCENES, ConstantVelocity(), BlankWorld(nuscenes_rig(2, 2)), seed=0)
    files = [tmp_path / "cases" / f"drive-{i}.safetensors" for i in range(len(drives))]
    for file, drive in zip(files, drives, strict=True):
        save_record(file, judged(drive, progress_m(drive)))
    return files


def plain(verdicts: list[Verdict]) -> list[Any]:
    return [encode_record(one) for one in verdicts]


def test_every_bit_of_a_score_is_compared(cases: list[Path]) -> None:
    case = load_record(Case, cases[1])
    nearly = float(np.nextafter(case.score.measures["min_gap_m"], 1.0))
    measures = case.score.measures | {"min_gap_m": nearly}
    save_record(cases[1], replace(case, score=replace(case.score, measures=measures)))
    verdicts = replay_all(cases)
    assert [one.equal for one in verdicts] == [True, False, True, True, True]
    assert verdicts[1].differs == (f"measures.min_gap_m: {nearly} -> {case.score.measures['min_gap_m']}",)


def test_verdicts_and_reasons_do_not_depend_on_workers_or_order(cases: list[Path]) -> None:
    alone = plain(replay_all(cases, ReplayOptions("attentive")))
    assert plain(replay_all(cases, ReplayOptions("attentive", workers=2))) == alone
    assert plain(replay_all(cases[::-1], ReplayOptions("attentive")))[::-1] == alone
    assert [bool(one["why"]) for one in alone] == [True, True, True, False, False]


def test_published_scores_of_stored_drives_do_not_depend_on_workers_or_order(cases: list[Path]) -> None:
    options = ReplayOptions(metrics=("pdms_v1", "carla_ds_2_1"))
    alone = plain(replay_all(cases, options))
    assert plain(replay_all(cases, replace(options, workers=2))) == alone
    assert plain(replay_all(cases[::-1], options))[::-1] == alone
    pdms = [one["others"]["pdms_v1"]["total"] for one in alone]
    carla = [one["others"]["carla_ds_2_1"]["total"] for one in alone]
    assert pdms[:3] == [0.0, 0.0, 0.0] and min(pdms[3:]) > 0.0  # the first three hit the car ahead
    assert max(carla[:3]) < min(carla[3:])


def test_a_killed_replay_goes_on_where_it_stopped(cases: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivewm.store.source_commit", lambda: "0123456789ab")  # a commit without changes on top of it

    def kill(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    out, options = tmp_path / "out", ReplayOptions(out=tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        replay_all(cases, options, kill)
    written = {file: file.stat().st_mtime_ns for file in out.glob("*.json")}
    assert len(written) == 3
    assert len(replay_all(cases, options)) == len(list(out.glob("*.json"))) == 5
    assert all(file.stat().st_mtime_ns == when for file, when in written.items())


def test_a_record_holds_the_drive_to_the_last_bit(tmp_path: Path) -> None:
    """IDM brakes for a car that keeps 5 m/s; read back by pyarrow alone, as another program would."""
    drive = rollout([straight_scene(10.0, lead=(12.0, 5.0), horizon_s=2.0)], IdmPolicy(), BlankWorld(nuscenes_rig(2, 2)), seed=3)[
        0
    ]
    save_record(tmp_path / "a.safetensors", judged(drive, progress_m(drive)))
    replay_all([tmp_path / "a.safetensors"], ReplayOptions(out=tmp_path / "out"))
    table, states = pq.read_table(tmp_path / "out" / "a.parquet"), drive.states
    read = {name: table[name].to_pylist() for name in table.column_names}
    assert len(table) == len(states.t_s) == 21
    ego = np.stack([read["ego_x_m"], read["ego_y_m"], read["ego_yaw_rad"]], -1)
    assert (ego == states.ego_xy_yaw_world).all() and (np.array(read["ego_accel_mps2"]) == states.ego_accel_mps2).all()
    assert read["action_accel_mps2"] == [*drive.actions.accel_mps2, None] and min(drive.actions.accel_mps2) < -1.0
    made = [row for row, plan in enumerate(read["plan"]) if plan is not None]
    assert made == list(range(0, 20, 2)) and len(read["plan"][4]) == 8
    point = drive.plans.xy_yaw_ego[2, 7]
    assert [read["plan"][4][7][name] for name in ("x_m", "y_m", "yaw_rad")] == list(point) and read["plan"][4][7]["t_s"] == 4.0
    (lead,) = read["agents"][20]
    assert lead["category"] == "car" and lead["track_id"] == 1 and lead["x_m"] == states.agents.xy_yaw_world[20, 0, 0]
    assert AgentClass.CAR.name.lower() == lead["category"] and lead["length_m"] == 4.5 and read["signals"][0] == []
    about = json.loads(table.schema.metadata[b"drivewm"])
    assert about["scene"] == drive.scene.id and about["provenance"]["ids"] == {"policy": "idm", "world": "blank"}


def test_a_record_says_why_with_a_picture_and_a_film(cases: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    replay_all(cases[:1], ReplayOptions("attentive", out, films=True))
    record = load_record(DriveRecord, out / "drive-0.json")
    assert record.failure is not None and record.failure.event.kind == "collision" and record.why.startswith("collision at 0.9 s")
    assert record.case_sha256 == file_hash(cases[0]) and record.drive.ids["policy"] == "constant_velocity"
    assert {file.name for file in out.iterdir()} - {"units"} == {
        "drive-0.json", str(record.table), str(record.picture), str(record.film)
    }  # fmt: skip
    assert len(read_video(out / str(record.film))) == 5 and "exact world" in record.film_shows
    text = write_failures_page(out, [out / "drive-0.json"]).read_text()
    assert f'src="{record.picture}"' in text and html.escape(record.why) in text and "1 of 1 drives" in text
    film = tmp_path / "films" / "drive-0.mp4"  # where `drivewm score --films` puts what the policy saw
    film.parent.mkdir()
    film.write_bytes((out / str(record.film)).read_bytes())
    replay_all(cases[:1], ReplayOptions(out=tmp_path / "again", films=True))
    assert load_record(DriveRecord, tmp_path / "again" / "drive-0.json").film_shows == "what the policy saw"


def test_a_record_holds_other_scores_and_how_critical_it_became(cases: list[Path], tmp_path: Path) -> None:
    """At 10 m/s towards a standing car: the time to collision runs out with the clock, headway and deceleration follow it."""
    out = tmp_path / "out"
    verdicts = replay_all(cases[1:2], ReplayOptions("attentive", out, metrics=("neuroncap", "severity")))
    record = load_record(DriveRecord, out / "drive-1.json")
    assert record.others == verdicts[0].others and record.others["neuroncap"].total < 1.0
    series = record.criticality
    assert series is not None and series.pet_s == ()
    left_s = np.array([value for value in series.ttc_s if value is not None])
    apart = left_s > 1e-6
    assert np.diff(left_s[apart]) == pytest.approx(-0.1, abs=1e-6) and left_s[-1] == 0.0
    assert np.array(series.thw_s, float)[: len(left_s)][apart] == pytest.approx(left_s[apart], abs=1e-6)
    needed = np.array(series.drac_mps2, float)[: len(left_s)][apart]
    assert needed == pytest.approx(10.0 / (2 * left_s[apart]), rel=1e-6)  # v^2 / (2 v t)
    assert min(value for value in series.rss_margin_m if value is not None) < 0
    page = write_failures_page(out, [out / "drive-1.json"]).read_text()
    assert page.count('class="curve"') == 4 and "first mistake, " in page  # nobody crosses, so there is no fifth


def test_what_cannot_be_replayed_is_one_sentence(cases: list[Path], tmp_path: Path) -> None:
    cases[3].write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"drive-3\.safetensors"):
        replay_all(cases)
    other = tmp_path / "other" / cases[0].name
    save_record(other, load_record(Case, cases[0]))
    with pytest.raises(InputError, match="two drives are called 'drive-0'"):
        replay_all([cases[0], other], ReplayOptions(out=tmp_path / "out"))


SHORT = """
name: {family}.{name}
about: A car is ahead and another one behind it.
road: {{kind: straight}}
ego: {{speed: 50 km/h}}
actors:
{actors}
end: {{after: {seconds} s}}
"""
ACTOR = "  {name}: {{is: car, lane: same, ahead: {ahead}, speed: {speed} km/h}}"


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Three scenes that differ in traffic and length, so that a batch has to pad them and ends them one by one."""
    files = []
    for name, ahead, seconds in (("near", (9,), 1.4), ("pair", (30, 60), 1.0), ("far", (120, 140, 170), 1.2)):
        actors = "\n".join(ACTOR.format(name=f"car_{i}", ahead=f"{m} m", speed=20 * i) for i, m in enumerate(ahead))
        files.append(tmp_path / "scenarios" / f"{name}.yaml")
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_text(SHORT.format(family="short", name=name, actors=actors, seconds=seconds))
    return suite_of(files)


def stored(suite: Suite, world: str, out: Path, options: ScoreOptions) -> dict[str, Any]:
    """What was stored of each scene, but for the time of day and the time that the policy took."""
    result = score_suite("onboard", suite, world, out, options)
    drives = {}
    for name in result.cases:
        case = load_record(Case, out / name)
        origin = replace(case.rollout.provenance, created="", commit="")
        timeless = replace(case.rollout, latency_ms=0 * case.rollout.latency_ms, provenance=origin)
        drives[case.score.scene_id] = encode_record(replace(case, rollout=timeless))
    return drives


@pytest.mark.parametrize("learned", [False, True], ids=["raster", "dream"])
def test_a_drive_does_not_depend_on_workers_batch_or_order(suite: Suite, tmp_path: Path, learned: bool) -> None:
    """The policy looks through the cameras, so frames count as well; the dream has the smallest network and random weights."""
    world = "raster"
    if learned:
        torch.manual_seed(0)
        small = {"width": 32, "depth": 1, "heads": 2, "autoencoder_channels": (16, 32, 64), "autoencoder_layers": (1, 1, 1)}
        size = replace(SIZES["tiny"], **small)  # type: ignore[arg-type]
        DreamPipeline.of_parts(DriveTransformer.of_size(size), FrameCodec.of_size(size)).save(tmp_path / "world")
        world = str(tmp_path / "world")
    together = stored(suite, world, tmp_path / "together", ScoreOptions(batch=4))
    backwards = replace(suite, files=suite.files[::-1])
    assert stored(backwards, world, tmp_path / "backwards", ScoreOptions(batch=1)) == together
    if not learned:  # a worker process takes seconds to start
        assert stored(suite, world, tmp_path / "apart", ScoreOptions(batch=2, workers=2)) == together
