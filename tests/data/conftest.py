"""One small data set for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivewm.data.synth import SynthOptions, synth

OPTIONS = SynthOptions(scenes=2, seconds=4.0, seed=26, workers=1, split_shares=(0.5, 0.5, 0.0))


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of 4 s, one to train and one held out. Tests must not change it."""
    root = tmp_path_factory.mktemp("synth") / "set"
    synth(root, OPTIONS)
    return root
