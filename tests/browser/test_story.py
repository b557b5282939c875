"""The whole story, as an analyst lives it: from a created role to a closed alert."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, wait_for_htmx

pytestmark = pytest.mark.browser

ATTACK = "ClusterRole metrics-scraper-v2 created"


def answer(page: Page, step: str, outcome: str, reason: str = "") -> None:
    """Open a step, give a reason, and conclude."""
    body = page.locator(f"#body-{step}")
    if body.get_attribute("open") is None:
        body.locator("> summary").click()
    if reason:
        page.locator(f"#reason-{step}").fill(reason)
    body.locator(".conclusion").last.get_by_role("button", name=outcome, exact=True).click()
    expect(page.locator(f"#step-{step} .mark").first).to_have_text("✓")
    wait_for_htmx(page)


def test_an_analyst_goes_from_the_queue_to_a_closed_alert(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("responder")

    # The attack stands at the top, among harmless changes.
    first = page.locator("tr[data-row]").first
    expect(first).to_contain_text(ATTACK)
    expect(first).to_contain_text("Critical")
    expect(page.get_by_role("link", name="ClusterRole certkeeper-view created")).to_be_visible()
    first.get_by_role("link", name=ATTACK).click()

    # Its first line tells the story; the first question is open with its evidence.
    expect(page.locator(".story")).to_contain_text("203.0.113.77")
    expect(page.locator("#body-creator")).to_have_attribute("open", "")
    expect(page.locator("#step-creator")).to_contain_text("platform-deployer")
    page.get_by_role("button", name=re.compile("^Take")).click()
    expect(page.locator("#take")).to_be_disabled()

    answer(page, "creator", "Not authorised", "Deploys never run from outside 10.20.0.0/16.")
    expect(page.locator("#body-creator")).not_to_have_attribute("open", "")
    expect(page.locator("#body-permissions")).to_have_attribute("open", "")
    expect(page.locator("#step-permissions")).to_contain_text("secrets")
    screenshot(page)
    answer(page, "permissions", "Excessive")
    expect(page.locator("#step-use")).to_contain_text("db-credentials")
    answer(page, "use", "Misused", "Three secrets were read.")

    # A note, previewed and saved.
    page.get_by_role("textbox", name="Note").fill("CI owners confirm **no release** was running.")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_label("Preview", exact=True).locator("strong")).to_have_text("no release")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("#notes .feed strong")).to_have_text("no release")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("")

    revoke(page)
    answer(page, "policies", "Reviewed", "platform-deployer will lose escalate.")
    remove(page)
    answer(page, "remedy", "Remedied", "Its secrets are replaced.")
    tell(page)
    for step in ("watch", "tell"):
        if page.locator(f"#step-{step} .mark").first.inner_text() != "✓":
            answer(page, step, {"watch": "Watching", "tell": "Told"}[step])

    # Closed with a verdict; the next alert of the view comes up.
    page.locator("#close").get_by_role("radio", name="Malicious").check()
    page.get_by_label("Why, in a sentence").fill("A stolen CI token took over the cluster.")
    page.get_by_role("button", name="Close alert").click()
    expect(page.locator("#messages")).to_contain_text("closed as malicious")
    page.goto("/?status=closed&owner=any")
    expect(page.get_by_role("link", name=ATTACK)).to_be_visible()


def revoke(page: Page) -> None:
    """Revoke from the alert, whichever way the plan asks for, and see the role gone."""
    alert = page.url
    page.locator("[data-key=r]").first.click()
    reason = page.get_by_label("Reason", exact=True)
    if "/revoke" in page.url:
        if not reason.first.input_value():
            reason.first.fill("Not authorised, and misused.")
        typed = page.get_by_label(re.compile("[Tt]ype"))
        if typed.count():
            typed.first.fill("metrics-scraper-v2")
        page.get_by_role("button", name=re.compile("^Revoke role")).click()
    expect(page.locator("body")).to_contain_text(re.compile("Proven gone|is gone|Gone", re.IGNORECASE), timeout=30_000)
    page.goto(alert)
    expect(page.locator("#step-revoke .mark").first).to_have_text("✓")


def remove(page: Page) -> None:
    """Remove what was left behind, and see each of it gone and ticked."""
    alert = page.url
    body = page.locator("#body-remedy")
    if body.get_attribute("open") is None:
        body.locator("> summary").click()
    page.get_by_role("link", name="Remove what is still there…").click()
    page.get_by_role("button", name="Plan and rehearse").click()
    page.get_by_label("Reason", exact=True).fill("Left by the intruder.")
    page.get_by_role("button", name="Remove 1 CronJob and 1 DaemonSet").click()
    expect(page.locator("#progress")).to_contain_text("Gone, and verified on the cluster.", timeout=30_000)
    page.goto(alert)
    ticked = page.locator("#step-remedy li", has_text="DaemonSet kube-system/node-exporter-x")
    expect(ticked).to_contain_text("dealt with")


def tell(page: Page) -> None:
    """Tell everybody, and read in the mailbox what arrived."""
    alert = page.url
    page.get_by_role("link", name=re.compile("^Notify")).click()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("on their way")
    page.goto("/mailbox")
    for destination in ("security@example.org", "#security-alerts", "engineering@example.org"):
        for _ in range(30):
            if destination in page.locator("main").inner_text():
                break
            page.wait_for_timeout(500)
            page.reload()
        expect(page.locator("main")).to_contain_text(destination)
    expect(page.locator("main")).to_contain_text("metrics-scraper-v2")
    page.goto(alert)


def screenshot(page: Page) -> None:
    """Take the picture of the README, where `make screenshot` asks for it."""
    target = os.environ.get("ROLECALL_SCREENSHOT")
    if target:
        page.emulate_media(color_scheme="light")
        page.evaluate("window.scrollTo(0, 0)")
        # Hiding the caret would take an inline style, which the policy refuses.
        page.screenshot(path=target, caret="initial")
