"""A fitted text classifier without what fitting needs: reading, network and classes, and what they answer.

Predicting needs neither torch nor scikit-learn, which is what a program wants that classifies one text from
the command line. The network becomes torch's when somebody asks for what only that can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatelight.errors import DataError
from gatelight.estimators.explain import (
    METHODS,
    POINTS,
    Attribution,
    Question,
    explain,
)
from gatelight.estimators.labels import Classes
from gatelight.estimators.reading import Reading, Understood
from gatelight.estimators.saving import (
    CLASSIFIER,
    MODEL_FILE,
    SIZES,
    read_config,
    told_in_one_line,
)
from gatelight.estimators.settings import SUBWORD_ROWS
from gatelight.estimators.texts import blocks, checked_texts
from gatelight.estimators.tracing import TRACED, Steps, Trace, steps_of, trace_of
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.estimators.wide import WidePath
from gatelight.models.config import ClassifierConfig, weight_shapes
from gatelight.models.fixed_network import FixedNetwork
from gatelight.models.weight_files import check_sizes, read_arrays
from gatelight.nn.packing import Packing
from gatelight.nn.trace import Trace as LayerTrace
from gatelight.text.encoding import Encoded
from gatelight.text.oov import EARLIER_NAMES
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import SPECIALS, Vocabulary

if TYPE_CHECKING:
    from gatelight.estimators.sessions import IncrementalClassifier, Session
    from gatelight.models.classifier import Classifier
    from gatelight.models.inference import Predictor as NetworkPredictor
    from gatelight.models.subwords import Subwords

BLOCK = 8192  # texts read together: bounds the memory of ids, keeps batches of like length full


class TextPredictions:
    """What a fitted classifier of texts answers, and lets one see and clamp inside."""

    def _fitted(self) -> Predictor:
        raise NotImplementedError

    def _with_predictor(self, predictor: Predictor) -> Self:
        raise NotImplementedError

    @property
    def model_(self) -> Classifier:
        """The fitted network, torch's; of a model that was read from a folder made when asked for."""
        return self._fitted().torch_predictor().model

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return the probability of each class, float32 [n, classes], in the order of `classes_`.

        A text's row has the same bits alone and in any batch. Rows sum to 1 unless the model is multi-label.
        """
        return self.proba_and_unknown_fraction(texts)[0]

    def proba_and_unknown_fraction(
        self, texts: Iterable[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return `predict_proba` and `unknown_fraction` of the same texts, which are cut into tokens once."""
        fitted, given = self._fitted(), checked_texts(texts)
        parts = [fitted.probabilities(block) for block in blocks(given, BLOCK)]
        columns = [np.zeros((0, len(fitted.classes.values)), np.float32), *(part[0] for part in parts)]
        return np.concatenate(columns), np.concatenate([np.zeros(0), *(part[1] for part in parts)])

    def recurrent_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return `predict_proba` of the recurrent side of a wide model alone; of other models the same."""
        fitted = self._fitted()
        parts = [fitted.recurrent(block)[0] for block in blocks(checked_texts(texts), BLOCK)]
        nothing = np.zeros((0, fitted.config.outputs), np.float32)
        return fitted.classes.columns(np.concatenate([nothing, *parts]))

    def unknown_fraction(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the fraction of each text's tokens that are unknown, float64 [n]; 0 for a text of none."""
        encoded = (self._fitted().reading.encode(block) for block in blocks(checked_texts(texts), BLOCK))
        return np.concatenate([np.zeros(0), *(part.unknown_fraction() for part in encoded)])

    def understand(self, texts: Iterable[str]) -> list[Understood]:
        """Say of each text which of its tokens are unknown, and what the model reads in their place."""
        return [self._fitted().reading.understand(text) for text in checked_texts(texts)]

    def trained_on(self, texts: Iterable[str]) -> NDArray[np.bool_] | None:
        """Say of each text whether it was trained on, bool [n]; None where that was not kept."""
        kept = self._fitted().training_texts
        return None if kept is None else kept.contain(checked_texts(texts))

    def embed(self, texts: Iterable[str], pool: str = "last") -> NDArray[np.float32]:
        """Return the layers' summary of each text, float32 [n, directions × hidden_size].

        `pool`: "last" state, "max" or "mean" over the steps, or the "cell" state (LSTM and peephole only).
        """
        from gatelight.estimators.embeddings import embed_with

        fitted = self._fitted()
        return embed_with(fitted.torch_predictor().model, fitted.sequences, texts, pool)

    def session(self) -> Session:
        """Return a state at the beginning of a text; `session.feed(piece)` gives `predict_proba` so far.

        Of a wide model it is the recurrent side's, whose n-grams need the whole text.

        Where `session.incremental`, a piece costs as much as it is long: in models of one direction with any
        pool but attention. Others (and, with `truncation` other than "head", a text beyond `max_length`)
        read the text so far anew with each piece, to the same bits.
        """
        from gatelight.estimators.sessions import Session

        return Session(self._fitted().incremental())

    def running_proba(self, text: str) -> NDArray[np.float32]:
        """Return the probability of each class up to each token of a text, float32 [tokens, classes].

        Of a wide model it is the recurrent side's.

        One pass where sessions are incremental; else each beginning of the text is read, many at once.
        """
        return self._fitted().incremental().running(checked_texts([text])[0])

    def read(self, texts: Iterable[str]) -> tuple[list[Steps], Encoded, Subwords | None]:
        """Return what each text's steps read, the same as ids, and what unknown words' ids are made of."""
        fitted = self._fitted()
        reading = fitted.reading
        token_lists = [reading.tokenizer.tokens(text) for text in checked_texts(texts)]
        encoded = reading.encode_tokens(token_lists)
        steps = list(steps_of(token_lists, reading.steps, reading.vocabulary.__contains__))
        return steps, encoded, reading.subwords(encoded.oov, fitted.config.buckets)

    def trace(self, texts: Iterable[str]) -> Trace:
        """Return what every gate and state was at every token of the texts, from the kernels that predict.

        Takes 24 bytes for each token, layer, direction and unit of an LSTM; `traces` goes block by block.
        """
        from gatelight.models.inference import trace_classifier

        fitted = self._fitted()
        steps, encoded, subwords = self.read(texts)

        def run(ids: NDArray[np.int32], packing: Packing) -> tuple[LayerTrace, NDArray[np.float32]]:
            trace, found = trace_classifier(self.model_, ids, packing, subwords)
            return trace, fitted.classes.columns(found)

        return trace_of(steps, encoded.ids, encoded.lengths, fitted.config, run)

    def traces(self, texts: Iterable[str], size: int = TRACED) -> Iterator[Trace]:
        """Yield the traces of `size` texts at a time, in bounded memory."""
        for block in blocks(checked_texts(texts), size):
            yield self.trace(block)

    def explain(
        self, text: str, method: str = METHODS[0], *, target: Any = None, points: int = POINTS
    ) -> Attribution:
        """Return what each word contributed to the log odds of a class, by one of `explain.METHODS`.

        `target` None is the likeliest class, `points` how many the path of integrated gradients has. Beside
        the words stand the n-grams of a wide model. Raises DataError for a method or class that there is not.
        """
        question, wide = self.question(text, target), self._fitted().wide
        return explain(question, method, points, None if wide is None else wide.of_text(text))

    def question(self, text: str, target: Any = None) -> Question:
        """Return a text as the model reads it and a class (None: the likeliest), to be asked about.

        Raises DataError for a class that there is not.
        """
        (steps,), encoded, subwords = self.read([text])
        probabilities, classes = self.predict_proba([text])[0], self._fitted().classes.plain()
        if target is not None and target not in classes:
            raise DataError(f"there is no class {target!r}; the model has {', '.join(map(str, classes[:9]))}")
        number = int(probabilities.argmax()) if target is None else classes.index(target)
        label, probability = classes[number], float(probabilities[number])
        return Question(self.model_, steps, encoded.ids, subwords, number, label, probability)

    def with_gates(
        self,
        *,
        layer: int = 0,
        direction: int | None = None,
        units: ArrayLike | None = None,
        **gates: ArrayLike,
    ) -> Self:
        """Return a copy with gates clamped, `with_gates(forget_gate=1.0, units=[3])`, sharing the vectors.

        A value is one number, or one for each unit of the layer; `direction` None: both, `units` None: all.
        The model runs in the same kernels as ever, whose gates end 1.2e-7 short of 0 and 1.
        Raises DataError for gates, values, units or layers that there are not.
        """
        fitted = self._fitted()
        network = self.model_.clamped(gates, layer, direction, units)
        return self._with_predictor(
            Predictor(fitted.classes, fitted.reading, network, fitted.training_texts, fitted.wide)
        )

    def check_without_wide(self, what: str) -> None:
        """Raise DataError for a wide model, which `what` has no place for."""
        if self._fitted().wide is not None:
            raise DataError(
                f"this model has n-grams beside its recurrent layers, and {what} has no place for them: "
                "write the recurrent side alone (export --without-wide, in Python model.without_wide()), or "
                "train with wide=False"
            )

    def without_wide(self) -> Self:
        """Return a copy that is the recurrent model alone, without the n-grams beside it."""
        fitted = self._fitted()
        network = fitted.torch_predictor().model
        return self._with_predictor(Predictor(fitted.classes, fitted.reading, network, fitted.training_texts))


