"""Which texts a model was trained on, kept as hashes: the texts themselves stay with their owner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import ModelFileError

FILE_NAME = "training-texts.bin"
HASH_BYTES = 8
"""Among a million training texts and a million others, a wrong match has a chance of one in 10 million."""

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class TrainingTexts:
    """The distinct hashes of the training texts, uint64 sorted; white space around a text does not count."""

    hashes: Hashes

    @classmethod
    def of(cls, texts: Iterable[str]) -> TrainingTexts:
        """Hash texts."""
        return cls(np.unique(_hashes(texts)))

    def contain(self, texts: Iterable[str]) -> NDArray[np.bool_]:
        """Say of each text whether it is among them, bool [n]."""
        return np.isin(_hashes(texts), self.hashes)

    def save(self, folder: Path) -> None:
        """Write the hashes, little-endian, into an existing folder."""
        (folder / FILE_NAME).write_bytes(self.hashes.astype("<u8").tobytes())

    @classmethod
    def load(cls, folder: Path) -> TrainingTexts | None:
        """Read what `save` wrote; None where an older version saved none, ModelFileError for a cut file."""
        path = folder / FILE_NAME
        if not path.is_file():
            return None
        content = path.read_bytes()
        if len(content) % HASH_BYTES:
            raise ModelFileError(
                f"{path} is cut short: {len(content)} bytes are no whole number of hashes; copy or train "
                "the model again"
            )
        return cls(np.unique(np.frombuffer(content, "<u8")))


def _hashes(texts: Iterable[str]) -> Hashes:
    digests = (
        blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
        for text in texts
    )
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64)
