"""`LanguageModel`: texts in, measured and written texts out; sessions and folders give the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

import gatelight
from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.language_model import LanguageModel, divided
from gatelight.estimators.language_rules import RULES, Amount, Plan, settled
from gatelight.estimators.settings import LanguageSettings, defaults
from gatelight.models.training import Interrupted
from gatelight.text.detokenizer import graphemes
from gatelight.text.vectors import WordVectors

WORDS = [
    "the film was good",
    "a good film <br /> indeed",
    "was the film bad? the film was",
    "é 🇫🇷 naïve film",
]
TEXTS = [f"{a} {b}" for a in WORDS for b in WORDS] * 2
SETTINGS: dict[str, Any] = {
    "hidden_size": 8, "embedding_dim": 5, "layers": 2, "batch_size": 4, "steps": 10,
    "validation_fraction": 0.2,
    "min_count": 1,
}  # fmt: skip


@pytest.fixture(scope="module", params=["char", "word", "byte"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return LanguageModel(tokenizer=request.param, **SETTINGS).fit(TEXTS, baseline=True)


def test_pieces_equal_one_pass(model: LanguageModel) -> None:
    """What is typed letter by letter would be predicted otherwise than the same text at once."""
    text = "the film was <br /> good &amp; naïve,  é good\r\n film"
    for cuts in ([], [1], [3, 4, 5, 14, 16, 20], list(range(1, len(text)))):
        session = model.session()
        for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            fractions = session.feed(text[begin:end])
            whole = model.session().feed(text[:end])
            np.testing.assert_array_equal(fractions, whole)
    assert fractions.sum() == pytest.approx(1)


def test_a_seed_gives_one_text(model: LanguageModel) -> None:
    """A text that cannot be had again cannot be shown to anyone."""
    first = model.generate("the ", length=40, seed=3)
    assert first == model.generate("the ", length=40, seed=3)
    assert len({model.generate("the ", length=40, seed=3, number=k) for k in range(4)}) > 1
    greedy = {model.generate("the ", length=20, temperature=0, seed=k) for k in range(3)}
    assert greedy == {model.generate("the ", length=20, top_k=1)}


def test_no_character_is_cut(model: LanguageModel) -> None:
    """Half an emoji on the screen is a question mark."""
    if model.tokenizer == "word":
        assert all(p.strip() == p.strip("\ufffd ") for p in model.pieces(length=30))
        return
    for seed in range(3):
        pieces = [piece for piece in model.pieces(length=30, seed=seed) if piece]
        whole = "".join(pieces)
        assert [c for piece in pieces for c in graphemes(piece)] == graphemes(whole)


def test_a_text_ends_before_the_stop(model: LanguageModel) -> None:
    """A stop that is shown, or that is missed between two pieces, stops nothing."""
    seed = next(k for k in range(50) if len(model.generate(length=120, seed=k)) > 20)
    text = model.generate(length=120, seed=seed)
    for stop in ("".join(graphemes(text)[7:10]), graphemes(text)[12], "never comes"):
        assert model.generate(length=120, seed=seed, stop=stop) == text.partition(stop)[0]


def test_a_saved_model_gives_the_same_bits(model: LanguageModel, tmp_path: Path) -> None:
    """A model that measures or writes otherwise after loading is another model."""
    model.save(tmp_path / "lm")
    again = gatelight.load(tmp_path / "lm")
    assert isinstance(again, LanguageModel)
    assert again.likelihood(TEXTS[:3]) == model.likelihood(TEXTS[:3])
    assert again.generate("the", seed=1) == model.generate("the", seed=1)
    assert again.get_params() == model.get_params()
    config = json.loads((tmp_path / "lm" / "config.json").read_text())
    (tmp_path / "lm" / "config.json").write_text(
        json.dumps(config | {"model": config["model"] | {"hidden": 10**7}})
    )
    with pytest.raises(ModelFileError, match="too few"):
        gatelight.load(tmp_path / "lm")


def test_figures_are_those_of_the_session(model: LanguageModel) -> None:
    """Perplexity would be that of other probabilities than a reader is given."""
    text = "the film was good"
    tokens = model.tokenizer_.tokens(text)
    session, nats = model.session(), 0.0
    for place, token in enumerate(tokens):
        session = model.session()
        before = " ".join(tokens[:place]) if model.tokenizer == "word" else "".join(tokens[:place])
        nats -= np.log(session.feed(before)[model.vocabulary_.id(token)])
    nats -= np.log(model.session().feed(text)[model.vocabulary_.id("<end>")])
    found = model.likelihood([text])
    assert found.nats == pytest.approx(nats, rel=1e-5)  # float32 scores, softmax in float64
    assert (found.tokens, found.characters) == (len(tokens) + 1, len(text))
    assert model.score([text]) == pytest.approx(-nats / found.tokens, rel=1e-5)


def test_a_group_is_on_one_side_only() -> None:
    """A review's film-mates in the training texts make n-grams, which know names by heart, look good."""
    films = [f"film {number % 7}" for number in range(len(TEXTS))]
    given = [f"{film} {number}" for number, film in enumerate(films)]
    seen = [
        {films[row] for row in side}
        for side in divided(len(given), films, SETTINGS["validation_fraction"], 0)
    ]
    model = LanguageModel(**SETTINGS).fit(given, groups=films)
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]
    assert model.training_["split"] == "group"
    assert model.training_["validation_texts"] == sum(text[: len("film 0")] in seen[1] for text in given)
    with pytest.raises(DataError, match="one per text"):
        LanguageModel(**SETTINGS).fit(given, groups=films[1:])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"length": 0}, "length is 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"stop": ""}, "empty"),
    ],
)
def test_wishes_that_cannot_be_are_refused(how: dict[str, Any], said: str) -> None:
    """A negative temperature would write the least likely text without a word."""
    model = LanguageModel(**SETTINGS).fit(TEXTS)
    with pytest.raises(DataError, match=said):
        model.generate(**how)


