"""The driving score of CARLA's Leaderboard 2.0."""

from drivewm.metrics.published.carla_ds import FORMULA_2_0 as FORMULA
from drivewm.metrics.published.carla_ds import score_2_0 as score

__all__ = ["FORMULA", "score"]
