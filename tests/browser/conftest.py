"""The demo as a person starts it, and the system's Chromium to look at it with."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect, sync_playwright

from tests.left_out import CHROMIUM

ROOT = Path(__file__).parent.parent.parent
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE: ViewportSize = {"width": 1440, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
START_LIMIT = 180

OpenPage = Callable[..., Page]


@dataclass(frozen=True)
class Demo:
    """A running demo, the log-ins that it printed, and the folder that its data are in."""

    address: str
    passwords: dict[str, str]
    data: Path

    def ingest(self, body: bytes) -> None:
        """Have it take in more events of its cluster."""
        # As the demo sets them for itself, whatever they are here.
        where = {"DATA_DIR": f"{self.data}/demo", "DATABASE_URL": f"sqlite:///{self.data}/demo/rolecall.sqlite3"}
        subprocess.run(
            [sys.executable, "manage.py", "ingest", "-", "--cluster", "prod-eu"],
            cwd=ROOT,
            env=os.environ | where | {"SECRET_KEY": "", "CREDENTIAL_KEYS": ""},
            input=body,
            capture_output=True,
            check=True,
        )


# Of the package and not of the session: while Playwright runs, no other test of this process could use the database.
@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Start the demo as `make demo` does, on a free port, and stop it with Ctrl+C."""
    data = tmp_path_factory.mktemp("demo")
    environment = os.environ | {"DATA_DIR": str(data), "REVOKE_GRACE_SECONDS": "2"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield _read(process, data)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def _read(process: "subprocess.Popen[str]", data: Path) -> Demo:
    """Read what the demo prints until it has said its address and its log-ins."""
    assert process.stdout is not None
    said, until = "", time.monotonic() + START_LIMIT
    for line in process.stdout:
        said += line
        address = re.search(r"http://[\w.:]+", said)
        found = re.findall(r"^\s*(responder|analyst|viewer|administrator)\s+(\S{10,})\s*$", said, re.MULTILINE)
        if address and len(found) == 4:
            return Demo(address.group(), dict(found), data)
        if time.monotonic() > until:
            break
    pytest.fail(f"The demo did not say where it is and how to log in:\n{said}")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, demo: Demo) -> Iterator[OpenPage]:
    """Open a page as somebody, in a window of their own. Nothing may be complained of in the browser's console."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        # A 409, 422 or 404 that a test provokes is logged by the browser itself.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def open_as(name: str = "responder", path: str = "/", **options: Any) -> Page:
        context = chromium.new_context(**({"viewport": WIDE, "base_url": demo.address} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/login")
        log_in(page, name, demo.passwords[name])
        page.goto(path)
        return page

    yield open_as
    for context in contexts:
        context.close()
    assert complaints == []


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def wait_for_htmx(page: Page) -> None:
    """Wait until nothing is being requested or swapped in."""
    expect(page.locator(".htmx-request, .htmx-settling, .htmx-swapping, .htmx-added")).to_have_count(0)
