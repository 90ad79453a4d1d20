"""The state of a running service: models with their batchers and queues."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from gatelight.service import views
from gatelight.service.batching import Batcher, BoundedExecutor, Places, Predicted
from gatelight.service.hosted import CLASSIFIER, Hosted
from gatelight.service.limits import Limits, too_slow
from gatelight.service.messages import Inspect
from gatelight.service.middleware import Metrics

CLAMPED_MODELS = 4  # kept: the ones on which somebody moves a slider


class Serving:
    """The state of one service."""

    def __init__(
        self, models: Mapping[str, Hosted], limits: Limits, metrics: Metrics, token: str | None = None
    ) -> None:
        self.models, self.limits, self.metrics, self.token = dict(models), limits, metrics, token
        self.ready = False
        self.requests = Places(limits.requests, "requests")
        self.streams = Places(limits.streams, "texts being generated")
        self.batchers = {
            name: Batcher(hosted.model.proba_and_unknown_fraction, metrics.batches.labels(name).observe)
            for name, hosted in models.items()
            if hosted.kind == CLASSIFIER
        }
        self.insights = BoundedExecutor(2, Places(limits.insights, "insights"), limits.seconds)
        self._clamped = functools.lru_cache(CLAMPED_MODELS)(self._clamp)

    async def warm(self) -> None:
        """Compute with every model once; ready afterwards."""
        for hosted in self.models.values():
            await run_in_threadpool(hosted.warm)
        # What is here now stays: looking through it again and again would hold up requests.
        gc.collect()
        gc.freeze()
        self.ready = True

    def close(self) -> None:
        """Finish what is being computed."""
        self.ready = False
        for batcher in self.batchers.values():
            batcher.close()
        self.insights.close()

    def model(self, name: str | None, kind: str | None = None) -> Hosted:
        """Return a model by name; HTTP error where there is none, or it is of another kind."""
        fitting = [hosted for hosted in self.models.values() if kind in (None, hosted.kind)]
        if name is None:
            if len(fitting) != 1:
                raise HTTPException(422, f"which model? there are {', '.join(self.models) or 'none'}")
            return fitting[0]
        found = self.models.get(name)
        if found is None:
            raise HTTPException(404, f"there is no model of that name; there are {', '.join(self.models)}")
        if found not in fitting:
            raise HTTPException(422, f"the model {name!r} is a {found.kind}; this needs a {kind}")
        return found

    def check_texts(self, texts: list[str]) -> None:
        """HTTP error 413 where a text is too long or there are too many."""
        if len(texts) > self.limits.texts:
            raise HTTPException(413, f"{len(texts)} texts in one request; at most {self.limits.texts}")
        for number, text in enumerate(texts, start=1):
            if len(text) > self.limits.characters:
                raise HTTPException(
                    413, f"text {number} has {len(text)} characters; at most {self.limits.characters}"
                )

    async def predict(self, hosted: Hosted, texts: list[str]) -> Predicted:
        """Predict texts together with those of others; HTTP error 408 when it takes too long."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await self.batchers[hosted.name].predict(texts)
        except TimeoutError:
            raise too_slow(self.limits.seconds) from None

    def insight(self, hosted: Hosted, asked: Inspect, view: Callable[..., Any], *how: Any) -> dict[str, Any]:
        """Return a view of a text under a model with clamped gates; HTTP error 413 for a long text."""
        tokens = len(hosted.model.tokenizer_.tokens(asked.text))
        if tokens > self.limits.insight_tokens:
            raise HTTPException(
                413, f"the text has {tokens} tokens; at most {self.limits.insight_tokens} are looked into"
            )
        model = self._clamped(hosted, asked.layer, *sorted(asked.clamp.items()))
        return {"model": hosted.name, **view(model, asked.text, *how)}

    def _clamp(self, hosted: Hosted, layer: int, *gates: tuple[str, float]) -> Any:
        return views.clamped(hosted.model, layer, dict(gates))
