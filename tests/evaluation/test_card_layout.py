"""What the card's questions about layout, agents, sky and cameras find in exact frames, and in frames that stand still."""

from __future__ import annotations

import numpy as np
import pytest

from drivewm.evaluation.dream_card.agents import VARIANTS, Changed, changed
from drivewm.evaluation.dream_card.reading import claim, counted, segmented, share_of
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.dream_card.sightings import apart, bodies, found, gone, untouched
from drivewm.evaluation.dream_card.staged import Exact, Staged, filmed, staged, stretches
from drivewm.evaluation.dreaming import Drives
from drivewm.evaluation.overlap import same_places
from drivewm.evaluation.readers import Readers
from drivewm.geometry import box_corners_xy, boxes_overlap
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.world import EMBEDDED, open_pipeline

CONTEXT, FRAMES = 2, 5


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Two drives, one under each of two seeds, as far as the questions need it before they draw drives of their own."""
    rig, folder = nuscenes_rig(64, 96), tmp_path_factory.mktemp("card")
    return Sample(open_pipeline(EMBEDDED), Readers.load(), rig, Drives({}, CONTEXT), (0, 1), np.array([0, 1]), folder)


@pytest.fixture(scope="module")
def changes(sample: Sample) -> tuple[Changed, ...]:
    return staged(sample, FRAMES, lambda stage: changed(stage, CONTEXT))


@pytest.fixture(scope="module")
def exact(sample: Sample, changes: tuple[Changed, ...]) -> dict[str, Exact]:
    return {name: filmed([getattr(change, name) for change in changes], sample.rig) for name in VARIANTS}


def test_a_changed_drive_has_the_same_past_and_nobody_stands_inside_another(changes: tuple[Changed, ...]) -> None:
    for change in changes:
        past = slice(0, CONTEXT + 1)
        for stage in (change.removed, change.moved):
            np.testing.assert_array_equal(stage.states.agents.xy_yaw_world[past], change.plain.states.agents.xy_yaw_world[past])
            np.testing.assert_array_equal(stage.states.agents.valid[past], change.plain.states.agents.valid[past])
        assert not change.added.states.agents.valid[past, -1].any() and change.added.states.agents.valid[past.stop :, -1].all()
        for stage, who in ((change.moved, change.track_id), (change.added, change.added_id)):
            agents = stage.states.agents[-1]
            corners, mine = box_corners_xy(agents.xy_yaw_world, agents.size_lwh_m[:, :2]), agents.track_id == who
            assert not boxes_overlap(corners[mine], corners[agents.valid & ~mine]).any()


def test_exact_frames_show_each_change_and_frames_that_stand_still_show_none(
    sample: Sample, changes: tuple[Changed, ...], exact: dict[str, Exact]
) -> None:
    asked = 0
    for row, change in enumerate(changes):
        images = {name: exact[name].told["images"].numpy()[row] for name in VARIANTS}
        read = {name: segmented(sample.readers, images[name][CONTEXT:]) for name in VARIANTS}
        frozen = segmented(sample.readers, np.broadcast_to(images["plain"][CONTEXT - 1], images["plain"][CONTEXT:].shape))
        views = {
            name: bodies(exact[name].instance[row, CONTEXT:], exact[name].semantics[row, CONTEXT:], who)
            for name, who in (("plain", change.track_id), ("added", change.added_id))
        }
        added, removed = apart(views["added"], read["plain"]), apart(views["plain"], read["removed"])
        hits, count = found(read["added"], read["added"], added)
        assert hits == count
        assert found(frozen, read["added"], added)[0] <= 0.2 * count
        left, were = gone(read["removed"], read["plain"], removed)
        assert left == were
        assert gone(frozen, read["plain"], removed)[0] < max(1, were)
        asked += min(count, 1) + min(were, 1)
    assert asked >= 3  # of four: each change is clear in exact frames


def test_what_a_change_does_not_touch_is_equal_in_exact_frames(changes: tuple[Changed, ...], exact: dict[str, Exact]) -> None:
    for row, change in enumerate(changes):
        plain, other = (exact[name].told["images"].numpy()[row, CONTEXT:] for name in ("plain", "removed"))
        gone_from = exact["plain"].instance[row, CONTEXT:] == change.track_id
        keep = untouched(plain, other, gone_from)
        assert 0.5 < keep.mean() < 1.0
        assert np.abs(plain.astype(int) - other)[keep].mean() < 0.1 < np.abs(plain.astype(int) - other)[gone_from].mean()


def test_the_last_frame_for_ever_follows_no_layout(sample: Sample) -> None:
    stages = staged(sample, 12, lambda stage: stage if stage.states.ego_speed_mps.min() > 4.0 else None)
    driven = filmed(stages, sample.rig).over(sample)
    reference, frozen = counted(driven, driven.drives.images), counted(driven, driven.copied())
    road, copied = reference.iou("road", driven), frozen.iou("road", driven)
    assert road is not None and copied is not None
    assert road[0].value > 0.8 and copied[0].value < 0.97 * road[0].value
    share = frozen.iou_over(reference, "road", driven)
    assert share is not None and share[0].value == pytest.approx(copied[0].value / road[0].value)


def test_another_sky_is_read_in_exact_frames_and_leaves_the_layout_as_it_was(sample: Sample) -> None:
    clear: Staged = next(stage for stage in stretches(sample, 0, FRAMES) if stage.sky[0].weather != "snow")
    snow = next(stage for stage in stretches(sample, 0, FRAMES) if stage.sky[0].weather == "snow").sky[0]
    other = filmed([clear, clear.under(snow, CONTEXT)], sample.rig)
    weather, _ = sample.readers.sky(other.told["images"][1].numpy())
    np.testing.assert_array_equal(weather, other.told["weather"][1].numpy())
    assert weather[CONTEXT] != weather[CONTEXT - 1]
    np.testing.assert_array_equal(other.told["label"][0].numpy(), other.told["label"][1].numpy())


def test_cameras_agree_at_one_place_far_better_than_at_wrong_ones(exact: dict[str, Exact], sample: Sample) -> None:
    told = exact["plain"].told
    for images, depth in zip(told["images"][:, 0].numpy(), told["log_depth"][:, 0].numpy(), strict=True):
        places = same_places(depth, sample.rig)
        assert places.differences(images).mean() < 0.5 * places.mismatched().differences(images).mean()


def test_a_share_of_nothing_is_not_measured(sample: Sample) -> None:
    assert share_of(np.zeros(2), np.zeros(2), sample) is None
    assert claim("people found", None, 0.9, "nobody is there").light == "not measured"
    one = share_of(np.array([3.0, 0.0]), np.array([4.0, 0.0]), sample)
    assert one is not None and one[0].value == 0.75 and claim("cars found", one, 0.7, "").by_seed == ()
