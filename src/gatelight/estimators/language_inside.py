"""What a fitted language model lets one see and hold inside; texts begin with the mark that ends others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gatelight.estimators.inside import TRACED
from gatelight.estimators.texts import blocks, checked_texts
from gatelight.estimators.token_streams import END
from gatelight.estimators.tracing import Trace, steps_of, trace_of
from gatelight.models.holding import with_held
from gatelight.models.tracing import trace_language_model
from gatelight.models.writing import Reader
from gatelight.nn.equations import EQUATIONS


class LanguageInside:
    """Traces and held gates, for a `LanguageModel`."""

    def _fitted(self) -> Any:
        raise NotImplementedError

    def trace(self, texts: Iterable[str]) -> Trace:
        """Return what every gate and state was at every token; the first step of each text reads the mark."""
        model = self._fitted()
        config, vocabulary = model.model_.config, model.vocabulary_
        token_lists = [[END, *model.tokenizer_.tokens(text)] for text in checked_texts(texts)]
        steps = list(steps_of(token_lists, lambda tokens: list(range(len(tokens))), vocabulary.__contains__))
        ids = [vocabulary.ids(tokens) for tokens in token_lists]
        return trace_of(
            steps,
            np.concatenate([np.zeros(0, np.int32), *ids]),
            np.array(list(map(len, ids)), np.int64),
            (EQUATIONS[config.cell], config.layers, 1, config.hidden),
            lambda ids, packing: (trace_language_model(model.model_, ids, packing), None),
        )

    def traces(self, texts: Iterable[str], size: int = TRACED) -> Iterator[Trace]:
        """Yield the traces of `size` texts at a time, in bounded memory."""
        for block in blocks(checked_texts(texts), size):
            yield self.trace(block)

    def with_gates(self, *, layer: int = 0, units: ArrayLike | None = None, **gates: ArrayLike) -> Self:
        """Return a copy with gates held at all steps, which also writes so: `with_gates(forget_gate=1.0)`.

        A value is one number, or one for each unit. Raises DataError for what there is not.
        """
        made = copy.copy(self._fitted())
        made.model_ = with_held(made.model_, gates, layer, None, units)
        made.reader_ = Reader(made.model_)
        return made  # type: ignore[no-any-return]
