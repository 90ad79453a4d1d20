"""Real Keras 3 with torch behind it, the recorded files beside the checkout, models with random weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ["KERAS_BACKEND"] = "torch"  # read when Keras is imported

ROOT = Path(__file__).parents[2]
RECORDED = ROOT.parent / "shared" / "data" / "keras_models"
KONDUIT = RECORDED / "KonduitAI__dl4j-test-resources"
KERAS_2 = Path(__file__).parent / "keras_2"  # written by Keras 2.15 on TensorFlow 2.15, with its predictions

# float32 sums in another order; states feed back over some ten steps.
SAME = 1e-5

needs_recordings = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"{RECORDED} is not there")


def real_keras() -> Any:
    """Keras itself; the test is skipped without it."""
    return pytest.importorskip("keras", reason="Keras comes with the extra 'interop-test'")


def randomised(model: Any, seed: int) -> Any:
    """A model of Keras whose weights are all random, the biases too: zeros would hide a mix-up."""
    draw = np.random.default_rng(seed)
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([draw.normal(0, 0.5, shape).astype(np.float32) for shape in shapes])
    return model


def padded_ids(vocabulary: int, steps: int, seed: int) -> np.ndarray[Any, Any]:
    """Ids [8, steps]: zeros in front, behind, between and everywhere but at one step."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(1, vocabulary, (8, steps))
    ids[0, :-1] = 0
    ids[1, 1:] = 0
    ids[2, : steps // 2] = 0
    ids[3, steps // 2 :] = 0
    ids[4, steps // 3] = 0
    ids[5, ::2] = 0
    return ids
