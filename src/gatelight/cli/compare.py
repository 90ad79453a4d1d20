"""`gatelight compare`: variants of a model trained under the same splits and seeds, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelight.cli.options import READING, SETTINGS, Data, Json, Runs, with_options
from gatelight.cli.output import console, duration, emit, percent, say, table
from gatelight.cli.progress import Meter
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from gatelight.insight.compare import Material, Row

TEST_FRACTION = 0.2
RESULT, TABLES = "comparison.json", "comparison.md"
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@with_options(reading=READING, settings=SETTINGS)
def compare(
    data: Data,
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            help="A setting and its values; several --vary make a grid, whose first is compared with.",
            metavar="NAME=VALUE,VALUE…",
        ),
    ],
    out: Runs,
    reading: dict[str, Any],
    settings: dict[str, Any],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each variant, from --seed up.")] = 5,
    typos: Annotated[
        str | None,
        typer.Option(
            "--typos",
            help="Also test with these shares of the words misspelt, like 0.05,0.1.",
            metavar="SHARE,…",
        ),
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="What all variants start from.")] = "default",
    vectors: Annotated[
        str | None,
        typer.Option("--vectors", help="Word vectors, as for train.", metavar="NAME|FILE|corpus"),
    ] = None,
    part: Annotated[str, typer.Option("--part", help="What to train on, if DATA has parts.")] = "train",
    test: Annotated[
        str | None,
        typer.Option("--test", help="Test on this instead of a held-out part.", metavar="PART|DATA"),
    ] = None,
    test_fraction: Annotated[
        float | None, typer.Option("--test-fraction", help="Share held out for the test; otherwise 0.2.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, help="Runs at a time; as many as processors if it is not given."),
    ] = None,
    json: Json = False,
) -> None:
    """Train variants of a model under the same splits and seeds, and test them on the same texts.

    What a run has found is kept in the folder: the same command after a stop, or with more values or seeds,
    trains only what is missing.
    """
    from gatelight.cli.faults import keeping_runs
    from gatelight.cli.reports import corpus_line
    from gatelight.cli.sources import available, read_for_training
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.settings import CORPUS
    from gatelight.insight.compare import Material, check_variants, grid
    from gatelight.insight.compare import compare as train_all

    to = console(machine=json)
    variants = grid(_varied(vary))
    shares = _shares(typos)
    if vectors is not None:
        settings["vectors"] = vectors
    base = TextClassifier.from_preset(preset, **settings).get_params(deep=False)
    # Before anything is fetched or read.
    check_variants(base, variants)
    if isinstance(base["vectors"], str) and base["vectors"] != CORPUS:
        available(base["vectors"], to)
    texts = read_for_training(
        data, to, reading, part=part, with_unlabelled=False, valid=None, test=test,
        test_fraction=TEST_FRACTION if test is None and test_fraction is None else test_fraction,
        seed=base["random_state"],
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
        typos=shares,
    )
    say(to, f"tested on {len(material.test_texts):,} texts{_overlap(material)}")
    runs = [base["random_state"] + number for number in range(seeds)]
    with Meter(to) as meter:
        done = 0

        def on_run(trial: Any, record: dict[str, Any], before: bool) -> None:
            nonlocal done
            from gatelight.models.trials import describe

            done += 1
            total = len(variants) * seeds
            how = "found before" if before else duration(record["seconds"])
            accuracy = percent(record["tested"]["0"]["accuracy"])
            meter.line(f"{done}/{total}  {describe(trial)}: {accuracy}, {how}")
            meter.show("comparing", done, total, f"{done} of {total} runs")
            if json:
                emit({"run": dict(trial), "accuracy": record["tested"]["0"]["accuracy"], "before": before})

        meter.show("comparing", 0, len(variants) * seeds, "")
        with keeping_runs(out):
            rows = train_all(material, variants, runs, out, jobs=jobs, on_run=on_run)
    _keep(out, rows)
    for share in (0.0, *shares):
        to.print(_table([row for row in rows if row.typos == share], _title(share)))
    for warning in warnings(rows):
        say(to, warning)
    say(to, f"saved in {out}")
    if json:
        emit(
            {
                "variants": [row.to_dict() for row in rows],
                "tested_on": len(material.test_texts),
                "trained_on": material.trained_on,
                "out": str(out),
            }
        )


def _overlap(material: Material) -> str:
    if not material.trained_on:
        return ""
    if material.trained_on == len(material.test_texts):
        return ", all of which are trained on: the figures flatter; give others with --test"
    return f"; {material.trained_on:,} more are among the training texts and are left out"


def _varied(typed: list[str]) -> dict[str, list[Any]]:
    """`hidden_size=32,64` → {"hidden_size": [32, 64]}; DataError for a strange setting or value."""
    kinds = {parameter.name: parameter for parameter in SETTINGS}
    found: dict[str, list[Any]] = {}
    for part in typed:
        name, equals, values = part.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or (name not in kinds and name != "vectors") or name in ("random_state", "threads"):
            known = ", ".join(sorted({*kinds, "vectors"} - {"random_state", "threads"})).replace("_", "-")
            raise DataError(f"--vary came as {part!r}; expected NAME=VALUE,VALUE with one of: {known}")
        if name in found:
            raise DataError(f"--vary names {name} twice; give all its values in one")
        kind = kinds[name].kind if name in kinds else str
        optional = name not in kinds or kinds[name].optional
        found[name] = [_value(name, value.strip(), kind, optional) for value in values.split(",")]
    return found


def _value(name: str, typed: str, kind: type, optional: bool) -> Any:
    if optional and typed.lower() == "none":
        return None
    if kind is bool and typed.lower() in (*_TRUE, *_FALSE):
        return typed.lower() in _TRUE
    try:
        if kind is not bool and typed:
            return kind(typed)
    except ValueError:
        pass
    wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, "a word")
    raise DataError(f"--vary {name}: {typed!r} is not {wanted}{', or none' if optional else ''}")


def _shares(typed: str | None) -> tuple[float, ...]:
    try:
        shares = tuple(float(share) for share in typed.split(",")) if typed else ()
    except ValueError:
        shares = (-1.0,)
    if any(not 0 < share <= 1 for share in shares) or len(set(shares)) != len(shares):
        raise DataError(
            f"--typos came as {typed!r}; expected shares above 0 and up to 1, like 0.05,0.1, each once"
        )
    return shares


def _title(typos: float) -> str:
    return f"{percent(typos)} of the words misspelt" if typos else "the texts as they are"


def _cells(row: Row) -> list[str]:
    against = "–"
    if row.against is not None:
        low, high = (f"{100 * bound:+.2f}" for bound in (row.against.low, row.against.high))
        against = f"{100 * row.against.mean:+.2f} [{low}, {high}]"
    return [
        " ".join("none" if value is None else str(value) for value in row.variant.values()),
        f"{100 * row.accuracy:.2f}",
        "–" if row.spread is None else f"{100 * row.spread:.2f}",
        against,
        percent(row.unknown_share),
        f"{row.seconds:.0f} s",
        f"{row.megabytes:.1f} MB",
    ]


def _columns(rows: list[Row]) -> list[str]:
    varied = " ".join(rows[0].variant)
    return [varied, "accuracy", "spread", "to the first [95 %]", "unknown", "time", "size"]


def _table(rows: list[Row], title: str) -> Table:
    return table(_columns(rows), map(_cells, rows), title)


def warnings(rows: list[Row]) -> list[str]:
    """Say of which variants no difference to the first is shown."""
    return [
        f"{row.name}, {_title(row.typos)}: the interval includes zero, so no difference to the first variant "
        "is shown"
        for row in rows
        if row.against is not None and row.against.includes_zero
    ]


def _keep(out: Path, rows: list[Row]) -> None:
    import json

    from gatelight.cli.output import as_json
    from gatelight.files import file_written_aside

    with file_written_aside(out / RESULT) as aside:
        whole = [json.loads(as_json(row.to_dict())) for row in rows]
        aside.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    lines = []
    for share in dict.fromkeys(row.typos for row in rows):
        columns = _columns(rows)
        lines += [f"## {_title(share)[0].upper()}{_title(share)[1:]}", "", f"| {' | '.join(columns)} |"]
        lines.append(f"| --- |{' ---: |' * (len(columns) - 1)}")
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows if row.typos == share]
        lines += ["", *(f"- {warning}" for warning in warnings([r for r in rows if r.typos == share])), ""]
    with file_written_aside(out / TABLES) as aside:
        aside.write_text("\n".join(lines), "utf-8")
