"""A real browser for the tests of the page: Debian's chromium, without a window.

Where it is missing the tests are skipped, and say so; .ci/run installs it, and there they must run.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="the browser is driven by selenium: pip install --editable '.[dev]'")
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
#: Seconds within which the page must come to what is waited for, however busy the machine is.
PATIENCE = 120

needs_browser = pytest.mark.skipif(
    (BROWSER is None or DRIVER is None) and "CI" not in os.environ,
    reason="needs Debian's packages chromium and chromium-driver",
)


@contextmanager
def started(*, width: int = 1280, script: bool = True) -> Iterator[webdriver.Chrome]:
    """A browser with a window of that width; `script` is whether it runs scripts."""
    assert BROWSER is not None, "chromium is not installed"
    assert DRIVER is not None, "chromium-driver is not installed"
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--force-color-profile=srgb",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE)
    try:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        if not script:
            driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        yield driver
    finally:
        driver.quit()


class Reader:
    """Somebody who reads a page: opens it, and uses it by what it shows."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path, fragment: str = "") -> None:
        """Opens the page at `path`, and waits for its script."""
        self.driver.get("about:blank")
        self.driver.get(path.as_uri() + fragment)
        self.until(lambda: self.all("#map .piece"))

    def all(self, selector: str) -> list[WebElement]:
        """The elements that the selector means."""
        found: list[WebElement] = self.driver.find_elements("css selector", selector)
        return found

    def one(self, selector: str) -> WebElement:
        """The first of them."""
        return self.all(selector)[0]

    def text(self, selector: str) -> str:
        """The text of the first of them."""
        text: str = self.one(selector).text
        return text

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script gives; the page's own policy does not hold for it."""
        return self.driver.execute_script(script, *arguments)

    def until(self, met: Any) -> None:
        """Waits until `met` gives something true."""
        # What is asked of may be drawn anew in the middle of the question.
        renewed = [StaleElementReferenceException]
        WebDriverWait(self.driver, PATIENCE, ignored_exceptions=renewed).until(lambda _: met())

    def complaints(self) -> list[str]:
        """What the browser complained of since it was last asked: errors, and what the policy forbade."""
        return [json.dumps(entry) for entry in self.driver.execute("getLog", {"type": "browser"})["value"]]
