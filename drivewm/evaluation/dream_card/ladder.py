"""Two questions of the card that are asked of the ladder of policies: how it is ranked, and what happens to it."""

from __future__ import annotations

from pathlib import Path

from drivewm.evaluation.dream_card.answer import Answer
from drivewm.evaluation.dream_card.climb import climb
from drivewm.evaluation.dream_card.events import events
from drivewm.evaluation.dream_card.ranking import ranking
from drivewm.evaluation.dream_card.sample import Progress
from drivewm.evaluation.ladder import load_ladder


def answers(world: str, folder: Path, quick: bool, progress: Progress) -> tuple[Answer, Answer]:
    """Ranking and events. ``world`` is as `load_world` takes it; drives are kept in ``folder``, so a second call drives none."""
    ladder = load_ladder()
    climbed = climb(ladder, world, folder, quick, progress)
    return ranking(climbed, ladder.suite), events(climbed)
