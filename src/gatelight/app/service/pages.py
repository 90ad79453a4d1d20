"""The page and its parts, from the files of `app/page`; knows no model."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

from gatelight.app.service.limits import Refusal

KINDS = {
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
}

router = APIRouter(include_in_schema=False)


def parts() -> dict[str, str]:
    """Return the page's files by name."""
    folder = resources.files("gatelight.app") / "page"
    return {
        file.name: file.read_text(encoding="utf-8")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(tuple(KINDS))
    }


PARTS = parts()


@router.get("/")
async def index() -> Response:
    """Return the page."""
    return await part("index.html")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """Return a part of the page."""
    if name not in PARTS:
        raise Refusal(404, "there is no such page")
    return Response(PARTS[name], media_type=KINDS[name[name.rindex(".") :]])
