import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivewm.cli import main
from drivewm.datatypes import Score
from drivewm.errors import InputError
from drivewm.evaluation.compare import Comparison, Entry, compare, gather
from drivewm.evaluation.compare_page import METHOD, write_comparison
from drivewm.evaluation.score import ScoreOptions, SuiteResult
from drivewm.evaluation.summary import summarise
from drivewm.store import provenance, save_record

FAMILIES = ("calm", "cut_in", "junction")


def result(policy: str, totals: np.ndarray, seeds: tuple[int, ...] = (0, 1, 2)) -> SuiteResult:
    """``totals`` [scenes, seeds]; a drive is passed above 0.5; scenes take turns in the families."""
    drives = [(scene, row) for row in range(len(seeds)) for scene in range(len(totals))]
    scores = tuple(
        Score(f"{FAMILIES[k % 3]}.a@0:{k}#0", FAMILIES[k % 3], True, float(totals[k, row]), bool(totals[k, row] > 0.5), {}, {})
        for k, row in drives
    )
    per_drive = tuple(seeds[row] for _, row in drives)
    cases = tuple(f"cases/{policy}-{k}-{row}.safetensors" for k, row in drives)
    origin = provenance(0, gate="none")
    return SuiteResult("s@1", policy, "raster", summarise(scores, per_drive), scores, cases, origin, per_drive)


def entries(folder: Path) -> list[Entry]:
    """`base`, one as good but for noise, one that fails 12 of 60 scenes more."""
    rng = np.random.default_rng(0)
    base = np.repeat(rng.uniform(0.6, 1.0, (60, 1)), 3, axis=1)
    noisy = np.clip(base + rng.normal(0, 0.02, (60, 3)), 0, 1)
    worse = base.copy()
    worse[:36:3] = 0.0  # twelve scenes of the first family
    return [Entry(result(name, totals), folder) for name, totals in (("base", base), ("noisy", noisy), ("worse", worse))]


@pytest.fixture
def compared(tmp_path: Path) -> Comparison:
    return compare(entries(tmp_path))


def test_noise_is_no_change_and_twelve_more_failures_are_a_change(compared: Comparison) -> None:
    noisy, worse = compared.pairings
    assert noisy.all.score_verdict == noisy.all.passed_verdict == "no change"
    assert worse.all.score_verdict == worse.all.passed_verdict == "worse"
    assert (worse.all.paired.first_only, worse.all.paired.second_only) == (12, 0)
    assert worse.all.paired.p_passed == pytest.approx(2 / 2**12)
    families = {one.paired.group: one for one in worse.families}
    assert families["calm"].score_verdict == "worse" and families["cut_in"].score_verdict == "no change"
    assert families["calm"].p_holm >= families["calm"].paired.p


def test_the_scene_is_the_unit_and_not_the_drive(compared: Comparison, tmp_path: Path) -> None:
    """A deterministic world gives three equal drives: they are no threefold proof."""
    base, _, worse = entries(tmp_path)
    first = [(one.result.policy, np.array([[s.total] for s in one.result.scores[:60]])) for one in (base, worse)]
    once = compare([Entry(result(name, totals, (0,)), tmp_path) for name, totals in first]).pairings[0].all.paired
    thrice = compared.pairings[1].all.paired
    assert (once.difference.count, once.first_only, once.p_passed) == (60, thrice.first_only, thrice.p_passed)
    assert (once.difference.low, once.p) == pytest.approx((thrice.difference.low, thrice.p))


def test_the_order_of_the_drives_changes_nothing(compared: Comparison, tmp_path: Path) -> None:
    rng, shuffled = np.random.default_rng(1), []
    for entry in entries(tmp_path):
        order, old = rng.permutation(180), entry.result
        scores, seeds = tuple(old.scores[i] for i in order), tuple(old.seeds[i] for i in order)
        new = replace(old, scores=scores, seeds=seeds, cases=tuple(old.cases[i] for i in order), summary=summarise(scores, seeds))
        shuffled.append(Entry(new, tmp_path))
    again = compare(shuffled)
    assert again.pairings == compared.pairings
    assert [e.result.summary for e in again.entries] == [e.result.summary for e in compared.entries]


