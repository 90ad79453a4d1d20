"""Faithfulness: against probabilities asked for one by one, and on a task whose true reasons are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.explaining import METHODS
from gatelight.insight.faithfulness import SHARES, Estimate, agreement, faithfulness, tfidf_weights
from gatelight.insight.rationales import is_eraser, read_eraser

FILLERS = ["the", "of", "and", "it", "so", "then", "here"]
NUMBERS = {f"{sign}{k}": (1 if sign == "plus" else -1) * k for sign in ("plus", "minus") for k in range(1, 6)}
SAME = 2e-6
"""Log odds are turned into probabilities, float32 probabilities are not: their last bits differ."""


def sums(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Signed numbers between words of no meaning, and the sign of their sum."""
    draw = np.random.default_rng(seed)
    texts: list[str] = []
    while len(texts) < n:
        words = [str(draw.choice(list(NUMBERS) if draw.random() < 0.3 else FILLERS)) for _ in range(14)]
        if abs(total(words)) > 2:
            texts.append(" ".join(words))
    return texts, ["above" if total(text.split()) > 0 else "below" for text in texts]


def total(words: list[str]) -> int:
    return sum(NUMBERS.get(word, 0) for word in words)


@pytest.fixture(scope="module")
def adder() -> TextClassifier:
    """A model that has learned to add: in its memory, for only the last state is judged."""
    texts, labels = sums(1500, 1)
    model = TextClassifier(
        embedding_dim=16, hidden_size=16, pool="last", bidirectional=False, min_count=1,
        embedding_dropout=0.0,
        word_dropout=0.05, epochs=8, batch_size=32, learning_rate=0.02, validation_fraction=0.1,
        random_state=2,
    ).fit(texts, labels, baseline=True)  # fmt: skip
    assert model.score(*sums(300, 2)) > 0.95
    return model


@pytest.mark.parametrize("method", [name for name in METHODS if name != "pool"])
def test_the_true_tokens_of_a_known_task_are_ranked_first(adder: TextClassifier, method: str) -> None:
    """An explanation that cannot find the numbers where only numbers count is worth nothing elsewhere."""
    found, signs = [], []
    for text in sums(40, 3)[0]:
        words = text.split()
        parts = adder.explain(text, method, target="above").contributions
        numbers = np.array([word in NUMBERS for word in words])
        first = np.argsort(-np.abs(parts), kind="stable")[: numbers.sum()]
        found.append(numbers[first].mean())
        signs += [
            np.sign(NUMBERS[w]) == np.sign(c) for w, c in zip(words, parts, strict=True) if w in NUMBERS
        ]
    assert np.mean(found) > 0.9
    assert np.mean(signs) > 0.9


def test_faithful_orders_are_told_from_random_ones_and_agree_with_the_truth(adder: TextClassifier) -> None:
    """A measure by which chance does as well as the truth would recommend anything."""
    texts = sums(40, 3)[0]
    truth = [
        np.array([NUMBERS.get(w, 0) * (1 if total(t.split()) > 0 else -1) > 0 for w in t.split()])
        for t in texts
    ]
    found = faithfulness(adder, texts, baseline=adder.baseline_, rationales=truth)
    assert (found.texts, found.rationales) == (40, 40)
    by_name = {one.method: one for one in found.methods}
    assert set(by_name) == {*METHODS, "tf-idf", "random"}
    chance = by_name["random"]
    for name in ("integrated-gradients", "occlusion", "tf-idf"):
        one = by_name[name]
        assert one.comprehensiveness.low > chance.comprehensiveness.high
        assert one.sufficiency.high < chance.sufficiency.low
        assert one.precision is not None
        assert chance.precision is not None
        assert one.precision.low > max(0.8, chance.precision.high)
        assert one.curve[0] > 0.9
        assert one.curve[-1] == chance.curve[-1]


