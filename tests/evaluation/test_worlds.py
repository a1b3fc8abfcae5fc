"""Worlds by name, with words for what they do otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drivewm.errors import InputError
from drivewm.evaluation.worlds import WorldOptions, load_world
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.conditions import FREE_REGIME
from drivewm.worldmodel.world import EMBEDDED, DreamWorld


def test_the_words_of_a_worlds_id_open_it_again() -> None:
    usual = load_world("dream").id
    for words in ("free", "free:without-motion", "without-boxes:K7:context-4", "scratch", "free:scratch"):
        assert load_world(f"dream:{words}").id == f"{usual}:{words}"
    assert load_world("free").id == load_world("dream", WorldOptions(free=True)).id == f"{usual}:free"


def test_a_folder_takes_words_too_even_one_with_a_colon_in_its_name(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED, folder := tmp_path / "my:world")
    assert load_world(str(folder)).id == load_world("dream").id
    plain = shutil.copytree(EMBEDDED, tmp_path / "world")
    world = load_world(f"{plain}:free")
    assert isinstance(world, DreamWorld) and world.session.drop == FREE_REGIME


def test_a_rig_is_for_every_world_and_brought_onto_its_raster() -> None:
    rig = nuscenes_rig(900, 1600).only(1)
    for name in ("raster", "dream"):
        world = load_world(name, WorldOptions(rig=rig))
        assert (world.rig.names, world.rig.size_px) == (("CAM_FRONT",), (64, 96))
    assert "rig@" in load_world("dream", WorldOptions(rig=rig)).id


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("dream:fre", WorldOptions(), "unknown word 'fre' .*did you mean 'free'"),
        ("dream:K0", WorldOptions(), "unknown word 'K0'"),
        ("dream:without-smell", WorldOptions(), "unknown condition .*smell"),
        ("raster:free", WorldOptions(), "'raster' cannot be told otherwise"),
        ("raster", WorldOptions(context_frames=4), "'raster' cannot be told otherwise"),
        ("drem:free", WorldOptions(), "unknown world 'drem' .did you mean 'dream'"),
    ],
)
def test_what_a_world_cannot_do_is_refused(name: str, options: WorldOptions, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_world(name, options)
