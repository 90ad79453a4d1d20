"""What is printed: harmless whatever the user's text holds, strict JSON, never wider than the page."""

from __future__ import annotations

import io
import json

import numpy as np
from rich.console import Console

from gatelight.cli.output import as_json, say, table
from gatelight.cli.progress import Meter


def test_a_users_text_is_neither_markup_nor_control() -> None:
    """`[red]`, `:smile:` and an escape sequence in a label must come out as typed, or not at all."""
    out = io.StringIO()
    to = Console(file=out, width=80, markup=False, highlight=False, emoji=False)
    say(to, "[red]x[/red] :smile: \x1b[2Jy\rz")
    to.print(table(["[b]name", "n"], [["[/oops] :cat:\n", "1"]]))
    assert "[red]x[/red] :smile:  [2Jy z" in out.getvalue()
    assert "[b]name" in out.getvalue()
    assert "[/oops] :cat:" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_json_is_strict_and_plain() -> None:
    """NaN is no JSON, and a NumPy number is no Python number; both would break a reader."""
    record = {"a": np.float32(0.5), "b": float("nan"), "c": [np.int64(3)], "d": {"é": "\ud800"}}
    line = as_json(record)
    assert json.loads(line) == {"a": 0.5, "b": None, "c": [3], "d": {"é": "\ud800"}}
    assert "\n" not in line


def test_a_log_gets_few_lines_and_no_bar() -> None:
    """A bar redrawn a thousand times makes a log of a thousand lines."""
    out = io.StringIO()
    with Meter(Console(file=out, force_terminal=False, width=80)) as meter:
        for step in range(1000):
            meter.show("epoch 1/2", step, 1000, "loss 0.5")
        meter.line("epoch 1/2 done")
    with Meter(Console(file=out, force_terminal=False, width=80), seconds_between_lines=0) as meter:
        meter.show("epoch 2/2", 250, 1000, "loss 0.5")  # a sign of life in a long one
    assert out.getvalue() == "epoch 1/2 done\nepoch 2/2 25 % loss 0.5\n"
