"""Presets are data, and the note's models have the note's sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gatelight
from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.preparation import one_hot_table
from gatelight.estimators.settings import HELP, PRESETS, preset, preset_summary
from gatelight.text.encoding import TRUNCATIONS
from gatelight.text.oov import UNKNOWN_POLICIES
from gatelight.text.tokenizers import KINDS


def test_presets_cannot_be_changed() -> None:
    """A preset changed by one user of a process would change it for all."""
    with pytest.raises(TypeError):
        PRESETS["default"]["hidden_size"] = 1  # type: ignore[index]
    with pytest.raises(DataError, match="there are default, fast, best, char, note-400, note-200, note-char"):
        preset("note-300")


def test_from_preset_takes_overrides_and_names_strange_ones() -> None:
    """A misspelt setting must not be ignored."""
    estimator = TextClassifier.from_preset("note-200", random_state=3, epochs=1)
    found = estimator.max_length, estimator.random_state, estimator.epochs, estimator.unknown
    assert found == (200, 3, 1, "drop")
    with pytest.raises(DataError, match="no setting 'hiden_size'"):
        TextClassifier.from_preset("default", hiden_size=5)
    assert estimator.summary().trained == 80_201


def test_note_char_is_the_model_of_the_note_s_characters() -> None:
    """46 one-hot symbols, none of them trained, and 35,361 weights are what the note prints."""
    estimator = TextClassifier.from_preset("note-char")
    for table in (preset_summary("note-char"), estimator.summary()):
        rows = {row.layer: row for row in table.rows}
        assert (rows["LSTM"].parameters, rows["Dense"].parameters) == (5_360, 30_001)
        assert (table.trained, table.frozen) == (35_361, 46 * 46)


def test_note_char_reads_one_hot_rows(tmp_path: Path) -> None:
    """A symbol without its own row, a padding row that is not zero, or a saved model that reads otherwise."""
    texts = ["It's good! \u2603", "bad, bad film"] * 8
    estimator = TextClassifier.from_preset("note-char", epochs=1, max_length=30, hidden_size=3)
    estimator.fit(texts, [1, 0] * 8)
    assert len(estimator.vocabulary_) == 46
    assert estimator.summary().frozen == 46 * 46
    expected = np.eye(46, dtype=np.float32)
    expected[0] = 0
    np.testing.assert_array_equal(estimator.model_.embedding.weight.detach().numpy(), expected)
    assert estimator.unknown_fraction(texts[:1])[0] == 1 / 12
    estimator.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(texts), estimator.predict_proba(texts))


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_other_characters_are_learned_and_read_again(kind: str, tmp_path: Path) -> None:
    """A vocabulary of characters, counted without lists, must be that of the tokens."""
    texts = ["\u8fd9\u90e8\u7535\u5f71\u597d \U0001f44d\U0001f3fd", "e\u0301 \ud83d bad"] * 8
    estimator = TextClassifier(tokenizer=kind, hidden_size=3, embedding_dim=4, epochs=1, min_count=1).fit(
        texts, [1, 0] * 8
    )
    tokens = {token for text in texts for token in estimator.tokenizer_.tokens(text)}
    known = set(estimator.vocabulary_.tokens[2:])
    assert known == (tokens if kind != "byte" else set(map(chr, range(256))))
    assert not estimator.unknown_fraction(texts).any()
    estimator.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(texts), estimator.predict_proba(texts))


def test_one_hot_vectors_of_too_many_tokens_are_refused() -> None:
    """50,000 words would ask for ten gigabytes."""
    with pytest.raises(DataError, match=r"50000 tokens would take 10\.0 GB; give max_words=4094"):
        one_hot_table(50_000)


def test_char_spells_any_word(tmp_path: Path) -> None:
    """A word never seen must be read by its letters, and not change what the other texts are worth."""
    texts = ["a wonderful film", "a dreadful film"] * 12
    estimator = TextClassifier.from_preset("char", hidden_size=8, embedding_dim=16, epochs=20, batch_size=6)
    estimator.fit(texts, [1, 0] * 12)
    assert len(estimator.vocabulary_) == 2
    strange = ["a wonderfull film", "a dreadfull film", "\u8fd9\u90e8 \ud83d", "", "x" * 999]
    predicted = estimator.predict_proba(strange)
    assert not estimator.unknown_fraction(strange).any()
    assert estimator.understand(["zork"])[0].unknown == []
    assert predicted[0, 1] > predicted[1, 1]
    for row, text in enumerate(strange):
        np.testing.assert_array_equal(estimator.predict_proba([text])[0], predicted[row])
    assert estimator.summary().trained == sum(
        p.numel() for p in estimator.model_.parameters() if p.requires_grad
    )
    estimator.save(tmp_path / "model")
    np.testing.assert_array_equal(gatelight.load(tmp_path / "model").predict_proba(strange), predicted)


def test_help_names_every_choice() -> None:
    """What no help names nobody finds, and the help is written without importing what offers the choices."""
    for setting, choices in (
        ("tokenizer", KINDS),
        ("truncation", TRUNCATIONS),
        ("unknown", UNKNOWN_POLICIES),
    ):
        assert all(name in HELP[setting] for name in choices)
