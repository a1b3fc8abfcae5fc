"""How well: gates and terms on a finished Rollout, and scores of candidate plans."""

from drivewm.metrics.drive import DRIVE_GATES, DRIVE_TERMS, score

__all__ = ["DRIVE_GATES", "DRIVE_TERMS", "score"]
