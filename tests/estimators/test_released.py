"""Model folders of every format version ever released still load and still judge as they did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gatelight

RELEASED = Path(__file__).parent / "released"
FOLDERS = sorted(path for path in RELEASED.iterdir() if path.is_dir())

OTHER_MACHINES = 2e-6
"""The same sums in the same order, but with or without fused multiply-adds; recorded to seven places."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_released_model_folder_loads_and_judges_as_recorded(folder: Path) -> None:
    recorded = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    model = gatelight.load(folder)
    assert list(model.classes_) == recorded["classes"]
    judged = model.predict_proba(recorded["texts"])
    np.testing.assert_allclose(judged, recorded["probabilities"], atol=OTHER_MACHINES)
    assert model.baseline_ is not None


def test_every_format_version_is_among_them() -> None:
    """Whoever raises the format version adds a folder here before the old reader can be forgotten."""
    from gatelight.estimators.folder import FORMAT

    assert [folder.name for folder in FOLDERS] == [f"format-{number}" for number in range(1, FORMAT + 1)]
