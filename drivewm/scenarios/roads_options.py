"""What may be chosen about a road."""

from __future__ import annotations

from dataclasses import dataclass

SIGHT_LIMITS_M = (40.0, 300.0)  # over a crest; shorter ones would be steeper than roads are


@dataclass(frozen=True)
class RoadOptions:
    """Choices that every road kind understands; a kind ignores what it has no use for."""

    lanes: int = 1  # in ego direction; a roundabout always has one
    oncoming: int = 1
    lane_width_m: float = 3.5
    length_m: float = 300.0  # along the ego direction; junction arms are half as long
    radius_m: float | None = None  # of the curve (60 if not given) or of the ring of a roundabout (18)
    sight_m: float | None = None  # how far one sees over a crest (what the speed limit asks for if not given)
    turn: str = "left"  # "left" | "right": where a curve bends, on which side a T-junction has its side road
    speed_limit_mps: float = 13.9
    surroundings: str = "town"  # "town" | "rural" | "motorway"
    signals: bool = False
    crosswalks: bool = False

    @property
    def margin_m(self) -> float:
        """Paved width beyond the outer lane."""
        return {"town": 0.3, "rural": 0.5, "motorway": 2.5}[self.surroundings]
