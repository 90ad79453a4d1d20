"""`gatelight compare`: variants of a model trained under the same splits and seeds, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import DATA, JSON, RUNS, argument, meant, option, values_of
from gatelight.cli.output import emit, percent, save_json, say, table
from gatelight.cli.settings import classifier_settings
from gatelight.cli.sources import LIMIT, Reads
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.insight.compare import Material, Row

TEST_FRACTION = 0.2
RESULT = "comparison.json"
NOT_VARIED = ("random_state", "threads", "from_lm", "gradual_unfreezing")


@dataclass(kw_only=True)
class Compare(Reads):
    """Train variants of a model under the same splits and seeds.

    They are tested on the same texts. What a run has found is kept in the folder: the same command after a
    stop, or with more values or seeds, trains only what is missing.
    """

    SETTINGS = staticmethod(classifier_settings)
    GOES_ON = "the runs go on, and are kept"

    data: str = argument(DATA, "DATA")
    vary: list[str] = option(
        "a setting and its values; several --vary make a grid, whose first is compared with",
        metavar="NAME=VALUE,…",
        commas=False,
        required=True,
    )
    out: Path = option(RUNS, metavar="FOLDER", short="o", required=True)
    seeds: int = option("runs of each variant, from --seed up", 5, least=1)
    typos: list[float] = option("also test with these fractions of the words misspelt", [], metavar="X,…")
    preset: str = option("what all variants start from", "default")
    part: str = option("the part to train on, if DATA has parts", "train")
    limit: int | None = option(LIMIT, least=1)
    test: str | None = option("test on this instead of held-out texts", metavar="PART|DATA")
    test_fraction: float | None = option("fraction held out for the test; otherwise 0.2")
    jobs: int | None = option("runs at a time; otherwise as many as processors", least=1)
    json: bool = option(JSON, False)
    settings: dict[str, Any]

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import trials
        from gatelight.cli.reports import corpus_line
        from gatelight.cli.sources import available, read_for_training
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.estimators.rules import AUTO, CORPUS
        from gatelight.insight.compare import Material, check_variants, grid
        from gatelight.insight.compare import compare as train_all
        from gatelight.models.trials import describe

        variants, typos = grid(_varied(self.vary)), self._typos()
        base = TextClassifier.from_preset(self.preset, **self.settings).get_params(deep=False)
        # Before anything is fetched or read.
        check_variants(base, variants)
        if isinstance(base["vectors"], str) and base["vectors"] not in (AUTO, CORPUS):
            available(base["vectors"], to)
        test_fraction = self.test_fraction
        if self.test is None and test_fraction is None:
            test_fraction = TEST_FRACTION
        texts = read_for_training(
            self.data, to, self.reading, part=self.part, unlabelled=None, valid=None, test=self.test,
            test_fraction=test_fraction, seed=base["random_state"], limit=self.limit,
        )  # fmt: skip
        assert texts.test is not None
        say(to, corpus_line(texts.training))
        groups = texts.training.groups
        material = Material(
            texts=texts.training.texts,
            labels=list(texts.training.labels or []),
            groups=None if groups is None else list(groups),
            test_texts=texts.test.texts,
            test_labels=list(texts.test.labels or []),
            base=base,
            typos=typos,
        )
        say(to, f"tested on {len(material.test_texts):,} texts{_overlap(material)}")
        seeds = [base["random_state"] + number for number in range(self.seeds)]

        def told(trial: Any, record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            accuracy = record["tested"]["0"]["accuracy"]
            return f"{describe(trial)}: {percent(accuracy)}", {"accuracy": accuracy}

        with trials(to, len(variants) * self.seeds, self.json, self.out, told) as on_run:
            rows = train_all(material, variants, seeds, self.out, jobs=self.jobs, on_run=on_run)
        found = [row.to_dict() for row in rows]
        save_json(self.out / RESULT, found)
        for fraction in (0.0, *typos):
            some = [row for row in rows if row.typos == fraction]
            to.print(table(_columns(rows), map(_cells, some), _title(fraction)))
        for warning in warnings(rows):
            say(to, warning)
        say(to, f"saved in {self.out}")
        if self.json:
            tested = {"tested_on": len(material.test_texts), "trained_on": material.trained_on}
            emit({"variants": found, **tested, "out": str(self.out)})

    def _typos(self) -> tuple[float, ...]:
        if any(not 0 < one <= 1 for one in self.typos) or len(set(self.typos)) != len(self.typos):
            came = ",".join(map(str, self.typos))
            raise DataError(
                f"--typos came as {came}; expected fractions above 0 and up to 1, like 0.05,0.1, each once"
            )
        return tuple(self.typos)


def _overlap(material: Material) -> str:
    if not material.trained_on:
        return ""
    if material.trained_on == len(material.test_texts):
        return ", all of which are trained on: the figures flatter; give others with --test"
    return f"; {material.trained_on:,} more are among the training texts and are left out"


def _varied(typed: list[str]) -> dict[str, list[Any]]:
    """`hidden=32,64` → {"hidden": [32, 64]}; DataError for a strange setting or value."""
    known = {one.flag[2:]: one for one in classifier_settings() if one.name not in NOT_VARIED}
    found: dict[str, list[Any]] = {}
    for part in typed:
        name, equals, values = part.partition("=")
        name = name.strip().removeprefix("--").replace("_", "-")
        if not equals or name not in known:
            raise DataError(
                f"--vary came as {part!r}{meant(name, known)}; expected NAME=VALUE,VALUE with one of: "
                f"{', '.join(sorted(known))}"
            )
        one = known[name]
        found.setdefault(one.name, []).extend(values_of(one, values))
    return found


def _title(typos: float) -> str:
    return f"{percent(typos)} of the words misspelt" if typos else "the texts as they are"


def _cells(row: Row) -> list[str]:
    against = "–"
    if row.against is not None:
        low, high = (f"{100 * bound:+.1f}" for bound in (row.against.low, row.against.high))
        against = f"{100 * row.against.mean:+.1f} [{low}, {high}]"
    return [
        " ".join("none" if value is None else str(value) for value in row.variant.values()),
        f"{100 * row.accuracy:.2f}",
        "–" if row.spread is None else f"{100 * row.spread:.2f}",
        against,
        percent(row.unknown_fraction),
        f"{row.seconds:.0f} s",
        f"{row.megabytes:.1f} MB",
    ]


def _columns(rows: list[Row]) -> list[str]:
    varied = " ".join(rows[0].variant)
    return [varied, "accuracy", "SD", "to the first [95 %]", "unknown", "time", "size"]


def warnings(rows: list[Row]) -> list[str]:
    """Say of which variants no difference to the first is shown."""
    return [
        f"{row.name}, {_title(row.typos)}: the interval includes zero, so no difference to the first variant "
        "is shown"
        for row in rows
        if row.against is not None and row.against.includes_zero
    ]
