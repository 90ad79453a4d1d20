"""`gatelight explain`, `trace`, `summary`: why a text is classified so, what layers did and are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import DATA, JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import emit, one_line, percent, say, table
from gatelight.cli.sources import LIMIT, Reads
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from gatelight.estimators.explain import Attribution
    from gatelight.estimators.predictor import Predictor

MOST_WORDS = 10  # of each sign in the table
PALE = 40  # the palest colour that is told from the background


@dataclass(kw_only=True)
class Explain:
    """Show what each word contributed to the predicted class.

    Green speaks for the class, red against it; unknown words are underlined.
    """

    model: str = argument(MODEL, "MODEL")
    texts: list[str] = argument("texts to explain", "TEXT")
    method: str = option("integrated-gradients, gradient-x-input, occlusion or pool", "integrated-gradients")
    target: str | None = option("the class to speak for or against; else the predicted one", metavar="CLASS")
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.estimators.opening import load_predictor
        from gatelight.estimators.predictor import Predictor

        model = load_predictor(self.model)
        if not isinstance(model, Predictor):
            raise DataError(f"{self.model} came from another program; only models trained here are explained")
        for text in self.texts:
            found = model.explain(text, self.method, target=self._target(model))
            if self.json:
                emit({"text": text, **found.to_dict()})
            else:
                _print(to, found)

    def _target(self, model: Predictor) -> Any:
        """The class whose name was typed; classes may be numbers."""
        named = {str(name): name for name in model.classes.plain()}
        return None if self.target is None else named.get(self.target, self.target)


def _print(to: Console, found: Attribution) -> None:
    say(to, f"{found.target}  {percent(found.probability)}  (log odds {found.score:+.2f})", style="bold")
    to.print(_coloured(found))
    rows = zip(found.steps.tokens, found.steps.known, found.contributions.tolist(), strict=True)
    ranked = sorted(rows, key=lambda row: -row[2])
    shown = ranked if len(ranked) <= 2 * MOST_WORDS else ranked[:MOST_WORDS] + ranked[-MOST_WORDS:]
    words = [(token + ("" if known else " (unknown)"), f"{part:+.3f}") for token, known, part in shown]
    to.print(table(["word", "nats"], words, title=f"contributions by {found.method}"))
    if found.ngrams is not None:
        strongest = [(ngram.replace(" ", "␣"), f"{part:+.3f}") for ngram, part in found.ngrams[:MOST_WORDS]]
        to.print(table(["n-gram", "nats"], strongest, title="and by the n-grams beside it"))
    say(to, f"compared with {found.baseline}")
    if found.gap is not None:
        say(to, f"score {found.score:+.3f} = {found.base:+.3f} + contributions; gap {found.gap:+.4f}")


def _coloured(found: Attribution) -> Text:
    """The text, each word the deeper in colour the more it contributed; unknown words are underlined."""
    from rich.text import Text

    strongest = max((abs(part) for part in found.contributions.tolist()), default=0) or 1.0
    text = Text()
    for token, known, part in zip(
        found.steps.tokens, found.steps.known, found.contributions.tolist(), strict=True
    ):
        depth = round(200 * abs(part) / strongest)
        style = "" if known else "underline"
        if depth >= PALE:
            rest = 255 - depth
            style += f" black on rgb({rest},255,{rest})" if part > 0 else f" black on rgb(255,{rest},{rest})"
        text.append(one_line(token), style=style.strip())
        text.append(" ")
    return text


@dataclass(kw_only=True)
class Trace(Reads):
    """Write every gate and state at every token and unit."""

    model: str = argument(MODEL, "MODEL")
    data: str = argument(DATA, "DATA")
    out: Path = option("file to write, .npz", short="o", required=True)
    part: str | None = option("the part of DATA, if it has parts")
    limit: int | None = option(LIMIT, least=1)
    threads: int | None = option(THREADS, least=1)

    def run(self, to: Console) -> None:
        from gatelight.cli.output import size
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import limited, read, text_model
        from gatelight.estimators.tracing import write_trace

        model = text_model(self.model)
        reading = {**self.reading, "labelled": False}
        texts = limited(
            read(self.data, to, reading, [] if self.part is None else [self.part]), self.limit
        ).texts
        with Meter(to) as meter:
            tokens = write_trace(model, texts, self.out, lambda done: meter.show("tracing", done, len(texts)))
        say(to, f"{len(texts):,} texts, {tokens:,} tokens in {self.out}, {size(self.out.stat().st_size)}")


@dataclass(kw_only=True)
class Summary:
    """Print the layers of a model, and what computes them here.

    Of a preset the vocabulary is not known yet: V stands for its size.
    """

    model: str | None = argument("the folder of a saved model", "MODEL")
    preset: str | None = option(
        "a preset instead: default, fast, best, char, note-400, note-200 or note-char"
    )
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        if (self.model is None) == (self.preset is None):
            raise DataError("give the folder of a model or --preset NAME, one of the two")
        from gatelight.cli.reports import path_lines, print_layers
        from gatelight.estimators.opening import load_predictor
        from gatelight.estimators.predictor import Predictor
        from gatelight.estimators.saving import LANGUAGE, kind_of
        from gatelight.estimators.settings import preset, preset_summary
        from gatelight.models.summary import summary
        from gatelight.nn.status import path_of
        from gatelight.nn.threads import threads

        paths: list[str] = []
        if self.preset is not None:
            layers, cell = preset_summary(self.preset), preset(self.preset)["cell"]
        elif kind_of(Path(str(self.model))) == LANGUAGE:
            raise DataError(
                f"{self.model} is a language model; its settings are in config.json, its card is README.md"
            )
        else:
            opened = load_predictor(str(self.model))  # without scikit-learn, whose import takes long
            if isinstance(opened, Predictor):
                layers, cell = summary(opened.config), opened.config.cell
            else:
                layers, cell, paths = opened.summary(), "", path_lines(opened)
        if cell:
            paths = ["{}: {}, {}".format(cell, *path_of(cell, "cpu", "float32"))]
        packages = ", ".join(f"{name} {version(name)}" for name in ("numba", "torch"))
        paths.append(f"{packages}, {threads()} threads")
        if self.json:
            emit(layers.to_dict() | {"paths": paths})
            return
        print_layers(to, layers, paths)
