"""What somebody types is theirs until it is saved, whatever becomes of the page meanwhile."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, OpenPage, log_in, wait_for_htmx

pytestmark = pytest.mark.browser

ADDRESS = "/?status=any&owner=any&search=certkeeper-approver"


def open_alert(open_page: OpenPage, name: str) -> Page:
    page = open_page(name, ADDRESS)
    page.get_by_role("link", name="ClusterRole certkeeper-approver created").click()
    return page


def write_too_late(page: Page, note: str) -> None:
    """Write a note, and save it when the session is over."""
    page.get_by_role("textbox", name="Note").fill(note)
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Save note").click()
    page.wait_for_url(re.compile("/login"))


def test_a_reason_survives_a_refusal_and_somebody_elses_change(open_page: OpenPage) -> None:
    mine, theirs = open_alert(open_page, "analyst"), open_alert(open_page, "responder")
    mine.locator("#reason-creator").fill("The release of Tuesday.")
    mine.locator("#close-reason").fill("As announced.")
    theirs.get_by_role("button", name="Take").click()
    expect(theirs.locator("#take")).to_be_disabled()
    mine.locator("#body-creator .conclusion").get_by_role("button", name="Authorised", exact=True).click()
    expect(mine.get_by_role("alert")).to_contain_text("changed since you looked at it")
    expect(mine.locator("#reason-creator")).to_have_value("The release of Tuesday.")
    expect(mine.locator("#close-reason")).to_have_value("As announced.")
    mine.locator("#body-creator .conclusion").get_by_role("button", name="Authorised", exact=True).click()
    expect(mine.locator("#step-creator")).to_contain_text("Authorised: “The release of Tuesday.”")
    expect(mine.locator("#body-creator")).not_to_have_attribute("open", "")
    expect(mine.locator("#close-reason")).to_have_value("As announced.")


def test_what_is_typed_survives_the_end_of_a_session(open_page: OpenPage, demo: Demo) -> None:
    page = open_alert(open_page, "analyst")
    write_too_late(page, "Two hours of findings.")
    log_in(page, "analyst", "wrong")
    log_in(page, "analyst", demo.passwords["analyst"])
    expect(page.locator("#messages")).to_contain_text("What you had typed is here again")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("Two hours of findings.")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("#notes .feed")).to_contain_text("Two hours of findings.")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("")
    page.reload()
    wait_for_htmx(page)
    expect(page.get_by_role("textbox", name="Note")).to_have_value("")


def test_what_one_typed_is_not_shown_to_who_logs_in_next(open_page: OpenPage, demo: Demo) -> None:
    page = open_alert(open_page, "analyst")
    write_too_late(page, "For my eyes.")
    log_in(page, "responder", demo.passwords["responder"])
    expect(page.locator("h1")).to_contain_text("certkeeper-approver")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("")
    assert page.evaluate("sessionStorage.getItem('rolecall-typed')") is None
