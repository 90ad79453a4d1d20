"""The lab's tasks: what they draw is what their sources define, and cannot be answered without the past."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from gatelight.errors import DataError
from gatelight.lab import grammars, tasks
from gatelight.lab.sequences import Drawn
from gatelight.lab.tasks import TASKS, Task, known

FEW = settings(max_examples=20, deadline=None)
SEEDS, LENGTHS = st.integers(0, 2**32), st.integers(2, 40)
SIGMAS = 5  # a fair test of 20 shares fails once in a million runs
TOLD_APART = 0.01  # what a tree of few leaves gains by chance


def drawn(draw: Any, seed: int, length: int, count: int = 8) -> list[tuple[Any, Any, Any, Any]]:
    """Inputs, targets, learnt and asked steps of each sequence."""
    what = draw(np.random.default_rng(seed), length, count)
    parts = (what.inputs, what.targets, what.learnt, what.asked)
    return [tuple(part[k, :end] for part in parts) for k, end in enumerate(what.lengths)]  # type: ignore[misc]


@FEW
@given(SEEDS, st.integers(10, 60))
def test_adding_is_a_sum_of_two_marked_numbers(seed: int, length: int) -> None:
    """A third mark, or one at the end of the sequence, and another task would be learnt."""
    for inputs, targets, learnt, asked in drawn(tasks.adding, seed, length):
        assert length <= len(inputs) <= 1.1 * length
        marked = np.flatnonzero(inputs[:, 1] == 1)
        assert len(marked) == 2
        assert 1 <= marked[0] < length // 2 <= marked[1] < length - 1
        assert inputs[0, 1] == inputs[-1, 1] == -1
        assert np.count_nonzero(inputs[:, 1]) == 4
        assert np.abs(inputs[:, 0]).max() <= 1
        assert targets[-1, 0] == pytest.approx(0.5 + inputs[marked, 0].sum() / 4, abs=1e-6)
        assert learnt.tolist() == asked.tolist() == [False] * (len(inputs) - 1) + [True]


@FEW
@given(SEEDS, LENGTHS)
def test_what_is_copied_is_what_was_read(seed: int, length: int) -> None:
    """Symbols must come back in their order, `length` steps after the last, and nothing else be asked."""
    for inputs, targets, learnt, asked in drawn(tasks.copying, seed, length):
        read = inputs.argmax(1)
        assert inputs.sum(1).tolist() == [1] * (length + 2 * tasks.COPIED)
        assert read[: tasks.COPIED].max() < tasks.SYMBOLS
        assert read[tasks.COPIED :].tolist() == [8] * (length - 1) + [9] + [8] * tasks.COPIED
        assert targets[learnt].tolist() == read[: tasks.COPIED].tolist()
        assert asked.tolist() == learnt.tolist() == [False] * (length + tasks.COPIED) + [True] * tasks.COPIED


@FEW
@given(SEEDS, st.integers(10, 60))
def test_order_is_that_of_the_two_signs(seed: int, length: int) -> None:
    """The class must be that of (first, second): X X, X Y, Y X, Y Y."""
    for inputs, targets, learnt, _ in drawn(tasks.temporal_order, seed, length):
        read = inputs.argmax(1)
        signs = np.flatnonzero((read == 4) | (read == 5))
        assert length // 10 <= signs[0] <= length // 5 < length // 2 <= signs[1] <= 3 * length // 5
        assert len(signs) == 2
        assert (read[0], read[-1]) == (6, 7)
        assert targets[learnt].tolist() == [2 * (read[signs[0]] - 4) + read[signs[1]] - 4]


# Reber's grammar, once more and in another form: as an expression.

THIRD = "(?:T*VPX)*T*V(?:V|PS)"
INNER = f"B(?:TS*X(?:S|X{THIRD})|P{THIRD})E"
EMBEDDED = regex.compile(f"B(?:T{INNER}T|P{INNER}P)E")


def text(inputs: Any) -> str:
    return "".join(grammars.REBER[number] for number in inputs.argmax(1))


@FEW
@given(SEEDS, st.integers(5, 30))
def test_strings_are_of_the_grammar_and_name_what_may_follow(seed: int, length: int) -> None:
    """An error in the table would make a grammar that nobody has published figures of."""
    for inputs, targets, _, asked in drawn(grammars.embedded_reber, seed, length):
        string = text(inputs) + "E"
        assert EMBEDDED.fullmatch(string)
        assert len(string) - 4 >= length
        assert string[int(np.flatnonzero(asked)[0]) + 1] == string[1] == string[-2]
        for step, allowed in enumerate(targets):
            begun = string[: step + 1]
            may = {symbol for symbol in grammars.REBER if EMBEDDED.fullmatch(begun + symbol, partial=True)}
            assert {grammars.REBER[k] for k in np.flatnonzero(allowed)} == may


def test_strings_are_as_long_as_the_grammar_makes_them() -> None:
    """Drawn by their length first, strings must still be as frequent as a walk by fair coins makes them."""
    count = 20_000
    symbols, _ = grammars.strings(np.random.default_rng(1), 5, count)
    lengths = Counter(((symbols >= 0).sum(1) - 4).tolist())
    draw, walked = np.random.default_rng(2), Counter[int]()
    for _ in range(count):
        state, steps = 1, 1
        while state < 7:
            way = grammars._INNER[state].split()
            state, steps = int(way[draw.integers(len(way))][1]), steps + 1
        walked[steps] += 1
    for length in range(5, 12):
        spread = np.sqrt(lengths[length] + walked[length])
        assert abs(lengths[length] - walked[length]) < SIGMAS * spread


@FEW
@given(SEEDS, st.integers(1, 12))
def test_counted_strings_name_what_may_follow(seed: int, length: int) -> None:
    """By the language itself: what may follow a prefix is what follows it in some string."""
    every = ["S" + "a" * n + "b" * n + "T" for n in range(1, length + 2)]
    for inputs, targets, learnt, asked in drawn(grammars.anbn, seed, length):
        string = "".join("Sab"[k] for k in inputs.argmax(1))
        assert string + "T" in every[:length]
        for step, allowed in enumerate(targets):
            begun = string[: step + 1]
            may = {other[step + 1] for other in every if other.startswith(begun) and len(other) > step + 1}
            assert {"abT"[k] for k in np.flatnonzero(allowed)} == may
        assert learnt.all()
        assert asked.tolist() == [symbol == "b" for symbol in string]


def sentences() -> regex.Pattern[str]:
    """What a sentence may be, written anew: plural nouns take plain verbs, the others verbs with an s."""

    def either(words: Any) -> str:
        return f"(?:{'|'.join(words)})"

    adjective = f"(?:{either(grammars.ADJECTIVES)} )?"
    one, many = either(grammars.NOUNS), either(map(grammars.with_s, grammars.NOUNS))
    verb, verbs = (either(form(v) for v, _ in grammars.VERBS) for form in (str, grammars.with_s))
    participle = either(participle for _, participle in grammars.VERBS)
    piece = either(
        [
            f"{either(['near', 'behind', 'beside', 'without'])} the {adjective}(?:{one}|{many})",
            f"that the {adjective}(?:{one} {verbs}|{many} {verb})",
            f"having {participle} the {adjective}(?:{one}|{many})",
        ]
    )
    return regex.compile(f"the {adjective}(?P<subject>{one}|{many})(?P<clause>(?: {piece})*)")


SENTENCES = sentences()


@FEW
@given(SEEDS, st.sampled_from([1, *range(4, 40)]))
def test_sentences_are_of_the_grammar_and_ask_for_their_subjects_number(seed: int, length: int) -> None:
    """A clause whose verb agreed with the subject, or one word too many, would be another task."""
    for draw in (grammars.number, grammars.number_exam):
        for inputs, targets, learnt, asked in drawn(draw, seed, length):
            found = SENTENCES.fullmatch(" ".join(grammars.WORDS[k] for k in inputs.argmax(1)))
            assert found is not None
            distance = len(found["clause"].split()) + 1
            assert distance == length if draw is grammars.number_exam else 1 <= distance <= length
            plural = found["subject"] in set(map(grammars.with_s, grammars.NOUNS))
            assert targets[-1] == plural
            assert learnt.tolist() == [False] * (len(inputs) - 1) + [True]
            assert asked.any() == (distance > 1)


def present(what: Drawn) -> tuple[Any, Any]:
    """Inputs and targets of the asked steps."""
    asked = what.asked & (np.arange(what.asked.shape[1]) < what.lengths[:, None])
    return what.inputs[asked], what.targets[asked]


def as_classes(task: Task, targets: Any) -> Any:
    """Every class, set or fiftieth as a number."""
    if task.kind == "number":
        return np.rint(50 * targets[:, 0]).astype(int)
    return targets if task.kind == "class" else targets @ 2 ** np.arange(targets.shape[1])


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_model_that_ignores_the_past_scores_at_chance(task: Task) -> None:
    """Were the answer to be seen in the present input, no memory would be measured at all."""
    for length in task.lengths[:2]:
        learnt, fresh = (present(task.draw(np.random.default_rng(seed), length, 4000)) for seed in (1, 2))
        tree = DecisionTreeClassifier(min_samples_leaf=500).fit(learnt[0], as_classes(task, learnt[1]))
        answers, wanted = tree.predict(fresh[0]), fresh[1]
        right = answers == as_classes(task, wanted)
        if task.kind == "number":
            right = np.abs(answers / 50 - wanted[:, 0]) < task.tolerance
        score, chance = float(right.mean()), task.chance(length)
        spread = np.sqrt(chance * (1 - chance) / len(right))
        assert abs(score - chance) < TOLD_APART + SIGMAS * spread, (score, chance)


def test_unknown_tasks_are_refused() -> None:
    """A misspelt name must not run the whole lab."""
    assert [task.name for task in known(["anbn", "adding", "anbn"])] == ["anbn", "adding"]
    assert len(known([])) == len(TASKS)
    with pytest.raises(DataError, match="no task 'addng'; expected some of adding, "):
        known(["addng"])
