"""How a training is started on many GPUs: a line for torchrun, a script for Slurm."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

PER_NODE = 8  # GPUs


def torchrun_line(words: Sequence[str], processors: int) -> str:
    """On one node, or the line to give on each of several, where HEAD is the name of the first."""
    program = f'"$(command -v drivewm)" {shlex.join(words)}'
    if processors <= PER_NODE:
        return f"torchrun --standalone --nproc-per-node {processors} {program}"
    where = '--rdzv-backend c10d --rdzv-endpoint "$HEAD:29500"'
    return f"torchrun --nnodes {math.ceil(processors / PER_NODE)} --nproc-per-node {PER_NODE} {where} {program}"


def sbatch_script(words: Sequence[str], processors: int, hours: float) -> str:
    """For `sbatch FILE`. A job that Slurm stops and queues again goes on from its last checkpoint."""
    nodes, each = math.ceil(processors / PER_NODE), min(processors, PER_NODE)
    limit = max(1, math.ceil(1.2 * hours))
    return "\n".join(
        (
            "#!/bin/bash",
            "#SBATCH --job-name=drivewm",
            f"#SBATCH --nodes={nodes}",
            "#SBATCH --ntasks-per-node=1",
            f"#SBATCH --gpus-per-node={each}",
            f"#SBATCH --time={limit // 24}-{limit % 24:02d}:00:00",
            "#SBATCH --requeue --open-mode=append --output=%x-%j.log",
            'HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            f'srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node {each} --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d \\',
            f'  --rdzv-endpoint "$HEAD:29500" "$(command -v drivewm)" {shlex.join(words)}',
        )
    )
