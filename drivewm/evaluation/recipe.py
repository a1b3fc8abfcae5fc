"""From nothing to a world model with its card: the recipe of the embedded weights as one function that resumes anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivewm.data.marks import write_trained_on
from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, synth
from drivewm.evaluation.dream_card.card import DreamCard
from drivewm.evaluation.dream_card.make import QUICK, CardOptions, CardSources, Stage, make_card
from drivewm.evaluation.readers_training import train_readers
from drivewm.training.autoencoder import train_autoencoder, train_decoder
from drivewm.training.cache import FrameCache, PackOptions, encode_latents, pack
from drivewm.training.loop import FitOptions, OnLog
from drivewm.training.self_rollout import RolloutOptions, train_self_rollout
from drivewm.training.worldmodel import train_worldmodel
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import WorldModelSize

Report = Callable[..., None]


@dataclass(frozen=True, slots=True)
class RecipeOptions:
    """Steps of every stage, for the budget of the embedded weights; ``share`` scales them all."""

    drives: int = 640
    share: float = 1.0
    autoencoder_steps: int = 4800
    worldmodel_steps: int = 6000
    rollout_steps: int = 5600
    decoder_steps: int = 3500
    readers_steps: int = 5000
    card: CardOptions = QUICK
    seed: int = 1

    def fit(self, steps: int, learning_rate: float, batch: int = 8) -> FitOptions:
        steps = max(2, round(self.share * steps))
        return FitOptions(steps, batch, learning_rate, min(100, steps // 4), decay_share=0.5, seed=self.seed)


def cook(size: WorldModelSize, out: Path, options: RecipeOptions, stage: Stage) -> DreamCard:
    """Drives, autoencoder, latents, world model, its own past, a decoder for inexact latents, readers, card; all below ``out``.

    Returns the card. A finished stage is not done again; a stage that was killed goes on from its last checkpoint.
    """
    height, width = size.size_px
    drives = SynthOptions(options.drives, height=height, width=width, seed=options.seed, workers=2)
    made = synth(out / "drives", drives, stage("driving"))
    for root in made.roots:
        pack(NuScenesFolder(root), out / "cache", PackOptions("train", workers=2), stage(f"packing {root.name}"))

    def heard(title: str) -> OnLog:
        report = stage(title)
        return lambda step, values: report(step, None, f"loss {values['loss']:.4f}")

    cache = out / "cache"
    fresh = train_autoencoder(
        cache, out / "autoencoder", size, options.fit(options.autoencoder_steps, 1e-3), heard("autoencoder")
    )
    encode_latents(cache, fresh, stage("encoding latents"))
    dreaming = train_worldmodel(
        cache, fresh, out / "worldmodel", size, options.fit(options.worldmodel_steps, 1.5e-3, 3), heard("world model")
    )
    own_past = options.fit(options.rollout_steps, 6e-4, 3)
    steadied = train_self_rollout(dreaming, cache, out / "self-rollout", own_past, RolloutOptions(), heard("its own past"))
    softened = train_decoder(cache, fresh, out / "decoder", options.fit(options.decoder_steps, 1e-3), heard("decoder"))
    world = out / "world"
    DreamPipeline.of_parts(steadied.transformer, softened).save(world)
    write_trained_on(world, FrameCache(cache).trained_on())
    train_readers(cache, out / "readers", options.fit(options.readers_steps, 2e-3), heard("readers"))
    sources = CardSources(str(world), out / "readers" / "readers")
    return make_card(sources, out / "card", options.card, stage, f"drivewm card --world {world} --quick")