class Predictor(TextPredictions):
    """Texts in, probabilities out; `classes`, `reading`, the network's `config` and the training texts.

    `wide` are the n-grams beside the network, or None.
    """

    def __init__(
        self,
        classes: Classes,
        reading: Reading,
        network: Classifier | FixedNetwork,
        training_texts: TrainingTexts | None = None,
        wide: WidePath | None = None,
    ) -> None:
        self.classes, self.reading, self.training_texts, self.wide = classes, reading, training_texts, wide
        self.config: ClassifierConfig = network.config
        self._network: FixedNetwork | NetworkPredictor
        if isinstance(network, FixedNetwork):
            self._network = network
        else:
            from gatelight.models.inference import Predictor as NetworkPredictor

            self._network = NetworkPredictor(network)
        self._incremental: IncrementalClassifier | None = None

    @classmethod
    def load(cls, folder: str | Path, *, mapped: bool = False) -> Predictor:
        """Read as much of a saved classifier as predicting needs; raises as `gatelight.load`.

        `mapped` is as in `read_arrays`.
        """
        return cls.from_parts(Path(folder), read_config(folder, CLASSIFIER), mapped=mapped)

    @classmethod
    def from_parts(cls, folder: Path, config: Mapping[str, Any], *, mapped: bool = False) -> Predictor:
        """Make what a config and the files beside it describe; ModelFileError where they do not fit."""
        path = folder / MODEL_FILE
        with told_in_one_line(folder):
            classes = Classes.of_plain(
                config["classes"], config["multilabel"], config.get("indicator") is True
            )
            shape = ClassifierConfig.from_dict(config["model"])
            reading = _reading(config["reading"], folder, shape)
            if (shape.outputs, shape.multilabel) != (classes.outputs, classes.multilabel):
                raise ValueError(f"{shape.outputs} outputs do not fit {len(classes.values)} classes")
        check_sizes(path, shape, SIZES)
        weights, _ = read_arrays(path, weight_shapes(shape), mapped=mapped)
        wide = None
        if config.get("wide") is not None:
            with told_in_one_line(folder):
                wide = WidePath.load(folder, config["wide"])
                if (len(wide.classifier.intercepts), wide.classifier.multilabel) != (
                    shape.outputs,
                    shape.multilabel,
                ):
                    raise ValueError(f"n-grams of {len(wide.classifier.intercepts)} outputs do not fit")
        return cls(classes, reading, FixedNetwork(shape, weights), TrainingTexts.load(folder), wide)

    def _fitted(self) -> Predictor:
        return self

    def _with_predictor(self, predictor: Predictor) -> Predictor:
        return predictor

    def torch_predictor(self) -> NetworkPredictor:
        """What predicts with a network of torch's, made of the fixed weights when first asked for."""
        if isinstance(self._network, FixedNetwork):
            from gatelight.models.classifier import classifier_of
            from gatelight.models.inference import Predictor as NetworkPredictor

            # From now on torch may change the weights, and the answers follow.
            self._network = NetworkPredictor(classifier_of(self.config, self._network.weights))
        return self._network

    def incremental(self) -> IncrementalClassifier:
        """What reads texts on, piece by piece."""
        if self._incremental is None:
            from gatelight.estimators.sessions import IncrementalClassifier

            self._incremental = IncrementalClassifier(self.classes, self.reading, self.torch_predictor())
        return self._incremental

    def probabilities(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the probability of each class [n, classes] and the unknown fraction [n] of some texts."""
        found, encoded = self.recurrent(texts)
        if self.wide is not None:
            found = self.wide.combined(found, texts)
        return self.classes.columns(found), encoded.unknown_fraction()

    def recurrent(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], Encoded]:
        """Return what the network says of texts, float32 [n, outputs], and the texts as it reads them."""
        encoded = self.reading.encode(texts)
        subwords = self.reading.subwords(encoded.oov, self.config.buckets)
        return self._network.probabilities(encoded.ids, encoded.lengths, subwords), encoded

    def sequences(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64], Subwords | None]:
        """Return a block of texts as flat ids, their lengths, and what unknown words' ids are made of."""
        encoded = self.reading.encode(texts)
        return encoded.ids, encoded.lengths, self.reading.subwords(encoded.oov, self.config.buckets)


def _reading(settings: Mapping[str, Any], folder: Path, model: ClassifierConfig) -> Reading:
    if settings["max_length"] != model.max_length:
        raise ValueError(f"texts of {settings['max_length']} tokens, a model of {model.max_length}")
    vocabulary = Vocabulary.load(folder)
    if model.vocabulary_size != len(vocabulary):
        raise ValueError(f"a model of {model.vocabulary_size} tokens, a vocabulary of {len(vocabulary)}")
    reading = Reading(
        tokenizer(**settings["tokenizer"]),
        vocabulary,
        settings["max_length"],
        settings["truncation"],
        EARLIER_NAMES.get(settings["unknown"], settings["unknown"]),
        settings.get("seed", 0),  # older folders know no policy that draws
    )
    if type(reading.seed) is not int or reading.seed < 0:
        raise ValueError(f"the seed of unknown words is {reading.seed!r:.40}")
    known = len(vocabulary) - len(SPECIALS)
    if bool(model.buckets) != (reading.unknown in SUBWORD_ROWS) or (known and reading.unknown == "ngrams"):
        raise ValueError(
            f"a model of {known} words and {model.buckets} n-grams, unknown words read by {reading.unknown!r}"
        )
    reading.encode(["a"])  # raises for a truncation or an unknown= that there is not
    return reading
