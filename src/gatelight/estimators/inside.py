"""What a fitted classifier of texts lets one see and hold inside.

The arithmetic is in `models`; what to make of it, in `insight`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import ArrayLike

from gatelight.estimators.explaining import (
    METHODS,
    POINTS,
    Attribution,
    Phrase,
    Question,
    Winner,
    explain,
    phrases,
    winners,
)
from gatelight.estimators.texts import blocks, checked_texts
from gatelight.estimators.tracing import Steps, Trace, steps_of, trace_of
from gatelight.models.pieces import Pieces
from gatelight.nn.equations import EQUATIONS
from gatelight.text.encoding import Encoded

if TYPE_CHECKING:
    from gatelight.estimators.judging import Judge

TRACED = 64  # texts at a time where traces are streamed: 1,200 tokens of 256 units each are half a gigabyte


class Inside:
    """Traces, explanations and held gates, for whatever has a `Judge`."""

    def _fitted(self) -> Judge:
        raise NotImplementedError

    def read(self, texts: Iterable[str]) -> tuple[list[Steps], Encoded, Pieces | None]:
        """Return what each text's steps read, the same as ids, and what unknown words' ids are made of."""
        judge = self._fitted()
        reading = judge.reading
        token_lists = [reading.tokenizer.tokens(text) for text in checked_texts(texts)]
        encoded = reading.encode_tokens(token_lists)
        steps = list(steps_of(token_lists, reading.steps, reading.vocabulary.__contains__))
        return steps, encoded, reading.pieces(encoded.oov, judge.config.buckets)

    def trace(self, texts: Iterable[str]) -> Trace:
        """Return what every gate and state was at every token of the texts, from the kernels that judge them.

        Takes 24 bytes for each token, layer, direction and unit of an LSTM; `traces` goes block by block.
        """
        judge = self._fitted()
        config = judge.config
        steps, encoded, pieces = self.read(texts)
        shape = EQUATIONS[config.cell], config.layers, 1 + config.bidirectional, config.hidden
        trace = trace_of(
            steps,
            encoded.ids,
            encoded.lengths,
            shape,
            lambda ids, packing: judge.trace_batch(ids, packing, pieces),
        )
        return trace

    def traces(self, texts: Iterable[str], size: int = TRACED) -> Iterator[Trace]:
        """Yield the traces of `size` texts at a time, in bounded memory."""
        for block in blocks(checked_texts(texts), size):
            yield self.trace(block)

    def explain(
        self, text: str, method: str = METHODS[0], *, target: Any = None, points: int = POINTS
    ) -> Attribution:
        """Return what each word contributed to the log odds of a class, by one of `explaining.METHODS`.

        `target` None is the class judged likeliest, `points` how many the path of integrated gradients has.
        Raises DataError for a method or class that there is not.
        """
        return explain(self.question(text, target), method, points)

    def question(self, text: str, target: Any = None) -> Question:
        """Return a text as the model reads it and a class, to be asked several things about."""
        return Question.of(self._fitted(), text, target)

    def winners(self, text: str, *, target: Any = None) -> list[Winner]:
        """Return the word that won each unit of a pool "max" or "max+mean"; DataError for other pools."""
        return winners(self.question(text, target))

    def phrases(self, text: str, *, target: Any = None, most: int = 10) -> list[Phrase]:
        """Return pairs of words that do together what neither does alone ("not … good"): joint occlusion."""
        return phrases(self.question(text, target), most)

    def with_gates(
        self,
        *,
        layer: int = 0,
        direction: int | None = None,
        units: ArrayLike | None = None,
        steps: Iterable[int] | None = None,
        **gates: ArrayLike,
    ) -> Self:
        """Return a copy with gates held, `with_gates(forget_gate=1.0, units=[3])`; it shares the embedding.

        A value is one number, or one for each unit of the layer; `direction` None: both, `units` None: all.
        Held at all steps the model runs in the same kernels as ever, whose gates end 1.2e-7 short of 0 and 1;
        with `steps`, which count from the text's first token, in the equations, slower.
        Raises DataError for gates, values, units or layers that there are not.
        """
        from gatelight.estimators.judging import Judge
        from gatelight.models.holding import with_held

        judge = self._fitted()
        chosen = None if steps is None else frozenset(steps)
        network = with_held(judge.model, gates, layer, direction, units, chosen)
        return self._with_judge(Judge(judge.classes, judge.reading, network, judge.training_texts))

    def _with_judge(self, judge: Judge) -> Self:
        raise NotImplementedError
