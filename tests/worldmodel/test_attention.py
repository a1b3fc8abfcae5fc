"""Traps of diffusers' attention dispatcher, and what our network does where each waits; letters as in DECISIONS 37."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pytest
import torch
from diffusers.models import attention_dispatch
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend

from drivewm.errors import InputError
from drivewm.worldmodel.attention import SpatialAttention, TemporalAttention
from drivewm.worldmodel.backends import (
    MOST_ROWS,
    NATIVE,
    TOLERANCE,
    Backend,
    attend,
    backend_named,
    backend_names,
    fault_of,
    set_backend,
    usable_backends,
)
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.sizes import SIZES
from tests.worldmodel.small_network import SIZE, latents, small_network, told

CPU = torch.device("cpu")
FLASH = Backend._NATIVE_FLASH  # usable everywhere, and a kernel through the dispatcher on CPUs as well
USABLE = [name for name, fault in usable_backends(CPU).items() if fault is None]
REGISTRY = attention_dispatch._AttentionBackendRegistry


def plain_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Softmax written out, for [N, positions, heads, width]."""
    share = (torch.einsum("nqhd,nkhd->nhqk", q, k) / q.shape[-1] ** 0.5).softmax(-1)
    return torch.einsum("nhqk,nkhd->nqhd", share, v)


@contextmanager
def kernel(backend: Backend, run: Callable[..., torch.Tensor]) -> Iterator[None]:
    """``run`` as diffusers' kernel for ``backend``, registered as diffusers does it."""
    before, arguments = REGISTRY._backends[backend], REGISTRY._supported_arg_names[backend]
    REGISTRY.register(backend)(run)
    try:
        yield
    finally:
        REGISTRY._backends[backend], REGISTRY._supported_arg_names[backend] = before, arguments


def listening(heard: list[dict[str, Any]]) -> Callable[..., torch.Tensor]:
    """A right kernel that takes down what it was asked."""

    def run(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: Any = None, is_causal: bool = False
    ) -> torch.Tensor:
        heard.append({"q": query, "k": key, "v": value, "mask": attn_mask, "causal": is_causal})
        return attention_dispatch._native_attention(query, key, value, is_causal=is_causal)

    return run


@lru_cache
@torch.no_grad()
def frames_of_a_session(backend: str) -> torch.Tensor:
    """Dreamed past the full window: causal clips, single queries on a past, tokens on condition tokens."""
    network = small_network()
    set_backend(network, Backend(backend))
    session, out = Session(network, steps=2), []
    memory = session.start()
    for t in range(SIZE.window + 1):
        latent, memory = session.dream(memory, told(2, 1, t) | {"time_s": torch.full((2, 1), 0.2 * t)}, latents(2, 1, t))
        out.append(latent)
    clip = network(latents(2, 5), torch.full((2, 5), 0.5), torch.ones(2), network.embed(told(2, 5)))
    return torch.cat([*out, clip], 1)


@pytest.mark.parametrize("name", [name for name in USABLE if name != "native"])
def test_every_usable_back_end_dreams_what_the_native_one_does(name: str) -> None:
    torch.testing.assert_close(frames_of_a_session(name), frames_of_a_session("native"), atol=1e-4, rtol=1e-4)


def test_there_is_more_than_one_back_end_to_compare() -> None:
    assert {"native", "_native_math", "_native_flash"} <= set(USABLE)


def test_a_kernel_that_ignores_causality_is_found_out_before_it_is_used() -> None:
    """A: flex drops ``is_causal`` where there is no mask, and arguments that a kernel lacks are filtered away without a word."""
    assert "causal" in (fault_of("flex", CPU) or "")
    with kernel(Backend.XFORMERS, lambda query, key, value: attention_dispatch._native_attention(query, key, value)):
        attention_dispatch._CAN_USE_XFORMERS_ATTN, before = True, attention_dispatch._CAN_USE_XFORMERS_ATTN
        try:
            assert "causal attention" in (fault_of("xformers", CPU) or "")
        finally:
            attention_dispatch._CAN_USE_XFORMERS_ATTN = before


