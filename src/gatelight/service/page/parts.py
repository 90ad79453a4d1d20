"""The page's files, by name: read once, sent by the service, put together by a report."""

from __future__ import annotations

from importlib import resources

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
PARTS = {
    file.name: file.read_text(encoding="utf-8")
    for file in sorted(resources.files("gatelight.service.page").iterdir(), key=lambda file: file.name)
    if file.name.endswith(tuple(KINDS))
}
