"""How unsure the embedded world model is: facts about when it may know and when it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.datatypes import Action, Array, Conditions
from drivewm.evaluation.overheard import Overheard
from drivewm.evaluation.uncertainty import auroc, monotone, risk_at, risk_removed
from drivewm.rollout import rollout
from drivewm.policies.baselines import ConstantVelocity
from drivewm.sim.engine import Engine
from drivewm.testing import straight_scene
from drivewm.worldmodel.conditions import FREE_REGIME
from drivewm.worldmodel.uncertainty import calibration_in
from drivewm.worldmodel.world import EMBEDDED, DreamWorld, open_pipeline

SCENE = straight_scene(lead=(18.0, 8.0))
