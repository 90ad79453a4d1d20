"""The number of the verb to come: sentences are what their grammar says, and nothing late gives it away."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.lab import number
from gatelight.lab.network import Network
from gatelight.lab.number_sentences import (
    KNOWN,
    NEW,
    READ,
    SHARED,
    TABLE,
    Lexicon,
    corpus,
    endings,
    sentence,
    with_s,
)

CHANCE = 0.04  # five standard errors of a share of one half in 4,000


def grammar(lexicon: Lexicon) -> re.Pattern[str]:
    """What a sentence may be, written anew: plural nouns take plain verbs, the others verbs with an s."""

    def either(words: list[str]) -> str:
        return f"(?:{'|'.join(words)})"

    adjective = f"(?:{either(list(lexicon.adjectives))} )?"
    one, many = either(list(lexicon.nouns)), either([with_s(noun) for noun in lexicon.nouns])
    verb, verbs = (either([form(v) for v, _ in lexicon.verbs]) for form in (str, with_s))
    participle = either([participle for _, participle in lexicon.verbs])
    piece = either(
        [
            f"{either(['near', 'behind', 'beside', 'without'])} the {adjective}(?:{one}|{many})",
            f"that the {adjective}(?:{one} {verbs}|{many} {verb})",
            f"having {participle} the {adjective}(?:{one}|{many})",
        ]
    )
    return re.compile(f"the {adjective}(?P<subject>{one}|{many})(?P<clause>(?: {piece})*)")


GRAMMARS = {"known": (KNOWN, grammar(KNOWN)), "new": (NEW, grammar(NEW))}


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    distance=st.sampled_from([1, *range(4, 60)]),
    name=st.sampled_from(["known", "new"]),
)
def test_sentences_are_of_the_grammar(seed: int, distance: int, name: str) -> None:
    """A clause whose verb agreed with the subject, or one word too many, would be another task."""
    lexicon, pattern = GRAMMARS[name]
    words, plural = sentence(np.random.default_rng(seed), lexicon, distance)
    found = pattern.fullmatch(" ".join(words))
    assert found is not None
    assert len(found["clause"].split()) == distance - 1
    assert plural == (found["subject"] in {with_s(noun) for noun in lexicon.nouns})
    for wrong in ([*words, "the"], words[1:], [word for word in words if word != "the"]):
        assert pattern.fullmatch(" ".join(wrong)) is None


def test_no_word_to_be_tested_on_was_learnt() -> None:
    """A noun in both lists would be known by heart."""
    assert not set(KNOWN.words()) & set(NEW.words())
    assert not set(SHARED) & {*KNOWN.words(), *NEW.words()}
    for lexicon in (KNOWN, NEW):
        nouns = {form for noun in lexicon.nouns for form in (noun, with_s(noun))}
        assert len(nouns) == 2 * len(lexicon.nouns)
        # The last letter alone does not tell, for neither of the two.
        assert 3 <= sum(noun.endswith("s") for noun in lexicon.nouns) <= 8
    # But what is read of a word does, or nobody could be right about all words learnt from.
    read = [{word[-READ:] for word in words} for words in (KNOWN.nouns, map(with_s, KNOWN.nouns))]
    assert not read[0] & read[1]
    vectors = endings(TABLE)
    assert vectors.shape == (len(TABLE), number.INPUTS)
    assert vectors[TABLE.index("dogs")].reshape(3, 26).argmax(1).tolist() == [
        ord(c) - ord("a") for c in "sgo"
    ]


def test_what_ignores_the_past_is_at_chance() -> None:
    """If the last words gave the subject's number away, no memory would be needed."""
    learnt, asked = corpus(1, KNOWN, 4000, (5, 10)), corpus(2, KNOWN, 4000, (5, 10))
    for words in (1, 3):  # the last one, and the last three together

        def last(sentences: number.Sentences, words: int = words) -> list[tuple[int, ...]]:
            ends = np.cumsum(sentences.lengths)
            return [tuple(sentences.words[end - words : end].tolist()) for end in ends]

        counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for key, plural in zip(last(learnt), learnt.plural.tolist(), strict=True):
            counts[key][plural] += 1
        guesses = [counts[key].most_common(1)[0][0] if counts[key] else 0 for key in last(asked)]
        assert abs(float((np.array(guesses) == asked.plural).mean()) - 0.5) < CHANCE


def test_each_sentence_is_asked_at_its_last_word() -> None:
    """A question one word earlier, or with another sentence's answer, teaches noise."""
    sentences = corpus(3, NEW, 50, (1, 7))
    chosen = np.array([7, 0, 20, 7])
    drawn = number.drawn(endings(TABLE), sentences, chosen)
    starts = np.concatenate([[0], np.cumsum(sentences.lengths)])
    at = 0
    for k in chosen.tolist():
        n = int(sentences.lengths[k])
        expected = endings(TABLE[w] for w in sentences.words[starts[k] : starts[k + 1]])
        np.testing.assert_array_equal(drawn.inputs[at : at + n], expected)
        assert drawn.asked[at : at + n].tolist() == [False] * (n - 1) + [True]
        assert drawn.targets[at + n - 1] == sentences.plural[k]
        at += n
    assert at == len(drawn.inputs)


def test_cells_have_as_many_parameters() -> None:
    """A cell with twice the weights would be compared with a smaller one."""
    sizes = []
    for cell in number.CELLS:
        found = number.settings(cell, 0)
        network = Network(cell, number.INPUTS, found["hidden"], number.OUTPUTS, 0)
        counted = sum(p.numel() for p in network.parameters() if p.requires_grad)
        assert counted == found["parameters"]
        sizes.append(counted)
    assert max(sizes) < 1.03 * min(sizes)
    with pytest.raises(DataError, match="no cell 'elman'"):
        number.settings("elman", 0)


def test_a_short_distance_is_learnt_and_the_same_seed_finds_the_same() -> None:
    """A loop that learnt nothing would show four cells at chance, and call it forgetting."""
    tests = {f"known {distance}": corpus(distance, KNOWN, 300, (distance,)) for distance in (5, 40)}
    what = number.Material(corpus(0, KNOWN, 2000, (1, 4, 5)), tests)
    trial = number.settings("gru", 1, epochs=5)
    found = number.learn(what, trial)
    assert found["right"]["known 5"] > 0.9
    assert [distance for distance, _ in found["after"]][:4] == [0, 1, 2, 3]
    again = number.learn(what, {**trial, "epochs": 1})
    assert again["before"] == found["before"]
    assert again["right"] == number.learn(what, {**trial, "epochs": 1})["right"]


def test_runs_are_summed_up() -> None:
    """An interval over the sentences instead of the seeds would be far too narrow."""
    shares = (0.7, 0.8, 0.96)
    runs = [(number.settings("rnn", k), {"right": {"new 5": share}}) for k, share in enumerate(shares)]
    (row,) = number.summed_up(runs)
    assert (row.cell, row.words, row.distance, row.seeds) == ("rnn", "new", 5, 3)
    assert row.accuracy == pytest.approx(0.82)
    # 4.302653 is Student's t of 2 degrees of freedom, 0.131149 the sample's standard deviation.
    assert row.low == pytest.approx(0.82 - 4.302653 * 0.131149 / 3**0.5, abs=1e-5)
    assert row.high == 1.0
    (alone,) = number.summed_up(runs[:1])
    assert np.isnan(alone.low)
    faded = number.faded([{"after": [[0, 2.0], [5, 1.0]]}, {"after": [[0, 4.0], [5, 1.0]]}], "after")
    assert faded == {0: 1.0, 5: 0.375}
