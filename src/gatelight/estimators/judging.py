"""A fitted model that only judges texts: reading, network, classes; knows neither fitting nor scikit-learn.

Judging itself needs no torch: what a program wants that judges one text from the command line. The network
is made as torch's when somebody asks for what only that can do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.inside import Inside
from gatelight.estimators.labels import Classes
from gatelight.estimators.reading import Reading, Understood
from gatelight.estimators.texts import blocks, checked_texts
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.fixed_network import FixedNetwork
from gatelight.models.pieces import Pieces
from gatelight.nn.packing import Packing
from gatelight.nn.trace import Trace

if TYPE_CHECKING:
    from gatelight.estimators.classifier_sessions import ClassifierFollower, ClassifierSession
    from gatelight.models.classifier import Classifier
    from gatelight.models.prediction import Predictor

BLOCK = 8192  # texts judged together: bounds the memory of ids, keeps batches of like length full


class Judge(Inside):
    """Texts in, probabilities and the unknown share out."""

    def __init__(
        self,
        classes: Classes,
        reading: Reading,
        network: Classifier | FixedNetwork,
        training_texts: TrainingTexts | None = None,
    ) -> None:
        self.classes, self.reading, self.training_texts = classes, reading, training_texts
        self.config: ClassifierConfig = network.config
        self._predictor: FixedNetwork | Predictor
        if isinstance(network, FixedNetwork):
            self._predictor = network
        else:
            from gatelight.models.prediction import Predictor

            self._predictor = Predictor(network)
        self._follower: ClassifierFollower | None = None

    @property
    def model(self) -> Classifier:
        """The network as torch's, made of the fixed weights when it is first asked for."""
        return self._of_torch().model

    def _of_torch(self) -> Predictor:
        if isinstance(self._predictor, FixedNetwork):
            from gatelight.models.classifier import classifier_of
            from gatelight.models.prediction import Predictor

            # From now on torch may change the weights, and the answers follow.
            self._predictor = Predictor(classifier_of(self.config, self._predictor.weights))
        return self._predictor

    def follower(self) -> ClassifierFollower:
        """What reads texts on, piece by piece."""
        if self._follower is None:
            from gatelight.estimators.classifier_sessions import ClassifierFollower

            self._follower = ClassifierFollower(self, self._of_torch())
        return self._follower

    def judge(self, texts: Iterable[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the probability of each class, float32 [n, classes], and each text's unknown share [n]."""
        texts = checked_texts(texts)
        if 0 < len(texts) <= BLOCK:  # as below, for who asks about one text at a time
            return self._judge_block(texts)
        columns: list[NDArray[np.float32]] = [np.zeros((0, len(self.classes.values)), np.float32)]
        shares: list[NDArray[np.float64]] = [np.zeros(0)]
        for block in blocks(texts, BLOCK):
            judged, unknown = self._judge_block(block)
            columns.append(judged)
            shares.append(unknown)
        return np.concatenate(columns), np.concatenate(shares)

    def _judge_block(self, texts: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        encoded = self.reading.encode(texts)
        pieces = self.reading.pieces(encoded.oov, self.config.buckets)
        judged = self._predictor.probabilities(encoded.ids, encoded.lengths, pieces)
        return self.classes.columns(judged), encoded.unknown_share()

    def trace_batch(
        self, ids: NDArray[np.int32], packing: Packing, pieces: Pieces | None
    ) -> tuple[Trace, NDArray[np.float32]]:
        """Return what the memory did with flat ids [N], and the probability of each class [n, classes]."""
        from gatelight.models.tracing import trace_classifier

        trace, judged = trace_classifier(self.model, ids, packing, pieces)
        return trace, self.classes.columns(judged)

    def _fitted(self) -> Judge:
        return self

    def _with_judge(self, judge: Judge) -> Judge:
        return judge

    def unknown_share(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the share of each text's tokens that the model does not know [n]; 0 for a text of none."""
        encoded = (self.reading.encode(block) for block in blocks(checked_texts(texts), BLOCK))
        return np.concatenate([np.zeros(0), *(part.unknown_share() for part in encoded)])

    def trained_on(self, texts: Iterable[str]) -> NDArray[np.bool_] | None:
        """Say of each text whether it was trained on, bool [n]; None where that was not kept."""
        return None if self.training_texts is None else self.training_texts.hold(checked_texts(texts))

    def understand(self, texts: Iterable[str]) -> list[Understood]:
        """Say of each text which of its tokens are unknown, and what the model reads in their place."""
        return [self.reading.understand(text) for text in checked_texts(texts)]


class JudgesTexts(Inside):
    """What a fitted estimator offers of its `Judge`, which `_fitted` gives."""

    @property
    def model_(self) -> Classifier:
        """The fitted network, torch's; of an estimator that was read from a folder made when asked for."""
        return self._fitted().model

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return the probability of each class, float32 [n, classes], in the order of `classes_`.

        A text's row has the same bits alone and in any company. Rows sum to 1 unless the model is
        multi-label.
        """
        return self.judge(texts)[0]

    def judge(self, texts: Iterable[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return `predict_proba` and `unknown_share` of the same texts, which are cut into tokens once."""
        return self._fitted().judge(texts)

    def unknown_share(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the share of each text's tokens that the model does not know [n]; 0 for a text of none."""
        return self._fitted().unknown_share(texts)

    def understand(self, texts: Iterable[str]) -> list[Understood]:
        """Say of each text which of its tokens are unknown, and what the model reads in their place."""
        return self._fitted().understand(texts)

    def trained_on(self, texts: Iterable[str]) -> NDArray[np.bool_] | None:
        """Say of each text whether it was trained on, bool [n]; None where that was not kept."""
        return self._fitted().trained_on(texts)

    def session(self) -> ClassifierSession:
        """Return a state at the beginning of a text; `session.feed(piece)` gives `predict_proba` so far.

        Where `session.incremental`, a piece costs as much as it is long: in models of one direction with any
        pool but attention. Others (and, with `truncation` other than "head", a text beyond `max_length`)
        read the text so far anew with each piece, to the same bits.
        """
        from gatelight.estimators.sessions import Session

        return Session(self._fitted().follower())

    def running_proba(self, text: str) -> NDArray[np.float32]:
        """Return the probability of each class up to each token of a text, float32 [tokens, classes].

        One pass where sessions are incremental; else each beginning of the text is read, many at once.
        """
        return self._fitted().follower().running(checked_texts([text])[0])
