"""Files that the ladder of policies needs: the large policy at several ages of a small training, the small one as ONNX."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from drivewm.config import shipped_content
from drivewm.distill.export import write_onnx_alone
from drivewm.evaluation.ladder import TrainedDocument
from drivewm.evaluation.worlds import load_world
from drivewm.policies.load import embedded_onboard
from drivewm.scenarios.catalogue import find
from drivewm.store import atomic_write
from drivewm.training.loop import OnLog
from drivewm.training.policies import TeacherOptions, catalogue_scenes, train_teacher

ONNX = "onboard.onnx"


def make_ladder(
    recipe: TrainedDocument, out: Path, on_log: OnLog | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """What is not there yet; a killed run goes on. Age n is the large policy after n rounds of recording and learning."""
    files = [out / f"teacher-{age}.safetensors" for age in range(1, recipe.ages + 1)]
    if not all(file.is_file() for file in files):
        scene_at = catalogue_scenes(find(shipped_content("scenarios")), recipe.seed)
        options = TeacherOptions(recipe.ages, recipe.drives, steps_per_round=recipe.steps, batch=recipe.batch, seed=recipe.seed)
        train_teacher(scene_at, load_world("raster"), out / "training", options, on_log, progress)
        for number, file in enumerate(files):
            for suffix in (".json", ".safetensors"):
                with atomic_write(file.with_suffix(suffix)) as temporary:
                    shutil.copyfile(out / "training" / f"round-{number}" / f"teacher{suffix}", temporary)
    onnx = out / ONNX
    if not onnx.is_file():
        write_onnx_alone(embedded_onboard().network, onnx)
    return [*files, onnx]
