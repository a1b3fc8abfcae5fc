"""The recipe: from nothing to weights with their card, in one call that does no work twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from drivewm.evaluation.dream_card.make import CardOptions
from drivewm.evaluation.recipe import RecipeOptions, cook
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.world import DreamWorld

SIZE = replace(
    SIZES["tiny"], width=32, depth=2, heads=2, autoencoder_channels=(8, 8, 32), autoencoder_layers=(1, 1, 1), cell_width=16
)


def test_a_recipe_gives_a_world_with_its_card_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    begun: list[str] = []

    def stage(title: str) -> Callable[..., None]:
        begun.append(title)
        if title == "decoder" and begun.count(title) == 1:
            raise KeyboardInterrupt
        return lambda *_: None

    options = RecipeOptions(drives=3, share=0.0, card=CardOptions(each=1, seconds=1.0, quick=True, only=("looks",)))
    with pytest.raises(KeyboardInterrupt):
        cook(SIZE, tmp_path, options, stage)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").glob("*.safetensors")}
    card = cook(SIZE, tmp_path, options, stage)
    assert len(written) == 2 * 3  # frames and latents of each drive
    assert all(file.stat().st_mtime_ns == when for file, when in written.items())
    world = DreamWorld.load(str(tmp_path / "world"))
    assert card.world == world.id
    below = card.answers[0].claims[0]
    assert below.name.startswith("PSNR below") and below.estimate is not None
    assert [answer.light for answer in card.controls if answer.key == "leaks"] == ["reached"]
    assert (tmp_path / "card" / "card.md").is_file()
