"""`gatelight trace`, `units`, `ablate`: what a memory did, which unit knows what, what a gate is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gatelight.cli.options import READING, Data, Json, Model, Threads, with_options
from gatelight.cli.output import console, emit, percent, say, table
from gatelight.errors import DataError

Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Use so many texts, drawn by --seed.")]
Part = Annotated[str | None, typer.Option("--part", help="The part of DATA, if it has parts; else test.")]
Seed = Annotated[int, typer.Option("--seed", help="Fixes what is drawn.")]


@with_options(reading=READING)
def trace(
    model: Model,
    data: Annotated[str, typer.Argument(help="Texts, labelled or not.", metavar="DATA")],
    reading: dict[str, Any],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .npz or .parquet.", metavar="FILE")
    ],
    part: Annotated[str | None, typer.Option("--part", help="The part of DATA, if it has parts.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Trace the first so many texts.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Write what every gate and state was at every token, layer, direction and unit, in bounded memory."""
    from gatelight.cli.progress import Meter
    from gatelight.cli.sources import read
    from gatelight.estimators.opening import load
    from gatelight.estimators.sequences import SequenceClassifier
    from gatelight.estimators.trace_files import write_trace
    from gatelight.interop.keras.imported import ImportedModel
    from gatelight.nn.threads import set_threads

    to = console()
    set_threads(threads)
    estimator = load(model)
    if isinstance(estimator, ImportedModel | SequenceClassifier):
        raise DataError(f"{model} reads no texts of its own; only models trained on texts are traced")
    corpus = read(data, to, {**reading, "labelled": False}, [] if part is None else [part])
    texts = corpus.texts[:limit]
    with Meter(to) as meter:
        tokens = write_trace(estimator, texts, out, lambda done: meter.show("tracing", done, len(texts)))
    say(to, f"{len(texts):,} texts, {tokens:,} tokens in {out}, {out.stat().st_size / 1e6:,.1f} MB")


@with_options(reading=READING)
def units(
    model: Model,
    data: Data,
    reading: dict[str, Any],
    part: Part = None,
    limit: Limit = 500,
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Also look for units that tell that one of these words came: a,b,c."),
    ] = None,
    quantity: Annotated[str, typer.Option("--quantity", help="hidden_state or cell_state.")] = "hidden_state",
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Look for the unit of the memory that tells each property of the text so far best.

    The label, quotes, brackets, negation, the place in the text and in the sentence: by the area under the
    ROC curve, against shuffled properties, with a false discovery rate of 5 % over all units and properties.
    """
    from gatelight.insight.properties import label, standard
    from gatelight.insight.properties import topic as topic_of
    from gatelight.insight.units import search

    to = console(machine=json)
    estimator, texts, labels = _opened(model, data, to, reading, part, limit, seed, threads)
    wanted = standard() + [topic_of(words.split(",")) for words in topic or []]
    names = sorted(set(labels), key=str)
    for name in names[: 1 if len(names) == 2 else None]:
        wanted.append(label(f"label {name}", [one == name for one in labels]))
    found = search(estimator, texts, wanted, quantity=quantity, seed=seed)
    if json:
        emit(found.to_dict())
        return
    rows = [
        (one.property, f"{one.layer}/{one.direction}/{one.unit}", f"{one.auc:.3f}", f"{one.p:.1g}",
         f"{one.units}", percent(one.accuracy), percent(one.majority)) for one in found.found
    ]  # fmt: skip
    to.print(
        table(
            ["property", "best unit", "AUC", "p", "units", "alone", "majority"],
            rows,
            title=f"{quantity} of {found.units} units at {found.tokens:,} tokens of {found.texts} texts",
        )
    )
    if found.found:
        say(to, "units: how many are beyond chance; alone: accuracy of one unit and threshold on other texts")
        best = found.found[0]
        say(to, f"unit {best.layer}/{best.direction}/{best.unit}, {best.property}: with it ▇, without it ░")
        highest = max(*best.with_it, *best.without_it, 1)
        for k in range(0, len(best.with_it), 2):
            bars = [
                round(30 * sum(side[k : k + 2]) / (2 * highest)) for side in (best.with_it, best.without_it)
            ]
            say(to, f"{best.edges[k]:+.2f}  {'▇' * bars[0]:<30}  {'░' * bars[1]}")
    for name in found.skipped:
        say(to, f"{name}: too few tokens with it, or without")


@with_options(reading=READING)
def ablate(
    model: Model,
    data: Data,
    reading: dict[str, Any],
    part: Part = None,
    limit: Limit = None,
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Hold each gate open, shut and at its mean, and say what the model's accuracy loses."""
    from gatelight.cli.progress import Meter
    from gatelight.insight.ablation import ablate as measure

    to = console(machine=json)
    estimator, texts, labels = _opened(model, data, to, reading, part, limit, seed, threads)
    with Meter(to) as meter:
        found = measure(
            estimator, texts, labels, seed=seed, on_done=lambda done, all_: meter.show("holding", done, all_)
        )
    if json:
        emit(found.to_dict())
        return
    rows = [
        (f"{one.gate.replace('_', ' ')}{f', layer {one.layer}' if one.layer else ''}", one.held,
         percent(one.accuracy), f"{100 * one.change:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]",
         percent(one.agreement)) for one in found.held
    ]  # fmt: skip
    title = f"{found.cell}, {found.texts:,} texts: accuracy {percent(found.accuracy)}"
    to.print(table(["gate", "held", "accuracy", "change in points", "judged alike"], rows, title=title))
    if not rows:
        say(to, f"a {found.cell} has no gate to hold")


def _opened(
    model: str, data: str, to: Any, reading: dict[str, Any], part: str | None, limit: int | None, seed: int,
    threads: int | None,
) -> tuple[Any, list[str], list[Any]]:  # fmt: skip
    """The model, and labelled texts of DATA, at most `limit` of them, drawn by the seed."""
    import numpy as np

    from gatelight.cli.sources import read_to_judge
    from gatelight.estimators.folder import load
    from gatelight.nn.threads import set_threads

    set_threads(threads)
    estimator = load(model)
    corpus = read_to_judge(data, to, reading, part)
    labels: list[Any] = list(corpus.labels or [])
    chosen = np.arange(len(labels))
    if limit is not None and limit < len(labels):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:limit])
    return estimator, [corpus.texts[k] for k in chosen], [labels[k] for k in chosen]
