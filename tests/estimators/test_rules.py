"""Settings that are left open follow from the data, by rules that are in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_up_reviews import TINY, Reviews
from sklearn.base import clone

import gatelight
from gatelight import TextClassifier, notices
from gatelight.errors import DataError
from gatelight.estimators import rules
from gatelight.estimators.rules import AUTO, CORPUS, PRETRAINED, Data, Plan, is_english, settled
from gatelight.estimators.settings import PRESETS, check_settings, defaults
from gatelight.estimators.settings import ClassifierSettings as Settings

OPEN = defaults(Settings)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Data(texts=500), {"epochs": 15, "batch_size": 32, "validation_fraction": 0.1, "min_count": 1}),
        (Data(texts=5_000), {"epochs": 12, "validation_fraction": 0.05}),
        (Data(texts=1_500), {"epochs": 15, "validation_fraction": 100 / 1_500}),
        (Data(texts=25_000, characters=1_300), {"epochs": 3, "batch_size": 32, "min_count": 2}),
        (Data(texts=1_000_000), {"epochs": 3, "batch_size": 64, "validation_fraction": 0.005}),
        (Data(spaced=False), {"embedding_dropout": 0.3}),
        (Data(), {"embedding_dropout": 0.5, "hidden_size": 128, "embedding_dim": 128, "best_by": "last"}),
    ],
)
def test_open_settings_become_what_the_rules_say(data: Data, expected: dict[str, Any]) -> None:
    """A rule that is not applied, or another number, would train another model than the documentation's."""
    found = settled(OPEN, data)
    assert {name: found[name] for name in expected} == expected
    assert not any(found[name] is None for name in rules.RULES)


def test_what_was_asked_for_stays() -> None:
    """A rule that wins over a user's own value would make the setting useless."""
    asked = {**OPEN, "epochs": 7, "vectors": None, "patience": 2, "embedding_dropout": 0.0}
    found = settled(asked, Data(texts=100))
    assert (found["epochs"], found["vectors"], found["embedding_dropout"]) == (7, None, 0.0)
    assert found["best_by"] == "valid_accuracy"  # the last epoch of a run that stops early is its worst
    check_settings(asked)
    with pytest.raises(DataError, match="wide is 'yes'"):
        check_settings({**OPEN, "wide": "yes"})


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("The film is not what they would have you believe, but it is warm and all of it is true.", True),
        ("Der Film ist nicht, was man in der Stadt erwartet, aber er war warm und so gut an dem Tag.", False),
        ("La casa en la que vivo es de mi madre, y no me gusta a mi hermano por el ruido.", False),
        ("Dit is een goede film en het was in de stad, ik had er zin in.", False),
        ("宝贝收到，立马试穿。做工精细，用料考究。", False),
        ("", False),
    ],
)
def test_english_is_told_by_its_commonest_words(text: str, english: bool) -> None:
    """English vectors for texts of another language would be noise that is fetched for nothing."""
    assert is_english([text]) is english


def test_vectors_are_the_texts_own_then_pretrained_then_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three must be taken where it is best, and what is not here must be named."""
    told: list[str] = []
    english = Data(english=True)
    with notices.listening(told.append):
        assert settled(OPEN, english)["vectors"] is None
    assert f"gatelight data get {PRETRAINED}" in told[0]
    monkeypatch.setattr("gatelight.text.datasets.cached", lambda name: Path(name))
    assert settled(OPEN, english)["vectors"] == PRETRAINED
    assert settled({**OPEN, "embedding_dim": 50}, english)["vectors"] is None
    assert settled({**OPEN, "tokenizer": "char"}, english)["vectors"] is None
    assert settled({**OPEN, "unknown": "ngrams"}, english)["vectors"] is None
    assert settled(OPEN, Data())["vectors"] is None
    assert settled(OPEN)["vectors"] == AUTO
    pytest.importorskip("gensim")
    assert settled(OPEN, Data(english=True, unlabelled=10))["vectors"] == PRETRAINED
    assert settled(OPEN, Data(english=True, unlabelled=20_000))["vectors"] == CORPUS
    assert settled(OPEN, Data(texts=20_000, characters=1_000))["vectors"] == CORPUS


@pytest.mark.parametrize(
    ("data", "more", "line"),
    [
        (
            Data(12_000, 80.0, 3),
            {"vectors": PRETRAINED},
            "12,000 short texts, 3 classes: 5 epochs of 32, vectors glove-6b-100d, n-grams beside the LSTM",
        ),
        (
            Data(100_000, 1_300.0, 2, rarest=0.012),
            {"vectors": None, "wide": False},
            "100,000 long texts, 2 classes, the rarest with 1.2 % of the texts: 3 epochs of 64, random "
            "vectors of 128",
        ),
        (
            Data(900, 80.0, 4, True),
            {"vectors": CORPUS, "cell": "gru"},
            "900 short texts, 4 labels: 15 epochs of 32, vectors of 128 learned from the texts, n-grams "
            "beside the GRU",
        ),
    ],
)
def test_the_plan_is_one_line(data: Data, more: dict[str, Any], line: str) -> None:
    """What training is about to do must be told before it is done."""
    assert str(Plan(data, settled({**OPEN, **more}, data))) == line


def test_the_estimator_keeps_what_it_was_given(reviews: Reviews, tmp_path: Path) -> None:
    """scikit-learn clones by constructor arguments: what the data decided must not end up in them."""
    quick = {name: TINY[name] for name in ("max_length", "hidden_size", "embedding_dim", "epochs")}
    told: list[Plan] = []
    model = TextClassifier(**quick, wide=False).fit(reviews.texts, reviews.labels, on_plan=told.append)
    assert (model.batch_size, model.vectors) == (None, AUTO)
    assert (model.settings_["batch_size"], model.settings_["vectors"]) == (32, None)
    assert model.training_["plan"] == str(told[0])
    assert clone(model).get_params() == model.get_params()
    model.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    assert isinstance(again, TextClassifier)
    assert again.get_params() == model.get_params()
    assert again.settings_ == model.settings_
    assert str(told[0]).replace("_", "\\_") in (tmp_path / "model" / "README.md").read_text()


def test_presets_that_train_as_ever_leave_nothing_open() -> None:
    """The note's models and `char` are what was published of them, whatever the data."""
    for name in ("char", "note-400", "note-200", "note-char"):
        chosen = dict(PRESETS[name])
        assert chosen["wide"] is False
        assert settled({**chosen, "from_lm": None}, Data(texts=77, english=True)) == {
            **chosen,
            "from_lm": None,
        }
