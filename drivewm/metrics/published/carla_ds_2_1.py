"""The driving score of CARLA's Leaderboard 2.1."""

from drivewm.metrics.published.carla_ds import FORMULA_2_1 as FORMULA
from drivewm.metrics.published.carla_ds import score_2_1 as score

__all__ = ["FORMULA", "score"]
