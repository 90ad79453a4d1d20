"""Take the pictures of the page that README and docs show: `python tools/pictures.py MODEL`.

Serves the model and looks at it with headless Chromium, as a desktop and as a phone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "docs"
MILLISECONDS = 60_000


def desktop(page: Any) -> None:
    """The example with a step opened: the word that turned the decision."""
    page.locator("#units").select_option("16")
    settle(page, 0)
    page.locator(".word", has_text="wonderful").click()
    page.screenshot(path=FOLDER / "page-desktop.png", full_page=True)


def phone(page: Any) -> None:
    """The note's two sentences, in the dark."""
    page.locator("#mode-texts").click()
    settle(page, 1)
    seen = {"x": 0, "y": 0, "width": 390, "height": 1200}
    page.screenshot(path=FOLDER / "page-phone.png", full_page=True, clip=seen)


def settle(page: Any, pane: int) -> None:
    """Wait until a pane shows all that it will."""
    page.wait_for_timeout(500)
    page.wait_for_function(f"() => panes[{pane}] && !panes[{pane}].busy", timeout=MILLISECONDS)


def main(model: str) -> None:
    """Take both pictures."""
    command = [str(Path(sys.executable).with_name("gatelight")), "serve", model, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service, sync_playwright() as driver:
        assert service.stdout is not None
        found = re.search(r"http://\S+", service.stdout.readline())
        assert found is not None
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for size, scheme, take in (((1240, 800), "light", desktop), ((390, 844), "dark", phone)):
            width, height = size
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(found[0])
            settle(page, 0)
            take(page)
        browser.close()
        service.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
