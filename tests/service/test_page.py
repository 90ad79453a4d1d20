"""The page in a real browser: what it shows is what the model says, and nothing comes from elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_cases import CONTRAST, READABLE, in_a_browser, playwright, serious
from command_line import gatelight, one_line_and_two, succeeded
from service_cases import Client, served

import gatelight as library
from gatelight.service.hosted import load_all

pytestmark = in_a_browser

NOTE = (
    "The young woman went to the movies with her friends.",
    "The young woman, having found a free ticket on the ground, went to the movies.",
)
SHOWN = 5.1e-4
"""What three decimals may hide, of numbers that a report gives with five."""
PATIENCE = 20_000
"""Milliseconds; a busy machine is no fault of the page."""
SCREENS = {"desktop": (1280, 900), "phone": (360, 740)}


@dataclass
class Opened:
    """A page with what it complained of and whom it asked."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def expect(self, selector: str, text: str) -> None:
        """Wait until an element has a text."""
        playwright.expect(self.page.locator(selector).first).to_contain_text(text, timeout=PATIENCE)

    def say(self, text: str, pane: int = 0) -> None:
        """Type a text and wait until all of it is looked into."""
        self.page.locator(".text").nth(pane).fill(text)
        self.settle(pane)

    def settle(self, pane: int = 0) -> None:
        """Wait until what is shown belongs to what is typed and chosen."""
        self.page.wait_for_timeout(200)  # until the page has seen the last key
        self.page.wait_for_function(
            f"() => {{ const p = panes[{pane}]; return p && !p.busy && p.trace; }}", timeout=PATIENCE
        )


@pytest.fixture(scope="module")
def client(model: Path, writer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    other = tmp_path_factory.mktemp("models") / "other"
    shutil.copytree(model, other)
    with served(load_all([str(model), str(writer), str(other)])) as found:
        yield found


@pytest.fixture
def open_page(browser: Any, client: Client) -> Iterator[Any]:
    contexts = []

    def open_page(address: str = "", screen: str = "desktop", **how: Any) -> Opened:
        width, height = SCREENS[screen]
        how = {"locale": "en-US", "viewport": {"width": width, "height": height}, **how}
        contexts.append(browser.new_context(**how))
        opened = Opened(contexts[-1].new_page())
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.goto(address or f"http://127.0.0.1:{client.port}/")
        opened.settle()
        opened.own = address or f"http://127.0.0.1:{client.port}/"  # type: ignore[attr-defined]
        return opened

    yield open_page
    for context in contexts:
        context.close()


def clean(opened: Opened) -> None:
    """Nothing was complained of, and nobody else was asked."""
    assert opened.complaints == []
    assert [url for url in opened.asked if not url.startswith(opened.own)] == []  # type: ignore[attr-defined]


def fractions(opened: Opened, pane: int = 0) -> list[float]:
    """Return the curve's points as the reader can read them."""
    titles = opened.page.locator(".chart").nth(pane).locator("circle title").all_text_contents()
    return [float(title.rsplit(": ", 1)[1].rstrip(" %")) / 100 for title in titles]


def test_the_answer_comes_as_one_types(open_page: Any, model: Path) -> None:
    """A page that shows another text's answer, or a word in another's place, explains nothing."""
    classifier, opened = library.load(model), open_page()
    for text in (*NOTE, "the film 3 was great, and so is its grogu"):
        opened.say(text)
        expected = classifier.running_proba(text)
        best = int(expected[-1].argmax())
        assert np.abs(np.array(fractions(opened)) - expected[:, best]).max() <= SHOWN
        opened.expect(".verdict .label", str(classifier.classes_[best]))
        opened.expect(".verdict .fraction", f"{100 * expected[-1, best]:.1f} %")
        assert opened.page.locator(".word").all_text_contents() == classifier.tokenizer_.tokens(text)
        found = classifier.explain(text)
        titles = opened.page.locator(".word").evaluate_all("all => all.map(one => one.title)")
        told = [float(re.search(r"contribution (-?[\d.]+)", title)[1]) for title in titles]
        assert np.abs(np.array(told) - found.contributions).max() <= SHOWN
    assert opened.page.locator(".word.strange").all_text_contents() == ["grogu"]
    opened.expect(".unknown", "grogu → <unk>")
    clean(opened)


def test_a_text_is_only_ever_text(open_page: Any) -> None:
    """Markup that somebody pastes would run in the reader's browser."""
    opened = open_page()
    opened.say("<img src=x onerror=alert(1)> <script>document.title = 'run'</script> \u202e & \x00 &lt;b&gt;")
    assert opened.page.title() == "gatelight"
    assert opened.page.locator("#panes img, #panes script").count() == 0
    clean(opened)


def test_a_cell_tells_its_number_and_opens_its_step(open_page: Any, model: Path) -> None:
    """The reader would believe the numbers of another word or another unit."""
    classifier, opened, page = library.load(model), open_page(), None
    page = opened.page
    opened.say(NOTE[0])
    trace = classifier.trace([NOTE[0]])
    canvas = page.locator("canvas").nth(1)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 5)
    token, unit, value = re.fullmatch(
        r"(.+) · unit (\d+) · (-?[\d.]+)", page.locator("#tip").text_content()
    ).groups()
    place = int(0.5 * len(trace.steps[0]))
    assert token == trace.steps[0].tokens[place]
    assert abs(float(value) - trace.gate("forget_gate")[place, int(unit)]) <= SHOWN
    page.mouse.down()
    page.mouse.up()
    check_step(page, trace, place, 0)
    for move, step in (("#forward", 1), ("#forward", 2), ("#back", 1)):
        page.locator(move).click()
        check_step(page, trace, place + step, 0)
    page.locator("#direction").select_option("1")
    opened.settle()
    check_step(page, trace, place + 1, 1)
    page.locator("#forward").click()
    check_step(page, trace, place, 1)
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    check_step(page, trace, 1, 1)
    clean(opened)


