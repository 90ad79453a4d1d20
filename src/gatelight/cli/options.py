"""The options that several verbs share, and every preset parameter, as tables. Knows no verb, reads nothing.

A new parameter is one line here; a test holds the table against the presets.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[
    str,
    typer.Argument(help="File, folder or archive of labelled texts, or a data set's name.", metavar="DATA"),
]
Model = Annotated[str, typer.Argument(help="The folder of a saved model.", metavar="MODEL")]
Runs = Annotated[Path, typer.Option("--out", "-o", help="Folder for what each run finds.", metavar="FOLDER")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout; what is for people goes to stderr.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads to compute with; the result does not depend on it."),
]
_NONE = "none"


@dataclass(frozen=True)
class Parameter:
    """One option: its parameter name, type and help; a bool becomes --name/--no-name.

    `optional` says that "none" may be typed, which reaches the verb as None.
    """

    name: str
    kind: type
    help: str
    default: Any = None
    optional: bool = False

    @property
    def flag(self) -> str:
        """Return the option as it is typed."""
        return "--seed" if self.name == "random_state" else "--" + self.name.replace("_", "-")

    def signature(self, panel: str) -> inspect.Parameter:
        """Return the keyword parameter that Typer makes the option from."""
        flag = self.flag
        if self.kind is bool:
            flag = f"{flag}/--no-{flag[2:]}"
        kind: Any = self.kind
        how: dict[str, Any] = {"help": self.help, "rich_help_panel": panel}
        if self.optional:
            how["parser"] = _or_none(self.kind)
            how["metavar"] = f"<{self.kind.__name__}|none>"
            kind = str
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=self.default,
            annotation=Annotated[kind | None, typer.Option(flag, **how)],
        )


READING = (
    Parameter("text_column", str, "The column of the texts."),
    Parameter("label_column", str, "The column of the labels."),
    Parameter("group_column", str, "The column of what no split may tear apart, like the film."),
    Parameter("format", str, "What DATA is, where it does not say so itself."),
    Parameter("delimiter", str, "What separates the columns, if no comma or tab."),
    Parameter("max_bytes", int, "Most bytes to read or unpack."),
    Parameter("encoding", str, "Character encoding of the texts.", "utf-8"),
    Parameter("encoding_errors", str, "strict refuses undecodable bytes, replace goes on.", "strict"),
)
SETTINGS = (
    Parameter("tokenizer", str, "word, treebank, char, byte or note-char."),
    Parameter("lowercase", bool, "Whether to lower-case the texts."),
    Parameter("clean", bool, "Whether to drop <br /> and resolve entities."),
    Parameter("min_count", int, "A word seen more rarely is unknown."),
    Parameter("max_words", int, "Most words the vocabulary may hold.", optional=True),
    Parameter("max_length", int, "Longer texts are cut to so many words.", optional=True),
    Parameter("truncation", str, "What a cut keeps: head, tail or head+tail."),
    Parameter("unknown", str, "Unknown words: unk, drop, random, nearest, subword or spelled."),
    Parameter("embedding_dim", int, "Size of a word vector."),
    Parameter("train_vectors", bool, "Whether training changes the word vectors."),
    Parameter("cell", str, "lstm, gru, peephole or rnn."),
    Parameter("hidden_size", int, "Size of the hidden state, per direction."),
    Parameter("layers", int, "Recurrent layers."),
    Parameter("bidirectional", bool, "Whether to read from both ends."),
    Parameter("pool", str, "last, max, mean, max+mean, attention or flatten."),
    Parameter("dropout", float, "Share dropped before the last layer."),
    Parameter("embedding_dropout", float, "Share dropped from the word vectors."),
    Parameter("word_dropout", float, "Share of words made unknown in training."),
    Parameter("layer_dropout", float, "Share dropped between recurrent layers."),
    Parameter("optimizer", str, "adam, lazyadam, adamw, rmsprop or sgd."),
    Parameter("learning_rate", float, "Step size, at its highest."),
    Parameter("schedule", str, "constant, one-cycle, cosine or linear."),
    Parameter("clip", float, "Longest gradient.", optional=True),
    Parameter("weight_decay", float, "Pull of the weights towards zero."),
    Parameter("batch_size", int, "Texts per step."),
    Parameter("bucket", bool, "Whether texts of like length share a batch."),
    Parameter("epochs", int, "Passes over the texts."),
    Parameter("patience", int, "Stop after so many epochs without gain.", optional=True),
    Parameter("best_by", str, "Weights kept: last, valid_accuracy, valid_loss; auto: last if few validate."),
    Parameter("average", float, "Decay of the averaged weights, like 0.998.", optional=True),
    Parameter("class_weight", str, "balanced: rare classes count for more.", optional=True),
    Parameter("label_smoothing", float, "Share of certainty taken off the labels."),
    Parameter("validation_fraction", float, "Share of the texts kept for validation."),
    Parameter("split", str, "group keeps what belongs together on one side; or random."),
    Parameter("random_state", int, "Fixes every random choice; those of --vectors corpus with --threads 1."),
    Parameter("threads", int, "Threads to compute with; only --vectors corpus depends on it."),
)

_FLAGS = {parameter.name: parameter.flag for parameter in (*READING, *SETTINGS)} | {"vectors": "--vectors"}
# A parameter as messages name it: bare, where no word of prose is spelt so, or with a value. What stands in
# quotes, in a path or in another name is the user's own and not meant.
_NAMED = (
    rf"(?<![\w'\"/.-])(?P<name>{'|'.join(_FLAGS)})"
    r"(?:(?P<value>=(?:'[^']*'|\w+(?:[.+-]\w+)*)?)|(?![\w'\"/.=-]))"
)


def in_options(message: str) -> str:
    """Return a message of the library with its parameters (`label_column`, `layers=2`) named as options."""

    def name(found: re.Match[str]) -> str:
        flag, value = _FLAGS[found["name"]], found["value"]
        if value is None:
            return flag if "_" in found["name"] else found[0]
        given = value[1:].strip("'")
        if given in ("True", "False"):
            return flag if given == "True" else f"--no-{flag[2:]}"
        return f"{flag} {given}".rstrip()

    return re.sub(_NAMED, name, message)


def with_options(**tables: tuple[Parameter, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb the options of each table; it receives those of a table in one dict under the table's name.

    An option that was not typed and has no default of its own is left out of the dict.
    """

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        hints = inspect.get_annotations(verb, eval_str=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(verb).parameters.values()
            if parameter.name not in tables
        ]
        extra = [p.signature(panel.capitalize()) for panel, table in tables.items() for p in table]

        @functools.wraps(verb)
        def run(**given: Any) -> None:
            gathered: dict[str, dict[str, Any]] = {}
            for name, table in tables.items():
                typed = [(parameter, given.pop(parameter.name)) for parameter in table]
                gathered[name] = {
                    parameter.name: None if parameter.optional and value == _NONE else value
                    for parameter, value in typed
                    if value is not None
                }
            verb(**given, **gathered)

        # Typer would look through `__wrapped__` to the verb's own signature.
        del run.__wrapped__
        signature = inspect.Signature([*own, *extra])
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()} | {"return": None}
        return run

    return decorate


def _or_none(kind: type) -> Callable[[str], Any]:
    def parse(typed: str) -> Any:
        if typed.lower() == _NONE:
            return _NONE
        try:
            return kind(typed)
        except ValueError:
            raise typer.BadParameter(f"{typed!r} is neither a number nor {_NONE}") from None

    return parse
