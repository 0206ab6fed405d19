"""A real Chromium, without a window, driven by Selenium. It loads nothing from elsewhere."""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.servers import wait_until

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
DRIVER = shutil.which('chromedriver')
OPTIONS = (
    *('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--hide-scrollbars'),
    *('--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'),
)


def needed() -> None:
    """Skip the test if there is no Chromium; under CI=true, fail."""
    missing = [name for name, path in (('chromium', CHROMIUM), ('chromedriver', DRIVER)) if path is None]
    if missing and os.environ.get('CI') == 'true':
        pytest.fail(f'{" and ".join(missing)} must not be missing under CI=true')
    if missing:
        pytest.skip(f'{" and ".join(missing)} not on the PATH')


class Browser:
    """One window."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def shown_as(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the window this size and these colours."""
        size = {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': width < 600}
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
        scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [scheme]})

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.driver.execute_script(
            'return [...document.querySelectorAll(arguments[0])].map((it) => it.innerText).join("\\n")', selector
        )

    def says(self, selector: str, expected: str) -> None:
        """Wait until an element says this."""
        wait_until(lambda: expected in self.text(selector))

    def press(self, *keys: str) -> None:
        """Press keys on what has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(getattr(Keys, key, key))

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What stands in the console of the browser, since the last call."""
        return [it['message'] for it in self.driver.get_log('browser') if it['level'] in {'SEVERE', 'WARNING'}]

    def picture(self, path: Path) -> None:
        """A picture of the window."""
        taken = self.driver.execute_cdp_cmd('Page.captureScreenshot', {'format': 'png'})
        path.write_bytes(base64.b64decode(taken['data']))


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with an empty profile."""
    folder, options = tempfile.mkdtemp(), webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for it in (*OPTIONS, f'--user-data-dir={folder}'):
        options.add_argument(it)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.execute_cdp_cmd('Network.enable', {})
        yield Browser(driver)
    finally:
        driver.quit()
        shutil.rmtree(folder, ignore_errors=True)
