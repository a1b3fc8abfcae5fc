"""Is a saved world model whole, and of our kind? It is looked at before it is opened; damage is one sentence with its file.

What safetensors and diffusers let pass is found here: weights of a network with other blocks (the missing ones would be made up),
and flipped bits in the middle of a file, which open like sound ones; for those, saving leaves a checksum of every file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC
from safetensors import SafetensorError, safe_open

from drivewm.errors import InputError
from drivewm.records import decode_record
from drivewm.store import file_hash, read_json, write_json
from drivewm.worldmodel.sizes import WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer

CHECKSUMS = "checksums.json"
_WEIGHTS = "diffusion_pytorch_model.safetensors"
# bounds of the numbers of a size, else 1 and 65,536: a larger network would take hours to build only to find that it does not fit
_LEAST, _MOST = {"window": 2}, {"depth": 512, "autoencoder_layers": 64}
Shapes = dict[str, tuple[int, ...]]


def seal(folder: Path) -> None:
    """Make saved weights fit to be given away: no word of where they came from, readable, each file with its SHA-256."""
    for config in folder.rglob("config.json"):
        write_json(config, {key: value for key, value in read_json(config).items() if key != "_name_or_path"})
    files = sorted(folder.rglob("*.safetensors"))
    for file in files:
        file.chmod(0o644)  # safetensors lets nobody else read what it writes
    write_json(folder / CHECKSUMS, {file.relative_to(folder).as_posix(): file_hash(file) for file in files})


def check_saved(folder: Path) -> None:
    """Raises InputError naming the file in ``folder`` that is missing, damaged, or of another network than the config says."""
    index_file, size_file = folder / "model_index.json", folder / "transformer" / "config.json"
    index = _object(index_file)
    for part, kind in (("_class_name", "DreamPipeline"), ("transformer", "DriveTransformer"), ("autoencoder", "AutoencoderDC")):
        found = index.get(part)
        if (found[-1] if isinstance(found, list) and found else found) != kind:
            raise InputError(f"is no world model of ours: {part} is {found!r:.60}, not {kind}", file=index_file)
    size = _size(size_file)
    for name in ("latent_mean", "latent_std"):
        _statistics(index.get(name), name, size.latent_channels, index_file)
    with torch.device("meta"):
        expected = _shapes(DriveTransformer.of_size(size))
    _compare(folder / "transformer", expected)
    _compare(folder / "autoencoder", _autoencoder_shapes(folder / "autoencoder" / "config.json", size))
    check_checksums(folder)


def check_checksums(folder: Path) -> None:
    """Raises InputError naming a file whose bytes are not those of the checksums beside it; without checksums all is taken."""
    if (folder / CHECKSUMS).is_file():
        for name, wanted in _object(folder / CHECKSUMS).items():
            if file_hash(folder / name) != wanted:
                hint = f"get it again; if it was changed on purpose, remove {folder / CHECKSUMS}"
                raise InputError("is damaged: its bytes are not those that were saved", file=folder / name, hint=hint)


def check_finite(networks: Mapping[str, torch.nn.Module], folder: Path) -> None:
    """Raises InputError naming the first weight that is no number: such a dream would be black."""
    for part, network in networks.items():
        for name, value in network.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise InputError("holds weights that are not finite", file=folder / part / _WEIGHTS, place=name)


def _object(file: Path) -> dict[str, Any]:
    value = read_json(file)
    if not isinstance(value, dict):
        raise InputError("is no JSON object", file=file)
    return value


def _size(file: Path) -> WorldModelSize:
    """The size that a transformer's config states, or an InputError if no network can have it."""
    config = _object(file)
    if config.get("_class_name") != "DriveTransformer":
        raise InputError(f"is of another network: {config.get('_class_name')!r:.60}, not DriveTransformer", file=file)
    try:
        size = decode_record(WorldModelSize, config.get("size"), file=file)
    except InputError as error:
        place = f"size.{error.place}" if error.place else "size"
        raise InputError(error.reason, file=file, place=place, hint=error.hint) from None
    for field in fields(size):
        value, least, most = getattr(size, field.name), _LEAST.get(field.name, 1), _MOST.get(field.name, 65_536)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, (int, float)) and not least <= number <= most:
                raise InputError(f"must be between {least} and {most}, is {number}", file=file, place=f"size.{field.name}")
    if size.width % (2 * size.heads):
        raise InputError(f"width {size.width} does not divide into {size.heads} heads of an even width", file=file, place="size")
    if len(size.autoencoder_channels) != len(size.autoencoder_layers) or len(size.autoencoder_channels) < 2:
        raise InputError("autoencoder_channels and autoencoder_layers need the same two or more entries", file=file, place="size")
    return size


