"""Model folders of every format ever written still load and still predict as recorded beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatelight
from gatelight import LanguageModel, TextClassifier

RELEASED = Path(__file__).parent / "released"
FOLDERS = sorted(path.parent for path in RELEASED.rglob("config.json"))

OTHER_MACHINES = 2e-6
"""The same sums in the same order, but with or without fused multiply-adds; recorded to seven places."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_folder_of_an_earlier_version_opens_and_predicts_as_recorded(folder: Path, tmp_path: Path) -> None:
    recorded = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    model = gatelight.load(folder)
    _predicts_as(model, recorded)
    model.save(tmp_path / "again")
    _predicts_as(gatelight.load(tmp_path / "again"), recorded)


def _predicts_as(model: Any, recorded: dict[str, Any]) -> None:
    texts, answers = recorded["texts"], recorded.get("answers", recorded.get("probabilities"))
    if isinstance(model, LanguageModel):
        session = model.session()
        np.testing.assert_allclose(session.feed(texts[0]), answers, atol=OTHER_MACHINES)
        assert model.likelihood(texts).nats == pytest.approx(recorded["nats"], rel=OTHER_MACHINES)
        assert model.generate("the ", length=40, seed=1) == recorded["written"]
        return
    if isinstance(model, TextClassifier):
        assert model.classes_.tolist() == recorded["classes"]
        np.testing.assert_allclose(model.predict_proba(texts), answers, atol=OTHER_MACHINES)
        if "embed" in recorded:
            np.testing.assert_allclose(model.embed(texts), recorded["embed"], atol=OTHER_MACHINES)
        return
    np.testing.assert_allclose(model.predict(texts), answers, atol=OTHER_MACHINES)


def test_the_baseline_of_a_folder_opens_with_it() -> None:
    assert gatelight.load(RELEASED / "format-1").baseline_ is not None
