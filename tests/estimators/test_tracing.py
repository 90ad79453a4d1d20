"""Traces of fitted models: against the equations, text by text, and against what the model answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_reviews import TINY, make_reviews

from gatelight import LanguageModel, TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.tracing import write_trace
from gatelight.nn import pack
from gatelight.nn.status import calls

TEXTS = ["the film is a delight !", "", "qwertz", "its plot is not clever , and the music is a mess . 7/10"]
FLOAT32 = 2e-5
"""The kernels' tanh is within 5 ulp of torch's; over a dozen steps and two layers the difference grows."""


@pytest.fixture(scope="module", params=["rnn", "lstm", "peephole", "gru"])
def model(request: pytest.FixtureRequest) -> TextClassifier:
    reviews = make_reviews(60, 3)
    how = TINY | {"epochs": 1, "cell": request.param, "layers": 2, "learning_rate": 0.1}
    return TextClassifier(**how).fit(reviews.texts, reviews.labels)


@pytest.fixture(scope="module")
def writer() -> LanguageModel:
    texts = make_reviews(40, 3).texts
    return LanguageModel(hidden_size=6, embedding_dim=5, layers=2, epochs=1, batch_size=4, steps=16).fit(
        texts
    )


def by_the_equations(network: Any, ids: np.ndarray) -> list[Any]:
    """Each layer's trace of one text from the readable path."""
    rows, number = network.embedding(ids)
    x, found = rows[torch.from_numpy(number)].detach(), []
    for layer in network.memory:
        layer.backend = "reference"
        found.append(layer.trace_packed(x, pack([len(ids)])))
        layer.backend = "auto"
        x = torch.from_numpy(found[-1].layers[0].hidden)
    return found


def test_every_quantity_is_that_of_the_equations_for_the_text_alone(model: TextClassifier) -> None:
    """A row of another token, text, layer or direction would show what did not happen."""
    model.model_.eval()
    before = calls()
    trace = model.trace(TEXTS)
    assert calls()["kernels"] - before["kernels"] == 2
    assert calls()["equations"] == before["equations"]
    assert len(trace) == len(TEXTS)
    assert (trace.layers, trace.directions, trace.hidden_size) == (2, 2, 8)
    for text, words in enumerate(TEXTS):
        ids = model.reading_.encode([words]).ids
        tokens = trace.steps[text].tokens
        assert tokens == model.tokenizer_.tokens(words)
        assert trace.steps[text].known == [token in model.vocabulary_ for token in tokens]
        for layer, expected in enumerate(by_the_equations(model.model_, ids)):
            for name in trace.names:
                for d in (0, 1):
                    np.testing.assert_allclose(
                        trace.gate(name, text, layer, d), expected.gate(name, 0, d), atol=FLOAT32
                    )


def test_the_answers_that_come_with_a_trace_are_the_models_to_the_bit(model: TextClassifier) -> None:
    """A trace of one computation beside the answer of another would explain nothing."""
    assert np.array_equal(model.trace(TEXTS).probabilities, model.predict_proba(TEXTS))
    blocks = list(model.traces(TEXTS, 3))
    assert [len(block) for block in blocks] == [3, 1]
    np.testing.assert_array_equal(blocks[1].gate("hidden_state"), model.trace(TEXTS).gate("hidden_state", 3))


def test_a_language_models_texts_begin_with_the_mark(writer: LanguageModel) -> None:
    """Without the mark the first character would be read from another state than in training."""
    trace = writer.trace(["the film", ""])
    assert trace.steps[0].tokens == ["<end>", *"the film"]
    assert trace.probabilities is None
    ids = writer.vocabulary_.ids(trace.steps[0].tokens)
    for layer, expected in enumerate(by_the_equations(writer.model_, ids)):
        for name in trace.names:
            np.testing.assert_allclose(trace.gate(name, 0, layer), expected.gate(name), atol=FLOAT32)


