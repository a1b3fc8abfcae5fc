"""Faults between camera and computer, the same for every world: dirt on the glass, and pictures that come late.

A lost camera is the world's business, because a dream has to be told of it; dirt and delay are laid over finished frames.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Array, CameraRig, Conditions, Scene

DIRT_RGB = np.array([74.0, 66.0, 54.0], np.float32)
_SPOTS = (8, 15)  # fewest and most on one glass
_COVER = 0.96  # of the light that a spot takes


def losing(scene: Scene, camera: str, from_s: float, until_s: float = np.inf) -> Scene:
    """The scene with one camera delivering black from a time of the scene on, and until another one."""

    def at(t_s: float) -> Conditions:
        now = scene.conditions_at(t_s)
        others = tuple(name for name in now.lost_cameras if name != camera)
        return replace(now, lost_cameras=(*others, camera)) if from_s <= t_s + 1e-9 < until_s else now

    start_s = float(scene.start.t_s)
    times = {from_s, until_s, *(t_s for t_s, _ in scene.condition_changes)}
    later = tuple((t_s, at(t_s)) for t_s in sorted(times) if start_s < t_s < np.inf)
    return replace(scene, conditions=at(start_s), condition_changes=later)


class CameraFaults:
    """The faults of a batch of drives; holds the pictures that are still under way."""

    def __init__(self, scenes: Sequence[Scene], rig: CameraRig) -> None:
        self.scenes, self.rig = scenes, rig
        all_conditions = [c for s in scenes for c in (s.conditions, *(change for _, change in s.condition_changes))]
        self.keep_s = max((c.camera_delay_s for c in all_conditions if c.delayed_cameras), default=0.0)
        self.any = any(c.dirty_cameras or c.delayed_cameras for c in all_conditions)
        self._past: deque[tuple[Array, NDArray[np.uint8]]] = deque()
        self._dirt: dict[tuple[int, str], Array] = {}

    def fork(self) -> CameraFaults:
        """Another one with the same pictures under way."""
        other = copy(self)
        other._past = self._past.copy()
        return other

    def seen(self, images: NDArray[np.uint8], t_s: Array) -> NDArray[np.uint8]:
        """What arrives of the frames uint8 [B, V, H, W, 3] taken at ``t_s`` [B]; call it once for every frame, in order."""
        if not self.any:
            return images
        self._past.append((t_s, images))
        while len(self._past) > 1 and (self._past[1][0] <= t_s - self.keep_s + 1e-6).all():
            self._past.popleft()
        out = images.copy()
        for row, scene in enumerate(self.scenes):
            conditions = scene.conditions_at(float(t_s[row]))
            for view, name in enumerate(self.rig.names):
                if name in conditions.delayed_cameras:
                    out[row, view] = self._at(row, view, float(t_s[row]) - conditions.camera_delay_s)
                if name in conditions.dirty_cameras:
                    share = self._dirt_on(scene, name)
                    out[row, view] = np.rint(out[row, view] * (1.0 - share) + DIRT_RGB * share)
        return out

    def _at(self, row: int, view: int, t_s: float) -> NDArray[np.uint8]:
        """The newest picture that is at least as old; the first one as long as there is none."""
        best = self._past[0][1]
        for taken_s, images in self._past:
            if taken_s[row] <= t_s + 1e-6:
                best = images
        return best[row, view]

    def _dirt_on(self, scene: Scene, camera: str) -> Array:
        """Share [H, W, 1] of the light that dirt takes on the glass of this scene's camera."""
        key = (scene.seed, camera)
        if key not in self._dirt:
            self._dirt[key] = dirt(self.rig.size_px, np.random.default_rng([scene.seed, zlib.crc32(camera.encode())]))
        return self._dirt[key]


def dirt(size_px: tuple[int, int], rng: np.random.Generator) -> Array:
    """Share float32 [H, W, 1] of the light that is taken by soft spots, denser towards the lower edge."""
    height, width = size_px
    mask = np.zeros(size_px, np.float32)
    for _ in range(int(rng.integers(*_SPOTS))):
        at = (int(rng.uniform(0.0, width)), int(height * np.sqrt(rng.uniform(0.05, 1.0))))
        axes = (max(1, int(rng.uniform(0.04, 0.16) * width)), max(1, int(rng.uniform(0.05, 0.2) * height)))
        cv2.ellipse(mask, at, axes, float(rng.uniform(0.0, 180.0)), 0.0, 360.0, float(rng.uniform(0.6, 1.0)), -1)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, height / 40.0))
    return np.asarray(_COVER * np.clip(soft, 0.0, 1.0), np.float32)[..., None]
