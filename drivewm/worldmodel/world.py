"""The learned world behind the same protocol as the raster world."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
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
from drivewm.sim.raster.world import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.conditions import FREE_REGIME, GROUPS, FrameConditions, frame_conditions
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.precision import inference_autocast
from drivewm.worldmodel.saved import check_finite, check_saved
from drivewm.worldmodel.session import Memory, Session
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
    """Dreams what the cameras see. The first frame is the reference world's (``context="reference"``) or dreamed ("scratch").

    ``drop`` leaves conditions out; ``FREE_REGIME`` leaves only past, motion, weather and light. ``steps`` (K) are the denoising
    steps of a frame; by default those of the model's size.
    """

    def __init__(
        self,
        pipeline: DreamPipeline,
        rig: CameraRig,
        *,
        steps: int | None = None,
        drop: frozenset[str] = frozenset(),
        context: str = "reference",
    ) -> None:
        unknown = drop - set(GROUPS)
        if unknown or context not in ("reference", "scratch"):
            raise InputError(
                f"unknown condition {sorted(unknown)} or context {context!r}", hint=f"conditions: {', '.join(GROUPS)}"
            )
        size = pipeline.transformer.size
        cell = size.downsampling * size.patch
        if any(side % cell for side in rig.size_px):
            raise InputError(
                f"camera raster {rig.size_px} does not divide into cells of {cell} px", hint="choose another height and width"
            )
        self.rig, self.context = rig, context
        self.codec, self.session, self.device = pipeline.codec, Session(pipeline.transformer, steps, drop), pipeline.device
        self.calibration: Calibration | None = None
        self.id = ":".join([pipeline.identity(), *self._deviations()])
        self.latent_shape = (
            len(rig.names),
            size.latent_channels,
            rig.size_px[0] // size.downsampling,
            rig.size_px[1] // size.downsampling,
        )

    @classmethod
    def load(cls, name_or_path: str = "embedded", rig: CameraRig | None = None, **settings: Any) -> DreamWorld:
        """Open weights saved by training. Raises InputError when they are missing or damaged."""
        folder = EMBEDDED if name_or_path == "embedded" else Path(name_or_path)
        pipeline = open_pipeline(folder)
        world = cls(pipeline, rig or nuscenes_rig(*pipeline.transformer.size.size_px), **settings)
        world.calibration = calibration_in(folder, pipeline.identity())
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

    def _deviations(self) -> list[str]:
        """What sets this world apart from another one of the same weights: a score in it is another score."""
        session, usual = self.session, self.session.network.size.dream_steps
        free = ["free"] if session.drop >= FREE_REGIME else []
        without = [f"without-{group}" for group in sorted(session.drop - (FREE_REGIME if free else frozenset()))]
        steps = [f"K{session.steps}"] if session.steps != usual else []
        return free + without + steps + (["scratch"] if self.context == "scratch" else [])

    def start(self, scenes: Sequence[Scene], state: WorldState, seed: int) -> tuple[NDArray[np.uint8], DreamMemory]:
        told = self._told(scenes, state, None)
        memory = DreamMemory(tuple(scenes), self.session.start(), state, seed)
        if self.context == "scratch":
            return self._dream(memory, told, state)
        reference, _ = RasterWorld(self.rig).start(scenes, state, seed)
        with inference_autocast(self.device), torch.no_grad():
            latent = self.codec.encode(torch.from_numpy(reference).to(self.device))[:, None].float()
            kept = self.session.observe(memory.session, told, latent)
            images = self.codec.decode(latent)[:, 0].cpu().numpy()
        return images, DreamMemory(memory.scenes, kept, state, seed)

    def step(self, memory: DreamMemory, state: WorldState, action: Action) -> tuple[NDArray[np.uint8], DreamMemory]:
        """The action is seen through the motion from the last state to this one, which is what it did."""
        return self._dream(memory, self._told(memory.scenes, state, memory.state), state)

    def _dream(
        self, memory: DreamMemory, told: dict[str, torch.Tensor], state: WorldState
    ) -> tuple[NDArray[np.uint8], DreamMemory]:
        noise = torch.stack([self._noise(memory.seed, scene, memory.session.frame) for scene in memory.scenes])[:, None]
        with inference_autocast(self.device), torch.no_grad():
            latent, kept = self.session.dream(memory.session, told, noise.to(self.device))
            images = self.codec.decode(latent)[:, 0].cpu().numpy()
        return images, DreamMemory(memory.scenes, kept, state, memory.seed)

    def _noise(self, seed: int, scene: Scene, frame: int) -> torch.Tensor:
        """Each scene has its own noise, whatever else is in the batch."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(scene.id.encode()), frame]))
        return torch.from_numpy(rng.standard_normal(self.latent_shape, np.float32))

    def _told(self, scenes: Sequence[Scene], state: WorldState, previous: WorldState | None) -> dict[str, torch.Tensor]:
        rows = [
            frame_conditions(
                scene.road,
                state[i],
                None if previous is None else previous[i],
                scene.conditions_at(float(state.t_s[i])),
                self.rig,
            )
            for i, scene in enumerate(scenes)
        ]
        stacked = FrameConditions.stack(rows)
        told = {
            f.name: torch.from_numpy(np.ascontiguousarray(getattr(stacked, f.name)))[:, None].to(self.device)
            for f in fields(stacked)
        }
        return told | {"time_s": torch.from_numpy(np.asarray(state.t_s, np.float32))[:, None].to(self.device)}


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
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
