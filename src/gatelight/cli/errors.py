"""`gatelight errors`: what a saved model gets wrong, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.cli.options import DATA, JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import console, emit, say
from gatelight.cli.sources import LIMIT, Reads
from gatelight.cli.use import PART
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.estimators.classifier import TextClassifier

STAGES = {"predict": "predicting", "baseline": "n-gram baseline", "edits": "changing words"}
VALIDATION = "validation"


@dataclass(kw_only=True)
class Errors(Reads):
    """Look into a model's mistakes: which, how sure, and why.

    Among the causes looked for are rare and unknown words. Where DATA has parts, the part test is taken,
    unless --part names another.
    """

    model: str = argument(MODEL, "MODEL")
    data: str = argument(DATA, "DATA")
    out: Path | None = option("also write a report with plots", metavar="FILE.html", short="o")
    part: str | None = option(PART)
    limit: int | None = option(LIMIT, least=1)
    vectors: str | None = option("word vectors, for the words' ranks in their corpus", metavar="VECTORS")
    calibrate: str | None = option(
        "first save a temperature with the model: fitted on its validation texts, or on other DATA",
        metavar="validation|DATA",
    )
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self) -> None:
        """Look, tell, and write the report that is asked for."""
        from gatelight.cli.errors_report import page, print_mistakes
        from gatelight.cli.html import check
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import available, labelled_texts, limited
        from gatelight.estimators.opening import load_classifier as load
        from gatelight.insight.errors import analyze_errors
        from gatelight.nn.threads import set_threads
        from gatelight.text.vectors import WordVectors

        if self.out is not None:
            check()
        to = console(machine=self.json)
        set_threads(self.threads)
        model = load(self.model)
        corpus = limited(labelled_texts(self.data, to, self.reading, self.part), self.limit)
        if self.calibrate is not None:
            self._calibrate(model, self.calibrate, to)
        found_vectors = None
        if self.vectors is not None:
            available(self.vectors, to)
            words = {token for text in corpus.texts for token in model.tokenizer_.tokens(text)}
            found_vectors = WordVectors.read(self.vectors, words)
        with Meter(to) as meter:
            found = analyze_errors(
                model,
                corpus.texts,
                corpus.labels or [],
                groups=corpus.groups,
                ids=corpus.ids,
                vectors=found_vectors,
                on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
            )
        if self.out is not None:
            page(self.out, found, self.model, corpus.origin)
        if self.json:
            emit(found.to_dict())
        else:
            print_mistakes(to, found, self.model, corpus.origin)
        if self.out is not None:
            say(to, f"report in {self.out}")

    def _calibrate(self, model: TextClassifier, by: str, to: Console) -> None:
        from gatelight.cli.sources import of_part, read
        from gatelight.estimators.calibration import fitted_temperature, is_determined
        from gatelight.estimators.labels import checked_labels

        if by == VALIDATION:
            temperature = model.training_.get("validation_temperature")
            if temperature is None:
                raise DataError(
                    f"{self.model}: no temperature was fitted on validation texts; name labelled texts that "
                    "the model was not trained on"
                )
        elif by == self.data:
            raise DataError(
                "--calibrate names the very texts that are measured, which would flatter; give others"
            )
        else:
            corpus = of_part(read(by, to, self.reading), None)
            targets = model.known_classes().targets(checked_labels(corpus.labels or []))
            temperature = fitted_temperature(model.predict_proba(corpus.texts), targets)
        if not is_determined(temperature):
            raise DataError(
                f"{by} tells no temperature: the search ended at its bound, {temperature:.2f}, as where all "
                "answers are right or none is better than chance; give more labelled texts"
            )
        model.calibrate(temperature)
        model.save(self.model)
        say(to, f"a temperature of {temperature:.3f} is saved with {self.model}")