def test_clamped_gates_stay_so_in_what_a_model_says_and_writes(
    model: TextClassifier, writer: LanguageModel
) -> None:
    """A copy that clamped nothing, or a model that went on clamping, would tell that no gate matters."""
    fractions = model.predict_proba(TEXTS)
    if model.cell == "rnn":
        with pytest.raises(DataError, match="a rnn has no 'forget_gate' to clamp; it has none"):
            model.with_gates(forget_gate=1.0)
        return
    gate = "update_gate" if model.cell == "gru" else "forget_gate"
    clamped = model.with_gates(layer=1, units=[2, 3], **{gate: 0.25})
    np.testing.assert_allclose(clamped.trace(TEXTS).gate(gate, 3, 1)[:, [2, 3]], 0.25, atol=1e-6)
    assert clamped.trace(TEXTS).gate(gate, 3, 1)[:, 4].std() > 0
    assert not np.array_equal(clamped.predict_proba(TEXTS), fractions)
    assert np.array_equal(model.predict_proba(TEXTS), fractions)
    assert np.array_equal(clamped.explain(TEXTS[0], "occlusion").steps.tokens, TEXTS[0].split())
    with pytest.raises(DataError, match="layer 2 is not there"):
        model.with_gates(layer=2, **{gate: 1.0})
    with pytest.raises(DataError, match="no gate was named"):
        model.with_gates()
    mute = writer.with_gates(layer=1, output_gate=0.0)
    assert np.abs(mute.trace(["the film"]).gate("hidden_state", 0, 1)).max() < 1e-6
    likeliest = writer.vocabulary_.tokens[int(writer.model_.output_bias.detach().argmax())]
    assert mute.generate("th", length=4, temperature=0) == likeliest * 4


def test_files_hold_what_the_trace_holds(model: TextClassifier, tmp_path: Path) -> None:
    """Rows beside the wrong token are worse than no file."""
    trace, seen = model.trace(TEXTS), []
    tokens = [token for steps in trace.steps for token in steps.tokens]
    assert write_trace(model, TEXTS, tmp_path / "t.npz", seen.append) == len(tokens)
    assert seen[-1] == len(TEXTS)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as file:
        assert file["words"][file["token"]].tolist() == tokens
        assert file["lengths"].tolist() == [len(steps) for steps in trace.steps]
        for name in trace.names:
            whole = np.concatenate([trace.of_text(text)[name] for text in range(len(TEXTS))])
            assert np.array_equal(file[name], whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.npz"]
    with pytest.raises(DataError, match=r"a trace is written as \.npz"):
        write_trace(model, TEXTS, tmp_path / "t.csv")
    with pytest.raises(DataError, match="no text to trace"):
        write_trace(model, [], tmp_path / "t.npz")


@pytest.mark.parametrize(
    "settings",
    [
        {"unknown": "drop"}, {"unknown": "nearest"}, {"unknown": "subword"}, {"max_length": 5},
        {"max_length": 4, "truncation": "tail", "unknown": "drop"}, {"tokenizer": "char", "max_length": 9},
        {"tokenizer": "char", "unknown": "drop"},
    ],
)  # fmt: skip
def test_steps_are_the_tokens_whose_ids_are_read(settings: dict[str, Any]) -> None:
    """What was cut off or left out must not shift the words beside what the memory did."""
    reviews = make_reviews(60, 3)
    fitted = TextClassifier(**TINY | {"epochs": 1} | settings).fit(reviews.texts, reviews.labels)
    texts = [*TEXTS, "Ωmega the qwertz film is gerat and a delight"]
    steps, encoded, _ = fitted.read(texts)
    assert [len(one) for one in steps] == encoded.lengths.tolist()
    tokens = [token for one in steps for token in one.tokens]
    known = [k for k, token in enumerate(tokens) if token in fitted.vocabulary_]
    assert [fitted.vocabulary_.id(tokens[k]) for k in known] == encoded.ids[known].tolist()
    assert np.array_equal(encoded.ids, fitted.reading_.encode(texts).ids)
    with pytest.raises(DataError, match="text 5 was not traced"):
        fitted.trace(texts).gate("hidden_state", 5)
