"""`gatelight train-lm`: texts become a saved language model, with the n-gram baseline beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gatelight.cli.options import READING, SETTINGS, Data, Json, Parameter, with_options
from gatelight.cli.output import console, emit, say, table
from gatelight.cli.training_meter import shown

SHARED = (
    "tokenizer", "lowercase", "clean", "min_count", "max_words", "max_length", "embedding_dim", "cell",
    "hidden_size",
    "layers", "dropout", "embedding_dropout", "layer_dropout", "optimizer", "learning_rate", "schedule",
    "clip", "weight_decay", "batch_size", "epochs", "patience", "best_by", "average", "validation_fraction",
    "random_state", "threads",
)  # fmt: skip
LANGUAGE = (
    *(parameter for parameter in SETTINGS if parameter.name in SHARED),
    Parameter(
        "tied", bool, "Whether the output layer shares the embedding; needs embedding_dim = hidden_size."
    ),
    Parameter("output", str, "softmax; for large vocabularies adaptive or sampled."),
    Parameter("samples", int, "Tokens drawn for each step of a sampled output."),
    Parameter("documents", bool, "Whether each text begins anew, instead of one stream."),
    Parameter("steps", int, "Tokens of each stream between two updates."),
    Parameter("order", int, "Order of the n-gram baseline."),
)


@with_options(reading=READING, settings=LANGUAGE)
def train_lm(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to save the model in.", metavar="MODEL")],
    reading: dict[str, Any],
    settings: dict[str, Any],
    part: Annotated[
        str | None, typer.Option("--part", help="Learn from this part only; else from all but test.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Use so many texts at most.")] = None,
    vectors: Annotated[
        str | None,
        typer.Option(
            "--vectors",
            help="What tokens begin with: a named set, a file, or corpus: word2vec of the same texts.",
            metavar="NAME|FILE|corpus",
        ),
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Whether to measure n-grams beside it.")
    ] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    json: Json = False,
) -> None:
    """Train a language model on texts, labelled or not, and save it."""
    from gatelight.cli.sources import available, texts_to_learn_from
    from gatelight.cli.unfinished import UnfinishedRun
    from gatelight.estimators.language import LanguageModel
    from gatelight.estimators.opening import LANGUAGE
    from gatelight.estimators.settings import CORPUS, check_language_settings

    to = console(machine=json)
    model = LanguageModel(**settings, vectors=vectors)
    check_language_settings(model.get_params(deep=False))
    run = UnfinishedRun(out, LANGUAGE)
    run.begin(resume)
    try:
        if vectors not in (None, CORPUS):
            available(vectors, to)
        corpus = texts_to_learn_from(data, to, reading, part)
        if limit is not None:
            corpus = corpus.select(range(min(len(corpus), limit)))
        grouped = "" if corpus.groups is None else f", {len(set(corpus.groups)):,} groups"
        say(to, f"{len(corpus):,} texts, {sum(map(len, corpus.texts)):,} characters{grouped}")
        with shown(to, model.epochs, json) as calls:
            model.fit(
                corpus.texts,
                groups=corpus.groups,
                baseline=baseline,
                origin=data,
                checkpoint=run.checkpoint,
                resume=resume,
                **calls,
            )
    finally:
        run.clear_if_empty()
    run.save(model.save)
    rows = [
        (name, f"{found['bits_per_character']:.3f}", f"{found['perplexity']:.2f}")
        for name, found in (
            ("this model", model.training_["validation"]),
            (f"n-grams, order {model.order}", model.training_["baseline"]),
        )
        if found is not None
    ]
    if rows:
        of_others = " of other groups" if model.training_["split"] == "group" else ""
        to.print(table((f"held-out texts{of_others}", "bits per character", "perplexity per token"), rows))
    say(to, f"saved in {out}")
    if json:
        emit({"model": str(out), **model.training_})
