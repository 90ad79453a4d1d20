"""Recurrent text models that train fast on a CPU and show what they remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelight.lazily import lazily

if TYPE_CHECKING:
    from gatelight import nn, ray
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.evaluation import evaluate
    from gatelight.estimators.language_model import LanguageModel
    from gatelight.estimators.opening import load
    from gatelight.estimators.sequence_classifier import SequenceClassifier
    from gatelight.estimators.sessions import feed_all
    from gatelight.interop.accelerate import accelerate
    from gatelight.nn import GRU, LSTM, RNN, PeepholeLSTM
    from gatelight.text.corpus import Corpus
    from gatelight.text.datasets import load_dataset
    from gatelight.text.vectors import WordVectors
    from gatelight.text.vocabulary import Vocabulary

__version__ = "0.1.0"
__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Corpus",
    "LanguageModel",
    "PeepholeLSTM",
    "SequenceClassifier",
    "TextClassifier",
    "Vocabulary",
    "WordVectors",
    "accelerate",
    "evaluate",
    "feed_all",
    "load",
    "load_dataset",
    "nn",
    "ray",
]

# Imported when first used: torch and scikit-learn take seconds that `import gatelight` should not cost.
_HOMES = {
    "GRU": "nn",
    "LSTM": "nn",
    "RNN": "nn",
    "Corpus": "text.corpus",
    "LanguageModel": "estimators.language_model",
    "PeepholeLSTM": "nn",
    "SequenceClassifier": "estimators.sequence_classifier",
    "TextClassifier": "estimators.classifier",
    "Vocabulary": "text.vocabulary",
    "WordVectors": "text.vectors",
    "accelerate": "interop.accelerate",
    "evaluate": "estimators.evaluation",
    "feed_all": "estimators.sessions",
    "load": "estimators.opening",
    "load_dataset": "text.datasets",
    "nn": "",
    "ray": "",
}


__getattr__, __dir__ = lazily(__name__, _HOMES, globals())
