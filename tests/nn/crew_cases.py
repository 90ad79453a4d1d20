"""What tests of threads that share compiled tasks have in common."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from gatelight.compiled import compiled
from gatelight.nn.crew import share
from gatelight.nn.signals import look, put


@compiled
def _meeting(who: Any, k: int) -> None:
    put(who[k:], 1)
    looks = 0
    while look(who[1 - k :]) == 0 and looks < 100_000_000:
        looks += 1
    who[2 + k] = who[1 - k]


@compiled
def both_meet(who: Any, crew: Any, helpers: int) -> int:
    return int(share(_meeting, (who,), crew, helpers, 2))


def exit_code(child: int) -> int:
    """What a forked child ends with, which must be soon."""
    for _ in range(200):
        finished, code = os.waitpid(child, os.WNOHANG)
        if finished:
            return code
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("the child hangs")