def test_the_areas_are_those_of_probabilities_asked_for_one_by_one(adder: TextClassifier) -> None:
    """A share rounded down or the words kept in place of those deleted would still give smooth curves."""
    text = sums(1, 5)[0][0]
    words, place = text.split(), adder.predict_proba([text])[0].argmax()
    order = np.argsort(-adder.explain(text, "occlusion").contributions, kind="stable")

    def share(chosen: list[int]) -> float:
        return float(adder.predict_proba([" ".join(words[k] for k in sorted(chosen))])[0, place])

    whole = share(list(range(14)))
    counts = [int(np.ceil(share_ * 14)) for share_ in SHARES]
    assert counts == [1, 1, 2, 3, 7]
    found = faithfulness(adder, [text, ""], methods=["occlusion"]).methods[0]
    expected = np.mean([whole - share(order[k:].tolist()) for k in counts])
    assert found.comprehensiveness.mean == pytest.approx(expected, abs=SAME)
    expected = np.mean([whole - share(order[:k].tolist()) for k in counts])
    assert found.sufficiency.mean == pytest.approx(expected, abs=SAME)
    assert found.curve[6] == pytest.approx(share(order[5:].tolist()), abs=SAME)
    with pytest.raises(DataError, match="no text holds a token"):
        faithfulness(adder, [""])


def test_tfidf_weights_are_what_the_baseline_adds_up(adder: TextClassifier) -> None:
    """With single words once each, the weights and the intercept make the baseline's own order of texts."""
    question = adder.question("plus5 minus1 of", target="above")
    number = {term: k for k, term in enumerate(adder.baseline_.terms)}
    weights = tfidf_weights(adder.baseline_, question, number)
    against = tfidf_weights(adder.baseline_, adder.question("plus5 minus1 of", target="below"), number)
    np.testing.assert_allclose(weights, -against)
    positive = adder.classes_.tolist().index("above") == 1
    assert (weights[0] > 0 > weights[1]) or not positive
    assert abs(weights[2]) < abs(weights[1])


def test_agreement_and_intervals() -> None:
    """Average precision as scikit-learn's; an interval as a formula's."""
    draw = np.random.default_rng(1)
    scores, marked = draw.random(50), draw.random(50) < 0.3
    precision, f1 = agreement(scores, marked)
    assert precision == pytest.approx(average_precision_score(marked, scores))
    assert f1 == marked[np.argsort(-scores)[: marked.sum()]].mean()
    values = draw.normal(size=400)
    found = Estimate.of(values)
    reach = 1.96 * values.std() / 20
    np.testing.assert_allclose([found.low, found.high], [found.mean - reach, found.mean + reach], atol=0.015)


SPAN = {"start_token": 0, "end_token": 1}


def eraser(
    folder: Path, *records: dict[str, object] | str, words: str = "a great\nfilm , don't miss"
) -> Path:
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "one.txt").write_text(words, "utf-8")
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / "test.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def record(start: int = 1, end: int = 3, document: str = "one.txt") -> dict[str, object]:
    span = {"docid": document, "start_token": start, "end_token": end, "text": "great film"}
    return {"annotation_id": "one.txt", "classification": "POS", "evidences": [[span]], "query": "?"}


def test_rationales_of_eraser_are_read_and_lie_over_the_models_tokens(tmp_path: Path) -> None:
    """Marks one word too far would make every method look wrong."""
    folder = eraser(tmp_path, record(), {**record(), "evidences": []})
    assert is_eraser(folder)
    assert not is_eraser(folder / "docs")
    first, second = read_eraser(folder)
    assert (first.text, first.label) == ("a great film , don't miss", "POS")
    assert first.marked.tolist() == [False, True, True, False, False, False]
    assert not second.marked.any()
    assert first.by_token(str.split).tolist() == first.marked.tolist()  # type: ignore[union-attr]
    assert first.by_token(list) is None
    split = first.by_token(lambda text: text.replace("'", " ' ").split())
    assert split is not None
    assert split.tolist() == [False, True, True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not a line of ERASER"),
        ({"annotation_id": "one.txt"}, "not a line of ERASER"),
        (record(4, 9), "tokens 4 to 9 of a document of 6"),
        (record(document="two.txt"), "no document 'two.txt'"),
        (record(document="../test.jsonl"), "no document '../test.jsonl'"),
        (record(document="two.txt") | {"evidences": [[SPAN | {"docid": d} for d in "ab"]]}, "2 documents"),
        ("", "holds no text"),
    ],
)  # fmt: skip
def test_damaged_rationales_are_refused_by_line(
    tmp_path: Path, line: dict[str, object] | str, message: str
) -> None:
    """A path out of the folder, or a span beyond the document, must not pass."""
    with pytest.raises(DataError, match=message):
        read_eraser(eraser(tmp_path, line))
    with pytest.raises(DataError, match="no part 'val'; there are test"):
        read_eraser(tmp_path, "val")
