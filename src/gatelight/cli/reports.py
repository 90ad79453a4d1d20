"""What a run says to people: what was read, how it was divided, how good the model is. Computes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gatelight.cli.output import duration, percent, say, table
from gatelight.text.lengths import LengthStatistics

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.evaluation import Evaluation
    from gatelight.models.summary import Summary
    from gatelight.text.corpus import Corpus

MOST_CLASSES = 8


def corpus_line(corpus: Corpus) -> str:
    """Say what was read: texts, classes with their numbers, groups."""
    counts = Counter(
        name
        for label in corpus.labels or ()
        for name in (label if isinstance(label, tuple) else (label,))
        if name is not None
    )
    groups = "" if corpus.groups is None else f", {len(set(corpus.groups)):,} groups"
    return f"{corpus.origin}: {len(corpus):,} texts, {classes_named(sorted(counts.items()))}{groups}"


def classes_named(counts: Sequence[Sequence[Any]]) -> str:
    """Say of pairs (class, texts) which classes there are, and how many texts have each."""
    named = ", ".join(f"{name} {count:,}" for name, count in counts[:MOST_CLASSES])
    more = f" and {len(counts) - MOST_CLASSES} more" if len(counts) > MOST_CLASSES else ""
    return f"{len(counts)} classes ({named}{more})"


def length_line(lengths: LengthStatistics) -> str:
    """Say how long the texts are, and how many of them are cut."""
    texts = lengths.padded + lengths.equal + lengths.truncated
    return (
        f"a text has {lengths.average:.1f} tokens on average; {lengths.truncated:,} "
        f"({percent(lengths.truncated / texts)}) are longer than {lengths.maxlen:,} and are cut"
    )


def print_layers(to: Console, layers: Summary, paths: Iterable[str] = ()) -> None:
    """Print a model's layers with output shapes and parameter counts, and what computes them."""
    for line in (*str(layers).splitlines(), *paths):
        say(to, line)


def path_lines(model: object) -> list[str]:
    """For each recurrent layer of a model from elsewhere who computes it and why, a line each."""
    paths: list[tuple[str, str, str]] = getattr(model, "paths", list)()
    return [f"{name}: {path}, {why}" for name, path, why in paths]


def report(to: Console, estimator: TextClassifier, tested: Evaluation | None) -> None:
    """Print everything that is known after training."""
    from gatelight.compiled import seconds_compiling
    from gatelight.estimators.saving import SPLITS

    training = estimator.training_
    say(
        to,
        f"trained on {training['texts']:,} texts, validated on {training['validation_texts']:,} "
        f"({SPLITS[training['split']]})",
    )
    if training.get("lengths") is not None:
        say(to, length_line(LengthStatistics(**training["lengths"])))
    say(to, f"unknown words: {percent(training['unknown_fraction'])}")
    if training["vectors"] is not None:
        known = percent(training["vector_coverage"])
        say(to, f"word vectors: {training['vectors']}, with {known} of the words")
    if estimator.wide_ is not None:
        say(to, f"log odds: {estimator.wide_}")
    print_layers(to, estimator.summary())
    compiling = seconds_compiling()
    waited = f", and {duration(compiling)} for the compiler" if compiling >= 1 else ""
    say(
        to,
        f"{duration(training['seconds'])}{waited}; the weights are those of epoch {training['best_epoch']} "
        f"({training['stopped']})",
    )
    for name, evaluation in (("validation", estimator.validation_), ("test", tested)):
        if evaluation is not None:
            say(to, f"{name}, {evaluation.n:,} texts, with 95 % intervals:")
            print_evaluation(to, evaluation)


def print_evaluation(to: Console, evaluation: Evaluation) -> None:
    """Print the figures, and those without the texts that the model was trained on, where there are such."""
    to.print(evaluation_table(evaluation))
    if not evaluation.trained_on:
        return
    if evaluation.unseen is None:
        say(to, f"the model was trained on all {evaluation.n:,} texts: this says nothing of new ones")
        return
    say(
        to,
        f"{evaluation.trained_on:,} of the {evaluation.n:,} texts were trained on; the other "
        f"{evaluation.unseen.n:,} alone:",
    )
    to.print(evaluation_table(evaluation.unseen))


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """Return model and baseline side by side, each figure with its 95 % interval."""
    columns = [("model", evaluation)]
    if evaluation.baseline is not None:
        columns.append(("n-gram baseline", evaluation.baseline))

    def cell(of: Any, name: str, shown: Callable[[float], str]) -> str:
        middle, low, high = (shown(getattr(of, part)) for part in (name, f"{name}_low", f"{name}_high"))
        return f"{middle} [{low}, {high}]"

    measures = (
        ("accuracy", "accuracy", percent),
        ("F1 (macro)", "f1", "{:.3f}".format),
        ("log loss", "log_loss", "{:.3f}".format),
    )
    return table(
        ["", *(name for name, _ in columns)],
        [[title, *(cell(of, name, shown) for _, of in columns)] for title, name, shown in measures],
    )