@pytest.mark.parametrize("backend", [NATIVE, FLASH])
@torch.no_grad()
def test_heads_stand_after_positions(backend: Backend) -> None:
    """B: the dispatcher takes [N, positions, heads, width]; torch's own order would mix the two and raise nothing."""
    torch.manual_seed(0)
    space, time = SpatialAttention(64, 4), TemporalAttention(64, 4)
    space.backend = time.backend = backend
    x, extra = torch.randn(2, 4, 64), torch.randn(2, 3, 64)  # as many positions as heads: shapes alone would not tell
    q, k, v = (part.unflatten(-1, (4, 16)) for part in space.qkv(torch.cat([x, extra], 1)).chunk(3, -1))
    q, k = (torch.nn.functional.layer_norm(part, (16,)) for part in (q, k))
    torch.testing.assert_close(space(x, extra), space.out(plain_attention(q[:, :4], k, v).flatten(-2)), atol=1e-5, rtol=1e-5)
    q, k, v = time.project(torch.randn(2, 5, 4, 64))
    mixed = time.attend(q[:, -1:], k, v, causal=False)
    rows = plain_attention(*(part.transpose(1, 2).flatten(0, 1) for part in (q[:, -1:], k, v)))
    torch.testing.assert_close(mixed, time.out(rows.unflatten(0, (2, 4)).transpose(1, 2).flatten(-2)), atol=1e-5, rtol=1e-5)


