"""The DATA argument and its options: a path or the name of a known data set becomes a Corpus.

Of a source with parts of its own (train, test, unsup) only those asked for are read: nobody waits for
50,000 unlabelled reviews that are not used, and no test text is near where it could be learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import READING, option
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.language_model import LanguageModel
    from gatelight.text.corpus import Corpus
    from gatelight.text.readers import Example

LIMIT = "use N texts at most, drawn at random, the same ones every time"
UNLABELLED = "unsup"  # the part of aclImdb, whose name others have taken over
TEST = "test"


@dataclass(kw_only=True)
class Reads:
    """The options of every command that reads DATA."""

    text_column: str | None = option("the column of the texts", group=READING)
    label_column: str | None = option("the column of the labels", group=READING)
    group_column: str | None = option("the column of the group, like the film", group=READING)
    format: str | None = option("aclimdb, classes, csv, tsv, jsonl, parquet, fasttext, lines", group=READING)
    delimiter: str | None = option("what separates columns, if no comma or tab", group=READING, metavar="C")
    max_bytes: int | None = option("most bytes to read or unpack", group=READING)
    encoding: str = option("character encoding of the texts", "utf-8", group=READING)
    encoding_errors: str = option("undecodable bytes: strict or replace", "strict", group=READING)

    @property
    def reading(self) -> dict[str, Any]:
        """Return the options by name, without those that were not typed."""
        found = {one.name: getattr(self, one.name) for one in fields(Reads)}
        return {name: value for name, value in found.items() if value is not None}


def available(name: str, to: Console) -> Path:
    """Return the path of DATA or vectors, fetching a named set first, with its progress on `to`."""
    from gatelight.cli.output import one_line
    from gatelight.cli.progress import Meter, download
    from gatelight.text import datasets

    with Meter(to) as meter:
        return datasets.resolve(name, download(meter, one_line(name)))


def read(data: str, to: Console, reading: Mapping[str, Any], parts: Sequence[str] = ()) -> Corpus:
    """Read DATA, and of a source with parts only `parts` (all of them when empty).

    Parts that are not there are left out; `of_part` says so where one is needed.
    """
    from gatelight.cli.output import one_line
    from gatelight.cli.progress import Meter
    from gatelight.text import datasets, readers
    from gatelight.text.corpus import Corpus

    path = available(data, to)
    with Meter(to) as meter:
        meter.show(f"reading {one_line(data)}", 0, None)
        if not _has_parts_of_its_own(path, reading):
            # Under the name that was typed: where the cache lies is nobody's business in a model card.
            return replace(datasets.load_dataset(data, **reading), origin=data)
        chosen = {name: value for name, value in reading.items() if name not in ("format", "on_disk")}
        options = readers.Options(**chosen, splits=tuple(parts) or None)
        examples = readers.examples(path, options, reading.get("format"))
        return Corpus.from_examples(examples, origin=data, on_disk=reading.get("on_disk"))


def language_model(folder: str) -> LanguageModel:
    """Open a language model; DataError, saying what it is, for any other kind of model."""
    from gatelight.estimators.language_model import LanguageModel
    from gatelight.estimators.saving import LANGUAGE, kind_of

    kind = kind_of(Path(folder))
    if kind not in (None, LANGUAGE):
        raise DataError(f"{folder} holds a {kind}; expected a language model, as train-lm makes it")
    return LanguageModel.load(folder)


def text_model(folder: str) -> TextClassifier | LanguageModel:
    """Open a classifier or a language model; DataError for a model that reads no texts of its own."""
    from gatelight.estimators.opening import load
    from gatelight.estimators.sequence_classifier import SequenceClassifier
    from gatelight.interop.keras.imported import ImportedModel

    model = load(folder)
    if isinstance(model, ImportedModel | SequenceClassifier):
        raise DataError(f"{folder} reads no texts of its own; give a model that was trained here, on texts")
    return model


def of_part(corpus: Corpus, part: str | None) -> Corpus:
    """Return the labelled texts of a part (None: of all); DataError when there is no such part or label."""
    chosen = corpus if part is None else corpus.of_split(part)
    found = chosen.labelled() if chosen.labels is not None else None
    if found is None or not len(found):
        where = corpus.origin if part is None else f"{corpus.origin}, part {part}"
        raise DataError(f"{where}: no text has a label; give labelled texts")
    return found


def texts_to_audit(data: str, to: Console, reading: Mapping[str, Any], part: str | None) -> Iterator[Example]:
    """Yield the texts of DATA in little memory, those of one part, or of all parts but the unlabelled one.

    Raises DataError for a part that is not there.
    """
    from gatelight.text import datasets

    path, found = available(data, to), False
    own = _has_parts_of_its_own(path, reading) and part != UNLABELLED
    for example in datasets.stream(data, splits=["train", TEST] if own else None, **reading):
        if example.split == part if part is not None else example.split != UNLABELLED:
            found = True
            yield example
    if not found and part is not None:
        raise DataError(f"{data}: no texts in part {part!r}")


def labelled_texts(data: str, to: Console, reading: Mapping[str, Any], part: str | None = None) -> Corpus:
    """Read labelled texts to measure a model on: a part of DATA, else its part test, or all without parts.

    Raises DataError where DATA has parts but neither `part` nor, when that is None, test is among them.
    """
    wanted = TEST if part is None else part
    whole = read(data, to, reading, [wanted])
    if not len(whole):  # to say which parts there are
        whole = read(data, to, reading)
    if part is None and whole.splits is None:
        return of_part(whole, None)
    there = sorted({name for name in whole.splits or () if name is not None})
    if part is None and TEST not in there:
        raise DataError(
            f"{whole.origin}: has parts ({', '.join(there)}) but no part {TEST!r}, and a model may have been "
            "trained on them; name the one to measure on with --part"
        )
    return of_part(whole, wanted)


def limited(corpus: Corpus, limit: int | None) -> Corpus:
    """Return `limit` texts at most, in their order: drawn at random, always the same of the same texts."""
    import numpy as np

    if limit is None or limit >= len(corpus):
        return corpus
    return corpus.select(np.sort(np.random.default_rng(0).permutation(len(corpus))[:limit]).tolist())


def _has_parts_of_its_own(path: Path, reading: Mapping[str, Any]) -> bool:
    from gatelight.text import readers

    options = readers.Options(max_bytes=reading.get("max_bytes"))
    return (reading.get("format") or readers.detect(path, options)) == "aclimdb"


@dataclass(frozen=True)
class TrainingTexts:
    """What one training run uses, and keeps apart: no text is in two of these."""

    training: Corpus
    unlabelled: Sequence[str]
    valid: Corpus | None
    test: Corpus | None


def read_for_training(
    data: str,
    to: Console,
    reading: Mapping[str, Any],
    *,
    part: str,
    unlabelled: str | None,
    valid: str | None,
    test: str | None,
    test_fraction: float | None,
    seed: int,
    limit: int | None = None,
) -> TrainingTexts:
    """Read DATA and what is to be validated and tested on: parts of DATA, or data of their own.

    `test_fraction` of DATA is held out first, by whole groups where there are groups. `unlabelled` are texts
    whose labels are left aside: a part of DATA or data of their own; that unsup may be missing. Raises
    DataError for parts that are not there, too few classes, and what cannot be read.
    """
    if test is not None and test_fraction is not None:
        raise DataError("--test names texts to test on, --test-fraction holds some out: give one of the two")
    parts = [name for name in (part, valid, test, unlabelled) if name is not None]
    whole = read(data, to, reading, parts)
    training = limited(of_part(whole, part if whole.splits is not None else None), limit)
    others: Sequence[str] = []
    if unlabelled is not None and unlabelled in (whole.splits or ()):
        others = whole.of_split(unlabelled).texts
    elif unlabelled is not None and unlabelled != UNLABELLED:
        others = texts_to_learn_from(unlabelled, to, reading).texts

    def apart(name: str | None, to_test: bool = False) -> Corpus | None:
        if name is None:
            return None
        if name in (whole.splits or ()) and name != part:
            return of_part(whole, name)
        return labelled_texts(name, to, reading) if to_test else of_part(read(name, to, reading), None)

    tested = apart(test, to_test=True)
    if test_fraction is not None:
        training, tested = training.train_test_split(
            test_fraction, seed, by="random" if training.groups is None else "group"
        )
    classes = training.require_classes()
    # Known before hours of training, not after them.
    strange = [] if tested is None else sorted(set(tested.classes) - set(classes))
    if tested is not None and strange:
        raise DataError(
            f"{tested.origin}: the label {strange[0]!r} is none of the {len(classes)} that are trained on "
            f"({', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}); test on texts with these labels"
        )
    return TrainingTexts(training, others, apart(valid), tested)


def texts_to_learn_from(
    data: str, to: Console, reading: Mapping[str, Any], part: str | None = None, limit: int | None = None
) -> Corpus:
    """Return DATA, labelled or not: one part, or all but its part test.

    Raises DataError where there is none.
    """
    import numpy as np

    whole = read(data, to, {**reading, "labelled": False}, ["train", UNLABELLED] if part is None else [part])
    own = whole.splits or [None] * len(whole)
    chosen = np.flatnonzero([split != TEST if part is None else split == part for split in own])
    if not len(chosen):
        where = "besides its part test" if part is None else f"in part {part!r}"
        raise DataError(f"{data}: no texts {where}; give texts to learn from")
    return limited(whole.select(chosen), limit)
