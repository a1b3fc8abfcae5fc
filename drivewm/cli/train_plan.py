"""`drivewm train worldmodel --dry-run`: a plan in figures, and the lines that start it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drivewm.cli.console import finish
from drivewm.training.launch import sbatch_script, torchrun_line
from drivewm.training.scale import Memory, Plan, estimate


def show_plan(plan: Plan, as_json: bool) -> None:
    """Prints what the training takes on the hardware of the plan."""
    found, words = estimate(plan), _words(plan)
    line, script = torchrun_line(words, plan.processors), sbatch_script(words, plan.processors, found.hours)
    hardware, options = plan.hardware, plan.options
    fits = found.memory.total < hardware.memory_bytes
    values: dict[str, Any] = {
        "size": plan.size.name,
        **asdict(found),
        "hardware": asdict(hardware),
        "processors": plan.processors,
    }
    values |= {"pieces": plan.pieces, "shard": options.shard, "checkpointing": options.checkpointing}
    values |= {"context": options.context, "fits": fits, "torchrun": line, "sbatch": script}
    how = "recomputed" if options.checkpointing else "kept"
    rows = (
        f"{plan.size.name}: {found.parameters / 1e6:.1f} M parameters, {found.tokens_per_frame} tokens per frame of 6 cameras",
        f"training one frame takes {found.flop_per_frame / 1e9:.1f} GFLOP (counted: forward, back, shortcut rows; blocks {how})",
        "",
        f"memory of each {hardware.name}, GB of {hardware.memory_bytes / 1e9:.0f} ({'fits' if fits else 'DOES NOT FIT'}):",
        *_memory_rows(found.memory, found.memory_other, options.checkpointing),
        "",
        f"a step: {plan.pieces} pieces of {options.batch} clips of {plan.size.window} frames = {found.frames_per_step} frames",
        f"{found.frames / 1e6:.1f} M frames in {options.steps} steps: {found.hours:.1f} h on {plan.processors} {hardware.name} "
        f"({found.frames_per_s:.1f} frames/s, {found.tokens_per_s:.0f} tokens/s)",
        f"  = operations / ({hardware.peak_flops / 1e12:.2f} TFLOP/s x {hardware.share:.0%}); {hardware.source}",
        "  waiting for disk and network is not in it",
        "",
        "torchrun:" if plan.processors <= 8 else "torchrun, on every node (HEAD: name of the first):",
        line,
        "",
        "Slurm, for sbatch:",
        script,
    )
    finish(as_json, values, *rows)


def _memory_rows(memory: Memory, other: Memory, checkpointing: bool) -> list[str]:
    rows = [("weights", memory.weights), ("gradients", memory.gradients), ("optimiser", memory.optimizer)]
    rows += [("average", memory.average)]
    now, instead = ("recomputed", "kept") if checkpointing else ("kept", "recomputed")
    rows += [(f"activations, {now}", memory.activations), ("most at once", memory.total)]
    rows += [(f"(activations, {instead})", other.activations), ("(most at once then)", other.total)]
    return [f"  {name:<28}{size / 1e9:9.3f}" for name, size in rows]


def _words(plan: Plan) -> list[str]:
    """The command that is planned, without what its defaults say."""
    options = plan.options
    words = ["train", "worldmodel", "--size", plan.size.name, "--cache", "CACHE", "--autoencoder", "AUTOENCODER", "--out", "OUT"]
    words += ["--steps", str(options.steps), "--batch", str(options.batch), "--pieces", str(plan.pieces)]
    words += ["--learning-rate", f"{options.learning_rate:g}", "--seed", str(options.seed)]
    words += ["--context", str(options.context)] if options.context > 1 else []
    words += ["--shard" if options.shard else "--no-shard"]
    return words + ["--checkpointing" if options.checkpointing else "--no-checkpointing"]
