"""Files are whole or absent; records come back bit for bit; damage is one sentence with file and place."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from drivewm import store
from drivewm.datatypes import (
    Action,
    ActorScripts,
    Agents,
    Conditions,
    Event,
    Lane,
    Marking,
    Provenance,
    RoadMap,
    Rollout,
    Scene,
    Score,
    Signal,
    Trajectory,
    Weather,
    WorldState,
)
from drivewm.errors import InputError

SUFFIXES = (".json", ".safetensors")


def _random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) * 10.0 ** rng.integers(-12, 12, shape)


def _state(rng: np.random.Generator, agents: int, *lead: int) -> WorldState:
    return WorldState(
        t_s=_random(rng, *lead),
        ego_xy_yaw_world=_random(rng, *lead, 3),
        ego_speed_mps=_random(rng, *lead),
        ego_accel_mps2=np.full(lead, -0.0),
        ego_curvature_1pm=_random(rng, *lead),
        agents=Agents(
            track_id=rng.integers(-(2**31), 2**31 - 1, (*lead, agents)).astype(np.int32),
            category=rng.integers(0, 9, (*lead, agents)).astype(np.int8),
            xy_yaw_world=_random(rng, *lead, agents, 3),
            speed_mps=np.full((*lead, agents), np.inf),
            accel_mps2=np.full((*lead, agents), np.nan),
            size_lwh_m=_random(rng, *lead, agents, 3),
            valid=rng.integers(0, 2, (*lead, agents)).astype(bool),
        ),
        signal=rng.integers(0, 3, (*lead, 1)).astype(np.int8),
    )


def _scene(seed: int = 0, agents: int = 3) -> Scene:
    rng = np.random.default_rng(seed)
    road = RoadMap(
        lanes=(
            Lane("main.0", _random(rng, 5, 2), 3.5, 13.9, ("a", "b"), left="main.1"),
            Lane("main.1", _random(rng, 2, 2), 3.25, 8.0),
        ),
        drivable=(_random(rng, 4, 2), _random(rng, 6, 2)),
        markings=(Marking(_random(rng, 3, 2), "dashed"),),
        signals=(Signal(_random(rng, 3), _random(rng, 2, 2), ("main.0",), (20.0, 3.0, 30.0), 1.5),),
        tree_xy_height=_random(rng, 2, 3).astype(np.float32),
    )
    return Scene(
        id="cut_in@0123abcd:4#7",
        family="cut_in",
        road=road,
        start=_state(rng, agents),
        scripts=ActorScripts.empty(agents),
        conditions=Conditions(Weather.FOG, lost_cameras=("CAM_BACK",)),
        route_xy=_random(rng, 7, 2),
        speed_limit_mps=13.9,
        horizon_s=20,  # an int where the annotation says float comes back as the float it means
        seed=2**62,
        condition_changes=((0.1 + 0.2, Conditions(Weather.RAIN)),),
        parameters={"gap": 0.30000000000000004, "kind": "truck"},
    )


def _rollout(seed: int = 0) -> Rollout:
    rng = np.random.default_rng(seed)
    return Rollout(
        scene=_scene(seed),
        states=_state(rng, 3, 5),
        actions=Action(_random(rng, 4), _random(rng, 4)),
        plans=Trajectory(_random(rng, 2, 8), _random(rng, 2, 8, 3), _random(rng, 2, 8)),
        plan_every=2,
        ended="horizon",
        latency_ms=_random(rng, 2).astype(np.float32),
        provenance=store.provenance(seed, {"steps": 4, "half": True, "scale": 1.0}, policy="expert"),
    )


def _same(a: Any, b: Any) -> None:
    """Equal types, dtypes, shapes and bits, all the way down."""
    if dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            _same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray | np.generic):
        a = np.asarray(a)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()
    elif isinstance(a, tuple):
        assert isinstance(b, tuple) and len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            _same(left, right)
    else:
        assert a == b and (type(a) is type(b) or {type(a), type(b)} == {int, float})


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [_scene, _rollout, lambda: _scene(agents=0), lambda: store.provenance(1, world="raster")])
def test_a_record_comes_back_bit_for_bit(tmp_path: Path, suffix: str, make: Any) -> None:
    record = make()
    store.save_record(tmp_path / f"deep/er/record{suffix}", record)
    back = store.load_record(type(record), tmp_path / f"deep/er/record{suffix}")
    _same(record, back)
    assert store.content_hash(back) == store.content_hash(record)


def test_a_hill_is_kept_and_level_ground_leaves_no_trace(tmp_path: Path) -> None:
    level = _scene()
    hill = dataclasses.replace(level.road, height_xz_m=np.array([[-9.0, 0.0], [0.0, 0.1 + 0.2], [9.0, 0.0]]))
    record = dataclasses.replace(level, road=hill)
    store.save_record(tmp_path / "hill.json", record)
    _same(record, store.load_record(Scene, tmp_path / "hill.json"))
    assert store.content_hash(record) != store.content_hash(level)
    store.save_record(tmp_path / "level.json", level)
    assert "height_xz_m" in (tmp_path / "hill.json").read_text() and "height_xz_m" not in (tmp_path / "level.json").read_text()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=st.sampled_from(["float64", "float32", "float16", "int64", "uint64", "int8", "uint8", "bool"]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=3))
    ),
    suffix=st.sampled_from(SUFFIXES),
)
def test_any_array_keeps_every_bit_that_has_a_meaning(tmp_path: Path, array: np.ndarray, suffix: str) -> None:
    store.save_record(tmp_path / f"a{suffix}", Action(array, np.zeros(1)))
    back = store.load_record(Action, tmp_path / f"a{suffix}").accel_mps2
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    if array.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(back[back == 0]), np.signbit(array[array == 0]))


def test_json_is_plain_json_that_other_programs_read(tmp_path: Path) -> None:
    store.save_record(tmp_path / "r.json", _rollout())

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON number")

    document = json.loads((tmp_path / "r.json").read_text(), parse_constant=refuse)
    assert document["value"]["scene"]["conditions"]["weather"] == "fog"
    assert document["value"]["latency_ms"]["dtype"] == "float32"
    assert document["value"]["states"]["agents"]["speed_mps"]["values"][0] == ["inf"] * 3


def test_hash_sees_every_change_and_no_storage_detail() -> None:
    scene = _scene()
    assert store.content_hash(scene) == store.content_hash(_scene())
    assert store.content_hash(dataclasses.replace(scene, seed=1)) != store.content_hash(scene)
    turned = dataclasses.replace(scene, route_xy=np.asfortranarray(scene.route_xy).astype(">f8"))
    assert store.content_hash(turned) == store.content_hash(scene)
    nudged = scene.route_xy.copy()
    nudged[0, 0] = np.nextafter(nudged[0, 0], np.inf)
    assert store.content_hash(dataclasses.replace(scene, route_xy=nudged)) != store.content_hash(scene)
    assert store.content_hash({"a": 1, "b": [1.5]}) == store.content_hash({"b": [1.5], "a": 1})
    assert store.content_hash(Event("x", 1)) == store.content_hash(Event("x", 1.0))


def _break(document: Any, place: str, value: Any) -> Any:
    *path, last = place.split(".")
    inner = document["value"]
    for key in path:
        inner = inner[int(key) if isinstance(inner, list) else key]
    last = int(last) if isinstance(inner, list) else last
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return document


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("conditions.weather", "sunny", "conditions.weather: 'sunny' is not one of clear, rain, fog, snow"),
        ("conditions.wether", "fog", "conditions.wether: Conditions has no such field (did you mean 'weather'?)"),
        ("horizon_s", "long", "horizon_s: needs a number, has 'long'"),
        ("horizon_s", True, "horizon_s: needs a number, has True"),
        ("seed", 1.5, "seed: needs a whole number, has 1.5"),
        ("seed", ..., "seed: is missing in this Scene"),
        ("road.lanes.1.id", None, "road.lanes.1.id: needs text, has None"),
        ("road.lanes", {}, "road.lanes: needs a list, has {}"),
        ("condition_changes.0", [1.0], "condition_changes.0: needs 2 items, has 1"),
        ("route_xy.shape", [3, 2], "route_xy: values do not fit dtype and shape"),
        ("route_xy.dtype", "object", "route_xy: values do not fit dtype and shape"),
        ("start.agents.category.values", [0, 1, 300], "start.agents.category: values do not fit dtype and shape"),
        ("start.agents.valid.values", [0, 1, 2], "start.agents.valid: values do not fit dtype and shape"),
        ("route_xy", [1, 2], "route_xy: needs an object, has [1, 2]"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_place(tmp_path: Path, place: str, value: Any, sentence: str) -> None:
    path = tmp_path / "scene.json"
    store.save_record(path, _scene())
    path.write_text(json.dumps(_break(json.loads(path.read_text()), place, value)))
    with pytest.raises(InputError) as caught:
        store.load_record(Scene, path)
    assert str(caught.value) == f"{path}: {sentence}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_record_a_truncated_and_a_missing_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"record{suffix}"
    with pytest.raises(InputError, match="does not exist"):
        store.load_record(Scene, path)
    store.save_record(path, _scene())
    with pytest.raises(InputError, match="holds 'Scene', not a Rollout"):
        store.load_record(Rollout, path)
    whole = path.read_bytes()
    for length in [0, 1, 7, 9, len(whole) // 2, len(whole) - 2]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"record\.(json|safetensors)"):
            store.load_record(Scene, path)


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{\n"a": 1,\n"b": ]\n}')
    with pytest.raises(InputError, match=r"x\.json:3: column 6: is not JSON"):
        store.read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("[" * 200_000)
    with pytest.raises(InputError, match="is not JSON"):
        store.read_json(tmp_path / "x.json")


def test_what_a_record_may_not_hold_is_refused_at_writing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="accel_mps2: a record cannot hold an array of object"):
        store.save_record(tmp_path / "a.json", Action(np.array([None]), np.zeros(1)))
    assert not any(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"stored as \.json or \.safetensors"):
        store.save_record(tmp_path / "a.pkl", Action(np.zeros(1), np.zeros(1)))


def test_an_error_or_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    for error in (KeyboardInterrupt, RuntimeError, InputError):
        with pytest.raises(error), store.atomic_write(path) as temporary:
            assert temporary.parent == tmp_path and temporary.suffix == ".mp4"
            temporary.write_bytes(b"half")
            raise error("stop")
        assert [p.name for p in tmp_path.iterdir()] == ["video.mp4"] and path.read_bytes() == b"old"
    with store.atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "frames.bin"
    with pytest.raises(InputError) as caught, store.atomic_write(path), open("/dev/full", "wb", buffering=0) as full:
        full.write(b"x")
    assert str(caught.value) == f"{path}: no space left while writing"
    with pytest.raises(InputError, match="no space left"), store.atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("library says: No space left on device (os error 28)")
    assert not any(tmp_path.iterdir())


def test_a_full_disk_keeps_no_half_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run: no space left"), store.atomic_folder(tmp_path / "run") as temporary:
        (temporary / "a.txt").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not any(tmp_path.iterdir())


def test_files_may_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        store.save_record(tmp_path / f"a{suffix}", Event("x", 1.0))
    (tmp_path / "plain").write_text("x")
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "below.json", tmp_path / ("n" * 300 + ".json")):
        with pytest.raises(InputError, match="cannot be written"):
            store.write_json(path, {})
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(InputError, match="cannot be written: is a directory"):
        store.write_json(tmp_path / "folder.json", {})
    with pytest.raises(InputError, match="is a folder, not a file"):
        store.read_json(tmp_path / "folder.json")


def test_errors_of_the_block_itself_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), store.atomic_write(tmp_path / "out.txt"):
        (tmp_path / "absent").read_text()


def test_a_run_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    with store.atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text("1")
        assert not path.exists()
    assert (path / "a.txt").read_text() == "1"
    with pytest.raises(InputError, match="already exists"), store.atomic_folder(path):
        pass
    with store.atomic_folder(path, replace=True) as temporary:
        (temporary / "b.txt").write_text("2")
    assert [p.name for p in path.iterdir()] == ["b.txt"] and [p.name for p in path.parent.iterdir()] == ["one"]
    with pytest.raises(RuntimeError), store.atomic_folder(path, replace=True) as temporary:
        raise RuntimeError
    assert (path / "b.txt").exists() and [p.name for p in path.parent.iterdir()] == ["one"]


def test_provenance_says_where_a_result_comes_from() -> None:
    entry = store.provenance(5, {"steps": 4}, policy="expert", world="raster")
    assert isinstance(entry, Provenance) and entry.created.endswith("+00:00") and entry.device
    assert entry.ids == {"policy": "expert", "world": "raster"} and entry.settings == {"steps": 4} and entry.seed == 5


def test_a_score_is_stored_too(tmp_path: Path) -> None:
    score = Score("s", "calm", True, 0.5, False, {"no_collision": 0.0}, {}, ("comfort",), (), (Event("collision", 1.5, 3),))
    store.save_record(tmp_path / "score.json", score)
    assert store.load_record(Score, tmp_path / "score.json") == score
    assert store.file_hash(tmp_path / "score.json") == store.file_hash(tmp_path / "score.json")
