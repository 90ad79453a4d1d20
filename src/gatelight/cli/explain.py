"""`gatelight explain` and `gatelight faithfulness`: why a text was judged so, and how far to trust that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from gatelight.cli.options import READING, Json, Model, Threads, with_options
from gatelight.cli.output import console, emit, one_line, percent, say, table
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.estimators.explaining import Attribution, Phrase, Winner
    from gatelight.estimators.judging import Judge
    from gatelight.insight.faithfulness import Estimate, Faithfulness

METHODS = "integrated-gradients, gradient-x-input, occlusion or pool"
MOST_WORDS = 10  # of each sign in the table
PALE = 40  # the palest colour that is told from the background
FAITHFUL_TEXTS = 200


def explain(
    model: Model,
    texts: Annotated[list[str], typer.Argument(help="Texts to explain.", metavar="TEXT…")],
    method: Annotated[str, typer.Option("--method", help=METHODS + ".")] = "integrated-gradients",
    target: Annotated[
        str | None, typer.Option("--target", help="The class to speak for or against; else the one judged.")
    ] = None,
    phrases: Annotated[
        int, typer.Option("--phrases", min=0, help="Show so many pairs of words that act together.")
    ] = 5,
    winners: Annotated[
        bool, typer.Option("--winners", help="With a pool that takes maxima: which word won each unit.")
    ] = False,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show what each word contributed to a judgement: green speaks for the class, red against it."""
    from dataclasses import asdict

    from gatelight.nn.threads import set_threads

    to = console(machine=json)
    set_threads(threads)
    judge = _classifier(model)
    named = _target(judge, target)
    for text in texts:
        found = judge.explain(text, method, target=named)
        pairs = judge.phrases(text, target=named, most=phrases) if phrases else []
        won = judge.winners(text, target=named) if winners else None
        if json:
            more = {"phrases": [asdict(pair) for pair in pairs]}
            emit({"text": text, **found.to_dict(), **more, **_as_dicts(won)})
            continue
        _print(to, found, pairs, won)


