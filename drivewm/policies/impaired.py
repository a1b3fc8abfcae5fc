"""A policy that drives worse in a way that is said by words after its name: ``expert:late-2``, ``teacher:static-0.5:blur-8``.

What can be wrong is what it sees (frames, or for a privileged policy the truth), what it is told, and what becomes of plans.
Chance follows from the seed and from where a car begins, so it is the same in every world and in every batch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivewm.datatypes import ON_FOOT, AgentClass, Array, Observation, Trajectory
from drivewm.errors import InputError, did_you_mean
from drivewm.policies.mistakes import Mistakes, blurred, frames_of_noise, misdriven, wandered, without_views
from drivewm.protocols import GroundTruth, Policy
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import content_hash

WORDS = (
    "late-2",
    "noise-0.3",
    "cruise-0.5",
    "limit-0.7",
    "unseeing-pedestrian",
    "static-0.5",
    "frames-noise",
    "blur-8",
    "blinks-0.5",
    "without-front",
    "without-cameras",
)
SIGHT = frozenset({"static", "frames", "blur", "blinks", "without"})  # of cameras
SPELL_FRAMES = 5  # a second with the usual cameras: as long lasts a blink
_NUMBER = re.compile(r"(late|noise|cruise|limit|static|blur|blinks)-(\d+(?:\.\d+)?)")
_MOST = {"late": 20.0, "noise": 5.0, "cruise": 1.0, "limit": 3.0, "static": 1.0, "blur": 64.0, "blinks": 1.0}
_CLASSES = {kind.name.lower().replace("_", "-"): frozenset({kind}) for kind in AgentClass}
CLASSES = {**_CLASSES, "pedestrian": ON_FOOT, "anybody": frozenset(AgentClass)}


@dataclass(frozen=True, slots=True)
class Impairments:
    """How a policy is worse than it was."""

    late: int = 0  # frames after which a plan is followed
    noise: float = 0.0  # of acceleration and direction of its plans, see `Mistakes`
    cruise: float = 0.0  # share of keeping its speed in its plans
    limit: float = 1.0  # what it takes the speed limit for, over what it is
    unseeing: frozenset[AgentClass] = frozenset()  # who is not there for a privileged policy
    static: float = 0.0  # share of noise in the frames
    blur: int = 0  # px of a block of one colour
    blinks: float = 0.0  # share of seconds without a picture
    without: frozenset[int] = frozenset()  # cameras that are black


@dataclass(frozen=True, slots=True)
class ImpairedMemory:
    """What the policy remembers, and what its impairments do. ``plans``: the last ones, oldest first."""

    own: Any
    frame: int
    chance: tuple[int, ...]  # of each car
    off: Array  # [B, 2], how far acceleration and direction are off now, in standard deviations
    plans: tuple[Trajectory, ...]


class ImpairedPolicy:
    """Another policy with impairments; it needs what that one needs."""

    def __init__(self, policy: Policy, how: Impairments, words: str) -> None:
        self._policy, self._how = policy, how
        self.spec = replace(policy.spec, id=f"{policy.spec.id}:{words}")

    def start(self, batch: int, seed: int) -> ImpairedMemory:
        return ImpairedMemory(self._policy.start(batch, seed), 0, (seed,) * batch, np.zeros((batch, 2)), ())

    def act(
        self, observation: Observation, memory: ImpairedMemory, truth: GroundTruth | None = None
    ) -> tuple[Trajectory, ImpairedMemory]:
        chance = memory.chance if memory.frame else _of_places(observation, memory.chance)
        rngs = [np.random.default_rng(np.random.SeedSequence([key, memory.frame])) for key in chance]
        spell = memory.frame // SPELL_FRAMES
        shut = [np.random.default_rng(np.random.SeedSequence([key, spell, 1])).random() < self._how.blinks for key in chance]
        seen = self._seen(observation, rngs, np.array(shut))
        plan, own = self._policy.act(seen, memory.own, truth and self._known(truth))
        off = wandered(memory.off, rngs, first=memory.frame == 0)
        plans = (*memory.plans, plan)[-(self._how.late + 1) :]
        speed_mps = np.asarray(observation.ego_motion[:, -1, 0], np.float64)
        driven = misdriven(plans[0], speed_mps, Mistakes(self._how.cruise, self._how.noise * off))
        return driven, ImpairedMemory(own, memory.frame + 1, chance, off, plans)

    def _seen(self, observation: Observation, rngs: list[np.random.Generator], shut: Array) -> Observation:
        how, images = self._how, observation.images
        if how.blur:
            images = blurred(images, how.blur)
        if how.static:
            images = frames_of_noise(images, how.static, rngs)
        if how.without:
            images = without_views(images, how.without)
        if shut.any():
            images = np.where(shut[:, None, None, None, None, None], np.uint8(0), images)
        limit = (observation.speed_limit_mps * np.float32(how.limit)).astype(np.float32)
        return replace(observation, images=images, speed_limit_mps=limit)

    def _known(self, truth: GroundTruth) -> GroundTruth:
        """The truth without those whom the policy does not see, now and in the future."""
        if not self._how.unseeing:
            return truth
        kinds, agents = [int(kind) for kind in self._how.unseeing], truth.state.agents

        def futures(t_s: Array) -> Any:
            ahead = truth.futures(t_s)
            return replace(ahead, valid=ahead.valid & ~np.isin(ahead.category, kinds))

        seen = replace(agents, valid=agents.valid & ~np.isin(agents.category, kinds))
        return GroundTruth(truth.scenes, replace(truth.state, agents=seen), futures)


def impaired(policy: Policy, words: list[str]) -> Policy:
    """``policy`` as the words say; itself without any. Raises InputError for an unknown word or one that cannot concern it."""
    how = Impairments()
    for word in words:
        kind = word.partition("-")[0]
        if policy.spec.privileged and kind in SIGHT:
            raise InputError(f"policy {policy.spec.id} sees no frames, so {word!r} cannot concern it", hint="for example late-2")
        if not policy.spec.privileged and kind == "unseeing":
            raise InputError(f"policy {policy.spec.id} knows others by its cameras alone, so {word!r} cannot concern it")
        said = _said(word)
        for name in {"unseeing", "without"} & said.keys():  # these add up
            said[name] = said[name] | getattr(how, name)
        how = replace(how, **said)
    return ImpairedPolicy(policy, how, ":".join(words)) if words else policy


def _said(word: str) -> dict[str, Any]:
    if found := _NUMBER.fullmatch(word):
        kind, value = found[1], float(found[2])
        if value > _MOST[kind]:
            raise InputError(f"{word!r} is too much", hint=f"at most {kind}-{_MOST[kind]:g}")
        whole = kind in ("late", "blur")
        if whole and value != int(value):
            raise InputError(f"{word!r} is no whole number", hint=f"for example {kind}-{int(value) + 1}")
        return {kind: int(value) if whole else value}
    if word == "frames-noise":
        return {"static": 1.0}
    kind, _, name = word.partition("-")
    if kind == "unseeing" and name in CLASSES:
        return {"unseeing": CLASSES[name]}
    views = [view.removeprefix("CAM_").lower().replace("_", "-") for view in nuscenes_rig().names]
    if kind == "without" and name in (*views, "cameras"):
        return {"without": frozenset(range(len(views)) if name == "cameras" else [views.index(name)])}
    known = {"unseeing": list(CLASSES), "without": [*views, "cameras"]}.get(kind)
    words = [f"{kind}-{one}" for one in known] if known else [*WORDS]
    raise InputError(f"unknown word {word!r} after the name of a policy", hint=did_you_mean(word, words) or ", ".join(words))


def _of_places(observation: Observation, seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The chance of each car, from its seed and from the route and speed that it begins with."""
    given = zip(observation.route_xy_ego, observation.ego_motion[:, -1, 0], seeds, strict=True)
    return tuple(int(content_hash([np.round(route, 3).tolist(), round(float(v), 3), seed])[:12], 16) for route, v, seed in given)
