"""`gatelight report`: the page for some texts, as one file that needs no service and no network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import MODEL, THREADS, argument, option
from gatelight.cli.output import say
from gatelight.errors import DataError
from gatelight.files import file_written_aside

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.service.hosted import Hosted

MOST_TOKENS = 1000  # of a text: the file grows with tokens × units, the work with the square of tokens
UNITS = 32
CLAMPED_AT = (0.0, 0.5, 1.0)


@dataclass(kw_only=True)
class Report:
    """Write a page: what a model says of texts, and why.

    It shows the prediction after each word, each word's contribution, and the gates and states.
    """

    model: str = argument(MODEL, "MODEL")
    texts: list[str] = argument("texts to look into", "TEXT")
    out: Path = option("file to write", metavar="FILE.html", short="o", required=True)
    threads: int | None = option(THREADS, least=1)

    def run(self, to: Console) -> None:
        from gatelight.service.hosted import load_all

        (hosted,) = load_all([self.model]).values()
        data = {"model": hosted.about(), "views": [_view(hosted, text) for text in dict.fromkeys(self.texts)]}
        with file_written_aside(self.out) as aside:
            aside.write_text(_page(data), encoding="utf-8")
        say(to, f"report in {self.out}")


def _view(hosted: Hosted, text: str) -> dict[str, Any]:
    from gatelight.estimators.explain import METHODS
    from gatelight.service import views

    model, about = hosted.model, hosted.about()
    tokens = len(model.tokenizer_.tokens(text))
    if tokens > MOST_TOKENS:
        raise DataError(f"a text has {tokens:,} tokens; at most {MOST_TOKENS:,} can be shown, cut it")
    places = [(layer, side) for layer in range(about["layers"]) for side in range(about["directions"])]
    traces = [views.trace(model, text, layer, side, UNITS) for layer, side in places]
    explain, clamped = {}, {}
    if about["classes"] and tokens:
        pools = str(about["pool"]).startswith("max")
        for method in METHODS:
            if pools or method != "pool":
                explain[method] = views.explanation(model, text, method)
        for layer in range(about["layers"]):
            for gate in (name for name in traces[0]["names"] if name.endswith("_gate")):
                for value in CLAMPED_AT:
                    other = views.clamped(model, layer, {gate: value})
                    clamped[f"{layer} {gate} {value:g}"] = views.running(other, text)
    running = views.running(model, text)
    return {"text": text, "running": running, "explain": explain, "trace": traces, "clamped": clamped}


def _page(data: dict[str, Any]) -> str:
    from gatelight.service import views

    page = files("gatelight.service").joinpath("page")

    def part(name: str) -> str:
        return page.joinpath(name).read_text(encoding="utf-8")

    # In a script's text only `<` can end it; JSON may write any character as its number.
    told = json.dumps(views.plain(data), allow_nan=False).replace("<", "\\u003c")
    index, style = part("index.html"), part("style.css")
    script = "".join(part(name) for name in re.findall(r'<script src="page/(.+?)"></script>', index))
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; base-uri 'none'; "
        "form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>'
    body = f'<script type="application/json" id="report">{told}</script>\n<script>{script}</script>\n</body>'
    index = re.sub(r'<script src="page/.+?"></script>\n|<link rel="icon".*?>\n', "", index)
    before, _, after = index.partition('<link rel="stylesheet" href="page/style.css">')
    return before + head + after.replace("</body>", body)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
