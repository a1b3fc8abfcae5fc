"""Twins: the same weights on other kernels, each for itself; a machine without a compiler still dreams."""

from __future__ import annotations

import pytest
import torch

from drivewm.worldmodel.backends import Backend
from drivewm.worldmodel.kernels import compiler_fault, twin_on
from drivewm.worldmodel.transformer import DriveTransformer
from tests.worldmodel.small_network import latents, small_network, told


def backends_of(network: DriveTransformer) -> set[Backend]:
    return {module.backend for module in network.modules() if hasattr(module, "backend")}


@torch.no_grad()
def test_a_twin_shares_the_weights_and_not_the_kernels() -> None:
    network = small_network()
    twin = twin_on(network, "_native_math")
    assert backends_of(twin) == {Backend._NATIVE_MATH}
    assert backends_of(network) == {Backend.NATIVE}
    assert [x.data_ptr() for x in twin.parameters()] == [x.data_ptr() for x in network.parameters()]
    network.patch_in.weight.mul_(1.5)
    x = latents(1, 2)
    one, other = (net(x, torch.full((1, 2), 0.5), torch.ones(1), net.embed(told(1, 2))) for net in (network, twin))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_without_a_compiler_there_is_a_warning_and_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: object, **__: object) -> None:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", no_compiler)
    compiler_fault.cache_clear()
    with pytest.warns(UserWarning, match=r"not compiled: No working C\+\+ compiler"):
        twin = twin_on(small_network(), compiled=True)
    compiler_fault.cache_clear()
    assert not any(block._compiled_call_impl for block in twin.blocks)
