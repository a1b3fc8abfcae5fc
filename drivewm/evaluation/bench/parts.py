"""What each part of a dreamed frame costs, read off at the boundaries between the network's modules.

Every reading belongs to exactly one part, so the parts sum up to the frame. Norms, gates and residual sums belong to the
attention or MLP beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from drivewm.worldmodel.world import DreamWorld

LAYOUT, EMBEDDING, PAST, DECODE = "layout and conditions", "embedding", "past kept", "decode to pixels"
SPACE, TIME, MLP, HEAD, OTHER = "spatial attention", "temporal attention", "MLP", "head", "sampling, patches, modulation"
PARTS = (LAYOUT, EMBEDDING, SPACE, TIME, MLP, HEAD, OTHER, PAST, DECODE)


class Meter:
    """Sums what ``read`` (seconds or FLOPs so far) advances between boundaries, by part.

    What comes after the ``steps`` denoising passes takes the frame down as past, whatever module it is in.
    """

    def __init__(self, read: Callable[[], float], steps: int) -> None:
        self._read, self._steps = read, steps
        self.spent = dict.fromkeys(PARTS, 0.0)
        self._to_denoise, self._last = 0, 0.0

    def begin(self) -> None:
        self._to_denoise, self._last = self._steps, self._read()

    def end(self, part: str) -> None:
        """``part`` was at work until now."""
        now = self._read()
        self.spent[part if self._to_denoise > 0 or part == DECODE else PAST] += now - self._last
        self._last = now

    def pass_ends(self) -> None:
        self.end(OTHER)
        self._to_denoise -= 1


@contextmanager
def metered(world: DreamWorld, meter: Meter) -> Iterator[None]:
    """Let ``meter`` read at the boundaries of the modules of ``world``; `Meter.begin` comes before a step, `Meter.end` after."""
    network = world.session.network

    def before(module: nn.Module, act: Callable[[], None]) -> Any:
        return module.register_forward_pre_hook(lambda *_: act())

    def after(module: nn.Module, act: Callable[[], None]) -> Any:
        return module.register_forward_hook(lambda *_: act())

    with ExitStack() as hooks:
        for hook in (
            before(network.conditions, lambda: meter.end(LAYOUT)),
            after(network.conditions, lambda: meter.end(EMBEDDING)),
            before(network, lambda: meter.end(OTHER)),
            after(network, meter.pass_ends),
            before(network.head, lambda: meter.end(OTHER)),
            after(network.head, lambda: meter.end(HEAD)),
            before(world.codec.autoencoder.decoder, lambda: meter.end(OTHER)),
        ):
            hooks.enter_context(hook)
        for block in network.blocks:
            hooks.enter_context(before(block, lambda: meter.end(OTHER)))
            hooks.enter_context(after(block.space, lambda: meter.end(SPACE)))
            hooks.enter_context(before(block.mlp, lambda: meter.end(TIME)))
            hooks.enter_context(after(block, lambda: meter.end(MLP)))
        yield
