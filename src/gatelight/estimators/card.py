"""The model card: what a model was trained on and how good it is, in Markdown."""

from __future__ import annotations

from typing import Any

from gatelight.estimators.evaluation import Evaluation
from gatelight.estimators.saving import SPLITS

MOST_CLASSES = 20


USE = """```python
import gatelight

model = gatelight.load("path/to/this/folder")
{}
```
"""


def classifier_card(estimator: Any, name: str) -> str:
    """Return the model card: data, split and seed, figures with intervals beside the baseline's, layers."""
    training = estimator.training_
    kind = "several labels a text" if estimator.known_classes().multilabel else "one label a text"
    wide = "" if estimator.wide_ is None else f"\nIts log odds are {estimator.wide_}.\n"
    chosen = training.get("best_by", estimator.best_by) != "last"
    return f"""# {_inline(name)}

A text classifier ({len(estimator.classes_)} classes, {kind}), trained with gatelight {training["gatelight"]}.
{wide}
{USE.format('model.predict_proba(["a text"])')}
## Data

{_data(training)}

## Figures

{_figures(estimator.validation_, training, chosen)}

## Training

{_epochs(estimator)}

## Model

```text
{estimator.summary()}
```

Every setting is in `config.json`. The files hold no code and no pickle.
"""


def _data(training: dict[str, Any]) -> str:
    origin = training["origin"]
    labels = training["labels"]
    counts = ", ".join(f"{_inline(str(label))} {count:,}" for label, count in labels[:MOST_CLASSES])
    more = f" and {len(labels) - MOST_CLASSES} more classes" if len(labels) > MOST_CLASSES else ""
    groups = "" if training["groups"] is None else f", {training['groups']:,} groups in all"
    plan = training.get("plan")
    lines = [
        *([] if plan is None else [f"- Plan: {_inline(plan)}"]),
        f"- Origin: {'texts given in memory' if origin is None else _inline(str(origin))}",
        f"- Trained on {training['texts']:,} texts ({training['tokens']:,} tokens): {counts}{more}",
        f"- Validation: {training['validation_texts']:,} texts, {SPLITS[training['split']]} "
        f"(seed {training['seed']}{groups})",
        f"- Unknown tokens in the training texts: {training['unknown_fraction']:.2%}; texts cut: "
        f"{training['truncated_fraction']:.1%}",
    ]
    if training.get("self_trained_texts"):
        lines.append(
            f"- Trained again with {training['self_trained_texts']:,} of {training['unlabelled_texts']:,} "
            "texts without labels, those whose labels the model was surest of"
        )
    if training["vectors"] is not None:
        unlabelled = training["unlabelled_texts"]
        of = f", trained on the training texts and {unlabelled:,} unlabelled ones" if unlabelled else ""
        coverage = training["vector_coverage"]
        lines.append(
            f"- Word vectors: {_inline(training['vectors'])}{of}; {coverage:.1%} of the training tokens "
            "have one"
        )
    return "\n".join(lines)


def _figures(validation: Evaluation | None, training: dict[str, Any], chosen: bool) -> str:
    lines = []
    if validation is not None:
        lines += _table("validation", validation)
        if chosen and training["epochs"] > 1:
            lines.append("The best epoch was chosen on the same texts, so the figures are a little too good.")
    if training.get("test") is not None:
        lines += ["", *_table("test", Evaluation.of_dict(training["test"]))]
    if lines and training.get("temperature") is not None:
        lines.append(
            f"Later the logits were divided by a temperature of {training['temperature']:.2f}, which leaves "
            "labels as they are; the log losses were measured before."
        )
    return "\n".join(lines) or "No texts were held out, so nothing is known of how good it is on new ones."


def _table(what: str, evaluation: Evaluation) -> list[str]:
    rows = [("this model", evaluation)]
    if evaluation.baseline is not None:
        rows.append(("TF-IDF 1–2-grams + logistic regression", evaluation.baseline))
    table = [f"| on the {what} texts | accuracy | F1 (macro) | log loss |", "| --- | --- | --- | --- |"]
    for name, found in rows:
        table.append(
            f"| {name} | {found.accuracy:.1%} ({found.accuracy_low:.1%} to {found.accuracy_high:.1%}) "
            f"| {found.f1:.3f} ({found.f1_low:.3f} to {found.f1_high:.3f}) "
            f"| {found.log_loss:.3f} ({found.log_loss_low:.3f} to {found.log_loss_high:.3f}) |"
        )
    return [*table, "", f"In brackets 95 % intervals over {evaluation.n:,} texts."]


def _epochs(estimator: Any) -> str:
    table = ["| epoch | training loss | validation loss | validation accuracy |", "| --- | --- | --- | --- |"]
    for record in estimator.history_:
        loss, accuracy = record["valid_loss"], record["valid_accuracy"]
        table.append(
            f"| {record['epoch']} | {record['train_loss']:.4f} | {'–' if loss is None else f'{loss:.4f}'} "
            f"| {'–' if accuracy is None else f'{accuracy:.1%}'} |"
        )
    training = estimator.training_
    kept = f"The weights are those of epoch {training['best_epoch']}; {training['stopped']}."
    return "\n".join([*table, "", f"{kept} Seed {training['seed']}."])


def _inline(text: str) -> str:
    """Return a text that stays on its line and opens no Markdown of its own."""
    plain = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in plain)


def language_card(model: Any, name: str) -> str:
    """Return a language model's card: what it was trained on and its figures beside the n-grams'."""
    training = model.training_
    table = ["| on the validation texts | bits per character | perplexity per token |", "| --- | --- | --- |"]
    beside = f"n-grams of order {model.order}, Kneser–Ney"
    for of, found in (("this model", training["validation"]), (beside, training["baseline"])):
        if found is not None:
            table.append(f"| {of} | {found['bits_per_character']:.3f} | {found['perplexity']:.2f} |")
    figures = "\n".join(table)
    return f"""# {_inline(name)}

A language model on {model.tokenizer} tokens ({len(model.vocabulary_):,} of them), trained with gatelight \
{training["gatelight"]} on {training["texts"]:,} texts ({training["tokens"]:,} tokens).

{USE.format('model.generate("The ", length=200, temperature=0.8, seed=1)')}
{figures}

{training["validation_texts"]:,} texts were held out. Every setting is in `config.json`. The files hold no \
code and no pickle.
"""
