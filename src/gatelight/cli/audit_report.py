"""What an audit found, said on the console and as an HTML page. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from gatelight.cli import charts, html
from gatelight.cli.output import percent, say, table
from gatelight.cli.progress import size
from gatelight.cli.reports import length_line

if TYPE_CHECKING:
    from markupsafe import Markup

    from gatelight.insight.audit import Audit
    from gatelight.insight.findings import Finding
    from gatelight.insight.lengths import LengthReport
    from gatelight.insight.unknown_words import UnknownReport

MOST_NAMED = 8
WORDS_SHOWN = 20
WORD_COLUMNS = ["unknown word", "times", "negation", "mostly in", "near"]


def print_audit(to: Console, audit: Audit) -> None:
    """Print the facts, then each finding with its examples and what to do."""
    say(to, f"{audit.origin}: {_counted(audit)}")
    lengths = audit.lengths
    say(to, length_line(lengths.statistics))
    say(to, _characters(lengths))
    to.print(table(["percentile", *map(str, lengths.tokens)], _percentile_rows(lengths)))
    to.print(table(["cut at", "whole", "tokens kept", "padding"], _curve_rows(lengths)))
    say(to, _recommendation(lengths))
    for report in audit.unknown:
        say(to, _unknown(report))
    for line in _overlaps(audit):
        say(to, line)
    say(to, "")
    if not audit.findings:
        say(to, "nothing wrong was found")
    for finding in audit.findings:
        say(to, _title(finding), style="bold")
        say(to, f"  → {finding.advice}")
        for quote in finding.examples:
            say(to, f"  {quote.id}: {quote.text}")


def page(path: Path, audit: Audit) -> None:
    """Write the audit as one HTML file."""
    lengths = audit.lengths
    html.write(
        path,
        "audit",
        f"Audit of {audit.origin}",
        counted=_counted(audit),
        cards=[
            (
                finding.name.capitalize(),
                [_said(finding), f"→ {finding.advice}"],
                [(quote.id, quote.text) for quote in finding.examples],
            )
            for finding in audit.findings
        ],
        lengths=f"{length_line(lengths.statistics)}; {_characters(lengths)}",
        histogram=charts.histogram(
            lengths.histogram, lengths.histogram_width, "tokens", lengths.maxlen, _cut(lengths)
        ),
        coverage=_coverage(lengths),
        recommendation=_recommendation(lengths),
        percentiles=list(
            zip(map(str, lengths.tokens), *(row[1:] for row in _percentile_rows(lengths)), strict=True)
        ),
        unknown=[(report.of, _unknown(report), _word_rows(report)) for report in audit.unknown],
        word_columns=WORD_COLUMNS,
        overlaps=list(_overlaps(audit)),
    )


def _cut(lengths: LengthReport) -> str:
    return f"cut at {lengths.maxlen:,}"


def _coverage(lengths: LengthReport) -> Markup:
    shown = [point for point in lengths.curve if point.whole <= 0.995 or point.maxlen == lengths.maxlen]
    return charts.curves(
        [
            charts.Curve("texts left whole", [(point.maxlen, point.whole) for point in shown]),
            charts.Curve("padding, were they padded", [(point.maxlen, point.padding) for point in shown]),
            charts.Curve("tokens kept", [(point.maxlen, point.kept) for point in shown]),
        ],
        "maximal length",
        "fraction",
        x_range=(0.0, float(max(point.maxlen for point in shown))),
        mark=lengths.maxlen,
        mark_name=_cut(lengths),
    )


def _counted(audit: Audit) -> str:
    parts = ", ".join(f"{name} {count:,}" for name, count in audit.parts if name)
    named = ", ".join(f"{label} {count:,}" for label, count in audit.labels[:MOST_NAMED])
    more = f" and {len(audit.labels) - MOST_NAMED} more" if len(audit.labels) > MOST_NAMED else ""
    return (
        f"{audit.texts:,} texts"
        + (f" ({parts})" if parts else "")
        + (f", {len(audit.labels)} classes ({named}{more})" if audit.labels else ", no labels")
        + (f", {audit.groups:,} groups" if audit.groups else "")
    )


def _characters(lengths: LengthReport) -> str:
    return f"{lengths.mean_characters:.1f} characters on average"


def _percentile_rows(lengths: LengthReport) -> list[list[str]]:
    return [
        ["tokens", *(f"{value:,.0f}" for value in lengths.tokens.values())],
        ["characters", *(f"{value:,.0f}" for value in lengths.characters.values())],
    ]


def _curve_rows(lengths: LengthReport) -> list[list[str]]:
    return [
        [f"{point.maxlen:,}", percent(point.whole), percent(point.kept), percent(point.padding)]
        for point in lengths.curve
    ]


def _recommendation(lengths: LengthReport) -> str:
    best = next(point for point in lengths.curve if point.maxlen == lengths.recommended)
    return (
        f"Cut at {best.maxlen:,} tokens, {percent(best.whole)} of the texts stay whole and "
        f"{percent(best.kept)} of the tokens are kept; padded to {lengths.maxlen:,}, "
        f"{percent(lengths.padding)} of the steps would be padding, {size(lengths.dense_bytes)} of ids where "
        f"packed rows take {size(lengths.packed_bytes)}"
    )


def _unknown(report: UnknownReport) -> str:
    top = ", ".join(f"{word.word} {word.count:,}" for word in report.top[:MOST_NAMED])
    return (
        f"Not known by {report.known_by}, of {report.of}: {percent(report.fraction)} of {report.tokens:,} "
        f"tokens, in {percent(report.texts_with / max(report.texts, 1))} of the texts; "
        f"{report.unknown_types:,} words{f' ({top}, …)' if top else ''}"
    )


def _word_rows(report: UnknownReport) -> list[list[str]]:
    words = dict.fromkeys([*report.negations, *report.class_indicative, *report.top])
    return [
        [word.word, f"{word.count:,}", "yes" if word.negation else "", word.indicates or "", word.near or ""]
        for word in list(words)[:WORDS_SHOWN]
    ]


def _overlaps(audit: Audit) -> Iterator[str]:
    for name, texts, exact, near in audit.within:
        yield (
            f"{name or 'texts'}: {exact:,} of {texts:,} are copies of another one, "
            f"{near:,} more have a near copy"
        )
    for both in audit.between:
        yield (
            f"{both.later} beside {both.earlier}: of {both.texts:,} texts {both.exact:,} have a copy there, "
            f"{both.near:,} more a near copy, {both.grouped:,} their group"
        )
    if audit.group_leakage is not None:
        yield (
            f"of a fifth split off at random, {percent(audit.group_leakage)} would have their group among "
            "those trained on"
        )
    yield f"near copies share {audit.near_from:g} or more of their word pairs"


def _title(finding: Finding) -> str:
    return f"{finding.name}: {_said(finding)}"


def _said(finding: Finding) -> str:
    return f"{finding.count:,} ({percent(finding.fraction)}) {finding.says}"
