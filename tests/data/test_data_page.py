"""What the page of a data set says is what its tables say, and the page is whole by itself."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from drivewm.data.assemble import RECORD
from drivewm.data.reader import NuScenesFolder
from drivewm.data.survey import survey_folder, time_gaps_s
from drivewm.datatypes import EGO_SHAPE, AgentClass, Agents, WorldState
from drivewm.evaluation.data_page import DataSet, read_set, write_data_page
from drivewm.evaluation.figures import histogram


def read(root: Path, share: int = 1, version: str | None = None) -> DataSet:
    return read_set(root, version, None, lambda *done: None, share)


@pytest.fixture(scope="module")
def page(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_page(tmp_path_factory.mktemp("page") / "page.html", [read(small_set)], "drivewm data stats set")


@pytest.fixture()
def bare(small_set: Path, tmp_path: Path) -> Path:
    """The set as somebody has it who fetched tables and map masks (the devkit wants these) and nothing else."""
    others = shutil.ignore_patterns("drives", "units", "samples", "sweeps", "can_bus", "expansion", RECORD)
    shutil.copytree(small_set, tmp_path / "bare", ignore=others)
    return tmp_path / "bare"


def tiles(text: str) -> dict[str, str]:
    return dict(re.findall(r'class="label">([^<]*)</div><div class="value">([^<]*)<', text))


def test_the_numbers_are_those_of_the_tables(page: Path, small_set: Path) -> None:
    """Recounted with the devkit alone."""
    (nusc,) = NuScenesFolder(small_set).devkit()
    text = page.read_text()
    shown = tiles(text)
    ahead = sorted((row for row in nusc.sample_data if row["channel"] == "CAM_FRONT"), key=lambda row: row["timestamp"])
    assert shown["scenes"] == str(len(nusc.scene)) and shown["frames"] == str(len(ahead))
    assert shown["images at frames"] == str(sum((small_set / row["filename"]).is_file() for row in nusc.sample_data))
    assert shown["annotations"] == f"{len(nusc.sample_annotation):,}"
    assert shown["road users and objects"] == str(len(nusc.instance))
    way: dict[str, list[list[float]]] = {}
    for row in ahead:
        scene = nusc.get("sample", row["sample_token"])["scene_token"]
        way.setdefault(scene, []).append(nusc.get("ego_pose", row["ego_pose_token"])["translation"][:2])
    driven_m = sum(float(np.hypot(*np.diff(np.array(xy), axis=0).T).sum()) for xy in way.values())
    assert float(shown["km driven"]) == pytest.approx(driven_m / 1000, abs=6e-4)
    words = {row["token"]: f"{row['level'][1:]} % visible" for row in nusc.visibility}
    seen = Counter(words[row["visibility_token"]] for row in nusc.sample_annotation)
    tags = Counter(nusc.get("attribute", token)["name"] for row in nusc.sample_annotation for token in row["attribute_tokens"])
    bars = dict(re.findall(r'class="kind">([^<]*)</span>.*?<small>([\d,]+)</small>', text, re.DOTALL))
    for name, count in (seen + tags).items():
        assert bars[name] == f"{count:,}", name


def test_speeds_and_sizes_are_those_of_the_tables(page: Path, small_set: Path) -> None:
    (nusc,) = NuScenesFolder(small_set).devkit()
    spoken = json.loads((small_set / "can_bus" / f"{nusc.scene[0]['name']}_pose.json").read_text())
    surveyed = survey_folder(NuScenesFolder(small_set))
    first = surveyed[0]
    stamped = {round(row["utime"] / 1e5): row["vel"][0] for row in spoken}
    times = [row["timestamp"] for row in nusc.sample_data if row["channel"] == "CAM_FRONT" and first.info.name in row["filename"]]
    assert first.course.speed_mps == pytest.approx([stamped[round(t / 1e5)] for t in sorted(times)], abs=1e-6)
    lengths = sorted(nusc.get("sample_annotation", row["first_annotation_token"])["size"][1] for row in nusc.instance)
    assert sorted(np.concatenate([scene.tracks.size_lwh_m[:, 0] for scene in surveyed])) == pytest.approx(lengths)


def test_the_page_needs_nothing_but_itself(page: Path, small_set: Path) -> None:
    text = page.read_text()
    assert len(text) < 3_000_000 and "<script" not in text and "@import" not in text and "url(" not in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources and all(source.startswith("data:image/") for source in sources)
    for info in NuScenesFolder(small_set).scenes():
        assert f"<title>{info.name}</title>" in text and f"<b>{info.name}</b>" in text
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_what_a_set_comes_without_is_named(bare: Path, tmp_path: Path) -> None:
    text = html.unescape(write_data_page(tmp_path / "page.html", [read(bare)], "x").read_text())
    names = sorted(info.name for info in NuScenesFolder(bare).scenes())
    for what in ("some or all images", "map", "CAN bus"):
        row = re.search(rf"<td>{what}</td><td>([^<]*)</td><td>([^<]*)</td>", text)
        assert row and row.groups() == ("2 of 2", ", ".join(names))
    assert tiles(text)["images at frames"] == "0" and "images that the tables name for frames can be shown" in text
    assert "without a map" in text and "recorded" in text


def test_two_sets_are_drawn_over_each_other(small_set: Path, bare: Path, tmp_path: Path) -> None:
    sets = [read(small_set, 2), read(bare, 2)]
    text = write_data_page(tmp_path / "page.html", sets, "x").read_text()
    charts = re.findall(r'<svg viewBox="-12.*?</svg>', text, re.DOTALL)
    assert charts and all(len(re.findall(r'class="fill s[01]"', chart)) == 2 for chart in charts)
    assert "set 2, bare 2" in text


def test_one_image_that_is_damaged_does_not_cost_the_page(small_set: Path, tmp_path: Path) -> None:
    shutil.copytree(small_set, tmp_path / "cut", ignore=shutil.ignore_patterns("drives", "units"))
    for image in (tmp_path / "cut" / "samples").rglob("scene-2000*.jpg"):
        image.write_bytes(image.read_bytes()[:-40])
    data = read(tmp_path / "cut")
    assert any("cut short" in sentence for sentence in data.sheets.unreadable)
    assert data.sheets.mosaics and all("scene-2000" not in photo.caption for photo in data.sheets.mosaics)


def test_pictures_come_from_the_frames_that_have_them(small_set: Path, tmp_path: Path) -> None:
    """Of one scene a single key frame was fetched: that is what is shown of it, and nothing is called damaged."""
    shutil.copytree(small_set, tmp_path / "part", ignore=shutil.ignore_patterns("drives", "units"))
    name, kept = re.findall(r"(scene-\d+), frame (\d+)", read(small_set).sheets.crops[0].detail)[0]
    folder = NuScenesFolder(tmp_path / "part")
    for frame, files in enumerate(folder.index(name).files):
        for file in files if frame != int(kept) else ():
            (tmp_path / "part" / file).unlink()
    sheets = read(tmp_path / "part").sheets
    assert sheets.unreadable == []
    shown = [photo.detail for photo in sheets.mosaics if photo.caption == name]
    at_s = folder.clip(name, int(kept), 1, states_only=True).states.t_s[0]
    assert shown and all(f"at {at_s:.1f} s" in detail for detail in shown)
    cut = [photo.detail for photo in sheets.crops if photo.detail.startswith(name)]
    assert cut and all(f"frame {kept}," in detail for detail in cut)


def behind(pose: list[list[float]], category: list[AgentClass], speed_mps: float = 10.0) -> WorldState:
    """An ego that drives 10 m/s through a left bend of 50 m radius, and agents that stand as told beside it."""
    angle = np.arange(30) * 0.02 * speed_mps / 10
    ego = np.stack([50 * np.sin(angle), 50 - 50 * np.cos(angle), angle], -1)
    agents = Agents.empty(len(pose))
    size = np.tile([4.0, 2.0, 1.5], (len(pose), 1))
    alone = Agents(
        agents.track_id,
        np.array(category, np.int8),
        np.array(pose, np.float64).reshape(-1, 3),
        agents.speed_mps,
        agents.accel_mps2,
        size,
        np.ones(len(pose), bool),
    )
    flat = np.zeros(30)
    return WorldState(flat, ego, flat + speed_mps, flat, flat, Agents.stack([alone] * 30), np.zeros((30, 0), np.int8))


def on_the_bend(along_m: float, aside_m: float = 0.0, turned_rad: float = 0.0) -> list[float]:
    angle = along_m / 50
    return [(50 - aside_m) * np.sin(angle), 50 - (50 - aside_m) * np.cos(angle), angle + turned_rad]


def test_a_leader_is_on_the_way_that_the_ego_takes() -> None:
    """Round a bend the leader stands beside the ego's nose; who comes towards it, walks, or has its own lane leads nobody."""
    free_m = 25.0 - 2.0 - EGO_SHAPE.rear_axle_to_centre_m - EGO_SHAPE.length_m / 2
    cars = [on_the_bend(25.0), on_the_bend(15.0, -3.5), on_the_bend(15.0, 0.0, np.pi), on_the_bend(12.0)]
    kinds = [AgentClass.CAR, AgentClass.CAR, AgentClass.CAR, AgentClass.PEDESTRIAN]
    gaps = time_gaps_s(behind(cars, kinds))
    assert gaps[:10] == pytest.approx((free_m - np.arange(10.0)) / 10.0, abs=0.02)
    assert np.isnan(time_gaps_s(behind(cars[1:], kinds[1:]))).all()
    assert np.isnan(time_gaps_s(behind(cars, kinds, speed_mps=1.0))).all(), "nobody follows at walking pace"


