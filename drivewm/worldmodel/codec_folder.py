"""Where an autoencoder with a name lies, and how its folder is opened. Nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from drivewm.errors import InputError, did_you_mean
from drivewm.worldmodel.saved import check_checksums

NAMES = {"tiny": Path(__file__).parent.parent / "assets" / "worldmodel-tiny" / "autoencoder"}
_PARTS = ("autoencoder", "vae")  # what pipelines call theirs


def folder_named(name: str | Path) -> Path:
    """The folder with config.json: a folder, one of `NAMES`, or ``owner/name`` in the local Hugging Face cache.

    Of a whole pipeline it is the autoencoder's part. Raises InputError when there is none.
    """
    folder = Path(name)
    if not folder.exists():
        folder = NAMES.get(str(name)) or _cached(str(name))
    for inner in (folder, *(folder / part for part in _PARTS)):
        if (inner / "config.json").is_file():
            return inner
    raise InputError(
        "no autoencoder here (a config.json and its weights)", file=folder, hint="train one with: drivewm train autoencoder"
    )


def _cached(name: str) -> Path:
    try:
        if len(Path(name).parts) == 2:
            return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        hint = f"get it with: hf download {name}"
        raise InputError("is no folder and not in the local Hugging Face cache", file=name, hint=hint) from None
    except HFValidationError:
        pass
    hint = did_you_mean(name, list(NAMES)) or f"names: {', '.join(NAMES)}, owner/name for one in the Hugging Face cache"
    raise InputError("is neither a folder nor the name of an autoencoder", file=name, hint=hint)


def open_autoencoder(folder: Path) -> Any:
    """The autoencoder of the class that config.json names, in full precision. Raises InputError when it is damaged or unknown."""
    config_file = folder / "config.json"
    try:
        kind = str(json.loads(config_file.read_text())["_class_name"])
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError("does not say which autoencoder this is (_class_name)", file=config_file) from None
    known = {name for name in dir(diffusers.models.autoencoders) if hasattr(getattr(diffusers, name, None), "from_pretrained")}
    if kind not in known:
        hint = did_you_mean(kind, sorted(known))
        raise InputError(f"{kind!r} is no autoencoder of diffusers {diffusers.__version__}", file=config_file, hint=hint)
    check_checksums(folder)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        autoencoder, found = getattr(diffusers, kind).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # diffusers and safetensors raise many kinds for damaged files
        raise InputError(f"unreadable autoencoder: {str(error).splitlines()[0]}", file=folder) from None
    if missing := found["missing_keys"]:
        raise InputError(f"unreadable autoencoder: {len(missing)} weights are missing, such as {missing[0]}", file=folder)
    return autoencoder.eval()


def saved_statistics(folder: Path, channels: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mean and deviation per channel [C] that we saved beside an autoencoder, or in the world model it is part of."""
    for file, names in (
        (folder / "latent_statistics.json", ("mean", "std")),
        (folder.parent / "model_index.json", ("latent_mean", "latent_std")),
    ):
        try:
            stated = json.loads(file.read_text())
            if all(name in stated for name in names):
                mean, std = (torch.tensor(stated[name], dtype=torch.float32).reshape(channels) for name in names)
                return mean, std
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"unreadable statistics of an autoencoder: {str(error).splitlines()[0]}", file=file) from None
    return None