def _statistics(values: Any, name: str, channels: int, file: Path) -> None:
    """A number for each latent channel; a deviation is above 0."""
    numbers = isinstance(values, list) and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)
    if not numbers or len(values) != channels or (name == "latent_std" and min(values) <= 0):
        what = f"needs {channels} numbers" + (" above 0" if name == "latent_std" else "") + ", one for each latent channel"
        raise InputError(what, file=file, place=name)


def _autoencoder_shapes(file: Path, size: WorldModelSize) -> Shapes:
    config = _object(file)
    if config.get("_class_name") != "AutoencoderDC":
        raise InputError(f"a world model needs an AutoencoderDC, this is {config.get('_class_name')!r:.60}", file=file)
    deepest = [config.get(f"{part}_layers_per_block") for part in ("encoder", "decoder")]
    if not all(isinstance(n, int) and 0 <= n <= _MOST["autoencoder_layers"] for part in deepest for n in _listed(part)):
        raise InputError("encoder_layers_per_block and decoder_layers_per_block are no lists of small whole numbers", file=file)
    try:
        with torch.device("meta"):
            autoencoder: Any = AutoencoderDC.from_config(config)
    except Exception as error:  # a config may hold anything, and its class believes it
        raise InputError(f"describes no autoencoder: {str(error).splitlines()[0]}", file=file) from None
    channels, cell_px = autoencoder.config.latent_channels, autoencoder.spatial_compression_ratio
    if (channels, cell_px) != (size.latent_channels, size.downsampling):
        wanted = f"the transformer's {size.latent_channels} in cells of {size.downsampling}"
        raise InputError(f"its latents have {channels} channels in cells of {cell_px} px, {wanted}", file=file)
    return _shapes(autoencoder)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shapes(network: torch.nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _compare(folder: Path, expected: Shapes) -> None:
    """Raises InputError unless the weights in ``folder`` have the ``expected`` names and shapes, no more, no less."""
    index = folder / f"{_WEIGHTS}.index.json"
    names = [_WEIGHTS]
    if index.is_file():  # a large network lies in several files
        listed = _object(index).get("weight_map")
        names = sorted({str(name) for name in listed.values()}) if isinstance(listed, dict) else []
    found: dict[str, tuple[Path, tuple[int, ...]]] = {}
    for file in (folder / Path(name).name for name in names):
        found |= {name: (file, shape) for name, shape in _stored_shapes(file).items()}
    first, config = folder / names[0] if names else index, folder / "config.json"
    other = f"these are weights of another network or size than {config.name} beside them says"
    for name, shape in expected.items():
        if name not in found:
            raise InputError(f"{name} is missing: {other}", file=first)
        file, stored = found[name]
        if stored != shape:
            raise InputError(f"{name} has the shape {list(stored)}, not {list(shape)}: {other}", file=file)
    if extra := sorted(set(found) - set(expected)):
        raise InputError(f"{extra[0]} has no place in the network: {other}", file=found[extra[0]][0])


def _stored_shapes(file: Path) -> Shapes:
    if not file.is_file():
        raise InputError("weights are missing", file=file)
    try:
        with safe_open(str(file), "pt") as stored:
            return {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(f"is damaged or not a safetensors file: {str(error).splitlines()[0]}", file=file) from None
