import json
from dataclasses import replace
from pathlib import Path

import pytest

from drivewm.errors import InputError
from drivewm.evaluation.cases import Case
from drivewm.evaluation.dream import dream
from drivewm.evaluation.preview import preview
from drivewm.evaluation.replay import replay
from drivewm.evaluation.score import ScoreOptions, SuiteResult, score_suite
from drivewm.evaluation.suite import Suite, load_suite
from drivewm.evaluation.video import read_video
from drivewm.evaluation.whatif import Course
from drivewm.policies.baselines import ConstantVelocity
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import encode_record, load_record, save_record

STOPPED = """
name: {family}.{name}
about: A car stands ahead.
road: {{kind: straight}}
ego: {{speed: 50 km/h}}
actors:
  other: {{is: car, lane: same, ahead: {ahead}, speed: 0 km/h}}
end: {{after: 1.2 s}}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Two short scenes: one in which whoever keeps his speed hits the car ahead, one in which he does not reach it."""
    for family, name, ahead in (("near", "stopped", "8 m"), ("far", "stopped", "120 m")):
        file = tmp_path / "scenarios" / family / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(STOPPED.format(family=family, name=name, ahead=ahead))
    path = tmp_path / "two.yaml"
    path.write_text("name: two\nabout: Two.\nscenarios: ['*/*.yaml']\n")
    return load_suite(path, tmp_path / "scenarios")


def test_who_keeps_his_speed_hits_the_standing_car_and_the_tables_say_so(suite: Suite, tmp_path: Path) -> None:
    result = score_suite("constant_velocity", suite, "raster", tmp_path / "out")
    near, far = (next(s for s in result.scores if s.family == name) for name in ("near", "far"))
    assert not near.passed and near.total == 0.0 and "collision" in {e.kind for e in near.events}
    assert far.passed and far.total > 0.9
    assert result.summary.worst_family == "near" and result.summary.all.void == 0
    assert result.summary.all.passed is not None and result.summary.all.passed.value == 0.5
    stored = load_record(SuiteResult, tmp_path / "out" / "result.json")
    assert encode_record(stored) == encode_record(result)
    json.dumps(encode_record(result), allow_nan=False)


def test_a_stored_drive_is_judged_again_without_frames_bit_for_bit(suite: Suite, tmp_path: Path) -> None:
    result = score_suite("constant_velocity", suite, "raster", tmp_path / "out")
    for name in result.cases:
        again = replay(tmp_path / "out" / name)
        assert again.equal and again.now.score == again.stored.score
    case = load_record(Case, tmp_path / "out" / result.cases[0])
    save_record(tmp_path / "forged.safetensors", replace(case, score=replace(case.score, total=0.123)))
    assert not replay(tmp_path / "forged.safetensors").equal


def test_what_is_no_stored_drive_cannot_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"x\.safetensors"):
        replay(tmp_path / "x.safetensors")


def test_a_killed_run_goes_on_where_it_stopped_whatever_the_batch(suite: Suite, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        if done == 7:  # frames: the second scene has begun
            raise KeyboardInterrupt

    out, heard = tmp_path / "out", []
    with pytest.raises(KeyboardInterrupt):
        score_suite("constant_velocity", suite, "raster", out, ScoreOptions(batch=1), kill)
    assert not (out / "result.json").exists() and len(list((out / "cases").iterdir())) == 1
    first = {file: file.stat().st_mtime_ns for file in (out / "cases").iterdir()}
    again = ScoreOptions(batch=8)
    resumed = score_suite("constant_velocity", suite, "raster", out, again, lambda done, total: heard.append((done, total)))
    assert heard[0] == (6, 12) and heard[-1] == (12, 12) and heard == sorted(heard)
    assert len(set(heard)) > 3  # frames on the way are told of
    assert all(file.stat().st_mtime_ns == when for file, when in first.items())
    fresh = score_suite("constant_velocity", suite, "raster", tmp_path / "fresh")
    assert fresh.scores == resumed.scores


def test_a_case_that_was_removed_is_driven_again(suite: Suite, tmp_path: Path) -> None:
    first = score_suite("constant_velocity", suite, "raster", tmp_path / "out")
    (tmp_path / "out" / first.cases[0]).unlink()
    assert score_suite("constant_velocity", suite, "raster", tmp_path / "out").scores == first.scores


def test_another_policy_seed_or_scene_is_another_case(suite: Suite, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cases = set(score_suite("constant_velocity", suite, "raster", out).cases)
    cases |= set(score_suite("idm", suite, "raster", out).cases)
    cases |= set(score_suite("idm", replace(suite, seeds=(1,)), "raster", out).cases)
    assert len(cases) == 6


def test_an_unknown_policy_or_world_writes_nothing(suite: Suite, tmp_path: Path) -> None:
    for policy, world in (("nobody", "raster"), ("idm", "nowhere")):
        with pytest.raises(InputError, match="unknown"):
            score_suite(policy, suite, world, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dream_film_shows_every_camera_frame_and_the_case_lies_beside_it(suite: Suite, tmp_path: Path) -> None:
    scene = suite.scenes()[0]  # the far one
    film = dream(scene, Course(ConstantVelocity()), RasterWorld(nuscenes_rig()), tmp_path / "a.mp4", reference=True)
    pictures = read_video(film.film)
    assert len(pictures) == len(film.case.rollout.plans.t_s) == 6
    above, below = (pictures[:, top : top + 430, :960].astype(int) for top in (24, 482))  # below the name of each world
    assert abs(above - below).mean() < 3  # one world twice
    assert replay(film.case_file).equal
    assert {file.name for file in tmp_path.glob("a.*")} == {"a.mp4", "a.png", "a.strip.png", "a.safetensors"}


def test_a_preview_is_a_short_film_of_the_scene(suite: Suite, tmp_path: Path) -> None:
    shown = preview(suite.scenes()[0], tmp_path / "p.mp4", driver="constant_velocity")
    assert len(read_video(shown.film)) == 6 and shown.strip.is_file()
