"""`gatelight evaluate`: how good a saved model is on labelled texts, beside its baseline."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatelight.app.options import READING, Data, Json, Model, Threads, with_options
from gatelight.app.output import console, emit, say


@with_options(reading=READING)
def evaluate(
    model: Model,
    data: Data,
    reading: dict[str, Any],
    part: Annotated[
        str | None, typer.Option("--part", help="A part of DATA, such as test, if it has parts.")
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure a model on labelled texts, beside the TF-IDF baseline that learned from the same texts."""
    from gatelight.app.reports import corpus_line, evaluation_table
    from gatelight.app.sources import of_part, read
    from gatelight.estimators.evaluation import evaluate as measure
    from gatelight.estimators.folder import load
    from gatelight.memory.threads import set_threads

    to = console(machine=json)
    set_threads(threads)
    judge = load(model)
    corpus = of_part(read(data, to, reading, [] if part is None else [part]), part)
    evaluation = measure(judge, corpus.texts, corpus.labels or [])
    if json:
        emit(evaluation.to_dict())
        return
    say(to, corpus_line(corpus))
    to.print(evaluation_table(evaluation))