@with_options(reading=READING)
def faithfulness(
    model: Model,
    data: Annotated[
        str,
        typer.Argument(
            help="Texts, as for evaluate; or a folder in ERASER's format, with people's rationales.",
            metavar="DATA",
        ),
    ],
    reading: dict[str, Any],
    part: Annotated[str, typer.Option("--part", help="The part of DATA, if it has parts.")] = "test",
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Measure on so many texts, drawn by --seed.")
    ] = FAITHFUL_TEXTS,
    seed: Annotated[int, typer.Option("--seed", help="Draws the texts and the random order.")] = 0,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure how far each kind of explanation can be trusted: what the model says without the named words.

    Comprehensiveness and sufficiency (AOPC at 1, 5, 10, 20 and 50 % of the words) with bootstrap intervals,
    beside a random order and that of the TF-IDF baseline's weights.
    """
    import numpy as np

    from gatelight.cli.progress import Meter
    from gatelight.cli.sources import read, read_to_judge
    from gatelight.estimators.folder import load
    from gatelight.insight.faithfulness import faithfulness as measure
    from gatelight.insight.rationales import is_eraser, read_eraser
    from gatelight.nn.threads import set_threads

    to = console(machine=json)
    set_threads(threads)
    estimator = load(model)
    marks: list[Any] | None = None
    if is_eraser(Path(data)):
        marked = read_eraser(Path(data), part)
        texts = [one.text for one in marked]
        marks = [one.by_token(estimator.tokenizer_.tokens) for one in marked]
        if not any(mark is not None for mark in marks):
            raise DataError(
                f"{data}: the model's tokenizer cuts no text as its rationales do; use one of words"
            )
    else:
        parts = read(data, to, {**reading, "labelled": False}, [part])
        texts = parts.texts if len(parts) else read_to_judge(data, to, reading, part).texts
    chosen = np.random.default_rng(seed).permutation(len(texts))[:limit].tolist()
    with Meter(to) as meter:
        found = measure(
            estimator,
            [texts[k] for k in chosen],
            baseline=estimator.baseline_,
            rationales=None if marks is None else [marks[k] for k in chosen],
            seed=seed,
            on_text=lambda done: meter.show("explaining", done, len(chosen)),
        )
    if json:
        emit(found.to_dict())
        return
    _print_faithfulness(to, found)


def _classifier(folder: str) -> Judge:
    from gatelight.estimators.judging import Judge
    from gatelight.estimators.opening import load_judge

    judge = load_judge(folder)
    if not isinstance(judge, Judge):
        raise DataError(f"{folder} came from another program; only models trained here are explained")
    return judge


def _target(judge: Judge, typed: str | None) -> Any:
    """The class whose name was typed; classes may be numbers."""
    if typed is None:
        return None
    named = {str(name): name for name in judge.classes.plain()}
    return named.get(typed, typed)


def _as_dicts(won: list[Winner] | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {} if won is None else {"winners": [asdict(winner) for winner in won]}


def _print(to: Console, found: Attribution, pairs: list[Phrase], won: list[Winner] | None) -> None:
    say(to, f"{found.target}  {percent(found.probability)}  (log odds {found.score:+.2f})", style="bold")
    to.print(coloured(found))
    rows = zip(found.steps.tokens, found.steps.known, found.contributions.tolist(), strict=True)
    ranked = sorted(rows, key=lambda row: -row[2])
    shown = ranked if len(ranked) <= 2 * MOST_WORDS else ranked[:MOST_WORDS] + ranked[-MOST_WORDS:]
    words = [(token + ("" if known else " (unknown)"), f"{part:+.3f}") for token, known, part in shown]
    to.print(table(["word", "nats"], words, title=f"contributions by {found.method}"))
    say(to, f"compared with {found.baseline}")
    if found.gap is not None:
        say(to, f"score {found.score:+.3f} = {found.base:+.3f} + contributions; gap {found.gap:+.4f}")
    if pairs:
        lines = [
            (pair.words, f"{pair.together:+.3f}", " ".join(f"{a:+.3f}" for a in pair.apart),
             f"{pair.interaction:+.3f}") for pair in pairs
        ]  # fmt: skip
        to.print(table(["words together", "both", "each", "more than each"], lines, title="phrases"))
    if won is not None:
        units: dict[tuple[int, str], list[float]] = {}
        for winner in won:
            units.setdefault((winner.step, winner.token), []).append(winner.contribution)
        best = sorted(units.items(), key=lambda item: -abs(sum(item[1])))[: 2 * MOST_WORDS]
        counts = [(token, str(len(parts)), f"{sum(parts):+.3f}") for (_, token), parts in best]
        to.print(table(["word", "units won", "nats"], counts, title=f"winners of {len(won)} units"))


def coloured(found: Attribution) -> Text:
    """The words with the colours of what they contributed; unknown ones underlined."""
    strongest = max(map(abs, found.contributions.tolist()), default=0.0) or 1.0
    text = Text()
    for token, known, part in zip(
        found.steps.tokens, found.steps.known, found.contributions.tolist(), strict=True
    ):
        depth = round(200 * abs(part) / strongest)
        style = "" if known else "underline"
        if depth >= PALE:
            rest = 255 - depth
            style += f" black on rgb({rest},255,{rest})" if part > 0 else f" black on rgb(255,{rest},{rest})"
        text.append(one_line(token), style=style.strip())
        text.append(" ")
    return text


def _print_faithfulness(to: Console, found: Faithfulness) -> None:
    from gatelight.insight.faithfulness import CURVE

    def shown(one: Estimate | None) -> str:
        return "–" if one is None else f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"

    rows = [(one.method, shown(one.comprehensiveness), shown(one.sufficiency)) for one in found.methods]
    columns = ["order of the words", "comprehensiveness ↑", "sufficiency ↓"]
    to.print(table(columns, rows, title=f"{found.texts} texts, 95 % intervals"))
    curve = [(one.method, *(f"{100 * value:.0f}" for value in one.curve)) for one in found.methods]
    columns = ["deleted", *(f"{share:.0%}" for share in CURVE)]
    to.print(table(columns, curve, title="probability left, in %"))
    if found.rationales:
        rows = [(one.method, shown(one.precision), shown(one.f1)) for one in found.methods]
        title = f"agreement with people on the {found.rationales} texts that they marked and the tokens fit"
        to.print(table(["order of the words", "average precision ↑", "F1 ↑"], rows, title=title))
