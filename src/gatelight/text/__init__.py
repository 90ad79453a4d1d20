"""Files → texts → tokens → ids, and word vectors.

The names below are imported when they are first used: what reads one text needs no archives and no downloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelight.lazily import lazily

if TYPE_CHECKING:
    from gatelight.text.corpus import Corpus, Example, read_examples
    from gatelight.text.encoding import Encoded, encode, encode_tokens
    from gatelight.text.lengths import LengthStatistics
    from gatelight.text.tokenizers import Tokenizer, tokenizer
    from gatelight.text.vectors import Coverage, WordVectors
    from gatelight.text.vocabulary import PAD, PAD_ID, UNK, UNK_ID, Vocabulary
    from gatelight.text.word2vec import train_word2vec

__all__ = [
    "PAD",
    "PAD_ID",
    "UNK",
    "UNK_ID",
    "Corpus",
    "Coverage",
    "Encoded",
    "Example",
    "LengthStatistics",
    "Tokenizer",
    "Vocabulary",
    "WordVectors",
    "encode",
    "encode_tokens",
    "read_examples",
    "tokenizer",
    "train_word2vec",
]

_HOMES = {
    "PAD": "vocabulary",
    "PAD_ID": "vocabulary",
    "UNK": "vocabulary",
    "UNK_ID": "vocabulary",
    "Corpus": "corpus",
    "Coverage": "vectors",
    "Encoded": "encoding",
    "Example": "corpus",
    "LengthStatistics": "lengths",
    "Tokenizer": "tokenizers",
    "Vocabulary": "vocabulary",
    "WordVectors": "vectors",
    "encode": "encoding",
    "encode_tokens": "encoding",
    "read_examples": "corpus",
    "tokenizer": "tokenizers",
    "train_word2vec": "word2vec",
}

__getattr__, __dir__ = lazily(__name__, _HOMES, globals())
