"""HUGSIM's own score calculator on the plans of `planned_drives`: the numbers that the tests of `hd_score` hold ours against.

    python eval/benchmarks/scorer_hugsim.py score_calculator.py tests/metrics/published/hugsim.json

The first argument is sim/utils/score_calculator.py of github.com/hyzhou404/HUGSIM at 62c690d. Its code is run as it is, on a
processor: `.cuda()` gives the tensor back, and open3d, which only reads files, is left out. Ground is a grid of points 5 cm apart
on the drivable area; the background is one point far away; everybody is a car.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import types
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

SPACING_M = 0.05
PARTS = {"no_collision": "nc", "drivable_area": "dac", "ttc": "ttc", "comfort": "c", "pdms": "pdms"}


def calculator(file: Path) -> Any:
    """The class, from its source."""
    sys.modules["open3d"] = types.ModuleType("open3d")
    torch.Tensor.cuda = lambda self, *_: self  # type: ignore[method-assign, assignment]
    spec = spec_from_file_location("score_calculator", file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ScoreCalculator


def recorded(driven: Any) -> dict[str, Any]:
    """A drive as HUGSIM keeps it: boxes at every state, plans at camera frames, all by the middle of the body."""
    from drivewm.datatypes import EGO_SHAPE
    from drivewm.geometry import compose_xy_yaw

    states, frames = driven.states, []
    ego, shape = EGO_SHAPE.centre_xy_yaw(states.ego_xy_yaw_world), (EGO_SHAPE.width_m, EGO_SHAPE.length_m, EGO_SHAPE.height_m)
    for step, t_s in enumerate(states.t_s):
        row = step // driven.plan_every
        keyed = step % driven.plan_every == 0 and row < len(driven.plans.t_s)
        agents = states.agents[step]
        pairs = zip(agents.xy_yaw_world, agents.size_lwh_m, strict=True)
        boxes = [(x, y, 0.0, width, length, height, yaw) for (x, y, yaw), (length, width, height) in pairs]
        frame = {"time_stamp": float(t_s), "is_key_frame": keyed, "ego_box": (*ego[step, :2], 0.0, *shape, ego[step, 2])}
        frame |= {"obj_boxes": boxes, "obj_names": ["car"] * len(boxes), "rc": 1.0}
        if keyed:
            rear = compose_xy_yaw(states.ego_xy_yaw_world[step][None], driven.plans.xy_yaw_ego[row])
            frame["planned_traj"] = {"traj": EGO_SHAPE.centre_xy_yaw(rear), "timestep": float(driven.plans.t_s[row, 0])}
        frames.append(frame)
    (low, high) = (f(driven.scene.road.drivable[0], axis=0) for f in (np.min, np.max))
    x = np.arange(max(low[0], ego[0, 0] - 20.0), min(high[0], ego[-1, 0] + 120.0), SPACING_M)
    y = np.arange(low[1], high[1], SPACING_M)
    ground = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    return {"frames": frames, "ground_xy": ground, "scene_xyz": torch.full((1, 3), 1e6)}


def main(source: Path, out: Path) -> None:
    from tests.metrics.published.judging import planned_drives

    kind, rows = calculator(source), []
    for driven in planned_drives():
        with contextlib.redirect_stdout(io.StringIO()):
            averages = kind(recorded(driven)).calculate()[3]
        rows.append({ours: round(float(averages[theirs]), 9) for ours, theirs in PARTS.items()})
        print(rows[-1], flush=True)
    out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