def test_what_cannot_be_learned_or_known_is_refused(tmp_path: Path) -> None:
    """Nothing, too little, an unknown character, a folder of another kind."""
    for texts in ([], ["", ""]):
        with pytest.raises(DataError, match="none of the"):
            LanguageModel().fit(texts)
    with pytest.raises(DataError, match="side by side"):
        LanguageModel(batch_size=64).fit(["abcabc"])
    model = LanguageModel(**SETTINGS, documents=True).fit(TEXTS)
    with pytest.raises(DataError, match="'ж'"):
        model.generate("the ж")
    with pytest.raises(NotFittedError, match="not fitted"):
        LanguageModel().generate()
    with pytest.raises(DataError, match="no text to measure"):
        model.perplexity([""])
    (tmp_path / "config.json").write_text('{"kind": "gatelight text classifier", "format": 1}')
    with pytest.raises(ModelFileError, match="not of a gatelight language model"):
        LanguageModel.load(tmp_path)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (Amount(1000, 110_000, 86), {"epochs": 20, "hidden_size": 256, "dropout": 0.2, "batch_size": 16}),
        (Amount(12_808, 1_400_000, 111), {"epochs": 8, "steps": 64, "learning_rate": 8e-3}),
        (Amount(25_000, 20_000_000, 150), {"epochs": 2, "hidden_size": 512, "dropout": 0.0}),
        (Amount(10**6, 10**9, 200), {"epochs": 1, "batch_size": 32, "embedding_dim": 64}),
        (Amount(6_000, 140_000, 6_800), {"epochs": 10, "steps": 32, "dropout": 0.5}),
        (Amount(1, 7, 5), {"batch_size": 1}),
    ],
)
def test_open_settings_follow_from_the_texts(amount: Amount, expected: dict[str, Any]) -> None:
    """A hundred updates on a megabyte of text teach a model less than n-grams know."""
    open_ones = defaults(LanguageSettings)
    found = settled(open_ones, amount)
    assert found.items() >= expected.items()
    assert not [name for name in RULES if found[name] is None]
    assert settled({**open_ones, "epochs": 3, "tied": True}, amount)["epochs"] == 3
    tied = settled({**open_ones, "hidden_size": 96, "tied": True}, amount)
    assert tied["embedding_dim"] == 96
    assert f"{amount.tokens:,} tokens" in str(Plan(amount, found))


