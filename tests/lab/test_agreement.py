"""Minimal pairs: read as they are meant, scored by the sums that a step-by-step softmax gives."""

from __future__ import annotations

import itertools
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.errors import DataError
from gatelight.estimators.language_model import LanguageModel
from gatelight.lab.agreement import accuracies, ngrams_of, score_pairs
from gatelight.lab.minimal_pairs import MinimalPair, read_pairs

DATA = Path(__file__).parents[3] / "shared" / "data" / "agreement" / "blimp"


def by_hand(model: LanguageModel, text: str) -> float:
    """torch.nn's own layer with the same weights, one step after another, and a softmax after each."""
    network, ids = model.model_, model.vocabulary_.ids(["<end>", *text.split()]).tolist()
    layer = torch.nn.LSTM(network.config.dim, network.config.hidden)
    layer.load_state_dict(network.memory[0].state_dict())
    weight, bias = network.output_layer()
    state, total = None, 0.0
    with torch.no_grad():
        for token, asked in itertools.pairwise(ids):
            row, state = layer(network.embedding.weight[token][None], state)
            total += float(torch.log_softmax(row[0] @ weight.T + bias, 0)[asked])
    return total


TEXTS = ["the dog barks .", "the dogs bark .", "a dog near the dogs barks ."] * 6
PAIRS = [
    MinimalPair("the dog barks .", "the dog bark .", "near", 1),
    MinimalPair("the dogs bark .", "the dogs barks .", "near", 1),
    MinimalPair("the dog near the dogs barks .", "the dog near the dogs bark .", "far", 4),
    MinimalPair("the unicorn barks .", "the unicorn bark .", "far", 1),
]


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    how: dict[str, Any] = {
        "tokenizer": "word",
        "hidden_size": 16,
        "embedding_dim": 8,
        "batch_size": 2,
        "steps": 8,
    }
    return LanguageModel(**how, epochs=20, validation_fraction=0.0, order=3).fit(TEXTS)


def test_pairs_are_scored_and_the_unknown_left_out(model: LanguageModel) -> None:
    """A pair about a word that the model never saw is a coin toss, and would be counted as knowledge."""
    scored = score_pairs(model, PAIRS, ngrams_of(model, TEXTS))
    assert scored.pairs == PAIRS[:3]
    assert scored.unknown == {"unicorn": 1}
    assert scored.left_out == {"far": 1}
    expected = [by_hand(model, pair.good) - by_hand(model, pair.bad) for pair in PAIRS[:3]]
    np.testing.assert_allclose(scored.margins["model"], expected, rtol=1e-3, atol=1e-4)
    ngrams = ngrams_of(model, TEXTS)

    def counted(text: str) -> float:
        return math.fsum(map(math.log, ngrams.probabilities(model.vocabulary_.ids(text.split())).tolist()))

    expected = [counted(pair.good) - counted(pair.bad) for pair in PAIRS[:3]]
    np.testing.assert_allclose(scored.margins["n-grams"], expected, rtol=1e-9, atol=1e-12)


def test_shares_are_counted_by_group(model: LanguageModel) -> None:
    """A table whose rows are of other pairs than it says would still look like a table."""
    scored = score_pairs(model, PAIRS)
    scored.margins["model"][:] = 1.0, 0.0, 2.0
    found = {
        (share.by, share.group): (share.right, share.pairs, share.left_out) for share in accuracies(scored)
    }
    assert found == {
        ("all", "all"): (2, 3, 1),
        ("construction", "far"): (1, 1, 1),
        ("construction", "near"): (1, 2, 0),  # a tie is a mistake
        ("distance", "1"): (1, 2, 0),
        ("distance", "4"): (1, 1, 0),
    }
    (whole,) = [share for share in accuracies(score_pairs(model, PAIRS[:1])) if share.by == "all"]
    assert (whole.low, whole.high) == pytest.approx((0.2065, 1.0), abs=1e-4)  # Wilson's, of 1 in 1


# --- readers --------------------------------------------------------------------------------------


def blimp(name: str, good: str, bad: str, **more: Any) -> dict[str, Any]:
    return {
        "sentence_good": good, "sentence_bad": bad, "UID": name,
        "linguistics_term": "subject_verb_agreement", **more,
    }  # fmt: skip


BLIMP = [
    blimp("regular_plural_subject_verb_agreement_1", "Jill hasn't left.", "Jill haven't left.",
          one_prefix_prefix="Jill"),
    blimp("distractor_agreement_relational_noun", "The print of a lot of cats has fallen.",
          "The print of a lot of cats have fallen.", one_prefix_prefix="The print of a lot of cats"),
    blimp("distractor_agreement_relative_clause", "A lot of men who that boy met are ill.",
          "A lot of men who that boy met is ill.", one_prefix_prefix="A lot of men who that boy met"),
    {**blimp("anaphor", "He hurt himself.", "He hurt itself."), "linguistics_term": "anaphor_agreement"},
]  # fmt: skip


def test_blimp_is_read_from_a_folder_and_from_its_zip(tmp_path: Path) -> None:
    """A distance counted from the wrong noun sorts the pairs into the wrong rows."""
    lines = "\n".join(map(json.dumps, BLIMP))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "all.jsonl").write_text(lines + "\n\n", encoding="utf-8")
    pairs = read_pairs(tmp_path / "set")
    assert [pair.distance for pair in pairs] == [1, 6, 5]
    assert pairs[0].good == "Jill hasn't left."
    assert pairs[2].construction == "distractor_agreement_relative_clause"
    with zipfile.ZipFile(tmp_path / "BLiMP.zip", "w") as archive:
        archive.writestr("data/all.jsonl", lines)
        archive.writestr("__MACOSX/data/._all.jsonl", b"\x00\x05")
    assert read_pairs(tmp_path / "BLiMP.zip") == pairs


def test_own_pairs_come_from_lines(tmp_path: Path) -> None:
    """Whoever has a dozen sentences of their own."""
    (tmp_path / "b.jsonl").write_text('{"good": "x y", "bad": "x z", "distance": 2}\n')
    assert read_pairs(tmp_path / "b.jsonl") == [MinimalPair("x y", "x z", "b", 2)]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", "{", "line 1 is not JSON"),
        ("a.jsonl", "[1]", "line 1 is a JSON list"),
        ("a.jsonl", '{"text": "x"}', "lacks 'good', its keys are 'text'"),
        ("a.jsonl", '{"good": "x"}', "lacks 'bad'"),
        ("a.jsonl", '{"good": "x", "bad": "x"}', "two different sentences"),
        ("a.jsonl", '{"good": "x", "bad": "y", "distance": "far"}', "expected a count"),
        ("a.jsonl", '{"good": "x", "bad": "y", "distance": -1}', "expected a count"),
        ("a.jsonl", '{"sentence_good": "x", "sentence_bad": "y"}', "lacks 'linguistics_term'"),
        ("a.jsonl", "", "holds no minimal pairs"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_refused(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    """A traceback, or a pair that is none, where a line of the user's file is wrong."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=complaint):
        read_pairs(tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        read_pairs(tmp_path / "gone")


@pytest.mark.skipif(not DATA.is_dir(), reason="BLiMP is not in ../shared/data")
def test_blimp_is_as_large_as_published() -> None:
    """A file that is skipped in silence would be missed in no table."""
    assert len(read_pairs(DATA)) == 6000
