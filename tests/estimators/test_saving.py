"""A saved model is a folder of plain files that predicts the same, and that is whole or refused."""

from __future__ import annotations

import json
import os
import pickletools
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, Reviews
from safetensors.numpy import load_file, save_file

import gatelight
from gatelight import TextClassifier, WordVectors
from gatelight.errors import ModelFileError

FILES = {
    "README.md", "baseline.safetensors", "baseline.terms.jsonl", "config.json", "model.safetensors",
    "training-texts.bin", "vocabulary.jsonl",
}  # fmt: skip


@pytest.fixture
def saved(fitted: TextClassifier, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    fitted.save(folder)
    return folder


def test_a_loaded_model_gives_the_same_bits(fitted: TextClassifier, saved: Path, reviews: Reviews) -> None:
    """A weight, a word or a setting lost in the files would change probabilities."""
    loaded = gatelight.load(saved)
    texts = [*reviews.texts, "", "unseen word", "\ud800"]
    assert np.array_equal(loaded.predict_proba(texts), fitted.predict_proba(texts))
    assert np.array_equal(loaded.unknown_fraction(texts), fitted.unknown_fraction(texts))
    assert loaded.get_params() == fitted.get_params()
    assert loaded.history_ == fitted.history_
    assert loaded.training_ == fitted.training_
    assert loaded.validation_ == fitted.validation_
    assert loaded.summary().trained == fitted.summary().trained
    assert gatelight.evaluate(loaded, reviews.texts, reviews.labels) == gatelight.evaluate(
        fitted, reviews.texts, reviews.labels
    )


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({"cell": "gru", "layers": 2, "layer_dropout": 0.1, "pool": "attention"}, lambda i: i % 3),
        ({"cell": "peephole", "bidirectional": False, "pool": "flatten"}, lambda i: bool(i % 2)),
        ({"cell": "rnn", "pool": "max+mean", "class_weight": {1: 2.0, 0: 1.0}}, lambda i: i % 2),
        ({"pool": "last", "tokenizer": "treebank", "max_length": None}, lambda i: ("a", "b")[: i % 3]),
        (
            {"class_weight": "balanced", "average": 0.9, "vectors": "array"},
            lambda i: "naïve \ud800\n"[i % 2 :],
        ),
    ],
)
def test_every_kind_of_model_survives(
    settings: dict[str, Any], labels: Callable[[int], Any], reviews: Reviews, tmp_path: Path
) -> None:
    """Cells, heads and labels of every type go through the files, also when saved a second time."""
    if settings.get("vectors") == "array":
        rng = np.random.default_rng(0)
        settings = {
            **settings,
            "vectors": WordVectors(["film", "the"], rng.normal(size=(2, 5)).astype(np.float32)),
        }
    fitted = TextClassifier(**{**TINY, "epochs": 1, **settings})
    fitted.fit(reviews.texts, [labels(i) for i in range(160)])
    fitted.save(tmp_path / "once")
    once = gatelight.load(tmp_path / "once")
    once.save(tmp_path / "twice")
    twice = gatelight.load(tmp_path / "twice")
    for loaded in (once, twice):
        assert np.array_equal(loaded.predict_proba(reviews.texts), fitted.predict_proba(reviews.texts))
        assert loaded.predict(reviews.texts).tolist() == fitted.predict(reviews.texts).tolist()
        assert loaded.classes_.dtype == fitted.classes_.dtype
    assert once.get_params()["class_weight"] == fitted.get_params()["class_weight"]
    if "vectors" in settings:
        with pytest.raises(gatelight.errors.DataError, match="set vectors again"):
            once.fit(reviews.texts, reviews.labels)


def test_files_are_plain(saved: Path) -> None:
    """No file may hold a pickle, and the text files must be readable by any tool."""
    assert {path.name for path in saved.iterdir()} == FILES
    assert json.loads((saved / "config.json").read_text(encoding="ascii"))["format"] == 1
    for path in saved.iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
        with pytest.raises(ValueError):  # noqa: PT011
            list(pickletools.genops(path.read_bytes()))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_card_says_what_the_model_was_measured_on(fitted: TextClassifier, saved: Path) -> None:
    """A figure without data, split, seed, interval and baseline says nothing."""
    text = (saved / "README.md").read_text(encoding="utf-8")
    validation = fitted.validation_
    assert validation is not None
    assert validation.baseline is not None
    for part in (
        "Origin: made up",
        f"{fitted.training_['texts']} texts",
        "whole groups",
        "seed 0",
        f"{validation.accuracy:.1%} ({validation.accuracy_low:.1%} to {validation.accuracy_high:.1%})",
        f"{validation.baseline.accuracy:.1%}",
        "TF-IDF",
        "| 2 |",
    ):
        assert part in text


