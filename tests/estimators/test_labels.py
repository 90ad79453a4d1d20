"""Labels come back as they came, and what cannot be a label is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gatelight.errors import DataError
from gatelight.estimators.labels import Classes, checked_labels
from gatelight.estimators.texts import checked_texts


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", "b"],
        [2, -1, 2],
        [True, False, True],
        [1.0, 3.0, 1.0],
        np.array([7, 5, 7]),
        np.array(["x", "yy", "x"]),
        np.array(["x", "yy", "x"], object),
        pa.chunked_array([["u"], ["v", "u"]]),
        pa.array([3, 4, 3]).dictionary_encode(),
    ],
)
def test_labels_keep_their_type(labels: Any) -> None:
    """A label that came as 1 and went back as "1" or 1.0 would equal nothing in the user's data."""
    checked = checked_labels(labels)
    classes = Classes.of(checked)
    targets = classes.targets(checked)
    back = classes.labels(np.eye(len(classes.values), dtype=np.float32)[targets])
    assert back.tolist() == checked
    assert [type(label) for label in back.tolist()] == [type(label) for label in checked]
    again = Classes.of_plain(classes.plain(), classes.multilabel)
    assert again.values.dtype == classes.values.dtype
    assert np.array_equal(again.values, classes.values)


def test_several_labels_a_text_become_columns() -> None:
    """A wrong column would teach one label's texts to another."""
    checked = checked_labels([("war", "love"), {"love"}, [], frozenset({"war"}), ["sea", "sea"]])
    classes = Classes.of(checked)
    assert classes.plain() == ["love", "sea", "war"]
    assert classes.outputs == 3
    targets = classes.targets(checked)
    assert targets.tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert classes.labels(targets).tolist() == [("love", "war"), ("love",), (), ("war",), ("sea",)]


def test_two_classes_have_one_output_and_two_columns() -> None:
    """`predict_proba` must give both columns, in the order of the classes."""
    classes = Classes.of(["no", "yes"])
    assert classes.outputs == 1
    columns = classes.columns(np.array([[0.75], [0.25]], np.float32))
    assert columns.tolist() == [[0.25, 0.75], [0.75, 0.25]]
    assert classes.labels(columns).tolist() == ["yes", "no"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "no labels"),
        (["a", "a", "a"], "all 3 texts have the label 'a'"),
        ([("a", "b"), ("b", "a")], "same labels"),
        ([(), ()], "same labels"),
        (["a", None], "number 2 is None"),
        ([1.0, float("nan")], "number 2 is nan"),
        ([0.5, 1.0], "number 1 is 0.5"),
        (["a", 1], "number 2 is 1 where earlier ones are like 'a'"),
        ([1, True], "number 2 is True"),
        ([("a",), "b"], "number 2 is one label"),
        (["b", ("a",)], "number 2 is a tuple"),
        ([b"a", b"b"], "number 1 is b'a'"),
        ("ab", "single value 'ab'"),
        ([[("a",)], [("b",)]], "number 1"),
        (np.eye(2) + 1, "a column of 0 and 1 for each class"),
    ],
)
def test_unusable_labels_are_named(labels: Any, message: str) -> None:
    """Without a name the user would search a column of thousands for the one missing label."""
    with pytest.raises(DataError, match=message):
        Classes.of(checked_labels(labels))


def test_labels_that_the_model_does_not_know_are_named() -> None:
    """Evaluating on data of other labels must say which they are and which the model has."""
    classes = Classes.of(["neg", "pos"])
    with pytest.raises(DataError, match=r"'0', '1' are none of the model's classes 'neg', 'pos'"):
        classes.targets(["0", "1", "neg"])
    with pytest.raises(DataError, match="and 3 more"):
        classes.targets([str(number) for number in range(8)])
    with pytest.raises(DataError, match="other kind"):
        classes.targets([("neg",)])


@pytest.mark.parametrize(
    "texts",
    [("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], object), pa.array(["a", "b"]), iter(["a", "b"])],
)
def test_texts_of_any_column_are_plain_strings(texts: Any) -> None:
    """NumPy and Arrow strings must reach the tokenizer as ordinary ones."""
    found = checked_texts(texts)
    assert found == ["a", "b"]
    assert {type(text) for text in found} == {str}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"write \[text\]"),
        (["a", None], "number 2 is None"),
        (["a", b"b"], "number 2 is b'b'"),
        (np.array([["a", "b"], ["c", "d"]]), "a whole ndarray"),
        (5, "not int"),
        (pa.table({"text": ["a"], "label": ["b"]}), "a whole Table"),
        (["x" * 0, 1.5], "number 2 is 1.5"),
    ],
)
def test_what_is_no_column_of_texts_is_refused(texts: Any, message: str) -> None:
    """A single string would be predicted letter by letter, a missing text as the word "None"."""
    with pytest.raises(DataError, match=message):
        checked_texts(texts)


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_data_frame_columns_work(module: str) -> None:
    """Columns of data frames are read by iterating; no data-frame library is needed."""
    frames = pytest.importorskip(module)
    frame = frames.DataFrame({"text": ["a", "b"], "label": [1, 0]})
    assert checked_texts(frame["text"]) == ["a", "b"]
    assert checked_labels(frame["label"]) == [1, 0]
    with pytest.raises(DataError, match="a whole DataFrame"):
        checked_texts(frame)
