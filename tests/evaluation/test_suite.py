from pathlib import Path

import pytest

from drivewm.errors import InputError
from drivewm.evaluation.suite import load_suite, suite_names


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


GOOD = "name: mine\nabout: Mine.\nscenarios: [calm/*.yaml]\ndraws: 2\nseeds: [0, 5]\n"


def test_every_suite_that_comes_with_drivewm_can_be_drawn() -> None:
    assert {"smoke", "core", "calm"} <= set(suite_names())
    for name in suite_names():
        suite = load_suite(name)
        assert suite.name == name and suite.files


def test_core_holds_every_scenario_and_calm_only_calm_ones() -> None:
    from drivewm.scenarios.catalogue import find

    assert list(load_suite("core").files) == find()
    assert {file.parent.name for file in load_suite("calm").files} == {"calm"}


def test_smoke_has_a_scene_of_every_family() -> None:
    scenes = load_suite("smoke").scenes()
    assert {scene.family for scene in scenes} == {file.parent.name for file in load_suite("core").files}


def test_the_same_seed_draws_the_same_scenes_and_another_seed_others(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD))
    first, again, other = ([scene.id for scene in suite.scenes(seed)] for seed in (0, 0, 1))
    assert first == again and len(first) == 2 * len(suite.files) == len(set(first))
    assert not set(first) & set(other)


def test_comments_do_not_change_the_identity_of_a_suite_but_draws_do(tmp_path: Path) -> None:
    plain = load_suite(write(tmp_path, GOOD)).id
    assert load_suite(write(tmp_path, "# a comment\n" + GOOD)).id == plain
    assert load_suite(write(tmp_path, GOOD.replace("draws: 2", "draws: 3"))).id != plain


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("draws: 2", "draws: 0"), r"mine\.yaml:4: draws: .*greater than or equal to 1"),
        (GOOD.replace("draws", "drwas"), r"mine\.yaml:4: drwas: .*did you mean 'draws'"),
        (GOOD.replace("calm/*.yaml", "clam/*.yaml"), r"mine\.yaml:3: scenarios\[0\]: no scenario matches 'clam/\*\.yaml'"),
        ("name: mine\nabout: Mine.\n", r"mine\.yaml:1: scenarios: .*(required|missing)"),
    ],
)
def test_a_wrong_suite_is_answered_with_file_line_and_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_suite(write(tmp_path, text))


def test_an_unknown_suite_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown suite 'smok' \(did you mean 'smoke'"):
        load_suite("smok")
