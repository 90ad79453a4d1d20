"""The service with every kind of model: labels of any type, any cell, any reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_cases import Client, served

import gatelight as library
from gatelight.service.hosted import load_all

TEXTS = ["a warm film", "a dull film", "the film was warm", "the film was dull and warm"] * 6
TINY: dict[str, Any] = {"hidden_size": 5, "embedding_dim": 4, "epochs": 1, "min_count": 1, "max_length": 12}
TAGS = [("warm",), ("dull",), ("warm",), ("dull", "warm")] * 6
KINDS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "three": ({"cell": "gru", "layers": 2}, [0, 1, 2, 1] * 6),
    "yes": ({"cell": "rnn", "bidirectional": False, "pool": "last"}, [True, False, True, False] * 6),
    "tags": ({"cell": "peephole", "unknown": "drop"}, TAGS),
    "letters": ({"tokenizer": "char", "pool": "mean"}, ["good", "bad", "good", "bad"] * 6),
    "flat": ({"pool": "flatten", "unknown": "nearest"}, ["good", "bad", "good", "bad"] * 6),
}
ASKED = "the film was warn, not dull; \u00e9 \U0001f468"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("models")
    for name, (settings, labels) in KINDS.items():
        library.TextClassifier(**TINY, **settings, random_state=1).fit(TEXTS, labels).save(folder / name)
    with served(load_all([str(folder / name) for name in KINDS])) as found:
        found.folder = folder  # type: ignore[attr-defined]
        yield found


@pytest.mark.parametrize("text", [ASKED, ""])
@pytest.mark.parametrize("name", KINDS)
def test_answers_as_the_library_does(client: Client, name: str, text: str) -> None:
    """A label that became another type, or a quantity of another layer, misleads whoever builds on it."""
    folder: Path = client.folder  # type: ignore[attr-defined]
    model = library.load(folder / name)
    asked = {"model": name, "text": text}
    fractions, label = model.predict_proba([text])[0], model.predict([text])[0]
    status, got = client.ask("/v1/predict", asked)
    assert status == 200, got
    (found,) = got["predictions"]
    assert (np.float32(list(found["probabilities"].values())) == fractions).all()
    assert found["label"] == (list(label) if name == "tags" else label)
    assert type(found["label"]) in (list, str, int, bool)
    status, got = client.ask("/v1/running", asked)
    assert status == 200, got
    assert np.array_equal(np.float32(got["running"]).reshape(-1, len(fractions)), model.running_proba(text))
    assert [token["text"] for token in got["tokens"]] == model.tokenizer_.tokens(text)
    unknown = [(token["text"], token["read_as"]) for token in got["tokens"] if not token["known"]]
    assert unknown == model.understand([text])[0].unknown
    status, got = client.ask("/v1/explain", {**asked, "method": "occlusion"})
    assert status == 200, got
    assert got["contributions"] == model.explain(text, "occlusion").contributions.tolist()
    layer, side = model.model_.config.layers - 1, int(model.model_.config.bidirectional)
    status, got = client.ask("/v1/trace", {**asked, "layer": layer, "direction": side, "units": 3})
    assert status == 200, got
    trace = model.trace([text])
    assert got["names"] == list(trace.names)
    for quantity in trace.names:
        rows = trace.gate(quantity, 0, layer, side)[:, got["units"]]
        assert np.array_equal(np.float32(got["values"][quantity]).reshape(rows.shape), rows)
    gate = next((name for name in trace.names if name.endswith("_gate")), None)
    if gate is not None:
        status, got = client.ask("/v1/running", {**asked, "clamp": {gate: 0.5}})
        clamped = model.with_gates(**{gate: 0.5}).predict_proba([text])[0]
        assert (np.float32(got["probabilities"]) == clamped).all()