def test_an_origin_cannot_write_markup_into_the_card(reviews: Reviews, tmp_path: Path) -> None:
    """A file name or a label with a table or a heading in it must stay a name."""
    labels = ["<b>|x|</b>" if label == "positive" else "# neg" for label in reviews.labels]
    fitted = TextClassifier(**{**TINY, "epochs": 1}).fit(reviews.texts, labels, origin="a\n# heading\n| b |")
    fitted.save(tmp_path / "model")
    text = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "\n# heading" not in text
    assert "<b>" not in text.replace("\\<b", "")
    assert "\n| b" not in text


# --- damage ---------------------------------------------------------------------------------------


def changed(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        for path, value in changes.items():
            *outer, last = path.split("__")
            at = config
            for name in outer:
                at = at[name]
            at[last] = value
        (folder / "config.json").write_text(json.dumps(config))

    return change


def without(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        del config[name]
        (folder / "config.json").write_text(json.dumps(config))

    return change


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes())) and None


def weights(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        arrays = load_file(folder / "model.safetensors")
        change(arrays)
        save_file(arrays, folder / "model.safetensors")

    return rewrite


HEADER = b'{"head.bias":{"dtype":"F32","shape":[999999999],"data_offsets":[0,3999999996]}}'
PROMISE = len(HEADER).to_bytes(8, "little") + HEADER

DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
    "no baseline": (
        lambda folder: (folder / "baseline.safetensors").unlink(),
        "baseline.safetensors is missing",
    ),
    "half a config": (bytes_of("config.json", lambda data: data[: len(data) // 2]), "damaged"),
    "deep config": (bytes_of("config.json", lambda data: b"[" * 200_000), "damaged"),
    "other model": (changed(kind="bert"), "not of a gatelight text classifier"),
    "newer format": (changed(format=2, gatelight="9.1"), "saved by version 9.1; update gatelight"),
    "no format": (changed(format=None), "format None"),
    "no section": (without("classes"), "lacks 'classes'"),
    "strange setting": (changed(settings__turbo=True), "turbo"),
    "model of another type": (changed(model=[1]), "does not fit together"),
    "a setting of another type": (changed(settings__epochs="five"), "epochs is 'five'"),
    "a setting out of range": (changed(settings__validation_fraction=2), "validation_fraction is 2"),
    "training without a field": (changed(training={}), "lacks 'texts'"),
    "training with strange figures": (changed(training__texts="many"), "texts is 'many'"),
    "training with a strange split": (changed(training__split=["group"]), "split is"),
    "a temperature of words": (changed(training__temperature="hot"), "temperature is 'hot'"),
    "a negative temperature": (changed(training__temperature=-2.0), "temperature is -2.0"),
    "strange test figures": (changed(training__test={"n": 1}), "does not fit together"),
    "validation of words": (changed(validation__accuracy="good"), "accuracy is 'good'"),
    "history of another type": (changed(history=[{"epoch": 1}]), "lacks 'train_loss'"),
    "strange tokenizer": (changed(reading__tokenizer={"kind": "morse"}), "morse"),
    "strange truncation": (changed(reading__truncation="middle"), "middle"),
    "classes unsorted": (changed(classes=["b", "a"]), "sorted"),
    "classes mixed": (changed(classes=["a", 1]), "does not fit together"),
    "a class too many": (changed(classes=["a", "b", "c"]), "do not fit 3 classes"),
    "huge model": (changed(model__hidden=10**9), "too few for hidden"),
    "endless model": (changed(model__layers=10**9), "too few for layers"),
    "huge vocabulary": (changed(model__vocabulary_size=10**10), "vocabulary of"),
    "other length": (changed(model__max_length=21), "does not fit together"),
    "cut weights": (bytes_of("model.safetensors", lambda data: data[:-1]), "cut short"),
    "half a header": (bytes_of("model.safetensors", lambda data: data[:40]), "cut short"),
    "a pickle": (bytes_of("model.safetensors", lambda data: b"\x80\x04cos\nsystem\n."), "cut short"),
    "great promises": (bytes_of("model.safetensors", lambda data: PROMISE), "cut short"),
    "another dtype": (
        weights(lambda them: them.update({"head.bias": them["head.bias"].astype(np.float64)})),
        "head.bias is of type F64; expected float32",
    ),
    "a weight too many": (weights(lambda them: them.update(extra=np.zeros(3))), "extra is unexpected"),
    "a weight too few": (weights(lambda them: them.pop("head.bias")), "head.bias is missing"),
    "a weight of another shape": (
        weights(lambda arrays: arrays.update({"head.bias": np.zeros(2, np.float32)})),
        "head.bias",
    ),
    "undefined weights": (weights(lambda arrays: arrays["head.bias"].fill(np.nan)), "infinite or undefined"),
    "shorter vocabulary": (
        bytes_of("vocabulary.jsonl", lambda data: data[: data[:-1].rindex(b"\n") + 1]),
        "vocabulary of",
    ),
    "cut baseline": (bytes_of("baseline.safetensors", lambda data: data[:-4]), "baseline.safetensors"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_said_in_one_line(name: str, saved: Path) -> None:
    """A damaged model must be refused by its file's name, never half-loaded, never with a foreign error."""
    damage, message = DAMAGE[name]
    damage(saved)
    with pytest.raises(ModelFileError, match=message) as caught:
        gatelight.load(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)


def test_a_path_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """A misspelt path is the commonest mistake of all."""
    (tmp_path / "file").write_text("x")
    paths = {tmp_path / "none": "does not exist", tmp_path / "file": "is a file", tmp_path: "no saved model"}
    for path, message in paths.items():
        with pytest.raises(ModelFileError, match=message):
            gatelight.load(path)


@pytest.mark.parametrize("name", ["huge model", "endless model", "huge vocabulary", "great promises"])
def test_great_promises_cost_no_memory(name: str, saved: Path) -> None:
    """A folder that asks for terabytes must fail on a comparison, not on an allocation."""
    gatelight.load(saved)
    DAMAGE[name][0](saved)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 50_000_000, hard))
    try:
        with pytest.raises(ModelFileError):
            gatelight.load(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# --- replacing ------------------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_older_model_is_replaced_and_nothing_else_is(
    fitted: TextClassifier, saved: Path, reviews: Reviews, tmp_path: Path
) -> None:
    """Overwriting must take a model's place as a whole, and refuse what is not a model of ours."""
    other = TextClassifier(**{**TINY, "epochs": 1}).fit(reviews.texts, reviews.labels)
    other.save(saved)
    assert {path.name for path in saved.iterdir()} == FILES - {"baseline.safetensors", "baseline.terms.jsonl"}
    assert np.array_equal(gatelight.load(saved).predict_proba(["film"]), other.predict_proba(["film"]))
    for litter in (".DS_Store", "Thumbs.db", "desktop.ini"):  # whoever looked into the folder may have it
        (saved / litter).write_bytes(b"seen")
    (tmp_path / "link").symlink_to(saved)
    other.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert not (saved / ".DS_Store").exists()
    (saved / "notes.txt").write_text("mine")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):  # such as other libraries save
        (foreign / name).write_text("{}")
    plain = tmp_path / "file"
    plain.write_text("x")
    for target in (saved, foreign, plain):
        before = files_of(target) if target.is_dir() else target.read_bytes()
        with pytest.raises(FileExistsError, match="exists and gatelight did not write it"):
            fitted.save(target)
        assert (files_of(target) if target.is_dir() else target.read_bytes()) == before
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_old_model(fitted: TextClassifier, saved: Path) -> None:
    """Whichever file does not fit any more, the old model must still be there, whole and alone."""
    before = files_of(saved)
    # The operating system itself refuses to let a file grow beyond the limit, as a full disk does.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 500, 2_000, 6_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError):  # noqa: PT011
                fitted.save(saved)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert files_of(saved) == before
        assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_importing_gatelight_is_quick_and_complete() -> None:
    """`import gatelight` must not load torch; every public name must be there when asked for."""
    code = (
        "import sys, gatelight; print({'torch', 'sklearn', 'numba', 'pyarrow', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert set(gatelight.__all__) <= set(dir(gatelight))
    for name in gatelight.__all__:
        assert getattr(gatelight, name).__name__.rpartition(".")[2] == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = gatelight.nothing
