"""The report of `drivewm bench worldmodel` as a page of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DREAM_HEAD = (
    "world",
    "K",
    "at once",
    "frames/s",
    "p50 ms",
    "p95 ms",
    "timed",
    "memory",
    "GFLOP",
    "TFLOP/s",
    "of the peak",
)
PART_HEAD = ("part", "ms a frame", "of the time", "GFLOP", "of the peak")


def machine_line(report: dict[str, Any]) -> str:
    machine, origin = report["machine"], report["provenance"]
    peaks = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s {name}" for name, rate in machine["peak_flop_per_s"].items())
    where = f"{origin['device']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}"
    return (
        f"{where}; matrix products reach {peaks}; load before the start {machine['load_before']:.1f}; commit {origin['commit']}"
    )


def dream_table(model: dict[str, Any]) -> list[list[str]]:
    rows = []
    for row in model["dream"]:
        flops = row["flop_per_frame"]
        rows.append(
            [
                "reference" if row["steps"] is None else "dream",
                "" if row["steps"] is None else str(row["steps"]),
                str(row["batch"]),
                f"{row['frames_per_s']:.1f}",
                f"{row['p50_ms']:.0f}",
                f"{row['p95_ms']:.0f}",
                str(row["timed"]),
                _memory(row["memory_bytes"]),
                *(("", "", "") if flops is None else _work(flops, row)),
            ]
        )
    return rows


def part_table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    table = [
        [
            row["part"],
            f"{row['ms_per_frame']:.2f}",
            f"{row['share']:.0%}",
            f"{row['flop_per_frame'] / 1e9:.3f}",
            f"{row['share_of_peak']:.0%}",
        ]
        for row in rows
    ]
    milliseconds, flops = (sum(row[name] for row in rows) for name in ("ms_per_frame", "flop_per_frame"))
    return [*table, ["all", f"{milliseconds:.2f}", "100%", f"{flops / 1e9:.3f}", ""]]


def in_words(model: dict[str, Any]) -> list[str]:
    """What has too few rows for a table: autoencoder, training, and what was left out."""
    said = []
    for row in model["autoencoder"]:
        cost = f"encode {row['encode_ms']:.2f} ms and decode {row['decode_ms']:.2f} ms a frame at {row['batch']} at once"
        said.append(f"autoencoder: {cost}, 1/{row['values_ratio']:.1f} of the values, {row['share_of_peak']:.0%} of the peak")
    if training := model["training"]:
        rate = f"{training['frames_per_s']:.1f} frames/s, {training['step_ms']:.0f} ms a step of {training['batch']} clips"
        work = f"{training['flop_per_step'] / 1e9:,.0f} GFLOP a step, {training['share_of_peak']:.1%} of the peak (MFU)"
        said.append(f"training: {rate}, {work}, {_memory(training['memory_bytes'])}, mean of {training['steps']} steps")
    return said + [f"left out: {sentence}" for sentence in model["left_out"]]


def heading(model: dict[str, Any]) -> str:
    height, width = model["size_px"]
    what = f"{model['cameras']} cameras of {height} x {width} px, {model['tokens']} tokens a frame"
    return f"{model['id']}: {what}, {model['parameters'] / 1e6:.1f} M parameters, K = {model['steps']} unless stated"


def page(report: dict[str, Any], command: str) -> str:
    """The report as markdown."""
    lines = [
        "# How fast the world model is",
        "",
        f"`{command}`, {report['provenance']['created']}",
        "",
        machine_line(report) + ".",
        "",
        "A frame is a picture from every camera of one car, layout drawing and decoding to pixels included; rates are medians",
        "after a warm-up that fills the window of past frames. The peak is the fastest single matrix product of many shapes in",
        f"{report['machine']['precision']}, the precision of the work, with the same threads. Memory is the whole process's on a",
        "processor, that of tensors on a GPU. Only matrix products, convolutions and attention count as arithmetic.",
    ]
    for model in report["worldmodels"]:
        lines += ["", f"## {heading(model)}", "", *_markdown(DREAM_HEAD, dream_table(model))]
        for batch, rows in model["parts"].items():
            lines += ["", f"What each part costs at {batch} at once, K = {model['steps']}:", ""]
            lines += _markdown(PART_HEAD, part_table(rows))
        lines += ["", *(f"- {sentence}" for sentence in in_words(model))]
    return "\n".join(lines) + "\n"


def _work(flops: float, row: dict[str, Any]) -> tuple[str, str, str]:
    return f"{flops / 1e9:.2f}", f"{row['flop_per_s'] / 1e12:.3f}", f"{row['share_of_peak']:.1%}"


def _memory(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
