"""What holds for every test."""

from __future__ import annotations

import signal

from gatelight import compiled


def pytest_configure() -> None:
    # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that: then the
    # tests of Ctrl-C would test nothing.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Who is the first to compile depends on what was run before; what tests read on a screen must not.
    compiled._watch._told = True
