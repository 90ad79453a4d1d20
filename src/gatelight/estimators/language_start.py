"""What a language model begins with: its texts, and its network, perhaps with vectors of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from gatelight.errors import DataError
from gatelight.estimators.preparation import vectors_for
from gatelight.estimators.settings import CORPUS, ONE_HOT, language_model_config
from gatelight.estimators.texts import checked_texts, group_names
from gatelight.models.language_model import LanguageModel
from gatelight.text.splits import held_out
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary


def divided(
    texts: list[str],
    groups: Iterable[Any] | None,
    validation: Iterable[str] | None,
    fraction: float,
    seed: int,
) -> tuple[list[str], list[str]]:
    """Texts to learn from, shuffled, and those held out: `validation`, or a share of whole groups."""
    if not any(texts):
        raise DataError(f"there are {len(texts)} texts, none of which holds anything; give texts")
    names = None if groups is None else group_names(groups)
    if names is not None and len(names) != len(texts):
        raise DataError(f"there are {len(texts)} texts and {len(names)} groups; give one per text")
    if validation is not None:
        return texts, checked_texts(validation, "validation texts")
    held = np.zeros(len(texts), np.bool_)
    if round(len(texts) * fraction) >= 1 and len(texts) > 1:
        held = held_out(len(texts), fraction, seed, names, None)
    order = np.random.default_rng(seed).permutation(len(texts))
    return [texts[k] for k in order[~held[order]]], [texts[k] for k in order[held[order]]]


def network_for(
    settings: Mapping[str, Any],
    texts: list[str],
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    *,
    resume: bool,
    on_progress: Callable[[int, int], None] | None,
) -> LanguageModel:
    """Make the network that the settings ask for.

    Vectors other than "corpus" decide its `dim`. A run that is to go on has its own weights: nothing is
    trained
    again for it. Raises DataError for vectors that cannot be used, MissingExtraError without gensim.
    """
    wanted = settings["vectors"]
    if isinstance(wanted, str) and wanted == ONE_HOT:
        raise DataError("a language model learns its vectors: one-hot ones would stay as they are")
    if wanted is None or (resume and isinstance(wanted, str) and wanted == CORPUS):
        return LanguageModel(language_model_config(settings, len(vocabulary)), settings["random_state"])
    counts = dict(zip(vocabulary.tokens[2:], vocabulary.counts[2:].tolist(), strict=True))
    vectors = vectors_for(
        wanted, map(tokenizer.tokens, texts), counts, dim=settings["embedding_dim"],
        min_count=settings["min_count"],
        seed=settings["random_state"], workers=settings["threads"], on_progress=on_progress,
    )  # fmt: skip
    assert vectors is not None
    table, _ = vectors.table(vocabulary, seed=settings["random_state"])
    network = LanguageModel(
        language_model_config(settings, len(vocabulary), vectors.dim), settings["random_state"]
    )
    with torch.no_grad():
        network.embedding.weight.copy_(torch.from_numpy(table))  # type: ignore[operator]
    return network
