"""What a running service holds: models with their batchers, lines, sessions; knows no HTTP."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gatelight.service import views
from gatelight.service.batching import Batcher, Judged, Line
from gatelight.service.hosted import CLASSIFIER, Hosted
from gatelight.service.limits import Limits, Refusal, busy, too_slow
from gatelight.service.messages import Seen
from gatelight.service.metrics import Metrics
from gatelight.service.sessions import Session, Sessions

MOST_HELD = 4  # models with gates held that are kept: the ones somebody moves a slider on
MOST_NEXT = 10  # tokens that a language model's session names


class Serving:
    """The state of one service."""

    def __init__(self, models: Mapping[str, Hosted], limits: Limits, metrics: Metrics) -> None:
        self.models, self.limits, self.metrics = dict(models), limits, metrics
        self.ready = False
        self.batchers = {
            name: Batcher(hosted.model.judge, metrics.batches.labels(name).observe)
            for name, hosted in models.items()
            if hosted.kind == CLASSIFIER
        }
        self.insights = Line(2, limits.insights, limits.seconds, "insights")
        self.steps = Line(1, limits.insights, limits.seconds, "session steps")
        self.writing = ThreadPoolExecutor(2, thread_name_prefix="writing")
        self.streams = 0
        self._holds: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._lock = threading.Lock()
        self.sessions = Sessions(limits, metrics.sessions.set)

    async def warm(self) -> None:
        """Compute with every model once; ready afterwards."""
        loop = asyncio.get_running_loop()
        for hosted in self.models.values():
            await loop.run_in_executor(self.writing, hosted.warm)
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
        self.steps.close()
        self.writing.shutdown(wait=True, cancel_futures=True)

    def model(self, name: str | None, kind: str | None = None) -> Hosted:
        """Return a model by name; Refusal where there is none, or it is of another kind."""
        fitting = [hosted for hosted in self.models.values() if kind in (None, hosted.kind)]
        if name is None:
            if len(fitting) != 1:
                raise Refusal(422, f"which model? there are {', '.join(self.models) or 'none'}")
            return fitting[0]
        found = self.models.get(name)
        if found is None:
            raise Refusal(404, f"there is no model of that name; there are {', '.join(self.models)}")
        if found not in fitting:
            raise Refusal(422, f"the model {name!r} is a {found.kind}; this needs a {kind}")
        return found

    def check_texts(self, texts: list[str]) -> None:
        """Refusal 413 where a text is too long or there are too many, 422 where one is no text."""
        if len(texts) > self.limits.texts:
            raise Refusal(413, f"{len(texts)} texts in one request; at most {self.limits.texts}")
        for number, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise Refusal(422, f"text {number} is no string")
            if len(text) > self.limits.characters:
                raise Refusal(
                    413, f"text {number} has {len(text)} characters; at most {self.limits.characters}"
                )

    async def judge(self, hosted: Hosted, texts: list[str]) -> Judged:
        """Judge texts together with those of others; Refusal 408 when it takes too long."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await self.batchers[hosted.name].judge(texts)
        except TimeoutError:
            raise too_slow(self.limits.seconds) from None

    async def stream(self, function: Callable[..., Any], *arguments: Any) -> AsyncIterator[Any]:
        """Return an iterator over what a generator in a thread yields; Refusal when too many are going.

        The first item is made before this returns, so that what cannot be is still an error. Whoever got the
        iterator calls `stream_ended`.
        """
        if self.streams >= self.limits.streams:
            raise busy(f"{self.streams} texts being written")
        loop, end = asyncio.get_running_loop(), object()
        *positional, named = arguments
        self.streams += 1
        try:
            items = function(*positional, **named)
            first = await loop.run_in_executor(self.writing, next, items, end)
        except BaseException:
            self.stream_ended()
            raise

        async def rest() -> AsyncIterator[Any]:
            item = first
            while item is not end:
                yield item
                item = await loop.run_in_executor(self.writing, next, items, end)

        return rest()

    def stream_ended(self) -> None:
        """Make room for another text."""
        self.streams -= 1

    def insight(self, hosted: Hosted, asked: Seen, view: Callable[..., Any], *how: Any) -> dict[str, Any]:
        """Return a view of a text under a model with gates held; computes. Refusal 413 for a long text."""
        tokens = len(hosted.model.tokenizer_.tokens(asked.text))
        if tokens > self.limits.insight_tokens:
            most = self.limits.insight_tokens
            raise Refusal(413, f"the text has {tokens} tokens; at most {most} are looked into")
        return {"model": hosted.name, **view(self._held(hosted, asked), asked.text, *how)}

    def _held(self, hosted: Hosted, asked: Seen) -> Any:
        if not asked.hold:
            return hosted.model
        key = (hosted.name, asked.layer, *sorted(asked.hold.items()))
        with self._lock:
            if key in self._holds:
                self._holds.move_to_end(key)
                return self._holds[key]
        model = views.held(hosted.model, asked.layer, asked.hold)
        with self._lock:
            self._holds[key] = model
            while len(self._holds) > MOST_HELD:
                self._holds.popitem(last=False)
        return model

    def state(self, session: Session) -> dict[str, Any]:
        """Return where a session stands, as JSON-able values; computes."""
        with session.turn:
            return self._state(session)

    def _state(self, session: Session) -> dict[str, Any]:
        hosted = self.models[session.model]
        shares = session.place.probabilities().tolist()
        classifies = hosted.kind == CLASSIFIER
        names = map(str, hosted.model.known_classes().plain()) if classifies else ()
        best = () if classifies else sorted(range(len(shares)), key=lambda k: -shares[k])[:MOST_NEXT]
        return {
            "session": session.name,
            "model": session.model,
            "characters": session.characters,
            "incremental": bool(session.place.incremental),
            "probabilities": dict(zip(names, shares, strict=True)) if classifies else {},
            "next": [{"token": hosted.model.vocabulary_.tokens[k], "probability": shares[k]} for k in best],
            "expires_in": self.limits.session_seconds,
        }

    def fed(self, session: Session, text: str) -> dict[str, Any]:
        """Read a piece on and return where the session stands; computes."""
        with session.turn:  # also when its client has given up and asks again
            self.sessions.check_room_for(session, text)
            session.place.feed(text)
            session.characters += len(text)
            return self._state(session)
