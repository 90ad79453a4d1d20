"""`gatelight train`: labelled texts become a saved model, with everything that happens on the way shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gatelight.cli.options import READING, SETTINGS, Data, Json, with_options
from gatelight.cli.output import console, emit, say
from gatelight.cli.training_meter import shown


@with_options(reading=READING, settings=SETTINGS)
def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to save the model in.", metavar="MODEL")],
    reading: dict[str, Any],
    settings: dict[str, Any],
    preset: Annotated[
        str, typer.Option("--preset", help="default, char, note-400, note-200 or note-char.")
    ] = "default",
    vectors: Annotated[
        str | None,
        typer.Option(
            "--vectors",
            help="Word vectors: a named set, a file, one-hot, or corpus: train them first, on this data.",
            metavar="NAME|FILE|corpus|one-hot",
        ),
    ] = None,
    from_lm: Annotated[
        Path | None,
        typer.Option(
            "--from-lm",
            help="Start from a saved language model: its tokens, vectors and memory, in one direction.",
            metavar="MODEL",
        ),
    ] = None,
    gradual_unfreezing: Annotated[
        bool,
        typer.Option(
            "--gradual-unfreezing/--no-gradual-unfreezing",
            help="Whether --from-lm trains the head first, with each epoch a layer more, vectors last.",
        ),
    ] = True,
    part: Annotated[str, typer.Option("--part", help="What to train on, if DATA has parts.")] = "train",
    valid: Annotated[
        str | None,
        typer.Option("--valid", help="Validate on this instead of a held-out part.", metavar="PART|DATA"),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option("--test", help="Evaluate on this once, in the end.", metavar="PART|DATA"),
    ] = None,
    test_fraction: Annotated[
        float | None,
        typer.Option("--test-fraction", help="Hold out such a share first, and evaluate on it in the end."),
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Whether to fit the TF-IDF baseline beside it.")
    ] = True,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled/--no-unlabelled", help="Whether --vectors corpus also reads the part unsup."
        ),
    ] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    json: Json = False,
) -> None:
    """Train a model on labelled texts and save it.

    Where DATA has parts of its own (train, test, unsup), the part train is trained on, unsup serves
    --vectors corpus only, and test is looked at only with --test test.
    """
    from gatelight.cli.reports import corpus_line, report
    from gatelight.cli.sources import available, read_for_training
    from gatelight.cli.unfinished import UnfinishedRun
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.evaluation import evaluate
    from gatelight.estimators.folder import KIND
    from gatelight.estimators.settings import CORPUS, ONE_HOT, check_settings

    to = console(machine=json)
    if vectors is not None:
        settings["vectors"] = vectors
    if from_lm is not None:
        settings |= {"from_lm": from_lm, "gradual_unfreezing": gradual_unfreezing}
    estimator = TextClassifier.from_preset(preset, **settings)
    # Before minutes are spent on reading.
    check_settings(estimator.get_params(deep=False))
    run = UnfinishedRun(out, KIND)
    run.begin(resume)
    try:
        if vectors not in (None, CORPUS, ONE_HOT):
            available(vectors, to)
        texts = read_for_training(
            data,
            to,
            reading,
            part=part,
            with_unlabelled=unlabelled and vectors == CORPUS,
            valid=valid,
            test=test,
            test_fraction=test_fraction,
            seed=estimator.random_state,
        )
        corpus, held = texts.training, texts.valid
        say(to, corpus_line(corpus))
        with shown(to, estimator.epochs, json) as calls:
            estimator.fit(
                corpus.texts,
                corpus.labels or [],
                groups=corpus.groups,
                validation=None if held is None else (held.texts, held.labels or []),
                unlabelled=texts.unlabelled or None,
                baseline=baseline,
                origin=corpus.origin,
                checkpoint=run.checkpoint,
                resume=resume,
                **calls,
            )
    finally:
        run.clear_if_empty()
    tested = None
    if texts.test is not None:
        tested = evaluate(estimator, texts.test.texts, texts.test.labels or [], baseline=baseline)
        estimator.training_["test"] = tested.to_dict()
    run.save(estimator.save)
    report(to, estimator, tested)
    say(to, f"saved in {out}")
    if json:
        validation = estimator.validation_
        emit(
            {
                "model": str(out),
                **estimator.training_,
                "validation": None if validation is None else validation.to_dict(),
                "test": None if tested is None else tested.to_dict(),
            }
        )
