"""The alert page and what people do on it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts import playbook
from alerts.lifecycle import Status
from alerts.models import Activity, Alert, Cluster, Note
from alerts.services import investigation, workflow
from tests.factories import make_alert
from tests.integration.examining import take_in
from tests.unit.audit.events import creation, event_list

HTMX = {"HX-Request": "true"}


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    return make_alert(cluster)


def address(alert: Alert, *rest: str) -> str:
    return "/".join([f"/alerts/{alert.pk}", *rest])


def test_it_shows_the_three_questions_and_the_five_steps(as_vic: Client, alert: Alert) -> None:
    page = as_vic.get(address(alert)).content.decode()
    places = [page.index(f'id="step-{step.key}"') for step in playbook.STEPS]
    assert places == sorted(places)
    assert all(step.title in page for step in playbook.STEPS)


def test_the_facts_say_what_allowed_it_or_why_that_is_not_known(as_vic: Client, cluster: Cluster) -> None:
    take_in(cluster, event_list(creation("unexplained", annotations={})))
    alert = Alert.objects.get()
    investigation.gather(alert)
    facts = as_vic.get(address(alert)).content.decode().partition('id="facts-title"')[2]
    assert "<dt>Allowed by</dt><dd>Not recorded.</dd>" in facts


def test_it_says_how_old_the_evidence_is_and_whether_something_happened_since(as_vic: Client, alert: Alert) -> None:
    def evidence(**changes: Any) -> str:
        Alert.objects.filter(pk=alert.pk).update(**changes)
        return as_vic.get(address(alert)).content.decode().partition("<dt>Evidence</dt>")[2].partition("</dd>")[0]

    assert evidence() == ""
    gathered = evidence(evidence_at=timezone.now() - timedelta(hours=3), evidence_due=False)
    assert ">3 h</time> ago" in gathered
    assert "since" not in gathered
    assert "what happened since is not in it yet" in evidence(evidence_due=True)
    assert "not renewed" in evidence(status=Status.CLOSED, verdict="benign", closed_at=timezone.now())


def test_of_a_long_record_it_says_how_much_is_left_out(as_ana: Client, alert: Alert, ana: User) -> None:
    for number in range(203):
        Activity.objects.record("noted", f"did thing {number}", by=ana, alert=alert)
    for page in (as_ana.get(address(alert)), as_ana.post(address(alert, "notes"), {"text": " "}, headers=HTMX)):
        assert "did thing 3 " in page.content.decode()
        assert "and 3 earlier, not shown" in page.content.decode()


def test_an_alert_that_does_not_exist_is_not_found(as_vic: Client, db: None) -> None:
    assert as_vic.get("/alerts/999").status_code == 404


def test_the_first_open_question_is_opened(as_ana: Client, alert: Alert, ana: User) -> None:
    workflow.answer(alert, "creator", "authorised", by=ana, version=1)
    page = as_ana.get(address(alert)).content.decode()
    assert '<details id="body-permissions" open>' in page
    assert '<details id="body-creator">' in page


@pytest.mark.parametrize("action", ["take", "assign", "move", "steps/use", "close", "reopen", "notes"])
def test_a_viewer_changes_nothing(as_vic: Client, alert: Alert, action: str) -> None:
    assert as_vic.post(address(alert, action), {"version": 1}).status_code == 403


@pytest.mark.parametrize("action", ["take", "assign", "move", "steps/use", "close", "reopen", "notes"])
def test_looking_changes_nothing(as_ana: Client, alert: Alert, action: str) -> None:
    assert as_ana.get(address(alert, action)).status_code == 405


def test_changes_need_the_token_of_the_page(alert: Alert, ana: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana)
    assert client.post(address(alert, "take"), {"version": 1}).status_code == 403


def test_a_viewer_sees_why_a_button_does_nothing(as_vic: Client, alert: Alert) -> None:
    assert 'disabled title="Needs the group Analyst."' in as_vic.get(address(alert)).content.decode()


def test_taking_leads_back_to_the_alert_in_the_same_view(as_ana: Client, alert: Alert) -> None:
    response = as_ana.post(address(alert, "take"), {"version": 1, "view": "status=any"})
    assert response.status_code == 302
    assert response["Location"] == f"{address(alert)}?status=any"


def test_a_stale_form_gets_409_and_the_newer_state(as_ana: Client, alert: Alert, ben: User) -> None:
    workflow.take(alert, by=ben, version=1)
    for headers in ({}, HTMX):
        response = as_ana.post(address(alert, "take"), {"version": 1}, headers=headers)
        page = response.content.decode()
        assert response.status_code == 409
        assert "This alert changed since you looked at it" in page
        assert '<span class="chip">ben</span>' in page
        assert 'name="version" value="2"' in page


@pytest.mark.parametrize("version", ["", "x", "-1", "²", "9" * 20, "9" * 5000])
def test_a_form_with_a_senseless_version_is_stale(as_ana: Client, alert: Alert, version: str) -> None:
    assert as_ana.post(address(alert, "take"), {"version": version}).status_code == 409


@pytest.mark.parametrize("number", ["x", "²", "9" * 20, "9" * 5000])
def test_a_number_that_is_none_is_not_found_and_no_error_of_ours(as_ana: Client, alert: Alert, number: str) -> None:
    role = f"/roles/{alert.object_id}"
    assert as_ana.get(role, {"new": number}).status_code == 404
    assert as_ana.get(role, {"other": number}).status_code == 200
    assert as_ana.post(address(alert, "assign"), {"version": 1, "assignee": number}).status_code == 404
    assert as_ana.post(address(alert, "tell"), {"action": "preview", "recipients": number}).status_code == 200
    assert as_ana.get("/newcomers", {"since": number}).status_code == 200


def test_an_answer_stands_beside_its_question(as_ana: Client, alert: Alert) -> None:
    data = {"version": 1, "outcome": "not_authorised", "reason": "never from outside"}
    page = as_ana.post(address(alert, "steps", "creator"), data, headers=HTMX).content.decode()
    assert "Not authorised: “never from outside”" in page
    assert page.lstrip().startswith('<div id="alert">')


def test_a_part_of_the_page_equals_the_page(as_ana: Client, alert: Alert) -> None:
    Alert.objects.update(happened_at=timezone.now() - timedelta(hours=3))
    part = as_ana.get(address(alert), headers=HTMX).content.decode().strip()
    page = as_ana.get(address(alert)).content.decode()
    assert without_tokens(part) in without_tokens(page)


def without_tokens(html: str) -> str:
    """Leave out what differs from one rendering to the next: the masked CSRF token, and the indentation."""
    lines = (line.split('name="csrfmiddlewaretoken"')[0].strip() for line in html.splitlines())
    return "\n".join(line for line in lines if line)


def test_an_outcome_that_does_not_exist_is_422(as_ana: Client, alert: Alert) -> None:
    response = as_ana.post(address(alert, "steps", "creator"), {"version": 1, "outcome": "celebrated"})
    assert response.status_code == 422
    assert "no such outcome" in response.content.decode()


def test_closing_too_early_says_what_is_missing(as_ana: Client, alert: Alert) -> None:
    data = {"version": 1, "verdict": "benign", "reason": "A release."}
    response = as_ana.post(address(alert, "close"), data)
    assert response.status_code == 422
    assert "Closing as benign needs an answer to “Who created it”" in response.content.decode()


def test_after_closing_comes_the_next_alert_of_the_same_view(as_ana: Client, cluster: Cluster, alert: Alert) -> None:
    following = make_alert(cluster, "pod-log-reader", score=12)
    data = {"version": 1, "verdict": "duplicate", "reason": "Known."}
    response = as_ana.post(address(alert, "close"), data, follow=True)
    assert response.redirect_chain == [(f"{address(following)}?", 302)]
    assert f"{alert.reference} closed as duplicate." in response.content.decode()
    alert.refresh_from_db()
    assert alert.status == Status.CLOSED


def test_a_note_is_rendered_and_made_harmless(as_ana: Client, alert: Alert) -> None:
    text = "**No release.** <script>alert(1)</script> [x](javascript:alert(1)) ![i](http://evil/x.png)"
    page = as_ana.post(address(alert, "notes"), {"text": text, "action": "save"}, follow=True).content.decode()
    assert "<strong>No release.</strong>" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "<img" not in page


def test_a_preview_saves_nothing(as_ana: Client, alert: Alert) -> None:
    for headers in ({}, HTMX):
        data = {"text": "*maybe*", "action": "preview"}
        page = as_ana.post(address(alert, "notes"), data, headers=headers).content.decode()
        assert "<em>maybe</em>" in page
        assert ">*maybe*</textarea>" in page
    assert not Note.objects.exists()


def test_nobody_edits_somebody_elses_note(as_ana: Client, alert: Alert, ben: User) -> None:
    note = workflow.write_note(alert, "Mine.", by=ben)
    page = as_ana.post(address(alert, "notes", str(note.pk)), {"text": "Yours."}, headers=HTMX).content.decode()
    assert "Only its author may edit a note." in page
    note.refresh_from_db()
    assert note.text == "Mine."


def test_hostile_names_are_shown_harmless(as_ana: Client, cluster: Cluster) -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e{{ 7|add:7 }}"
    alert = make_alert(cluster, hostile, actor=hostile, story=[["strong", hostile], ["code", hostile]])
    page = as_ana.get(address(alert)).content.decode()
    assert "<img" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;\\u202e{{ 7|add:7 }}" in page