def test_causal_with_fewer_queries_than_keys_is_refused_since_kernels_disagree() -> None:
    """C: torch and xformers align the mask top left (one query sees one key), flash-attn bottom right (it sees all)."""
    q, k = torch.randn(1, 1, 2, 16), torch.randn(1, 5, 2, 16)
    top_left = attention_dispatch.dispatch_attention_fn(q, k, k, is_causal=True, backend=NATIVE)
    torch.testing.assert_close(top_left, k[:, :1])
    with pytest.raises(ValueError, match="disagree"):
        attend(q, k, k, causal=True)
    torch.testing.assert_close(attend(q, k, k), plain_attention(q, k, k), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_network_keeps_its_back_end_whatever_others_set() -> None:
    """D: diffusers' context, environment variable and `set_attention_backend` are one global of the process."""
    one, other = small_network(), small_network()
    set_backend(one, Backend._NATIVE_MATH)
    set_backend(other, FLASH)
    math: list[dict[str, Any]] = []
    flash: list[dict[str, Any]] = []
    with kernel(Backend._NATIVE_MATH, listening(math)), kernel(FLASH, listening(flash)):
        for network, heard, silent in ((one, math, flash), (other, flash, math)):
            math.clear(), flash.clear()
            with attention_backend(AttentionBackendName.FLEX):
                network(latents(1, 2), torch.ones(1, 2), torch.ones(1), network.embed(told(1, 2)))
            assert heard
            assert not silent


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("xformers", "xformers"),
        ("flash", "flash-attn"),
        ("flash_hub", "network"),
        ("nativ", "did you mean 'native'"),
        ("flex", "wrong"),
    ],
)
def test_what_cannot_run_is_refused_in_one_sentence(name: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """E: given by name or variable, diffusers looks at nothing: a missing kernel is None and fails deep inside a frame; a kernel
    of the hub is fetched from the network, a misspelt variable breaks the import."""
    if name in USABLE:
        pytest.skip(f"{name} works here")
    with pytest.raises(InputError, match=reason):
        backend_named(name, CPU)
    monkeypatch.setenv("DRIVEWM_ATTENTION", name)
    with pytest.raises(InputError, match=reason):
        backend_named(None, CPU)


@torch.no_grad()
def test_kernels_get_one_dtype_though_norms_may_leave_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """F: under CUDA's autocast layer norm gives float32, values stay bf16; the registry's checks for it are off by default."""
    assert not REGISTRY._checks_enabled
    layer_norm = torch.nn.functional.layer_norm
    monkeypatch.setattr(torch.nn.functional, "layer_norm", lambda x, *rest, **more: layer_norm(x, *rest, **more).float())
    network, heard = small_network().bfloat16(), list[dict[str, Any]]()
    conditions = {key: value.bfloat16() if key in ("motion", "sun", "boxes") else value for key, value in told(1, 2).items()}
    set_backend(network, FLASH)
    with kernel(FLASH, listening(heard)), torch.autocast("cpu", torch.bfloat16):
        network(latents(1, 2).bfloat16(), torch.ones(1, 2), torch.ones(1), network.embed(conditions))
    assert {x[part].dtype for x in heard for part in "qkv"} == {torch.bfloat16}


@torch.no_grad()
def test_more_rows_than_a_gpu_grid_holds_are_asked_for_in_parts() -> None:
    """G: every token of every car is a row, and 65,536 rows are an invalid launch for flash, xformers and torch on a GPU."""
    torch.manual_seed(0)
    rows, heard = MOST_ROWS + 7, list[dict[str, Any]]()
    q, k, v = torch.randn(rows, 1, 1, 8), torch.randn(rows, 3, 1, 8), torch.randn(rows, 3, 1, 8)
    with kernel(FLASH, listening(heard)):
        mixed = attend(q, k, v, FLASH)
    assert max(len(x["q"]) for x in heard) <= MOST_ROWS
    torch.testing.assert_close(mixed, plain_attention(q, k, v), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_no_mask_is_ever_given() -> None:
    """H: with as many rows as queries a [queries, keys] mask is read as [rows, keys]; xformers adds a boolean one as 0 and 1."""
    causal = torch.ones(4, 4).tril().bool()
    x = torch.randn(4, 4, 1, 8)
    misread = attention_dispatch.dispatch_attention_fn(x, x, x, attn_mask=causal, backend=NATIVE)
    assert (misread - attend(x, x, x, causal=True)).abs().max() > 0.1
    network, heard = small_network(), list[dict[str, Any]]()
    set_backend(network, FLASH)
    with kernel(FLASH, listening(heard)):
        session = Session(network, steps=1)
        _, memory = session.dream(session.start(), told(2, 1), latents(2, 1))
        session.dream(memory, told(2, 1, 1) | {"time_s": torch.full((2, 1), 0.2)}, latents(2, 1))
        network(latents(1, 4), torch.ones(1, 4), torch.ones(1), network.embed(told(1, 4)))
    assert {x["mask"] for x in heard} == {None}
    assert {x["q"].shape[1] == x["k"].shape[1] for x in heard if x["causal"]} == {True}


def test_every_size_has_heads_that_all_kernels_take() -> None:
    """I: flash wants multiples of 8 up to 256, flex powers of two, sage 64 or 128; others fail, or fall back without a word."""
    assert {size.width // size.heads for size in SIZES.values()} <= {64, 128}


@torch.no_grad()
def test_a_kernel_that_trades_exactness_for_speed_is_named() -> None:
    """J: sage computes in int8 and says nothing of it; a back end is compared before it is trusted."""

    def coarse(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, is_causal: bool = False) -> torch.Tensor:
        q, k = ((x * 16).round() / 16 for x in (query, key))
        return attention_dispatch._native_attention(q, k, value, is_causal=is_causal)

    with kernel(Backend._NATIVE_FLASH, coarse):
        assert "wrong by" in (fault_of("_native_flash", CPU) or "")
    assert fault_of("_native_flash", CPU) is None
    assert TOLERANCE[torch.float32] == 1e-4


def test_a_kernel_without_gradients_is_not_trained_with() -> None:
    """K: sage has no backward pass; what it gives would train nothing before it, in silence where a skip goes around it."""

    def forward_only(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, is_causal: bool = False) -> torch.Tensor:
        return attention_dispatch._native_attention(query.detach(), key.detach(), value, is_causal=is_causal)

    assert fault_of("_native_flash", CPU, training=True) is None
    with kernel(FLASH, forward_only):
        assert fault_of("_native_flash", CPU) is None
        assert fault_of("_native_flash", CPU, training=True) is not None


def test_the_names_are_those_of_diffusers() -> None:
    assert {"native", "flash", "xformers", "flex", "sage", "_native_math"} <= set(backend_names())
