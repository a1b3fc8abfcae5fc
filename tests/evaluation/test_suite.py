from pathlib import Path

import pytest

from drivewm.errors import InputError
from drivewm.evaluation.suite import Suite, load_suite, suite_names
from drivewm.scenarios.catalogue import find
from drivewm.scenarios.distributions import distribution
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.proposals import density


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def suites() -> dict[str, Suite]:
    return {name: load_suite(name) for name in suite_names()}


@pytest.fixture(scope="module")
def public() -> dict[Path, str]:
    """The public names of every scenario, as one text."""
    return {file: " ".join(load_scenario(file).maps_to) for file in find()}


GOOD = "name: mine\nabout: Mine.\nscenarios: [calm/*.yaml]\ndraws: 2\nseeds: [0, 5]\n"


def test_every_suite_that_comes_with_drivewm_can_be_read(suites: dict[str, Suite]) -> None:
    assert {"smoke", "core", "euro_ncap", "alks", "long_tail", "calm"} <= set(suites)
    assert all(suite.name == name and suite.files for name, suite in suites.items())


def test_core_holds_every_scenario_and_calm_only_calm_ones(suites: dict[str, Suite]) -> None:
    assert list(suites["core"].files) == find()
    assert {file.parent.name for file in suites["calm"].files} == {"calm"}


@pytest.mark.parametrize(("name", "protocol"), [("euro_ncap", "Euro NCAP"), ("alks", "UN R157")])
def test_a_suite_of_a_public_protocol_holds_all_that_maps_to_it_and_nothing_else(
    suites: dict[str, Suite], public: dict[Path, str], name: str, protocol: str
) -> None:
    mapped = {file for file, names in public.items() if protocol in names}
    assert set(suites[name].files) == mapped and len(mapped) > 20


def test_euro_ncap_holds_every_kind_of_encounter_and_situations_that_forbid_braking(
    suites: dict[str, Suite], public: dict[Path, str]
) -> None:
    names = " ".join(public[file] for file in suites["euro_ncap"].files)
    cars, others = (
        ("CCRs", "CCRm", "CCRb", "CCFtap", "CCCscp", "CCFho"),
        ("CPFA", "CPNA", "CPNCO", "CPLA", "CPTA", "CBNA", "CBFA", "CBLA"),
    )
    assert all(kind in names for kind in (*cars, *others, "false positive"))


def test_the_long_tail_holds_every_weather_and_camera_fault_and_calm_counterparts(suites: dict[str, Suite]) -> None:
    files = set(suites["long_tail"].files)
    assert {file for file in find() if file.parent.name in {"weather", "sensor_fault"}} < files
    assert "calm" in {file.parent.name for file in files} and len(files) < len(find()) / 2


def test_what_is_reported_is_driven_with_three_seeds(suites: dict[str, Suite]) -> None:
    assert all(len(set(suite.seeds)) == 3 for name, suite in suites.items() if name not in {"smoke", "demo"})


def test_a_suite_unites_patterns_public_names_and_tags(tmp_path: Path) -> None:
    said = {"a/plain": "", "b/public": "maps_to: [Euro NCAP CPNCO]\n", "c/snowy": "tags: [snow]\n", "d/other": "tags: [rain]\n"}
    for name, words in said.items():
        file = tmp_path / "catalogue" / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        rest = "road: {kind: straight}\nego: {speed: 9 m/s}\nend: {after: 2 s}\n"
        file.write_text(f"name: {name.replace('/', '.')}\nabout: A car drives.\n{words}{rest}")
    text = "name: mine\nabout: Mine.\nscenarios: [a/*.yaml]\ntags: [snow]\nmaps_to: [cpnco]\n"
    suite = load_suite(write(tmp_path, text), tmp_path / "catalogue")
    assert [file.stem for file in suite.files] == ["plain", "public", "snowy"]


BRAKES = "name: mine\nabout: Mine.\nscenarios: [lead_vehicle/brakes.yaml]\ndraws: 24\n"


def test_scenes_from_a_proposal_weigh_what_makes_up_for_it(tmp_path: Path) -> None:
    """Rain has 2 of 5 there and 3 of 4 here: a rainy scene weighs 0.4 / 0.75, a clear one 0.6 / 0.25, 4.5 times more."""
    text = BRAKES + "draw_from: {lead_vehicle.brakes: {weather: {clear: 1, rain: 3}}}\n"
    suite, plain = load_suite(write(tmp_path, text)), load_suite(write(tmp_path, BRAKES))
    scenes = suite.scenes()
    weights = suite.weights(scenes)
    by_weather = {str(scene.parameters["weather"]): w for scene, w in zip(scenes, weights, strict=True)}
    assert by_weather["clear"] / by_weather["rain"] == pytest.approx(4.5) and len(set(weights)) == 2
    assert sum(weights) == pytest.approx(len(scenes))
    assert sum(scene.parameters["weather"] == "rain" for scene in scenes) > 24 * 0.5
    assert plain.weights(plain.scenes()) == () and not {s.id for s in scenes} & {s.id for s in plain.scenes()}


@pytest.mark.parametrize("other", [{"normal": "7 m/s2", "sd": "1.5 m/s2", "clip": "[3 .. 7] m/s2"}, "[3 .. 7] m/s2"])
def test_weights_bring_a_mean_back_to_the_scenarios_own(other: object) -> None:
    """The mean of ``[3 .. 7]`` is 5 whatever it is drawn from; quantiles in equal steps stand for draws."""
    own, proposal = distribution("[3 .. 7] m/s2"), distribution(other)
    drawn = [float(proposal.at((k + 0.5) / 4000).value) for k in range(4000)]  # type: ignore[union-attr]
    weights = [density(own, value) / density(proposal, value) for value in drawn]
    assert sum(weights) / 4000 == pytest.approx(1.0, abs=0.01)
    assert sum(w * x for w, x in zip(weights, drawn, strict=True)) / sum(weights) == pytest.approx(5.0, abs=0.02)


def test_smoke_has_a_scene_of_every_family(suites: dict[str, Suite]) -> None:
    scenes = suites["smoke"].scenes()
    assert {scene.family for scene in scenes} == {file.parent.name for file in suites["core"].files}


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
        ("name: mine\nabout: Mine.\n", r"mine\.yaml:1: scenarios: no scenario is named.*under scenarios, maps_to or tags"),
        (BRAKES + "draw_from: {brakes: {}}\n", r"mine\.yaml:5: draw_from\.brakes: no scenario 'brakes' in this suite"),
        (
            BRAKES + "draw_from: {lead_vehicle.brakes: {wether: [rain]}}\n",
            r":5: draw_from.*no parameter 'wether'.*mean 'weather'",
        ),
        (
            BRAKES + "draw_from: {lead_vehicle.brakes: {weather: [rain]}}\n",
            r"weather is rain here and clear, rain in.*every value",
        ),
        (BRAKES + 'draw_from: {lead_vehicle.brakes: {gap: "[1 .. 9] s"}}\n', r"gap is 1 s to 9 s here and 1.2 s to 2.5 s in"),
        (GOOD + "tags: [sonw]\n", r"mine\.yaml:6: tags\[0\]: no scenario has 'sonw' among its tags.*did you mean 'snow'"),
        (GOOD + "maps_to: [Euro CAP]\n", r"mine\.yaml:6: maps_to\[0\]: no scenario has 'Euro CAP' among its maps_to"),
    ],
)
def test_a_wrong_suite_is_answered_with_file_line_and_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_suite(write(tmp_path, text))


def test_an_unknown_suite_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown suite 'smok' \(did you mean 'smoke'"):
        load_suite("smok")
