import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivewm.cli import main
from drivewm.errors import InputError
from drivewm.evaluation.agreement import agreement
from drivewm.evaluation.score_table import FAILED, Cell, ScoreTable, read_table

SCENES = [f"{family}.{name}@0:{draw}#0" for family in ("calm", "cut_in") for name in "abcd" for draw in range(3)]


def table(name: str, skill: np.ndarray, noise: float = 0.0, seed: int = 0) -> ScoreTable:
    """Policy p gets ``skill[p]`` in every scene, give or take; it fails below 0.5."""
    rng = np.random.default_rng(seed)
    cells = {}
    for p, level in enumerate(skill):
        scores = np.clip(level + rng.normal(0, noise, len(SCENES)), 0, 1) if noise else np.full(len(SCENES), level)
        cells[f"p{p:02}"] = {
            s: Cell(float(v), frozenset({FAILED} if v < 0.5 else ())) for s, v in zip(SCENES, scores, strict=True)
        }
    return ScoreTable(name, cells, {scene: scene.partition(".")[0] for scene in SCENES})


SKILL = np.linspace(0.2, 0.9, 12)


def test_a_world_agrees_with_itself_wholly() -> None:
    found = agreement(table("dream", SKILL), table("raster", SKILL))
    values = {name: one.value for name, one in found.all.ranking.items()}
    assert values == pytest.approx({"Pearson": 1, "Spearman": 1, "Kendall tau-b": 1, "MMRV": 0})
    assert found.all.kappas[FAILED].value == pytest.approx(1) and found.remarks == ()
    assert [group.name for group in found.families] == ["calm", "cut_in"]


def test_a_world_that_takes_two_neighbours_for_each_other() -> None:
    """12 policies, one pair of 66 out of order, 0.1 apart: tau 64/66, rho 1 - 6 * 2 / (12 * 143), MMRV 2 * 0.1 / 12."""
    truly = np.arange(12) * 0.08
    truly[11] = truly[10] + 0.1
    dreamed = np.arange(12) * 0.08
    dreamed[[10, 11]] = dreamed[[11, 10]]
    found = agreement(table("dream", dreamed), table("raster", truly)).all.ranking
    assert found["Kendall tau-b"].value == pytest.approx(64 / 66)
    assert found["Spearman"].value == pytest.approx(1 - 12 / (12 * 143))
    assert found["MMRV"].value == pytest.approx(0.2 / 12)


def test_kappa_of_an_event_counts_drives() -> None:
    """144 of 288 drives fail, in the dream 36 more: observed 252/288, chance (180*144 + 108*144)/288^2 = 1/2."""
    truly = np.repeat([0.3, 0.7], 6)
    dreamed = table("dream", truly)
    cells = {policy: dict(row) for policy, row in dreamed.cells.items()}
    for scene in SCENES[:6]:
        for policy in ("p06", "p07", "p08", "p09", "p10", "p11"):
            cells[policy][scene] = Cell(0.3, frozenset({FAILED}))
    found = agreement(replace(dreamed, cells=cells), table("raster", truly)).all.kappas[FAILED]
    assert found.value == pytest.approx((252 / 288 - 0.5) / 0.5) and found.count == 288


def test_few_policies_get_no_coefficient_and_not_many_a_warning() -> None:
    few = agreement(table("dream", SKILL[:7]), table("raster", SKILL[:7]))
    assert few.all.ranking == {} and "7 policies are too few" in few.remarks[0] and len(few.means) == 7
    some = agreement(table("dream", SKILL[:8]), table("raster", SKILL[:8]))
    assert some.all.ranking and "8 policies are few" in some.remarks[0]


def test_intervals_are_wider_when_more_is_drawn_again() -> None:
    close = np.linspace(0.4, 0.6, 12)
    found = agreement(table("dream", close, 0.2, seed=1), table("raster", close, 0.2, seed=2)).all.ranking["Kendall tau-b"]
    width = {what: high - low for what, (low, high) in found.intervals.items()}
    assert 0 < width["scenarios"] < width["both"] and 0 < width["policies"] < 1.2 * width["both"]
    assert all(low <= found.value <= high for low, high in found.intervals.values())


def test_worlds_without_anything_in_common_are_not_said_to_agree() -> None:
    rng = np.random.default_rng(7)
    found = agreement(table("dream", rng.uniform(size=16), 0.1, 1), table("raster", rng.uniform(size=16), 0.1, 2)).all.ranking
    low, high = found["Spearman"].intervals["both"]
    assert low < 0 < high


def test_void_drives_are_left_out_of_both_sides_and_counted() -> None:
    """Where the dream is void the reference is bad: without the drive on both sides the order would be upset."""
    dreamed, truly = table("dream", SKILL), table("raster", SKILL)
    cells = {policy: {s: Cell(0.0) if s == SCENES[0] else c for s, c in row.items()} for policy, row in truly.cells.items()}
    some = {policy: {s: c for s, c in row.items() if s != SCENES[0] or policy < "p06"} for policy, row in dreamed.cells.items()}
    found = agreement(replace(dreamed, cells=some), replace(truly, cells=cells))
    assert found.means[11] == pytest.approx((0.9, 0.9)) and "6 of 288 drives" in found.remarks[0]


