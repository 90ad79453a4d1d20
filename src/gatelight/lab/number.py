"""Is the verb to come singular or plural? Cells of as many parameters learn it, and forget it with distance.

Two tests at each distance: new sentences of the words learnt from, and sentences of words never seen. What
both lose with distance is memory; what only the second lacks is knowledge of words. Knows no folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gatelight.compiled import clock
from gatelight.errors import DataError
from gatelight.lab.drawing import Drawn
from gatelight.lab.fading import gradient_by_distance
from gatelight.lab.network import Batch, Network, hidden_size, loss, parameters
from gatelight.lab.number_sentences import KNOWN, NEW, READ, SHORTEST, TABLE, Sentences, corpus, endings
from gatelight.models.optimisers import Optimiser
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.threads import single_threaded_torch

CELLS = tuple(EQUATIONS)
DISTANCES = (5, 10, 20, 40)
NEAREST, FARTHEST = 1, 40  # distances of the sentences to learn from
TRAINING, TEST = 20_000, 1000  # sentences to learn from, and of each test
SETS = {"known": KNOWN, "new": NEW}
INPUTS, OUTPUTS, HIDDEN = READ * 26, 2, 24  # hidden of LSTM; other cells get as many parameters
BATCH, RATE, CLIP, EPOCHS = 64, 0.003, 1.0, 3
LOOKED_AT = 32  # sentences for the gradients
LEVEL = 0.975  # of Student's t, for a 95 % interval


@dataclass(frozen=True, eq=False)
class Material:
    """What all runs share."""

    training: Sentences
    tests: dict[str, Sentences]  # "known 5" …


def material(nearest: int = NEAREST, farthest: int = FARTHEST) -> Material:
    """The sentences, the same ones each time; DataError where none is as long as is to be learnt from."""
    learnt = [distance for distance in range(nearest, farthest + 1) if distance == 1 or distance > SHORTEST]
    if nearest < 1 or not learnt:
        raise DataError(
            f"there is no sentence whose verb is {nearest} to {farthest} words behind its subject; expected "
            f"1, or {SHORTEST + 1} and more"
        )
    tests = {
        f"{name} {distance}": corpus(distance + 100 * k, lexicon, TEST, (distance,))
        for k, (name, lexicon) in enumerate(SETS.items(), 1)
        for distance in DISTANCES
    }
    return Material(corpus(0, KNOWN, TRAINING, learnt), tests)


def settings(cell: str, seed: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """All that a run depends on besides the material; DataError for a cell that there is not."""
    if cell not in CELLS:
        raise DataError(f"there is no cell {cell!r}; expected some of {', '.join(CELLS)}")
    wanted = parameters("lstm", INPUTS, HIDDEN, OUTPUTS)
    hidden = hidden_size(cell, INPUTS, OUTPUTS, wanted)
    return {
        "cell": cell, "seed": seed, "hidden": hidden, "parameters": parameters(cell, INPUTS, hidden, OUTPUTS),
        "epochs": epochs, "batch": BATCH, "rate": RATE,
    }  # fmt: skip


def learn(what: Material, trial: Mapping[str, Any]) -> dict[str, Any]:
    """Train one network; return its accuracy on each test, and how its gradient fades, before and after."""
    with single_threaded_torch():
        began = clock()
        table = endings(TABLE)
        network = Network(trial["cell"], INPUTS, trial["hidden"], OUTPUTS, trial["seed"])
        learnt = {name: p for name, p in network.named_parameters() if p.requires_grad}
        optimiser = Optimiser("adam", learnt, clip=CLIP)
        rng = np.random.default_rng(trial["seed"])
        far = drawn(table, what.tests[f"known {max(DISTANCES)}"], np.arange(LOOKED_AT))
        before = gradient_by_distance(network, "class", far)
        for _ in range(trial["epochs"]):
            order = rng.permutation(len(what.training.lengths))
            for begin in range(0, len(order), trial["batch"]):
                part = Batch(drawn(table, what.training, order[begin : begin + trial["batch"]]))
                outputs = network(part.rows, part.packing)[part.learnt]
                loss("class", outputs, part.targets).backward()  # type: ignore[no-untyped-call]
                optimiser.gradient_norm(None)
                optimiser.step(trial["rate"], None)
        return {
            "right": {name: float(right(network, table, test).mean()) for name, test in what.tests.items()},
            "before": before,
            "after": gradient_by_distance(network, "class", far),
            "seconds": clock() - began,
        }


def drawn(table: NDArray[np.float32], sentences: Sentences, chosen: NDArray[np.int64]) -> Drawn:
    """Sentences number `chosen` with one question each, at their last word: 0 singular, 1 plural."""
    lengths = sentences.lengths[chosen]
    ends = np.cumsum(lengths)
    starts = np.cumsum(sentences.lengths)[chosen] - lengths
    places = np.arange(int(lengths.sum())) + np.repeat(starts - ends + lengths, lengths)
    last = np.zeros(len(places), np.bool_)
    last[ends - 1] = True
    targets = np.repeat(sentences.plural[chosen], lengths)
    return Drawn(table[sentences.words[places]], lengths, targets, OUTPUTS, last, last)


def right(network: Network, table: NDArray[np.float32], sentences: Sentences) -> NDArray[np.bool_]:
    """Which sentences' numbers a network foresees, in packed order."""
    part = Batch(drawn(table, sentences, np.arange(len(sentences.lengths))))
    outputs = network(part.rows, part.packing)[part.learnt]
    return np.asarray((outputs.argmax(1) == part.targets).numpy())


@dataclass(frozen=True)
class Row:
    """Mean accuracy of a cell's runs on one test, with Student's 95 % interval over the seeds."""

    cell: str
    hidden: int
    parameters: int
    words: str
    distance: int
    seeds: int
    accuracy: float
    low: float
    high: float


def faded(runs: Iterable[Mapping[str, Any]], when: str) -> dict[int, float]:
    """Gradient at each distance over that at the last word, `when` "before" or "after": means over runs."""
    shares: dict[int, list[float]] = {}
    for found in runs:
        whole = dict(found[when])
        for distance, norm in whole.items():
            shares.setdefault(int(distance), []).append(norm / whole[0])
    return {distance: float(np.mean(its)) for distance, its in shares.items()}


def summed_up(runs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Row]:
    """Trials and their findings → a row for each cell, kind of words and distance; NaN bounds of one seed."""
    of: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for trial, found in runs:
        of.setdefault(trial["cell"], []).append((trial, found))
    rows = []
    for cell, its in of.items():
        shape = its[0][0]
        for name in its[0][1]["right"]:
            words, distance = name.split()
            shares = np.array([found["right"][name] for _, found in its])
            mean, reach = float(shares.mean()), np.nan
            if len(shares) > 1:
                reach = stats.t.ppf(LEVEL, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares))
            low, high = np.clip([mean - reach, mean + reach], 0.0, 1.0).tolist()
            rows.append(
                Row(
                    cell,
                    shape["hidden"],
                    shape["parameters"],
                    words,
                    int(distance),
                    len(its),
                    mean,
                    low,
                    high,
                )
            )
    return rows
