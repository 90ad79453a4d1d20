"""The models that a service answers with, by name, and what each can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatelight.errors import DataError
from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.language_model import LanguageModel
from gatelight.estimators.opening import load
from gatelight.service import views

CLASSIFIER, LANGUAGE = "classifier", "language model"
WARMING = "A film, and then another one."


@dataclass(frozen=True, eq=False)
class Hosted:
    """A loaded model under the name of its folder."""

    name: str
    model: Any

    @property
    def kind(self) -> str:
        """Return what it is."""
        return CLASSIFIER if isinstance(self.model, TextClassifier) else LANGUAGE

    def about(self) -> dict[str, Any]:
        """Return what a client may want to know of it, as JSON-able values."""
        config = self.model.model_.config
        classes = self.model.known_classes() if self.kind == CLASSIFIER else None
        tokenizer = self.model.tokenizer_.settings()["kind"]
        return {
            "name": self.name,
            "kind": self.kind,
            "classes": [] if classes is None else classes.plain(),
            "multilabel": classes is not None and classes.multilabel,
            "cell": config.cell,
            "layers": config.layers,
            "directions": 2 if getattr(config, "bidirectional", False) else 1,
            "units": config.hidden,
            "pool": getattr(config, "pool", None),
            "tokenizer": tokenizer,
            "words": tokenizer in ("word", "treebank"),
            "vocabulary": len(self.model.vocabulary_),
            "wide": self.kind == CLASSIFIER and self.model.wide_ is not None,
        }

    def warm(self) -> None:
        """Compute everything once, so that no client waits for compilers."""
        views.running(self.model, WARMING)
        views.trace(self.model, WARMING)
        if self.kind == CLASSIFIER:
            views.explanation(self.model, WARMING, "integrated-gradients")
        else:
            list(views.generated(self.model, "", 1, length=1))


def load_all(folders: Iterable[str]) -> dict[str, Hosted]:
    """Load models, named after their folders; DataError where two have one name or one cannot be served."""
    found: dict[str, Hosted] = {}
    for folder in folders:
        name = Path(folder).resolve().name
        if name in found:
            raise DataError(f"two models are called {name!r}; rename the folder of one")
        model = load(folder)
        if not isinstance(model, TextClassifier | LanguageModel):
            raise DataError(f"{folder} reads no texts of its own; expected a classifier or a language model")
        found[name] = Hosted(name, model)
    return found