def test_what_was_chosen_is_said_and_kept(tmp_path: Path) -> None:
    """A model whose epochs nobody can look up cannot be trained again."""
    told: list[Plan] = []
    model = LanguageModel(hidden_size=8, epochs=2).fit(TEXTS, on_plan=told.append)
    assert model.get_params()["batch_size"] is None
    assert (model.settings_["epochs"], model.settings_["learning_rate"]) == (2, 8e-3)
    assert model.training_["plan"] == str(told[0])
    model.save(tmp_path / "lm")
    again = gatelight.load(tmp_path / "lm")
    assert again.settings_ == model.settings_
    assert again.get_params() == model.get_params()


def word_vectors(dim: int) -> WordVectors:
    words = ["film", "good", "elsewhere"]
    return WordVectors(words, np.random.default_rng(0).standard_normal((3, dim)).astype(np.float32))


def test_tokens_begin_with_the_vectors_that_are_given(tmp_path: Path) -> None:
    """A model that begins from chance all the same would only be found worse, not wrong."""
    given = word_vectors(7)
    still = {**SETTINGS, "learning_rate": 1e-12, "optimizer": "sgd"}
    model = LanguageModel(tokenizer="word", vectors=given, **still).fit(TEXTS)
    assert (model.embedding_dim, model.model_.config.dim) == (5, 7)
    table = model.model_.embedding.weight.detach().numpy()
    for number, word in enumerate(["film", "good"]):
        np.testing.assert_allclose(table[model.vocabulary_.id(word)], given.matrix[number], atol=1e-6)
    assert np.abs(table[model.vocabulary_.id("bad")]).max() > 0.1  # drawn, not left at zero
    model.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    assert again.generate("the", seed=1) == model.generate("the", seed=1)
    with pytest.raises(DataError, match="given in memory and not saved"):
        again.fit(TEXTS)
    critic = gatelight.TextClassifier(from_lm=again, epochs=1, validation_fraction=0)
    critic.fit(TEXTS, ["a" if "good" in text else "b" for text in TEXTS])
    assert critic.model_.config.dim == 7


def test_vectors_of_the_texts_are_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on has its weights; minutes of word2vec would be thrown away."""
    settings = {**SETTINGS, "epochs": 3, "threads": 1}
    whole = LanguageModel(tokenizer="word", vectors="corpus", **settings).fit(TEXTS)
    chance = LanguageModel(tokenizer="word", **settings).fit(TEXTS)
    assert not torch.equal(whole.model_.embedding.weight, chance.model_.embedding.weight)

    def stop(progress: Any) -> None:
        if progress.step >= 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("gatelight.models.training.PROGRESS_EVERY", 0.0)
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        LanguageModel(tokenizer="word", vectors="corpus", **settings).fit(
            TEXTS, checkpoint=run, on_progress=stop
        )
    monkeypatch.setattr(
        "gatelight.estimators.preparation.train_word2vec", lambda *_, **__: pytest.fail("trained again")
    )
    resumed = LanguageModel(tokenizer="word", vectors="corpus", **settings).fit(
        TEXTS, checkpoint=run, resume=True
    )
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name


@pytest.mark.parametrize(
    ("vectors", "more", "said"),
    [
        ("one-hot", {}, "one-hot ones would stay as they are"),
        (3, {}, "vectors is of type int"),
        (WordVectors(["elsewhere"], np.ones((1, 5), np.float32)), {}, "no vector for any"),
        (word_vectors(7), {"tied": True, "embedding_dim": 8}, "is 7, hidden 8"),
    ],
)
def test_vectors_that_cannot_be_are_refused(vectors: Any, more: dict[str, Any], said: str) -> None:
    """After hours of training it would be too late."""
    with pytest.raises(DataError, match=said):
        LanguageModel(tokenizer="word", vectors=vectors, **{**SETTINGS, **more}).fit(TEXTS)
