"""The note's two sentences: probabilities as the model's session gives them, gradients as differences do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.errors import DataError
from gatelight.estimators.language_model import LanguageModel
from gatelight.lab.note_sentences import SENTENCES, reach

STEP = 1e-3  # in float32 a smaller one would be lost in rounding, a larger one in curvature
DIFFERENCE = 0.02  # relative, of a difference quotient with that step
FLOAT32 = 1e-4  # relative, of a product of a few float32 probabilities
SETTINGS: dict[str, Any] = {
    "hidden_size": 12, "embedding_dim": 6, "batch_size": 2, "steps": 16, "validation_fraction": 0.0,
    "min_count": 1,
}  # fmt: skip


@pytest.fixture(scope="module", params=["word", "char", "byte"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    texts = [*SENTENCES, "They go to the movies ."] * 3
    return LanguageModel(tokenizer=request.param, cell="gru", layers=2, **SETTINGS).fit(texts)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_probabilities_are_those_of_the_session(model: LanguageModel, sentence: str) -> None:
    """A word asked for one place too early would have the probability of another."""
    before = sentence.partition("went")[0]
    found = reach(model, sentence)
    for word, expected in (("went", found.verb), ("go", found.wrong)):
        tokens = [word] if model.tokenizer == "word" else list(f"{word} ")
        total, text = 0.0, before
        for token in tokens:
            shares = model.session().feed(text)
            name = token if model.tokenizer != "byte" else model.tokenizer_.tokens(token)[0]
            total += math.log(shares[model.vocabulary_.id(name)])
            text += token
        assert math.exp(total) == pytest.approx(expected, rel=FLOAT32)
    assert len(found.tokens) == len(model.tokenizer_.tokens(before))


def test_the_gradient_is_that_of_the_subject(model: LanguageModel) -> None:
    """The gradient at another token, or at every "o" of the text, would answer another question."""
    if model.tokenizer != "word":
        found = reach(model, SENTENCES[1])
        text = SENTENCES[1]
        assert found.distance == text.index("went") - text.index("woman") - len("woman") + 1
        own = [norm for _, norm in found.tokens[10:15]]
        assert found.gradient == pytest.approx(float(np.linalg.norm(own)))
        return
    found = reach(model, SENTENCES[1])
    assert found.distance == 11  # both commas are tokens
    assert found.tokens[2] == ("woman", found.gradient)
    # "woman" stands there once, so its row of the table is its token.
    row = model.vocabulary_.id("woman")
    weight: torch.Tensor = model.model_.embedding.weight  # type: ignore[assignment]
    quotients = []
    for place in range(weight.shape[1]):
        logs = []
        for step in (STEP, -STEP):
            with torch.no_grad():
                weight[row, place] += step
                logs.append(math.log(reach(model, SENTENCES[1]).verb))
                weight[row, place] -= step
        quotients.append((logs[0] - logs[1]) / (2 * STEP))
    assert found.gradient == pytest.approx(float(np.linalg.norm(quotients)), rel=DIFFERENCE)
    assert 0 < found.fraction < 1


def test_what_cannot_be_asked_is_said(model: LanguageModel) -> None:
    """A probability of the unknown word would be taken for that of "gone"."""
    if model.tokenizer == "word":
        with pytest.raises(DataError, match="does not know 'vanished'"):
            reach(model, SENTENCES[0], wrong="vanished")
