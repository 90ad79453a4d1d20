"""The routes of the page and its parts; knows no model."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gatelight.service.limits import Refusal
from gatelight.service.page.parts import KINDS, PARTS

router = APIRouter(include_in_schema=False)


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
