"""Names for things that can be exchanged: policies, worlds, metrics. Ours are listed here, a plug-in's in its entry points.

Questions are what a scenario may ask about a placed scene under ``where``; each is a function of the scene and a word in
brackets, and answers yes or no. They are found by name because those who answer stand above the scenarios room. A format is an
adapter that reads the recordings of a fleet.

A plug-in declares, in its own ``pyproject.toml``::

    [project.entry-points."drivewm.policies"]
    my_policy = "my_package.my_module:MyPolicy"
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from drivewm.errors import InputError, did_you_mean

BUILT_IN: dict[str, dict[str, str]] = {
    "drivewm.policies": {
        "constant_velocity": "drivewm.policies.baselines:ConstantVelocity",
        "idm": "drivewm.policies.baselines:IdmPolicy",
        "expert": "drivewm.policies.expert:ExpertPolicy",
        "r157": "drivewm.policies.reference.r157:R157Policy",
        "attentive": "drivewm.policies.reference.attentive:AttentivePolicy",
        "teacher": "drivewm.policies.load:embedded_teacher",
        "onboard": "drivewm.policies.load:embedded_onboard",
        "still": "drivewm.policies.controls:Still",
        "blind": "drivewm.policies.controls:blind",
    },
    "drivewm.worlds": {
        "raster": "drivewm.evaluation.worlds:raster",
        "dream": "drivewm.evaluation.worlds:dream",
        "free": "drivewm.evaluation.worlds:free",
    },
    "drivewm.metrics": {
        "drive": "drivewm.metrics:score",
        "pdms_v1": "drivewm.metrics.published.pdms_v1:score",
        "epdms_v2": "drivewm.metrics.published.epdms_v2:score",
        "epdms_v2_navsim_2_2": "drivewm.metrics.published.epdms_v2:score_navsim_2_2",
        "nuplan_cls": "drivewm.metrics.published.nuplan_cls:score",
        "carla_ds_2_0": "drivewm.metrics.published.carla_ds_2_0:score",
        "carla_ds_2_1": "drivewm.metrics.published.carla_ds_2_1:score",
        "neuroncap": "drivewm.metrics.published.neuroncap:score",
        "hd_score": "drivewm.metrics.published.hd_score:score",
        "ads": "drivewm.metrics.published.ads:score",
        "alpasim_scene": "drivewm.metrics.published.alpasim_scene:score",
        "waymo_rater": "drivewm.metrics.published.waymo_rater:score",
        "severity": "drivewm.metrics.published.severity:score",
    },
    "drivewm.questions": {"preventable": "drivewm.evaluation.preventable:preventable"},
    "drivewm.formats": {
        "argoverse2": "drivewm.data.formats.argoverse2:read",
        "dgp": "drivewm.data.formats.dgp:read",
    },
}
_KINDS = {
    "drivewm.policies": "policy",
    "drivewm.worlds": "world",
    "drivewm.metrics": "metric",
    "drivewm.questions": "question",
    "drivewm.formats": "format",
}


def names(group: str) -> list[str]:
    """All names of a group, sorted; loads nothing."""
    return sorted({*BUILT_IN[group], *(point.name for point in entry_points(group=group))})


def resolve(group: str, name: str) -> Any:
    """The object behind a name; raises InputError for an unknown name or a plug-in that cannot be loaded.

    A built-in cannot be replaced by a plug-in of the same name: a score must mean the same everywhere.
    """
    kind = _KINDS[group]
    if name in BUILT_IN[group]:
        module, _, attribute = BUILT_IN[group][name].partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=group, name=name):
        return _load(point, kind)
    known = names(group)
    hint = did_you_mean(name, known) or ("known: " + ", ".join(known) if known else None)
    raise InputError(f"unknown {kind} {name!r}", hint=hint)


def _load(point: EntryPoint, kind: str) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever a stranger's module raises while it is imported
        package = f" from package {point.dist.name}" if point.dist else ""
        reason = f"{kind} plug-in {point.name!r}{package} cannot be loaded: {type(error).__name__}: {error}"
        raise InputError(reason, place=point.value) from error
