"""Pictures of a nuScenes folder, for checks that need pictures only."""

from __future__ import annotations

from pathlib import Path

from drivewm.data.reader import NuScenesFolder
from drivewm.evaluation.sources import open_sources


def test_each_camera_of_a_scene_is_a_track_in_its_order_of_time(small_set: Path) -> None:
    folder = NuScenesFolder(small_set)
    (source,) = open_sources([small_set])
    scenes = folder.scenes()
    assert len(source.tracks) == 6 * len(scenes)
    assert sum(source.lengths) == 6 * sum(scene.frames for scene in scenes)
    shown = source.clips(8, 2)
    assert len(shown) == 4
    films = [folder.clip(scene.name).images[:, view] for scene in scenes for view in range(6)]
    places = [
        [(i, t) for i, film in enumerate(films) for t in range(0, len(film) - 1, 2) if (film[t : t + 2] == pair).all()]
        for pair in shown
    ]
    assert all(places) and places[0][0][1] == 0 and len({place[0] for place in places}) == 4
