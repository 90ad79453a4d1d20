"""The model card tells of a model what is true of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_reviews import TINY

import gatelight
from gatelight import TextClassifier, evaluate


@pytest.mark.parametrize(("unknown", "cut"), [("unk", 0.5), ("drop", 0.25)])
def test_texts_that_were_cut_are_counted_as_they_were_read(unknown: str, cut: float) -> None:
    """Unknown words take room only where they are kept: else the card tells of too few or too many cuts."""
    # Words seen once are unknown. Of four texts one is of 6 known words, one of 3 and 3 unknown ones.
    texts = ["a b c a b c", "a b c x y z", "a b c", "c b a"]
    settings = {**TINY, "min_count": 2, "max_length": 4, "validation_fraction": 0.0, "epochs": 1}
    fitted = TextClassifier(**{**settings, "unknown": unknown}).fit(texts, [0, 1, 0, 1])
    assert fitted.training_["truncated_fraction"] == cut


def test_figures_on_test_texts_stand_beside_those_on_validation_texts(
    fitted: TextClassifier, tmp_path: Path
) -> None:
    """The one figure that nothing was chosen by would otherwise be lost with the terminal."""
    fitted.save(tmp_path / "without")
    texts, labels = ["a great film", "a dull film", "great"], ["positive", "negative", "negative"]
    loaded = gatelight.load(tmp_path / "without")
    tested = evaluate(loaded, texts, labels)
    loaded.training_["best_by"] = "valid_accuracy"
    loaded.training_["test"] = tested.to_dict()
    loaded.save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    _, _, table = card.partition("| on the test texts |")
    assert f"{tested.accuracy:.1%} ({tested.accuracy_low:.1%} to {tested.accuracy_high:.1%})" in table
    assert tested.baseline is not None
    assert f"{tested.baseline.log_loss:.3f}" in table
    assert "over 3 texts" in table
    assert "chosen on the same texts" not in table
    assert "chosen on the same texts" in card
    loaded.training_["best_by"] = "last"
    loaded.save(tmp_path / "last")
    assert "chosen on the same texts" not in (tmp_path / "last" / "README.md").read_text(encoding="utf-8")
    assert "on the test texts" not in (tmp_path / "without" / "README.md").read_text(encoding="utf-8")
    assert gatelight.load(tmp_path / "model").training_["test"] == tested.to_dict()
