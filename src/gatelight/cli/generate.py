"""`gatelight generate`: a saved language model writes texts, shown as they are written."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gatelight.cli.options import Json, Model, Threads
from gatelight.cli.output import emit

# What a model writes may hold any character of its texts, but must not move the reader's cursor.
_CONTROLS = dict.fromkeys(k for k in [*range(0x20), *range(0x7F, 0xA0)] if chr(k) not in "\n\t")


def generate(
    model: Model,
    prime: Annotated[str, typer.Option("--prime", help="How the text begins.")] = "",
    length: Annotated[int, typer.Option("--length", help="Tokens to write at most.")] = 200,
    temperature: Annotated[
        float, typer.Option("--temperature", help="0: always the likeliest; below 1 safer, above wilder.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option("--top-k", help="Draw among so many likeliest; 0: all.")] = 0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Draw among the likeliest that reach this probability.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Fixes the text.")] = 0,
    stop: Annotated[str | None, typer.Option("--stop", help="End before this text appears.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Texts to write.")] = 1,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Let a language model write; with --json one object a text, else the text itself as it comes."""
    from gatelight.estimators.drawing import checked_drawing
    from gatelight.estimators.opening import load_language_model
    from gatelight.nn.threads import set_threads

    checked_drawing(length, temperature, top_k, top_p, seed, stop)
    set_threads(threads)
    found = load_language_model(model)
    for number in range(count):
        pieces = found.pieces(
            prime, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
            number=number, stop=stop,
        )  # fmt: skip
        if json:
            emit({"prime": prime, "text": "".join(pieces), "seed": seed, "number": number})
            continue
        if number:
            sys.stdout.write("\n")
        begun = False
        for piece in pieces:
            sys.stdout.write((piece if begun else prime + piece).translate(_CONTROLS))
            sys.stdout.flush()
            begun = True
        sys.stdout.write("\n")