def test_the_order_of_the_drives_changes_nothing() -> None:
    dreamed, truly = table("dream", SKILL, 0.2, 1), table("raster", SKILL, 0.2, 2)
    turned = {policy: dict(reversed(row.items())) for policy, row in reversed(truly.cells.items())}
    assert agreement(dreamed, replace(truly, cells=turned)) == agreement(dreamed, truly)


def csv(folder: Path, text: str, name: str = "real.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_stored_table_is_read_with_its_events_and_gaps(tmp_path: Path) -> None:
    lines = "policy,scene,score,seed,passed,collision\nidm,calm.a,0.8,0,true,false\nidm,calm.a,0.4,1,no,1\nidm,calm.b,,0,,\n"
    read = read_table(csv(tmp_path, lines))
    assert read.cells == {"idm": {"calm.a": Cell(pytest.approx(0.6), frozenset({FAILED, "collision"}))}}
    assert read.families == {"calm.a": "calm", "calm.b": "calm"} and read.told == {FAILED, "collision"}
    as_json = [{"policy": "idm", "scene": "calm.a", "score": 0.6, "passed": False, "collision": True}]
    other = read_table(csv(tmp_path, json.dumps(as_json), "real.json")).cells["idm"]["calm.a"]
    assert other == Cell(0.6, frozenset({FAILED, "collision"}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("policy,scene,scroe\nidm,a,1\n", r"real\.csv:2: has no score.*did you mean 'scroe'"),
        ("policy,scene,score\nidm,a,1.5\n", r"real\.csv:2: the score '1\.5' is no number from 0 to 1"),
        ("policy,scene,score\nidm,a,nan\n", r"real\.csv:2: the score 'nan'"),
        ("policy,scene,score\nidm,a,1\nidm,a,1\n", r"real\.csv:3: policy idm has two scores in scene a.*column seed"),
        ("policy,scene,score,crash\nidm,a,1,maybe\n", r"real\.csv:2: crash is 'maybe'"),
        ("policy,scene,score\n,a,1\n", r"real\.csv:2: policy and scene must be named"),
        ("policy,scene,score\n", r"real\.csv: holds no drive"),
        ("", r"real\.csv: holds no drive"),
    ],
)
def test_a_wrong_table_is_answered_with_file_and_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_table(csv(tmp_path, text))


def test_missing_policies_and_other_scenes_are_named() -> None:
    dreamed, truly = table("dream", SKILL), table("raster", SKILL)
    with pytest.raises(InputError, match=r"the table of raster has no policy 'p11'"):
        agreement(dreamed, replace(truly, cells={p: row for p, row in truly.cells.items() if p != "p11"}))
    elsewhere = {policy: {f"x{scene}": cell for scene, cell in row.items()} for policy, row in truly.cells.items()}
    with pytest.raises(InputError, match="no scene is in both dream and raster"):
        agreement(dreamed, replace(truly, cells=elsewhere))


def test_two_stored_tables_are_compared_by_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The dream knows 24 scenes, the road the first ten: the rest sharpens its means."""
    rng = np.random.default_rng(0)
    lines = {"dream": ["policy,scene,score,passed"], "real": ["policy,scene,score,passed"]}
    for p, level in enumerate(SKILL):
        for k, scene in enumerate(SCENES):
            score = float(np.clip(level + rng.normal(0, 0.1), 0, 1))
            lines["dream"].append(f"p{p},{scene},{score},{score > 0.5}")
            if k % 12 < 5:
                lines["real"].append(f"p{p},{scene},{score * 0.9},{score * 0.9 > 0.5}")
    files = [str(csv(tmp_path, "\n".join(text), f"{name}.csv")) for name, text in lines.items()]
    with pytest.raises(SystemExit) as left:
        main(["compare", "--worlds", *files, "--out", str(tmp_path / "out"), "--json"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert left.value.code == 0 and said["agreement"]["all"]["ranking"]["Pearson"]["value"] > 0.99
    assert said["agreement"]["corrected"]["p5"]["saved"] == pytest.approx(14 / 24, abs=0.01), "rho is 1, ten pairs and 14 more"
    html = Path(said["page"]).read_text()
    assert "Kendall tau-b" in html and "variance saved" in html and "http" not in html
    with pytest.raises(SystemExit) as left:
        main(["compare", "idm", "--worlds", *files])
    assert left.value.code == 2 and "the table of dream.csv has no policy 'idm" in capsys.readouterr().err


def test_scenes_drawn_from_another_distribution_count_by_their_weight() -> None:
    """Two scenes, 3 and 1 in weight: a policy that gets 1 and 0 in them has a mean of 3/4."""
    scenes = ("calm.a@0:0#0", "calm.b@0:0#0")
    cells = {f"p{n}": {scenes[0]: Cell(n / 8), scenes[1]: Cell(1 - n / 8)} for n in range(9)}
    weighted = ScoreTable("dream", cells, weights={scenes[0]: 3.0, scenes[1]: 1.0})
    found = agreement(weighted, replace(weighted, name="raster"))
    assert dict(zip(found.policies, found.means, strict=True))["p8"] == pytest.approx((0.75, 0.75))
    assert found.corrected == {}
