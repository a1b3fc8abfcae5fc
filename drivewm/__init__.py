"""drivewm: dream up rare driving situations, score a policy in them, distil it into a vehicle file."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """diffusers looks for the classes of a saved pipeline here; they bring torch, so they come only when asked for."""
    if name == "DriveTransformer":
        from drivewm.worldmodel.transformer import DriveTransformer

        return DriveTransformer
    raise AttributeError(name)
