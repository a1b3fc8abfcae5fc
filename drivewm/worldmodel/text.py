"""A sentence as a condition, through a text encoder of transformers that lies in a local folder. Nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from drivewm.errors import InputError
from drivewm.store import content_hash
from drivewm.worldmodel.sizes import WorldModelSize


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sentence as a world model is told it."""

    text: str
    tokens_SE: torch.Tensor  # float32, one row of features per word piece

    @property
    def id(self) -> str:
        return f"text@{content_hash(self.tokens_SE.numpy())[:8]}"


def fitting_prompt(prompt: Prompt | None, size: WorldModelSize) -> torch.Tensor | None:
    """Features [1, S, E] to tell a network of this size; zeros for one that may be told a text and is not.

    Raises InputError where the network was made without text, or for another encoder.
    """
    if size.text_width is None:
        if prompt is not None:
            raise InputError("this world model was trained without text", hint="leave the text out, or train with text_width")
        return None
    if prompt is None:
        return torch.zeros(1, 1, size.text_width)
    if (width := prompt.tokens_SE.shape[-1]) != size.text_width:
        raise InputError(f"the text encoder gives {width} features, this world model takes {size.text_width}")
    return prompt.tokens_SE[None]


@torch.no_grad()
def encode_text(text: str, folder: Path) -> Prompt:
    """``text`` by the encoder in ``folder`` (T5, CLIP or any other that transformers opens), as many rows as it has word pieces.

    Raises InputError for an empty or too long text and for a folder that holds no encoder with its tokenizer.
    """
    if not text.strip():
        raise InputError("the text is empty")
    if not (folder / "config.json").is_file():
        raise InputError("no text encoder here (a config.json, weights and tokenizer)", file=folder)
    try:
        tokenizer, encoder = _open(folder)
    except Exception as error:  # transformers, tokenizers and safetensors raise many kinds for damaged folders
        raise InputError(
            f"unreadable text encoder: {(str(error) or type(error).__name__).splitlines()[0]}", file=folder
        ) from None
    pieces = tokenizer(text, return_tensors="pt")["input_ids"]
    most = getattr(encoder.config, "max_position_embeddings", None)
    if most is not None and pieces.shape[1] > most:
        raise InputError(f"the text has {pieces.shape[1]} word pieces, the encoder reads {most}", file=folder, hint="shorten it")
    return Prompt(text, encoder(input_ids=pieces).last_hidden_state[0].float())


def _open(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModel, AutoTokenizer, CLIPTextModel, T5EncoderModel

    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    form = {"t5": T5EncoderModel, "clip": CLIPTextModel, "clip_text_model": CLIPTextModel}.get(kind, AutoModel)
    loaded: Any = form.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    if missing := sorted(loaded[1]["missing_keys"]):
        raise ValueError(f"{len(missing)} weights are missing, such as {missing[0]}")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True), loaded[0].eval()