def check_step(page: Any, trace: Any, place: int, direction: int) -> None:
    """Every number of the step diagram is the trace's."""
    assert page.locator("#where").text_content().startswith(trace.steps[0].tokens[place])
    cells = page.locator("#cell text[data-unit]").evaluate_all(
        "all => all.map(one => [one.dataset.quantity, one.dataset.before, one.dataset.unit, one.textContent])"
    )
    assert {name for name, *_ in cells} == set(trace.names)
    assert len(cells) >= 8 * 3
    for name, before, unit, shown in cells:
        at = place + (1 if direction else -1) if before == "true" else place
        inside = 0 <= at < len(trace.steps[0])
        expected = trace.gate(name, direction=direction)[at, int(unit)] if inside else 0.0
        assert abs(float(shown) - expected) <= SHOWN, (name, before, unit)


def test_two_texts_two_models_and_a_gate(open_page: Any, model: Path) -> None:
    """Side by side, a text under the wrong model; or a slider that moves and changes nothing."""
    classifier, opened = library.load(model), open_page()
    page = opened.page
    page.locator("#mode-texts").click()
    opened.settle(1)
    assert [page.locator(".text").nth(k).input_value() for k in (0, 1)] == list(NOTE)
    clamped = classifier.with_gates(forget_gate=0.25)
    page.locator("#at-forget_gate").fill("0.25")
    for pane, text in enumerate(NOTE):
        opened.settle(pane)
        expected = clamped.running_proba(text)
        assert np.abs(np.array(fractions(opened, pane)) - expected[:, expected[-1].argmax()]).max() <= SHOWN
        free = classifier.predict_proba([text])[0].max()
        playwright.expect(page.locator(".free").nth(pane)).to_contain_text(f"{100 * free:.1f} %")
    page.locator("#clamp-forget_gate").uncheck()
    opened.settle()
    assert page.locator(".free").count() == 0
    page.locator("#mode-models").click()
    opened.settle(1)
    assert page.locator("select.model").evaluate_all("all => all.map(one => one.value)") == ["tiny", "other"]
    assert fractions(opened, 0) == fractions(opened, 1)
    clean(opened)