def test_a_drive_that_is_void_for_one_is_left_out_for_both(tmp_path: Path) -> None:
    base, _, worse = entries(tmp_path)
    void = tuple(replace(s, valid=False) if s.scene_id.startswith("calm") else s for s in worse.result.scores)
    pairing = compare([base, replace(worse, result=replace(worse.result, scores=void))]).pairings[0]
    assert pairing.left_out == 60 and pairing.scenes == 40
    assert pairing.all.paired.difference.value == 0.0 and pairing.all.score_verdict == "no change"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"suite": "other@2"}, r"is of suite other@2, not s@1"),
        ({"world": "dream@1"}, r"is of world dream@1, not raster.*--worlds compares two"),
        ({"policy": "base"}, r"policy base is given twice"),
        ({"seeds": ()}, r"does not say with which seeds.*nothing is driven anew"),
        ({"seeds": (0, 1, 7)}, r"with seed [27] is in one result only"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_sentence(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    base, noisy, _ = entries(tmp_path)
    if change.get("seeds"):
        change = {"seeds": tuple(7 if seed == 2 else seed for seed in noisy.result.seeds)}
    with pytest.raises(InputError, match=sentence):
        compare([base, replace(noisy, result=replace(noisy.result, **change))])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one policy alone"):
        compare([base])


def test_a_folder_without_a_result_and_a_policy_without_a_suite_are_refused(tmp_path: Path) -> None:
    def ask(name: str) -> None:
        gather([name], None, "raster", ScoreOptions(), lambda _: tmp_path, lambda _: lambda done, total: None)

    with pytest.raises(InputError, match=r"holds no result\.json"):
        ask(str(tmp_path))
    with pytest.raises(InputError, match="add --suite"):
        ask("idm")


def test_the_page_says_what_the_table_says_and_links_to_the_cases(compared: Comparison, tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    for entry in compared.entries:
        for name in entry.result.cases:
            (tmp_path / name).touch()
    html = write_comparison(tmp_path / "compare.html", compared, "drivewm compare base noisy worse").read_text()
    assert "worse against base" in html and "no change" in html and METHOD[:40] in html
    links = re.findall(r'href="([^"]*)"', html)
    assert len(links) > 24 and all((tmp_path / link).is_file() for link in links)
    assert "http" not in html and "<script" not in html


_PROBE = """<body><iframe src="compare.html" style="width:390px;height:9000px;border:0"></iframe><script>
onload = () => { const page = document.querySelector("iframe").contentDocument;
const bars = [...page.querySelectorAll(".bars .span i")].filter(bar => bar.getBoundingClientRect().width > 0).length;
document.body.append(`width ${page.documentElement.scrollWidth} bars ${bars} ground ` +
page.defaultView.getComputedStyle(page.body).backgroundColor); }</script></body>"""


@pytest.mark.parametrize(("scheme", "ground"), [(0, "rgb(20, 23, 27)"), (1, "rgb(247, 248, 250)")], ids=["dark", "light"])
def test_a_phone_shows_the_page_whole(compared: Comparison, tmp_path: Path, scheme: int, ground: str) -> None:
    """In a real browser, 390 px wide: nothing sticks out, every interval is seen, colours follow the reader's wish."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    write_comparison(tmp_path / "compare.html", compared, "drivewm compare base noisy worse")
    (tmp_path / "probe.html").write_text(_PROBE)
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files", "--virtual-time-budget=3000"]
    looks = [f"--blink-settings=preferredColorScheme={scheme}", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *options, *looks, "--dump-dom", (tmp_path / "probe.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"width (\d+) bars (\d+) ground (rgb\([^)]*\))", shown)
    assert found, shown[-500:]
    # two figures of three policies; of two pairs each, all scenes and three families
    assert (int(found[1]), int(found[2]), found[3]) == (390, 6 + 8, ground)


STOPPED = """
name: {family}.stopped
about: A car stands ahead.
road: {{kind: straight}}
ego: {{speed: 50 km/h}}
actors:
  other: {{is: car, lane: same, ahead: {ahead}, speed: 0 km/h}}
end: {{after: 1.2 s}}
"""


def test_the_program_drives_what_is_missing_and_takes_finished_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for family, ahead in (("near", "8 m"), ("far", "120 m")):
        file = tmp_path / "scenarios" / family / "stopped.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(STOPPED.format(family=family, ahead=ahead))
    (tmp_path / "two.yaml").write_text("name: two\nabout: Two.\nscenarios: ['*/*.yaml']\nseeds: [0, 1]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIVEWM_RUNS", str(tmp_path / "runs"))
    with pytest.raises(SystemExit) as left:
        main(["compare", "constant_velocity", "idm", "--suite", "two.yaml", "--out", "page", "--json"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert left.value.code == 0 and said["world"] == "raster" and Path(said["page"]).is_file()
    assert said["pairings"][0]["all"]["score_verdict"] == "no change", "two scenes cannot tell"
    folders = sorted(str(path) for path in (tmp_path / "runs").glob("score-two-*"))
    cases = {file: file.stat().st_mtime_ns for folder in folders for file in Path(folder).glob("cases/*")}
    assert len(folders) == 2 and len(cases) == 8
    with pytest.raises(SystemExit) as left:
        main(["compare", folders[0], "idm", "--suite", "two.yaml", "--out", "again", "--json"])
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert left.value.code == 0 and again["pairings"] == said["pairings"]
    assert all(file.stat().st_mtime_ns == when for file, when in cases.items())


def test_a_stored_result_is_read_as_it_was(tmp_path: Path) -> None:
    entry = entries(tmp_path)[0]
    save_record(tmp_path / "result.json", entry.result)
    read = gather([str(tmp_path)], None, "raster", ScoreOptions(), lambda _: tmp_path, lambda _: lambda done, total: None)
    assert read[0].result == entry.result
