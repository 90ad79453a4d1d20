"""`gatelight evaluate`: how good a saved model is on labelled texts, beside its baseline."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatelight.cli.options import READING, Data, Json, Model, Threads, with_options
from gatelight.cli.output import console, emit, say


@with_options(reading=READING)
def evaluate(
    model: Model,
    data: Data,
    reading: dict[str, Any],
    part: Annotated[
        str | None, typer.Option("--part", help="The part of DATA to judge on, if it has parts; else test.")
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure a model on labelled texts, beside the TF-IDF baseline that learned from the same texts.

    Where DATA has parts of its own, the part test is judged, unless --part names another.
    """
    from gatelight.cli.reports import corpus_line, evaluation_table
    from gatelight.cli.sources import read_to_judge
    from gatelight.estimators.evaluation import evaluate as measure
    from gatelight.estimators.folder import load
    from gatelight.nn.threads import set_threads

    to = console(machine=json)
    set_threads(threads)
    judge = load(model)
    corpus = read_to_judge(data, to, reading, part)
    evaluation = measure(judge, corpus.texts, corpus.labels or [])
    if json:
        emit(evaluation.to_dict())
        return
    say(to, corpus_line(corpus))
    to.print(evaluation_table(evaluation))
