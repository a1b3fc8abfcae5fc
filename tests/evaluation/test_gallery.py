"""One sheet per family, with a cell for every scenario."""

from pathlib import Path

import cv2

from drivewm.evaluation.gallery import moment, write_galleries
from drivewm.evaluation.preview import HEIGHT_PX, WIDTH_PX
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene

TEXT = """\
name: {family}.{name}
about: A car stands ahead.
road: {{kind: straight}}
ego: {{speed: 30 km/h}}
actors:
  other: {{is: car, lane: same, ahead: 40 m}}
end: {{after: 5 s}}
"""


def test_a_sheet_has_a_cell_for_each_scenario_of_the_family(tmp_path: Path) -> None:
    for family, names in {"one": "abcd", "two": "a"}.items():
        (tmp_path / family).mkdir()
        for name in names:
            (tmp_path / family / f"{name}.yaml").write_text(TEXT.format(family=family, name=name))
    told: list[str] = []
    written = list(write_galleries(tmp_path, progress=lambda done, total, name: told.append(f"{done}/{total} {name}")))
    assert written == [tmp_path / "one" / "gallery.jpg", tmp_path / "two" / "gallery.jpg"]
    assert told == ["1/5 one.a", "2/5 one.b", "3/5 one.c", "4/5 one.d", "5/5 two.a"]
    (height, width), (low, narrow) = (cv2.imread(str(path)).shape[:2] for path in written)
    assert height > 2 * HEIGHT_PX and width > 3 * WIDTH_PX and low == HEIGHT_PX and WIDTH_PX < narrow < width / 2


def test_the_moment_shows_whom_the_scenario_is_about() -> None:
    """The child that steps out from behind parked cars is in the picture: the most critical moment is not the start."""
    root = Path(__file__).parents[2] / "scenarios"
    scene = draw_scene(load_scenario(root / "vulnerable" / "child_behind_parked_car.yaml"), 0, 0)
    picture = moment(scene)
    assert picture.shape[0] == HEIGHT_PX and picture.std() > 20
