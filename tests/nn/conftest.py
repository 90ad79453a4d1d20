"""What tests of threads share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gatelight.nn.threads import set_threads


@pytest.fixture(params=[2, 5])
def several(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many threads may be used, more than there are processors too."""
    set_threads(request.param)
    yield request.param
    set_threads(None)
