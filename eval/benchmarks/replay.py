"""How long it takes to judge 1,000 stored drives again, and whether every bit of their scores comes back.

    python eval/benchmarks/replay.py [--drives 1000] [--workers 2] [--cache runs/replay-cases] [--out eval/results]

Makes the cases once, in a cache folder that later runs take up: the whole catalogue, draw after draw, one policy after another.
Nothing is rendered for them, since a score rests on states alone. What is timed is `replay_all`, the function behind `drivewm
replay`, its worker processes' start included. Beside it, on some of the cases: size and time of a case, of the same as JSON, and
of the record's Parquet. Writes replay.md.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.config import content_folder
from drivewm.evaluation.cases import Case, judged, progress_m
from drivewm.evaluation.drive_table import write_drive_table
from drivewm.evaluation.replay import ReplayOptions, replay_all
from drivewm.policies.load import load_policy
from drivewm.rollout import rollout
from drivewm.scenarios.catalogue import find
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import load_record, provenance, save_record, write_text
from drivewm.testing import BlankWorld

POLICIES = ("constant_velocity", "idm")  # one that fails often, one that drives to the end
BATCH, SAMPLE = 8, 50


def main() -> None:
    options = _options()
    options.cache.mkdir(parents=True, exist_ok=True)
    files = make_cases(options.cache, options.drives)
    began = time.perf_counter()
    verdicts = replay_all(files, ReplayOptions(workers=options.workers))
    wall_s = time.perf_counter() - began
    equal = sum(one.equal for one in verdicts)
    failed = sum(not one.now.passed for one in verdicts)
    steps = float(np.mean([len(load_record(Case, file).rollout.states.t_s) for file in files[:SAMPLE]]))
    where = provenance(0)
    lines = [
        "# Judging stored drives again",
        "",
        f"`python eval/benchmarks/replay.py --drives {options.drives} --workers {options.workers}` on {where.device}, "
        f"{os.cpu_count()} cores (load {os.getloadavg()[0]:.0f} at the end), commit {where.commit}.",
        "",
        "| what | measured |",
        "|---|---|",
        f"| drives judged again without rendering | {len(verdicts)}, of which {failed} had failed |",
        f"| scores equal bit for bit | {equal} of {len(verdicts)} |",
        f"| wall time, {options.workers} workers, their start included | {wall_s:.1f} s (target 60 s) |",
        f"| engine steps of a drive, mean of {min(SAMPLE, len(files))} | {steps:.0f} |",
        "",
        *_forms(files[:SAMPLE], options.cache),
    ]
    write_text(options.out / "replay.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def make_cases(folder: Path, drives: int) -> list[Path]:
    """The first ``drives`` cases; those that stand in ``folder`` are not driven again.

    The reference of progress is the drive's own way: it costs another drive per scene and decides nothing that is timed.
    """
    files = [folder / f"drive-{number:05d}.safetensors" for number in range(drives)]
    plan = enumerate(islice(_plan(), -(-drives // BATCH)))
    for number, (policy, scenes) in plan:
        mine = files[number * BATCH : (number + 1) * BATCH]
        if all(file.exists() for file in mine):
            continue
        driven = rollout(scenes[: len(mine)], load_policy(policy), BlankWorld(nuscenes_rig(2, 2)), seed=0)
        for file, drive in zip(mine, driven, strict=True):
            save_record(file, judged(drive, progress_m(drive)))
    return files


def _plan() -> Iterator[tuple[str, list[Any]]]:
    """Who drives which scenes, without end."""
    scenarios = [
        open_scenario(file) for file in find(content_folder("scenarios")) if "preventable(" not in file.read_text("utf-8")
    ]
    for index in count():
        for policy in POLICIES:
            for start in range(0, len(scenarios) - BATCH + 1, BATCH):
                yield policy, [draw(one, index, 0) for one in scenarios[start : start + BATCH]]


def _forms(files: Sequence[Path], cache: Path) -> list[str]:
    """A table of what a stored drive costs in each form, in the time of one core."""
    from pyarrow import parquet

    cases = [load_record(Case, file) for file in files]
    texts = [cache / "forms" / f"{file.stem}.json" for file in files]
    tables = [cache / "forms" / f"{file.stem}.parquet" for file in files]
    tables[0].parent.mkdir(exist_ok=True)
    rows = [
        ("case, safetensors", files, lambda i: save_record(files[i], cases[i]), lambda i: load_record(Case, files[i])),
        ("case, all in JSON", texts, lambda i: save_record(texts[i], cases[i]), lambda i: load_record(Case, texts[i])),
        (
            "states, plans, agents as Parquet",
            tables,
            lambda i: write_drive_table(tables[i], cases[i].rollout),
            lambda i: parquet.read_table(tables[i]),
        ),
    ]
    out = ["| form of a drive | size, kB | writing, ms of one core | reading, ms of one core |", "|---|---|---|---|"]
    for name, paths, write, read in rows:
        write_ms, read_ms = _each_ms(write, len(files)), _each_ms(read, len(files))
        size_kb = np.mean([path.stat().st_size for path in paths]) / 1000
        out.append(f"| {name} | {size_kb:.0f} | {write_ms:.1f} | {read_ms:.1f} |")
    return [*out, "", f"Means over {len(files)} drives."]


def _each_ms(work: Callable[[int], object], times: int) -> float:
    work(0)  # what is only paid once
    began = time.process_time()
    for i in range(times):
        work(i)
    return 1e3 * (time.process_time() - began) / times


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("runs/replay-cases"))
    parser.add_argument("--out", type=Path, default=Path("eval/results"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
