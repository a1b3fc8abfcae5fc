"""The learned world behind the same protocol as the raster world."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from numpy.typing import NDArray

from drivewm.datatypes import Action, Array, CameraRig, Scene, WorldState
from drivewm.errors import InputError
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import content_hash
from drivewm.worldmodel.backends import backend_named, set_backend
from drivewm.worldmodel.conditions import FREE_REGIME, GROUPS, FrameConditions
from drivewm.worldmodel.given import Given
from drivewm.worldmodel.guidance import RegionGuidance
from drivewm.worldmodel.kernels import twin_on
from drivewm.worldmodel.openings import Opening, Reference, Scratch, conditions_of
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.precision import inference_autocast
from drivewm.worldmodel.saved import check_finite, check_saved
from drivewm.worldmodel.session import Memory, Session
from drivewm.worldmodel.text import Prompt, fitting_prompt
from drivewm.worldmodel.uncertainty import Calibration, calibration_in

EMBEDDED = Path(__file__).parent.parent / "assets" / "worldmodel-tiny"


@dataclass(frozen=True, slots=True)
class DreamMemory:
    """B running dreams; stepping makes a new memory and leaves this one as it was."""

    scenes: tuple[Scene, ...]
    session: Memory
    state: WorldState
    seed: int


class DreamWorld:
    """Dreams what the cameras see, for any number of them.

    ``context`` is how a dream begins: "reference" (one frame of the reference world), "scratch" (nothing), or an `Opening`.
    ``drop`` leaves conditions out; ``FREE_REGIME`` leaves only past, motion, weather and light. ``steps`` (K) are the denoising
    steps of a frame; by default those of the model's size. ``guidance`` above 1 insists on what is told, by default in the cells
    that agents cover (see `drivewm.worldmodel.guidance`). A camera that is lost delivers black.
    """

    def __init__(
        self,
        pipeline: DreamPipeline,
        rig: CameraRig,
        *,
        steps: int | None = None,
        drop: frozenset[str] = frozenset(),
        context: str | Opening = "reference",
        guidance: float | RegionGuidance | None = None,
    ) -> None:
        known: dict[str, Opening] = {"reference": Reference(), "scratch": Scratch()}
        opening = known.get(context) if isinstance(context, str) else context
        if unknown := drop - set(GROUPS):
            raise InputError(f"unknown condition {', '.join(sorted(unknown))} to leave out", hint=", ".join(GROUPS))
        if opening is None:
            raise InputError(f"unknown context {context!r}", hint=", ".join(known))
        size = pipeline.transformer.size
        cell = size.downsampling * size.patch
        if any(side % cell for side in rig.size_px):
            raise InputError(
                f"camera raster {rig.size_px} does not divide into cells of {cell} px", hint="choose another height and width"
            )
        self.rig, self.opening = rig, opening
        self._prompt, self._deaf = fitting_prompt(None, size), "text" in drop
        untold = drop | {"text"} if size.text_width else drop
        self.calibration: Calibration | None = None
        self.codec, self.device = pipeline.codec, pipeline.device
        self.session = Session(pipeline.transformer, steps, untold, guidance)
        self.id = ":".join([pipeline.identity(), *self._deviations(drop)])
        self.latent_shape = (
            len(rig.names),
            size.latent_channels,
            rig.size_px[0] // size.downsampling,
            rig.size_px[1] // size.downsampling,
        )

    @classmethod
    def load(
        cls,
        name_or_path: str = "embedded",
        rig: CameraRig | None = None,
        attention: str | None = None,
        compile: bool = False,
        **settings: Any,
    ) -> DreamWorld:
        """Open weights saved by training, on the ``attention`` kernels of that name, with ``compile`` as fused kernels.

        A ``rig`` is brought onto their raster. Raises InputError when they are missing or damaged or the kernels do not work.
        """
        folder = EMBEDDED if name_or_path == "embedded" else Path(name_or_path)
        pipeline = open_pipeline(folder)
        calibration = calibration_in(folder, pipeline.identity())
        if attention or compile:
            pipeline = pipeline.with_transformer(twin_on(pipeline.transformer, attention, compile))
        size_px = pipeline.transformer.size.size_px
        world = cls(pipeline, nuscenes_rig(*size_px) if rig is None else rig.resized(*size_px), **settings)
        world.calibration = calibration
        return world

    def unsure(self, memory: DreamMemory) -> Array | None:
        """How far each camera of the last frame may be off [B, V], in grey levels of 255 (root mean square), 0 for a given one.

        None where that is not known: weights without `drivewm calibrate`, a single denoising step, a regime not calibrated.
        """
        doubt = memory.session.doubt
        if self.calibration is None or doubt is None:
            return None
        curve = self.calibration.curve(self.session.steps, self.session.drop)
        return None if curve is None else curve.of_cameras(doubt.cpu().numpy())

    def told(self, prompt: Prompt) -> DreamWorld:
        """The same world with a text that it dreams by. Raises InputError where its weights know no text."""
        other = copy(self)
        other._prompt = fitting_prompt(prompt, self.session.network.size)
        session = self.session
        heard = session.drop if self._deaf else session.drop - {"text"}
        other.session = Session(session.network, session.steps, heard, session.guidance)
        other.id = f"{self.id}:{prompt.id}"
        return other

    def _deviations(self, drop: frozenset[str]) -> list[str]:
        """What sets this world apart from another one of the same weights: a score in it is another score."""
        session, usual = self.session, self.session.network.size.dream_steps
        free = ["free"] if drop >= FREE_REGIME else []
        without = [f"without-{group}" for group in sorted(drop - (FREE_REGIME if free else frozenset()))]
        steps = [f"K{session.steps}"] if session.steps != usual else []
        rig = content_hash(self.rig)
        cameras = [] if rig == content_hash(nuscenes_rig(*self.rig.size_px, self.rig.rate_hz)) else [f"rig@{rig[:8]}"]
        guided = session.guidance.deviations() if session.guidance else []
        return free + without + steps + guided + cameras + ([self.opening.id] if self.opening.id else [])

    def start(self, scenes: Sequence[Scene], state: WorldState, seed: int) -> tuple[NDArray[np.uint8], DreamMemory]:
        images, memory = self.open(scenes, state, seed)
        return images[:, -1], memory

    def open(self, scenes: Sequence[Scene], state: WorldState, seed: int) -> tuple[NDArray[np.uint8], DreamMemory]:
        """Like `start`, with all frames [B, F, V, H, W, 3] that the dream was shown, as it has taken them in."""
        shown = self.opening.shown(self.rig, scenes, state, seed)
        memory, frames = DreamMemory(tuple(scenes), self.session.start(), state, seed), []
        for frame in range(shown.images.shape[1]):
            told = self._tensors(shown.told[:, frame], shown.time_s[:, frame])
            images, memory = self._frame(memory, told, state, (shown.images[:, frame], shown.seen))
            frames.append(images)
        return np.stack(frames, 1), memory

    def step(self, memory: DreamMemory, state: WorldState, action: Action) -> tuple[NDArray[np.uint8], DreamMemory]:
        """The action is seen through the motion from the last state to this one, which is what it did."""
        return self._frame(memory, self._told(memory.scenes, state, memory.state), state)

    def step_told(self, memory: DreamMemory, told: FrameConditions, state: WorldState) -> tuple[NDArray[np.uint8], DreamMemory]:
        """`step` with conditions [B] that someone has already, for example of a recording with its own times of exposure."""
        return self._frame(memory, self._tensors(told, state.t_s), state)

    def seen_again(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frames [..., H, W, 3] through the autoencoder alone: the best that a dream of them can look."""
        with inference_autocast(self.device), torch.no_grad():
            latent = self.codec.encode(torch.from_numpy(np.ascontiguousarray(images)).to(self.device))
            return np.asarray(self.codec.decode(latent).cpu().numpy())

    def _frame(
        self,
        memory: DreamMemory,
        told: dict[str, torch.Tensor],
        state: WorldState,
        shown: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None = None,
    ) -> tuple[NDArray[np.uint8], DreamMemory]:
        """One frame of all dreams: taken from ``shown`` images [B, V, H, W, 3] where cameras [V] have seen, else dreamed."""
        lost_BV = told["lost"][:, 0]
        with inference_autocast(self.device), torch.no_grad():
            given = self._given(lost_BV, shown)
            if given is not None and bool(given.known_BV.all()):
                latent, kept = given.latent, self.session.observe(memory.session, told, given.latent)
            else:
                noise = torch.stack([self._noise(memory.seed, scene, memory.session.frame) for scene in memory.scenes])[:, None]
                latent, kept = self.session.dream(memory.session, told, noise.to(self.device), given)
            images = self.codec.decode(latent)[:, 0]
        images[lost_BV] = 0
        return images.cpu().numpy(), DreamMemory(memory.scenes, kept, state, memory.seed)

    def _given(self, lost_BV: torch.Tensor, shown: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None) -> Given | None:
        """Views that need no dreaming; None where all do."""
        seen_BV = torch.zeros_like(lost_BV)
        if shown is not None:
            seen_BV |= torch.from_numpy(shown[1]).to(self.device)
        known_BV = seen_BV | lost_BV
        if not known_BV.any():
            return None
        images = np.zeros((*known_BV.shape, *self.rig.size_px, 3), np.uint8) if shown is None else shown[0]
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        pixels = torch.where(seen_BV[..., None, None, None], pixels, torch.zeros_like(pixels))
        return Given(self.codec.encode(pixels)[:, None].float(), known_BV)

    def _noise(self, seed: int, scene: Scene, frame: int) -> torch.Tensor:
        """Each scene has its own noise, whatever else is in the batch."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(scene.id.encode()), frame]))
        return torch.from_numpy(rng.standard_normal(self.latent_shape, np.float32))

    def _told(self, scenes: Sequence[Scene], state: WorldState, previous: WorldState | None) -> dict[str, torch.Tensor]:
        return self._tensors(conditions_of(scenes, state, previous, self.rig), state.t_s)

    def _tensors(self, told: FrameConditions, time_s: NDArray[Any]) -> dict[str, torch.Tensor]:
        """Conditions [B] and times [B] as the network takes them: tensors [B, 1, ...]."""
        out = {
            f.name: torch.from_numpy(np.ascontiguousarray(getattr(told, f.name)))[:, None].to(self.device) for f in fields(told)
        }
        if self._prompt is not None:
            out["text"] = self._prompt.to(self.device).expand(len(time_s), -1, -1)
        return out | {"time_s": torch.from_numpy(np.asarray(time_s, np.float64))[:, None].to(self.device)}


def open_pipeline(folder: Path) -> DreamPipeline:
    """The world model saved in ``folder``, opened once per process. Raises InputError when it is missing or damaged."""
    if not (folder / "model_index.json").is_file():
        raise InputError("no world model here", file=folder, hint="train one with: drivewm train worldmodel")
    return _open(str(folder.resolve()))


@lru_cache(maxsize=2)
def _open(folder: str) -> DreamPipeline:
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    check_saved(Path(folder))
    try:
        pipeline: DreamPipeline = DreamPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    except Exception as error:  # diffusers, safetensors and json raise many kinds for damaged folders
        raise InputError(f"unreadable world model: {str(error).splitlines()[0]}", file=folder) from None
    check_finite({"transformer": pipeline.transformer, "autoencoder": pipeline.autoencoder}, Path(folder))
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    set_backend(pipeline.transformer, backend_named(None, pipeline.device))
    return pipeline