def test_a_language_model_writes_with_its_memory(open_page: Any) -> None:
    """The text would stand there, and the picture of the memory stay empty."""
    opened = open_page()
    page = opened.page
    page.locator("select.model").select_option("writer")
    opened.settle()
    opened.expect(".verdict", "bits a token")
    page.locator("#prompt").fill("a ")
    page.locator("#length").fill("40")
    page.locator("#write").click()
    playwright.expect(page.locator("#stop")).to_be_disabled(timeout=PATIENCE)
    written = page.locator("#written").text_content()
    assert written.startswith("a ")
    assert page.locator("#live").evaluate("one => one.width") == 8 * len(written.removeprefix("a "))
    clean(opened)


@pytest.mark.parametrize(("screen", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_speaks_two_languages_on_any_screen(open_page: Any, screen: str, scheme: str) -> None:
    """A page wider than the phone, or half in a language that the reader cannot read, is read by nobody."""
    opened = open_page(screen=screen, color_scheme=scheme, locale="zh-CN")
    page = opened.page
    opened.expect("#write", "开始写")
    opened.say(NOTE[1])
    page.locator(".word").nth(2).click()
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    opened.settle()
    assert page.evaluate(CONTRAST) >= READABLE
    assert serious(page) == []
    for language in ("zh", "en"):
        page.locator("#language").select_option(language)
        assert page.evaluate("document.documentElement.lang") == language
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        unsaid = "all => all.map(one => one.dataset.say).filter(key => !(key in WORDS[language]))"
        assert page.locator("[data-say]").evaluate_all(unsaid) == []
    opened.expect("#write", "Write")
    assert page.evaluate("Object.keys(WORDS.en).sort()") == page.evaluate("Object.keys(WORDS.zh).sort()")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == {
        "light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)",
    }[scheme]  # fmt: skip
    clean(opened)


def test_a_token_opens_the_page(browser: Any, model: Path) -> None:
    """Who was given the address with its token would still be asked for it, or leave it in the history."""
    with served(load_all([str(model)]), token="secret-words") as guarded:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{guarded.port}/")
        playwright.expect(page.locator("#token")).to_be_visible(timeout=PATIENCE)
        page.locator("#token input").fill("secret-words")
        page.locator("#token button").click()
        playwright.expect(page.locator("canvas").first).to_be_visible(timeout=PATIENCE)
        page.close()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{guarded.port}/#token=secret-words")
        playwright.expect(page.locator("canvas").first).to_be_visible(timeout=PATIENCE)
        assert page.url == f"http://127.0.0.1:{guarded.port}/"
        page.close()


def test_a_report_shows_the_same_without_a_service(open_page: Any, model: Path, tmp_path: Path) -> None:
    """A file that asks the network, or runs what stands in a text, cannot be handed on."""
    evil = "</script><script>document.title = 'run'</script> <!-- great"
    file = tmp_path / "report.html"
    succeeded("report", model, *NOTE, evil, "--out", file)
    classifier, opened = library.load(model), open_page(file.as_uri())
    page = opened.page
    assert page.locator(".texts option").all_text_contents() == [*NOTE, evil]
    for text in (evil, NOTE[0]):
        page.locator(".texts").select_option(text)
        opened.settle()
        expected = classifier.running_proba(text)
        assert np.abs(np.array(fractions(opened)) - expected[:, expected[-1].argmax()]).max() <= SHOWN
    page.locator(".word").nth(2).click()
    check_step(page, classifier.trace([NOTE[0]]), 2, 0)
    page.locator("#at-forget_gate").fill("0")
    opened.settle()
    clamped = classifier.with_gates(forget_gate=0.0).predict_proba([NOTE[0]])[0].max()
    opened.expect(".verdict .fraction", f"{100 * clamped:.1f} %")
    page.locator("#mode-texts").click()
    opened.settle(1)
    assert page.title() == "gatelight"
    assert opened.asked == [file.as_uri()]
    clean(opened)
    assert "at most 1,000" in one_line_and_two(gatelight("report", model, "a " * 1001, "--out", file))
