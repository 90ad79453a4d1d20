"""What the site generates: the command reference from the parser, the HTTP API from its OpenAPI document, and
a page for each package of the Python API.

A hook of mkdocs (`hooks:` in mkdocs.yml). The pages are written into docs/reference, where git ignores them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig

SOURCE = Path(__file__).parents[1] / "src" / "gatelight"
PACKAGES = {
    "estimators": "Classifiers and language models: texts in, answers out.",
    "text": "Files, texts, tokens, ids.",
    "nn": "Recurrent layers.",
    "models": "Networks and their training: ids and lengths only.",
    "insight": "What a model did.",
    "interop": "Keras, ONNX, other programs.",
    "lab": "Memory tasks.",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write the pages before mkdocs looks for them."""
    pages = {"commands": commands(), "http-api": http_api()}
    pages |= {f"api-{name}": api(name) for name in PACKAGES}
    for name, lines in pages.items():
        page = Path(config.docs_dir) / "reference" / f"{name}.md"
        text = "\n".join(lines)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
    return config


def api(package: str) -> Iterator[str]:
    """Yield the lines of a package's reference: a directive for each module that has something public."""
    yield from (f"# gatelight.{package}", "", PACKAGES[package], "")
    for path in sorted((SOURCE / package).rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        if (
            parts[-1] != "__init__"
            and not any(part.startswith("_") for part in parts)
            and "kernels" not in parts
        ):
            yield from (f"::: {'.'.join(parts)}", "    options:", "      heading_level: 2", "")


def commands() -> Iterator[str]:
    """Yield the lines of the command reference."""
    from gatelight.cli.main import COMMANDS, _parser

    os.environ["COLUMNS"] = "84"
    yield from ("# Commands", "", "What `gatelight COMMAND --help` says, for every command.", "")
    for group, names in COMMANDS.items():
        yield from (f"## {group.capitalize()}", "")
        for name in names:
            yield from (f"### {name}", "", "```text", _parser(name).format_help().rstrip(), "```", "")


def http_api() -> Iterator[str]:
    """Yield the lines of the HTTP API's reference."""
    from gatelight.service.application import application

    api = application({}).app.openapi()  # type: ignore[attr-defined]
    yield from (
        "# HTTP API",
        "",
        "What `gatelight serve` answers; `/openapi.json` has the same for machines.",
        "",
    )
    for path, methods in api["paths"].items():
        for method, said in methods.items():
            yield from (f"## {method.upper()} {path}", "", said.get("description") or said["summary"], "")
            body = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if body:
                yield from ("| field | type | meaning |", "| --- | --- | --- |")
                yield from _fields(api, body)
                yield ""
            answers = ", ".join(
                f"{status}: {answer['description']}" for status, answer in said["responses"].items()
            )
            yield from (f"Answers: {answers}.", "")


def _fields(api: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    schema = _resolved(api, schema)
    needed = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        kinds = [_kind(one) for one in field.get("anyOf", [field])]
        default = "" if name in needed or field.get("default") is None else f" [{field['default']}]"
        said = field.get("description", "") + default
        yield f"| `{name}`{' (required)' if name in needed else ''} | {' or '.join(kinds)} | {said} |"


def _resolved(api: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return api["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if field.get("type") == "array":
        return f"list of {_kind(field['items'])}"
    return str(field.get("type", "one of " + ", ".join(map(str, field.get("enum", ["any"])))))
