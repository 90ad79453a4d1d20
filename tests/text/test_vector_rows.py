"""A word's row in its file is its rank in the corpus that the vectors were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatelight import WordVectors

WORDS = ["the", "of", "film", "ok", "dull", "rare"]


@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.vec", "v.npy"])
@pytest.mark.parametrize("wanted", [None, ["rare", "film", "unheard", "the"]])
def test_rows_are_counted_over_the_whole_file(name: str, wanted: list[str] | None, tmp_path: Path) -> None:
    """Counting only what is wanted would make every rare word a frequent one."""
    matrix = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    WordVectors(WORDS, matrix).save(tmp_path / name)
    found = WordVectors.read(tmp_path / name, wanted)
    expected = WORDS if wanted is None else ["the", "film", "rare"]
    assert found.words == expected
    assert found.rows.tolist() == [WORDS.index(word) for word in expected]
    assert (found.matrix == matrix[found.rows]).all()
