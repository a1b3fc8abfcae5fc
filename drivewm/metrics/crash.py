"""A metric that crashes ends the run: a drive that was left out of a mean would change it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from drivewm.errors import InputError


@contextmanager
def naming(metric: str, scene_id: str) -> Iterator[None]:
    """Whatever ``metric`` raises on a scene becomes one sentence that names both; the cause stays chained."""
    try:
        yield
    except Exception as error:  # a metric may be a stranger's
        hint = "drivewm.testing.check_metric tries a metric; no score is written"
        raise InputError(
            f"crashed: {type(error).__name__}: {error}", place=f"metric {metric!r} on {scene_id}", hint=hint
        ) from error
