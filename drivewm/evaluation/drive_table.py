"""A drive as a Parquet table for other programs: one row per engine step, float64 as it was driven.

| column | what |
|---|---|
| `t_s` | time of the state |
| `ego_x_m` `ego_y_m` `ego_yaw_rad` | rear axle in the world |
| `ego_speed_mps` `ego_accel_mps2` `ego_curvature_1pm` | its motion |
| `action_accel_mps2` `action_curvature_1pm` | what leads to the next row; null in the last |
| `plan` | at camera frames, else null: points (`t_s` ahead, `x_m` `y_m` `yaw_rad` in the ego frame, `speed_mps`) |
| `latency_ms` | at camera frames, else null: wall time of the policy |
| `agents` | who is there: `track_id`, `category`, `x_m` `y_m` `yaw_rad` of the box's middle, `speed_mps`, `accel_mps2`, `length_m` `width_m` `height_m` |
| `signals` | state of each light of the road, in its order |

The schema's metadata holds `drivewm`: scene, policy, world and provenance as JSON.
"""  # noqa: E501

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.datatypes import AgentClass, Array, Rollout, SignalState
from drivewm.store import atomic_write, encode_record

COMPRESSION = "zstd"


def write_drive_table(path: str | Path, rollout: Rollout) -> Path:
    """Write the Parquet file; it appears whole or not at all."""
    from pyarrow import parquet

    path, table = Path(path), drive_table(rollout)
    with atomic_write(path) as temporary:
        parquet.write_table(table, temporary, compression=COMPRESSION)
    return path


def drive_table(rollout: Rollout) -> Any:
    """The `pyarrow.Table` of a drive."""
    import pyarrow as pa

    states, actions = rollout.states, rollout.actions
    x, y, yaw = states.ego_xy_yaw_world.T
    last_row_null = np.arange(len(states.t_s)) == len(states.t_s) - 1
    columns = {
        "t_s": pa.array(states.t_s),
        "ego_x_m": pa.array(x),
        "ego_y_m": pa.array(y),
        "ego_yaw_rad": pa.array(yaw),
        "ego_speed_mps": pa.array(states.ego_speed_mps),
        "ego_accel_mps2": pa.array(states.ego_accel_mps2),
        "ego_curvature_1pm": pa.array(states.ego_curvature_1pm),
        "action_accel_mps2": pa.array(np.append(actions.accel_mps2, 0.0), mask=last_row_null),
        "action_curvature_1pm": pa.array(np.append(actions.curvature_1pm, 0.0), mask=last_row_null),
        **_planned(rollout),
        "agents": _agents(rollout),
        "signals": _lists(np.full(states.signal.shape, True), {"": _words(states.signal, SignalState)}),
    }
    about = {"scene": rollout.scene.id, "ended": rollout.ended, "provenance": encode_record(rollout.provenance)}
    return pa.table(columns).replace_schema_metadata({"drivewm": json.dumps(about)})


def _planned(rollout: Rollout) -> dict[str, Any]:
    """Plans and latencies on the rows of their frames."""
    import pyarrow as pa

    plans, rows = rollout.plans, len(rollout.states.t_s)
    at = np.arange(len(plans.t_s)) * rollout.plan_every
    made = np.zeros(rows, bool)
    made[at] = True
    latency = np.zeros(rows)
    latency[at] = rollout.latency_ms[: len(at)]
    x, y, yaw = np.moveaxis(plans.xy_yaw_ego, -1, 0)
    points = {"t_s": plans.t_s, "x_m": x, "y_m": y, "yaw_rad": yaw, "speed_mps": plans.speed_mps}
    filled = {name: _on_rows(values, at, rows) for name, values in points.items()}
    there = np.broadcast_to(made[:, None], filled["t_s"].shape)
    return {"plan": _lists(there, filled, null=~made), "latency_ms": pa.array(latency, mask=~made)}


def _on_rows(values: Array, at: Array, rows: int) -> Array:
    out = np.zeros((rows, *values.shape[1:]))
    out[at] = values
    return out


def _agents(rollout: Rollout) -> Any:
    agents = rollout.states.agents
    x, y, yaw = np.moveaxis(agents.xy_yaw_world, -1, 0)
    length, width, height = np.moveaxis(agents.size_lwh_m, -1, 0)
    members = {
        "track_id": agents.track_id,
        "category": _words(agents.category, AgentClass),
        "x_m": x,
        "y_m": y,
        "yaw_rad": yaw,
        "speed_mps": agents.speed_mps,
        "accel_mps2": agents.accel_mps2,
        "length_m": length,
        "width_m": width,
        "height_m": height,
    }
    return _lists(agents.valid, members)


def _words(values: Array, kind: Any) -> Array:
    names = {int(one): one.name.lower() for one in kind}
    return np.array([names[int(v)] for v in values.ravel()], object).reshape(values.shape)


def _lists(there: Array, members: dict[str, Array], null: Array | None = None) -> Any:
    """A list per row of what is ``there`` [T, N]: structs of ``members``, or plain values when the one member has no name."""
    import pyarrow as pa

    ends = np.concatenate([[0], np.cumsum(there.sum(1))]).astype(np.int32)
    arrays = {
        name: pa.array(values[there], pa.string()) if values.dtype == object else pa.array(values[there])
        for name, values in members.items()
    }
    items = arrays[""] if "" in arrays else pa.StructArray.from_arrays(list(arrays.values()), list(arrays))
    return pa.ListArray.from_arrays(pa.array(ends), items, mask=None if null is None else pa.array(null))
