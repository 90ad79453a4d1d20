"""`gatelight lab agreement`: does a verb agree with its subject?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import emit, interval, percent, say, table
from gatelight.cli.sources import language_model

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.estimators.kneser_ney import KneserNey
    from gatelight.estimators.language_model import LanguageModel
    from gatelight.lab.agreement import Accuracy, ScoredPairs

NAMED = 10  # unknown words that a person is told of


@dataclass(kw_only=True)
class Agreement:
    """Ask a language model which sentence of a pair is likelier."""

    model: str = argument(MODEL, "MODEL")
    data: str = argument("minimal pairs", "blimp|FOLDER|FILE")
    train: str | None = option("what the model learned from, to count n-grams of", metavar="DATA")
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import available
        from gatelight.lab.agreement import accuracies, score_pairs
        from gatelight.lab.minimal_pairs import read_pairs

        model = language_model(self.model)
        pairs = read_pairs(available(self.data, to))
        ngrams = None if self.train is None else self._ngrams(model, self.train, to)
        with Meter(to) as meter:
            meter.show("scoring pairs", 0, None)
            scored = score_pairs(model, pairs, ngrams)
        rows = accuracies(scored)
        if self.json:
            emit(
                {
                    "model": self.model, "data": self.data, "pairs": len(pairs), "scored": len(scored.pairs),
                    "unknown": dict(scored.unknown.most_common()),
                    "order": None if ngrams is None else ngrams.order,
                    "accuracies": [vars(row) for row in rows],
                }
            )  # fmt: skip
            return
        say(to, f"{len(pairs):,} pairs, {len(scored.pairs):,} scored")
        _tell_of_unknown(scored, to)
        for by in dict.fromkeys(row.by for row in rows):
            to.print(_table(by, [row for row in rows if row.by == by], scored))

    def _ngrams(self, model: LanguageModel, data: str, to: Console) -> KneserNey:
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import texts_to_learn_from
        from gatelight.lab.agreement import ngrams_of

        texts = texts_to_learn_from(data, to, {}).texts
        with Meter(to) as meter:
            meter.show("counting n-grams", 0, None)
            return ngrams_of(model, texts)


def _tell_of_unknown(scored: ScoredPairs, to: Console) -> None:
    if scored.unknown:
        named = ", ".join(f"{word} ({n:,})" for word, n in scored.unknown.most_common(NAMED))
        more = ", …" if len(scored.unknown) > NAMED else ""
        say(
            to,
            f"{scored.left_out.total():,} left out for {len(scored.unknown):,} words that the model does not "
            f"know: {named}{more}",
        )


def _table(by: str, rows: list[Accuracy], scored: ScoredPairs) -> Any:
    scorers = list(scored.margins)
    heads = [head for scorer in scorers for head in (scorer, "95 %")]
    groups: dict[str, list[Accuracy]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    lines = [
        [
            name, f"{of[0].pairs:,}", f"{of[0].left_out:,}" if by in ("all", "construction") else "",
            *(cell for row in of for cell in (percent(row.accuracy), interval(row.low, row.high))),
        ]
        for name, of in groups.items()
    ]  # fmt: skip
    return table([by, "pairs", "left out", *heads], lines)
