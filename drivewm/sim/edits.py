"""Changes by hand inside the engine: agents that appear, vanish, or are shifted at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from drivewm.datatypes import Array, Scene
from drivewm.sim.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Edits:
    """The changes of B scenes, those of a scene in their order; all [E]."""

    scene: Array  # int, which of the B
    number: Array  # int, which of the scene's changes
    at_s: Array
    row: Array  # int, the agent
    stays: Array  # bool: it is there from then on
    appears: Array  # bool: it was not there before
    shift_m: Array  # [E, 2], along its path and to its left

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Edits | None:
        """None when nothing is changed in any scene."""
        rows = []
        for b, scene in enumerate(scenes):
            there = scene.start.agents.valid.copy()
            for number, (at_s, row, is_there, along_m, left_m) in enumerate(scene.edits):
                appears = bool(is_there) and not there[int(row)]
                there[int(row)] = bool(is_there)
                rows.append((b, number, at_s, row, is_there, appears, along_m, left_m))
        if not rows:
            return None
        table = np.array(rows, np.float64).T
        b, number, row = (table[i].astype(int) for i in (0, 1, 3))
        return cls(b, number, table[2], row, table[4] > 0, table[5] > 0, table[6:].T)

    def there(self, valid: Array, t_s: Array) -> Array:
        """Who is there [B, N] at times [B], of those who are there without any change."""
        out = valid.copy()
        for i in np.flatnonzero(self.at_s <= t_s[self.scene] + 1e-6):
            out[self.scene[i], self.row[i]] = self.stays[i]
        return out

    def between(self, from_s: Array, to_s: Array) -> Array:
        """Which changes [E] take place after ``from_s`` [B] and not after ``to_s`` [B]."""
        return np.asarray((self.at_s > from_s[self.scene] + 1e-6) & (self.at_s <= to_s[self.scene] + 1e-6))

    def applied(self, traffic: Traffic, fresh: Traffic, due: Array) -> Traffic:
        """Traffic after the changes ``due`` [E]: who appears begins as in ``fresh``, the scripts before their first step."""
        if not due.any():
            return traffic
        values = {f.name: getattr(traffic, f.name).copy() for f in fields(traffic)}
        for i in np.flatnonzero(due):
            place = self.scene[i], self.row[i]
            if self.appears[i]:
                for name in values:
                    values[name][place] = getattr(fresh, name)[place]
            values["s_m"][place] += self.shift_m[i, 0]
            for name in ("offset_m", "offset_from_m", "offset_to_m"):
                values[name][place] += self.shift_m[i, 1]
        return replace(traffic, **values)
