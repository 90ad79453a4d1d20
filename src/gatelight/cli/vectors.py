"""`gatelight vectors`: word vectors from the user's own texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gatelight.cli.options import READING, Data, Json, with_options
from gatelight.cli.output import console, duration, emit, say
from gatelight.cli.progress import Meter
from gatelight.errors import DataError

app = typer.Typer(help="Word vectors: train them on your own texts.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    # With a callback `train` stays a verb of its own, though it is the only one.
    pass


@app.command("train", no_args_is_help=True)
@with_options(reading=READING)
def train(
    data: Data,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .bin, .txt or .npy.", metavar="FILE")
    ],
    reading: dict[str, Any],
    dim: Annotated[int, typer.Option("--dim", min=1, help="Size of a vector.")] = 300,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the texts.")] = 5,
    window: Annotated[int, typer.Option("--window", min=1, help="Words to either side that count.")] = 5,
    min_count: Annotated[int, typer.Option("--min-count", min=1, help="Rarer words get no vector.")] = 5,
    skipgram: Annotated[
        bool, typer.Option("--skipgram", help="Skip-gram instead of CBOW: slower, better for rare words.")
    ] = False,
    tokenizer: Annotated[str, typer.Option("--tokenizer", help="word or treebank.")] = "word",
    lowercase: Annotated[bool, typer.Option("--lowercase/--no-lowercase", help="Lower-case them.")] = True,
    leave_out: Annotated[
        str, typer.Option("--leave-out", help="Words that get no vector.", metavar="WORD,WORD,…")
    ] = "",
    punctuation: Annotated[
        bool,
        typer.Option("--punctuation/--no-punctuation", help="Whether signs get vectors, or words alone."),
    ] = True,
    seed: Annotated[int, typer.Option("--seed", help="Fixes every choice, with --threads 1.")] = 0,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Threads to compute with; with 1 the same vectors come again."),
    ] = None,
    json: Json = False,
) -> None:
    """Train word2vec on the texts of DATA, labelled or not, but never on its part test."""
    import time

    from gatelight.cli.sources import texts_to_learn_from
    from gatelight.nn.threads import threads as usual_threads
    from gatelight.text.tokenizers import tokenizer as make_tokenizer
    from gatelight.text.vector_files import WRITERS
    from gatelight.text.word2vec import train_word2vec, words_to_learn

    if out.suffix not in WRITERS:
        raise DataError(f"{out} must end in one of {', '.join(WRITERS)}, which says in what format to write")
    to = console(machine=json)
    began = time.monotonic()
    cut = make_tokenizer(tokenizer, lowercase=lowercase)
    left_out = frozenset(leave_out.split(","))
    texts = texts_to_learn_from(data, to, reading).texts
    say(to, f"{len(texts):,} texts")
    with Meter(to) as meter:
        meter.show("word vectors", 0, epochs)
        found = train_word2vec(
            (words_to_learn(cut.tokens(text), left_out, punctuation) for text in texts),
            dim=dim,
            window=window,
            min_count=min_count,
            epochs=epochs,
            seed=seed,
            workers=threads or usual_threads(),
            skipgram=skipgram,
            on_progress=lambda done, of: meter.show("word vectors", done, of, f"{done} of {of} epochs"),
        )
    found.save(out)
    seconds = time.monotonic() - began
    if json:
        emit(
            {"path": str(out), "words": len(found), "dim": found.dim, "texts": len(texts), "seconds": seconds}
        )
    else:
        say(to, f"{len(found):,} vectors of {found.dim} numbers in {duration(seconds)}, saved in {out}")
