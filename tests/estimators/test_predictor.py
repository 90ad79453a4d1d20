"""A model folder predicted without torch and scikit-learn, to the bits of the estimator that was saved."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, Reviews

import gatelight
from gatelight import TextClassifier
from gatelight.estimators.opening import load_predictor

PROGRAM = (
    "import sys\n"
    "from gatelight.cli.main import run\n"
    "try: run()\n"
    "except SystemExit as stop: assert not stop.code, stop.code\n"
    "heavy = {'torch', 'sklearn', 'scipy.linalg', 'scipy.stats', 'nltk', 'numba.np.arraymath', 'rich'}\n"
    "print(sorted(heavy & set(sys.modules)))"
)
MODELS: dict[str, dict[str, Any]] = {
    "words": {},
    "treebank": {"tokenizer": "treebank"},
    "letters": {"unknown": "ngrams"},
    "subwords": {"unknown": "subword", "cell": "gru", "layers": 2, "pool": "max+mean"},
    "characters": {"tokenizer": "char", "cell": "peephole", "bidirectional": False, "pool": "attention"},
}


@pytest.fixture(scope="module", params=MODELS)
def saved(request: Any, reviews: Reviews, tmp_path_factory: Any) -> tuple[TextClassifier, Path]:
    made = TextClassifier(**{**TINY, "epochs": 1, **MODELS[request.param]})
    made.fit(reviews.texts[:80], reviews.labels[:80])
    folder = tmp_path_factory.mktemp("predicting") / "model"
    made.save(folder)
    return made, folder


def run(*program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", *program], capture_output=True, text=True, timeout=120)
    assert not done.returncode, done
    return done.stdout.splitlines()


def test_predict_starts_without_torch_and_scikit_learn(saved: tuple[TextClassifier, Path]) -> None:
    """Red when one text from the command line waits seconds for packages that it does not need."""
    made, folder = saved
    texts = ["the film is not dull, unheard-of", "a mess"]
    for _ in range(2):  # the first one may find code that is still to be compiled
        *lines, heavy = run(PROGRAM, "predict", str(folder), *texts, "--proba", "--json")
    assert heavy == "[]"
    found = [list(json.loads(line)["probabilities"].values()) for line in lines]
    assert np.array_equal(np.array(found, np.float32), made.predict_proba(texts))
    program = (
        "import sys, gatelight\n"
        "print(gatelight.load(sys.argv[1]).predict_proba(['a mess'])[0, 1].item().hex())\n"
        "print('torch' in sys.modules)"
    )
    assert run(program, str(folder)) == [float(made.predict_proba(["a mess"])[0, 1]).hex(), "False"]
    table, heavy = run(PROGRAM, "summary", str(folder), "--json")
    assert set(ast.literal_eval(heavy)) <= {"rich"}
    assert json.loads(table).items() >= made.summary().to_dict().items()


def test_the_answers_follow_the_torch_model_once_it_was_asked_for(
    saved: tuple[TextClassifier, Path], reviews: Reviews
) -> None:
    """Red when a loaded model answers otherwise than the fitted one, or from weights that are no longer."""
    import torch

    made, folder = saved
    predictor = load_predictor(folder)
    expected = made.predict_proba(reviews.texts)
    assert np.array_equal(predictor.proba_and_unknown_fraction(reviews.texts)[0], expected)
    assert np.array_equal(predictor.trace(reviews.texts[:3]).probabilities, expected[:3])
    assert predictor.model_ is predictor.model_
    assert np.array_equal(predictor.proba_and_unknown_fraction(reviews.texts)[0], expected)
    with torch.no_grad():
        predictor.model_.head["bias"] += 1
    assert (predictor.proba_and_unknown_fraction(reviews.texts)[0] != expected).all()


def test_a_loaded_estimator_makes_its_torch_model_when_asked(
    saved: tuple[TextClassifier, Path], reviews: Reviews
) -> None:
    """Red when `model_` of a loaded estimator is another network than the one that answers."""
    made, folder = saved
    loaded = gatelight.load(folder)
    assert isinstance(loaded, TextClassifier)
    text = reviews.texts[0]
    assert np.array_equal(loaded.session().feed(text), made.predict_proba([text])[0])
    own = dict(made.model_.named_parameters())
    for name, weight in loaded.model_.named_parameters():
        assert (weight == own[name]).all()
        assert weight.requires_grad == own[name].requires_grad
    assert loaded.model_ is loaded.model_
    assert not hasattr(TextClassifier(), "model_")
