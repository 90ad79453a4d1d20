"""What holds for every test."""

from __future__ import annotations

import os
import signal
import tempfile

import pytest

from gatelight import compiled

FIRST = ("test_operators.py", "test_audit.py", "test_keras_fuzz.py", "test_layers.py")
"""Those that wait for the compiler longest: the others find what they compile, and none of them ends last.

The second and the third compile little: else two processes would compile the same at the same time.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them first, and leave the others in order."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def pytest_configure() -> None:
    # No test depends on what this machine has fetched, and none fetches: there is no server at this address.
    os.environ["GATELIGHT_DATA"] = tempfile.mkdtemp(prefix="gatelight-no-data-")
    os.environ["NPM_CONFIG_REGISTRY"] = "http://127.0.0.1:9"
    # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that: then the
    # tests of Ctrl-C would test nothing.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Who is the first to compile depends on what was run before; what tests read on a screen must not.
    compiled._watch._told = True
