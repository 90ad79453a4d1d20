"""`gatelight evaluate` and `generate`: how good a saved model is, and what a language model writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatelight.cli.options import DATA, JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import emit, say, write
from gatelight.cli.sources import LIMIT, Reads

if TYPE_CHECKING:
    from rich.console import Console

PART = "the part of DATA to measure on, if it has parts; else test"
# What a model writes may hold any character of its texts, but must not move the reader's cursor.
_CONTROLS = dict.fromkeys(k for k in [*range(0x20), *range(0x7F, 0xA0)] if chr(k) not in "\n\t")


@dataclass(kw_only=True)
class Evaluate(Reads):
    """Measure a model on labelled texts, beside its baseline.

    The baseline, n-grams with logistic regression, learned from the same texts. Where DATA has parts,
    the part test is taken, unless --part names another.
    """

    model: str = argument(MODEL, "MODEL")
    data: str = argument(DATA, "DATA")
    part: str | None = option(PART)
    limit: int | None = option(LIMIT, least=1)
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.reports import corpus_line, print_evaluation
        from gatelight.cli.sources import labelled_texts, limited
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.estimators.evaluation import evaluate

        model = TextClassifier.load(self.model)
        corpus = limited(labelled_texts(self.data, to, self.reading, self.part), self.limit)
        evaluation = evaluate(model, corpus.texts, corpus.labels or [])
        if self.json:
            emit(evaluation.to_dict())
            return
        say(to, corpus_line(corpus))
        print_evaluation(to, evaluation)


@dataclass(kw_only=True)
class Generate:
    """Let a language model write.

    A text is shown as it comes; with --json it is one object when it is whole.
    """

    model: str = argument(MODEL, "MODEL")
    prompt: str = option("how the text begins", "", metavar="TEXT")
    length: int = option("tokens to write at most", 200)
    temperature: float = option("0: always the likeliest; below 1 safer, above wilder", 1.0)
    top_k: int = option("draw among so many likeliest; 0: all", 0)
    top_p: float = option("draw among the likeliest that reach this probability", 1.0)
    seed: int = option("fixes the text", 0)
    stop: str | None = option("end before this text appears", metavar="TEXT")
    count: int = option("texts to write", 1, least=1)
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self) -> None:
        from gatelight.cli.sources import language_model
        from gatelight.estimators.drawing import checked_drawing

        checked_drawing(self.length, self.temperature, self.top_k, self.top_p, self.seed, self.stop)
        model = language_model(self.model)
        for number in range(self.count):
            pieces = model.pieces(
                self.prompt, length=self.length, temperature=self.temperature, top_k=self.top_k,
                top_p=self.top_p, seed=self.seed, number=number, stop=self.stop,
            )  # fmt: skip
            if self.json:
                text = "".join(pieces)
                emit({"prompt": self.prompt, "text": text, "seed": self.seed, "number": number})
                continue
            begun = self.prompt
            if number:
                write("\n")
            for piece in pieces:
                write((begun + piece).translate(_CONTROLS))
                begun = ""
            write("\n")
