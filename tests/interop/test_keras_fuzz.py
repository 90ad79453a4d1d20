"""Hundreds of damaged files: each gives a model or one error, soon and in bounded memory."""

from __future__ import annotations

import io
import json
import random
import resource
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from keras_cases import KERAS_2

from gatelight.errors import GatelightError
from gatelight.interop import keras

PARTS, CASES = 2, 150  # parts may run side by side
MOST_BYTES = 256 << 20  # that reading may add, of files of 40 kB
PARTNERS = {"weights.h5": [KERAS_2 / "masked.json"], "plan.json": [KERAS_2 / "masked_weights.h5"]}


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, moved, filled or cut off, more often near the beginning, where structures lie."""
    out = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        at = draw.randrange(len(out) if draw.random() < 0.5 else min(len(out), 4096))
        match draw.randrange(6):
            case 0:
                out[at] = draw.randrange(256)
            case 1:
                out[at : at + 8] = draw.randbytes(8)
            case 2:
                out[at : at + 8] = b"\xff" * 8
            case 3:
                out[at : at + 4] = bytes(4)
            case 4:
                other = draw.randrange(len(out))
                out[at : at + 16] = out[other : other + 16]
            case 5 if draw.random() < 0.3:
                out = out[: max(at, 1)]
    return bytes(out)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_file_gives_one_error(part: int, tmp_path: Path) -> None:
    """HDF5's own code crashes and hangs over some of these: the user's program must not."""
    sources = {
        "weights.h5": (KERAS_2 / "masked_weights.h5").read_bytes(),
        "whole.h5": keras.to_h5(keras.load(KERAS_2 / "graph.keras"), tmp_path / "whole")[0].read_bytes(),
        "graph.keras": (KERAS_2 / "graph.keras").read_bytes(),
        "inner.keras": (KERAS_2 / "graph.keras").read_bytes(),
        "plan.json": (KERAS_2 / "masked.json").read_bytes(),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    outcomes: Counter[str] = Counter()
    for case in range(part * CASES, (part + 1) * CASES):
        draw = random.Random(case)
        name = list(sources)[case % len(sources)]
        path = tmp_path / name
        path.write_bytes(with_damage(name, sources[name], draw))
        files = [path, *PARTNERS.get(name, ())]
        try:  # any other error than ours is what is looked for
            model = keras.load(*files)
        except GatelightError as error:
            said = str(error)
            assert "\n" not in said, (case, said)
            assert len(said) < 1000, (case, said)
            outcomes[type(error).__name__] += 1
        else:
            assert all(np.isfinite(array).all() for array in model.weights.values())
            outcomes["model"] += 1
    assert outcomes["ModelFileError"] > CASES // 4
    assert outcomes["model"] > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - peak < MOST_BYTES


def with_damage(name: str, content: bytes, draw: random.Random) -> bytes:
    """The file damaged; of some archives a member instead, since a checksum guards the whole."""
    if name == "plan.json" and draw.random() < 0.5:
        return json.dumps(shuffled(json.loads(content), draw)).encode()
    if name != "inner.keras":
        return damaged(content, draw)
    with zipfile.ZipFile(KERAS_2 / "graph.keras") as file:
        members = {member: file.read(member) for member in file.namelist()}
    chosen = draw.choice(["config.json", "model.weights.h5", "model.weights.h5", "metadata.json"])
    members[chosen] = damaged(members[chosen], draw)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for member, inside in members.items():
            file.writestr(member, inside)
    return held.getvalue()


ODD = (None, True, -1, 0, 10**9, 10**30, 1.5, "", "x", [], {}, [[]], [None, 10**9], {"class_name": "Lambda"})


def shuffled(value: object, draw: random.Random) -> object:
    """JSON that still is JSON, with a value somewhere that does not belong there."""
    if draw.random() < 0.01:
        return draw.choice(ODD)
    if isinstance(value, dict):
        return {key: shuffled(inside, draw) for key, inside in value.items() if draw.random() > 0.002}
    if isinstance(value, list):
        return [shuffled(inside, draw) for inside in value]
    return value


def test_an_archive_whose_lzma_stream_is_damaged(tmp_path: Path) -> None:
    """Red when an error of that decompressor's own, which is no other's, comes through."""
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, b"{}" * 500)
    content = bytearray(path.read_bytes())
    start = content.index(b"metadata.json") + len("metadata.json")
    for place in range(start + 12, start + 40):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(GatelightError, match="damaged or incomplete"):
        keras.load(path)
