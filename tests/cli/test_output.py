"""What is printed: harmless whatever the user's text holds, strict JSON, never wider than the page."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from gatelight.cli.output import as_json, duration, one_line, percent, say, size, table
from gatelight.cli.progress import Meter, epoch_line


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


def test_figures_read_as_people_say_them() -> None:
    """A run of 3900.0 s says nothing at a glance, and `nan %` (of an empty text) less."""
    assert [duration(t) for t in (4.21, 59.99, 200, 3900)] == ["4.2 s", "60.0 s", "3 min 20 s", "1 h 05 min"]
    assert (percent(0.8712), percent(float("nan"))) == ("87.1 %", "–")
    assert (size(12), size(56_744_701), size(3.6e9)) == ("12 bytes", "56.7 MB", "3.6 GB")
    assert one_line("a\tb\nc\x9b") == "a b c "


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


def test_a_terminal_gets_a_bar_that_disappears() -> None:
    """On a terminal the figures move in place, and the epoch's line stays."""
    out = io.StringIO()
    with Meter(Console(file=out, force_terminal=True, width=80)) as meter:
        meter.show("epoch 1/2", 500, 1000, "loss 0.5")
        meter.line("epoch 1/2 done")
    assert "loss 0.5" in out.getvalue()
    assert "━" in out.getvalue()
    assert "epoch 1/2 done" in out.getvalue()


def test_an_epochs_line_leaves_out_what_was_not_measured() -> None:
    """Without validation texts there is no validation loss to print."""
    record = {"epoch": 1, "seconds": 2.5, "train_loss": 0.61234, "train_accuracy": 0.7, "valid_loss": None}
    assert epoch_line(record, 5) == "epoch 1/5  loss 0.6123  accuracy 0.7000  2.5 s"


@pytest.mark.parametrize("width", [70, 80, 200])
def test_figures_keep_their_digits_on_a_narrow_screen(width: int) -> None:
    """A column of figures that ends in an ellipsis says nothing, or something else."""
    names = ["anaphor agreement with a very long name of a construction", "short"]
    rows = [[name, "1,000", "63.9 [62.1, 65.5]", "60.2 [58.4, 62.0]"] for name in names]
    file = io.StringIO()
    Console(file=file, width=width).print(table(["construction", "pairs", "model", "n-grams"], rows))
    shown = file.getvalue()
    assert shown.count("63.9 [62.1, 65.5]") == shown.count("60.2 [58.4, 62.0]") == 2
    assert max(map(len, shown.splitlines())) <= width