def test_shares_of_a_histogram_are_shares_of_all_values() -> None:
    known = np.concatenate([np.full(600, 2.5), np.full(399, 7.5), [400.0]])
    chart = histogram("speed", "m/s", [known, np.array([np.nan, 2.5])], bins=10)
    assert chart is not None and chart.edges[0] == 0 and chart.edges[-1] < 20
    at = dict(zip(chart.edges, chart.shares[0], strict=False))
    assert sum(chart.shares[0]) == pytest.approx(1) and sum(chart.shares[1]) == pytest.approx(1)
    assert at[2.0] == pytest.approx(0.6) and max(at) == 7.0 and at[7.0] == pytest.approx(0.4), "the last bar takes what is beyond"
    assert histogram("gap", "s", [np.full(3, np.nan)]) is None


_PROBE = """<body><iframe src="page.html" style="width:390px;height:9000px;border:0"></iframe><script>
onload = () => { const page = document.querySelector("iframe").contentDocument;
for (const image of page.images) image.loading = "eager";
setTimeout(() => { const bad = [...page.images].filter(image => !image.naturalWidth).length;
document.body.append(`width ${page.documentElement.scrollWidth} bad ${bad} of ${page.images.length} ground ` +
page.defaultView.getComputedStyle(page.body).backgroundColor); }, 300); }</script></body>"""


@pytest.mark.parametrize(("scheme", "ground"), [(0, "rgb(20, 23, 27)"), (1, "rgb(247, 248, 250)")], ids=["dark", "light"])
def test_a_phone_shows_it_whole(page: Path, tmp_path: Path, scheme: int, ground: str) -> None:
    """In a real browser, 390 px wide: nothing sticks out, every picture decodes, colours follow the reader's wish."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    shutil.copy(page, tmp_path / "page.html")
    (tmp_path / "probe.html").write_text(_PROBE)
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files", "--virtual-time-budget=3000"]
    looks = [f"--blink-settings=preferredColorScheme={scheme}", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *options, *looks, "--dump-dom", (tmp_path / "probe.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"width (\d+) bad (\d+) of (\d+) ground (rgb\([^)]*\))", shown)
    assert found, shown[-500:]
    assert (int(found[1]), int(found[2])) == (390, 0) and int(found[3]) > 2 and found[4] == ground
