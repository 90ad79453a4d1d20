"""Files → texts → tokens → ids, and word vectors; knows no tensor, memory or model."""

from gatelight.text.corpus import Corpus, Example, read_examples
from gatelight.text.encoding import Encoded, encode, encode_tokens
from gatelight.text.lengths import LengthStatistics
from gatelight.text.tokens import Tokenizer, tokenizer
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
