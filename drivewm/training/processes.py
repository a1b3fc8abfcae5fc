"""The processes of one training: which pieces of a step are whose, and what only the first one does.

A step's batch is made of pieces, each with its own clips and its own chance. What a piece holds depends on the step and the
piece alone, so any number of processes that shares the pieces out evenly takes the same steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState

from drivewm.errors import InputError


def processes() -> PartialState:
    """This process among its fellows as torchrun or Slurm started them; alone without."""
    return PartialState(cpu=not torch.cuda.is_available() and "WORLD_SIZE" in os.environ)


@contextmanager
def first_process() -> Iterator[bool]:
    """Whether this is the process that writes; the others wait at the end of the block until it has written."""
    state = processes()
    yield state.is_main_process
    state.wait_for_everyone()


def teams(context: int) -> int:
    """How many groups of ``context`` neighbouring processes there are; each works on one piece at a time."""
    count = processes().num_processes
    if count % context:
        raise InputError(f"{count} processes do not make teams of {context}", hint="start a multiple of --context")
    return count // context


def pieces_of_this_process(pieces: int, context: int) -> range:
    """Which of a step's ``pieces`` this process works on. Raises InputError where they cannot be shared out evenly."""
    count = teams(context)
    if pieces % count:
        raise InputError(
            f"{count} processes or teams cannot share {pieces} pieces of a step evenly", hint="choose a multiple with --pieces"
        )
    each, team = pieces // count, processes().process_index // context
    return range(team * each, (team + 1) * each)
