"""Every extra that an error tells to install exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_extra_named_in_an_error_exists() -> None:
    """`pip install 'gatelight[frames]'` only warns about an unknown extra, and the error comes again."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r'MissingExtraError\(\s*[^,]+,\s*"([^"]+)"', source))
    assert len(named) >= 5
    assert named <= extras
