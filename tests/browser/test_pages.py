"""Every page: accessible, in light and dark, on a narrow screen, by keyboard, and without JavaScript."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, WIDE, Demo, OpenPage
from tests.unit.audit.events import event_list, reading

pytestmark = pytest.mark.browser

TAGS = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
PAGES = [
    "/?status=any&owner=any", "alert", "alert/tell", "alert/revoke", "alert/remove", "/roles", "role",
    "/clusters", "/clusters/prod-eu", "/clusters/prod-eu/posture", "/clusters/prod-eu/search",
    "/clusters/prod-eu/search?role=metrics-scraper-v2", "/stakeholders", "/mailbox", "alert/mute", "/mutes",
    "/known-actors", "/known-actors/new?preset=helm",
]  # fmt: skip


def addresses(page: Page) -> list[str]:
    """Return the address of every page, with the attack in those of an alert and of a role."""
    page.goto("/?status=any&owner=any&search=metrics-scraper-v2")
    link = page.get_by_role("link", name="ClusterRole metrics-scraper-v2 created")
    alert = str(link.get_attribute("href")).split("?")[0]
    page.goto(alert)
    role = str(page.locator("dd a[href^='/roles/']").first.get_attribute("href"))
    return [
        address.replace("alert", alert, 1) if address.startswith("alert") else role if address == "role" else address
        for address in PAGES
    ]


def open_everything(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


def violations(page: Page, **run_only: Any) -> list[tuple[str, list[str]]]:
    found = Axe().run(page, options={"runOnly": run_only}).response["violations"]
    return [(each["id"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found]


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_every_page_is_accessible_light_and_dark_and_fits_wide_and_narrow(open_page: OpenPage) -> None:
    page = open_page("administrator", reduced_motion="reduce")
    found: list[tuple[object, ...]] = []
    for address in addresses(page):
        page.emulate_media(color_scheme="light")
        page.goto(address)
        open_everything(page)
        found += [(address, *each) for each in violations(page, type="tag", values=TAGS)]
        page.emulate_media(color_scheme="dark")
        found += [(address, "dark", *each) for each in violations(page, type="rule", values=["color-contrast"])]
        for viewport in (NARROW, WIDE):
            page.set_viewport_size(viewport)
            if overflow(page) > 0:
                found.append((address, viewport["width"], "scrolls sideways"))
    assert found == []


def test_the_queue_works_by_keyboard(open_page: OpenPage) -> None:
    page = open_page("analyst", "/?status=any&owner=any")
    rows = page.locator("tr[data-row]")
    expect(rows.first).to_have_class("cursor")
    page.keyboard.press("j")
    expect(rows.nth(1)).to_have_class("cursor")
    page.keyboard.press("x")
    expect(rows.nth(1).get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("k")
    expect(rows.first).to_have_class("cursor")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next row")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("debug-everything")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    expect(page.locator("h1")).to_contain_text("debug-everything")
    page.keyboard.press("u")
    expect(page.locator("h1")).to_have_text("Queue")


def test_single_keys_can_be_turned_off(open_page: OpenPage) -> None:
    page = open_page("analyst", "/?status=any&owner=any")
    page.keyboard.press("?")
    page.get_by_label("Single keys act on this browser").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("tr[data-row]").first).to_have_class("cursor")


def test_what_a_search_finds_goes_on_as_it_is_read(open_page: OpenPage, demo: Demo) -> None:
    demo.ingest(event_list(*(reading(str(number)) | {"user": {"username": "reader"}} for number in range(450))))
    address = "/clusters/prod-eu/search?actor=reader"
    page = open_page("viewer", address)
    rows = page.locator("#results .clock")
    expect(rows).to_have_count(200)
    for count in (400, 450):
        page.locator("#older").scroll_into_view_if_needed()
        expect(rows).to_have_count(count)
    expect(page.locator("#older")).to_have_text("All that could be searched was looked through.")
    plain = open_page("viewer", address, java_script_enabled=False)
    for count in (200, 200, 50):
        expect(plain.locator("#results .clock")).to_have_count(count)
        if count == 200:
            plain.get_by_role("link", name="Older ›").click()


def test_an_alert_is_worked_on_without_javascript(open_page: OpenPage) -> None:
    page = open_page("analyst", "/?status=any&owner=any&search=pod-log-reader", java_script_enabled=False)
    page.get_by_role("link", name="ClusterRole pod-log-reader created").click()
    page.get_by_role("button", name="Take").click()
    expect(page.locator(".actions")).to_contain_text("analyst")
    page.locator("#reason-creator").fill("Jane does this.")
    page.locator("#body-creator .conclusion").get_by_role("button", name="Authorised", exact=True).click()
    expect(page.locator("#step-creator")).to_contain_text("Authorised: “Jane does this.”")
    page.get_by_role("textbox", name="Note").fill("*Checked.*")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#notes em")).to_have_text("Checked.")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("#notes .feed em")).to_have_text("Checked.")
    page.get_by_role("link", name="Revoke").first.click()
    expect(page.locator("h1")).to_contain_text("pod-log-reader")


def test_a_stale_page_says_so_and_shows_the_newer_state(open_page: OpenPage) -> None:
    address = "/?status=any&owner=any&search=certkeeper-view"
    mine, theirs = open_page("analyst", address), open_page("responder", address)
    for page in (mine, theirs):
        page.get_by_role("link", name="ClusterRole certkeeper-view created").click()
    theirs.get_by_role("button", name="Take").click()
    expect(theirs.locator("#take")).to_be_disabled()
    mine.get_by_role("button", name="Take").click()
    expect(mine.get_by_role("alert")).to_contain_text("changed since you looked at it")
    expect(mine.locator(".actions")).to_contain_text("responder")


def test_a_viewer_sees_disabled_buttons_with_the_reason(open_page: OpenPage) -> None:
    page = open_page("viewer", "/?status=any&owner=any&search=role-author")
    page.get_by_role("link", name="ClusterRole role-author created").click()
    take = page.get_by_role("button", name="Take")
    expect(take).to_be_disabled()
    expect(take).to_have_attribute("title", "Needs the group Analyst.")
