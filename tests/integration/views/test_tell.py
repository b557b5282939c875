"""Telling from the alert's page: preselected, previewed, sent once, and shown with what became of it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from alerts.models import Alert, Cluster, Notification, Stakeholder
from alerts.services import workflow
from tests.conftest import logged_in
from tests.factories import make_alert
from triage.celery import app as celery

HOSTILE = "<!channel> <img src=x onerror=alert(1)>\u202e"


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(celery.conf, "task_always_eager", True)


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    return make_alert(cluster)


@pytest.fixture
def priya(db: None) -> Stakeholder:
    return Stakeholder.objects.create(name="Priya", group="security", email="priya@example.org")


@pytest.fixture
def boss(db: None) -> Stakeholder:
    return Stakeholder.objects.create(name="Boss", group="management", email="boss@example.org")


def address(alert: Alert) -> str:
    return reverse("alerts:tell", args=[alert.pk])


def entered(alert: Alert, *recipients: Stakeholder, **changes: Any) -> dict[str, Any]:
    """What the form sends."""
    fields: dict[str, Any] = {f"{group}-subject": "A role was created" for group in Stakeholder.Group.values}
    fields |= {f"{group}-text": f"To {group}." for group in Stakeholder.Group.values}
    fields |= {"recipients": [each.pk for each in recipients], "version": alert.version, "once": "form-1"}
    return fields | {"action": "send"} | changes


def shown(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    return str(response.content.decode())


def test_everybody_not_told_yet_is_chosen_and_every_group_has_its_text(
    as_ana: Client, alert: Alert, priya: Stakeholder, boss: Stakeholder
) -> None:
    as_ana.post(address(alert), entered(alert, boss))
    page = shown(as_ana.get(address(alert)))
    assert f'value="{priya.pk}" checked' in page
    assert f'value="{boss.pk}" checked' not in page
    assert "told <time" in page
    assert page.count("WHAT WE DO NOT KNOW") == 2
    assert "Security will receive" in page
    assert "Management will receive" not in page


def test_sending_goes_back_to_the_alert_and_delivers_each_group_its_text(
    as_ana: Client, alert: Alert, priya: Stakeholder, boss: Stakeholder
) -> None:
    response = as_ana.post(address(alert), entered(alert, priya, boss))
    assert response.status_code == 302
    assert response["Location"] == f"{alert.get_absolute_url()}#step-tell"
    assert {each.to[0]: each.body.splitlines()[0] for each in mail.outbox} == {
        "priya@example.org": "To security.",
        "boss@example.org": "To management.",
    }
    assert set(alert.notifications.values_list("state", flat=True)) == {"sent"}


def test_the_same_form_sent_twice_is_one_message(as_ana: Client, alert: Alert, priya: Stakeholder) -> None:
    for _ in range(2):
        assert as_ana.post(address(alert), entered(alert, priya)).status_code == 302
    assert len(mail.outbox) == 1


def test_a_preview_sends_nothing_and_keeps_what_was_written(as_ana: Client, alert: Alert, priya: Stakeholder) -> None:
    fields = entered(alert, priya, action="preview", **{"security-subject": "My\r\nsubject", "security-text": HOSTILE})
    whole = shown(as_ana.post(address(alert), fields))
    part = shown(as_ana.post(address(alert), fields, headers={"HX-Request": "true"}))
    assert "<html" in whole
    assert part.strip().startswith("<aside")
    for page in (whole, part):
        assert "Priya · Email to priya@example.org" in page
        assert "<b>My subject</b>" in page
        assert "<img" not in page
    assert 'name="once" value="form-1"' in whole
    assert mail.outbox == []
    assert not Notification.objects.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipients": []}, "Choose at least one recipient."),
        ({"recipients": ["999"]}, "Somebody was removed."),
        ({"recipients": ["x"]}, ""),
        ({"security-text": " "}, "Security: the text is missing or too long."),
        ({"security-subject": ""}, "Security: the subject is missing or too long."),
        ({"security-text": "x" * 10_001}, "Security: the text is missing or too long."),
        ({"version": "x"}, ""),
        ({"once": ""}, ""),
    ],
)
def test_a_form_that_lacks_something_says_what_and_sends_nothing(
    changes: dict[str, Any], sentence: str, as_ana: Client, alert: Alert, priya: Stakeholder
) -> None:
    page = shown(as_ana.post(address(alert), entered(alert, priya, **changes)), 422)
    assert sentence in page
    assert mail.outbox == []


def test_a_group_nobody_of_which_is_chosen_needs_no_text(as_ana: Client, alert: Alert, priya: Stakeholder) -> None:
    assert as_ana.post(address(alert), entered(alert, priya, **{"management-text": ""})).status_code == 302


def test_a_form_older_than_the_alert_sends_nothing_and_shows_the_newer_state(
    as_ana: Client, alert: Alert, priya: Stakeholder, ben: User
) -> None:
    workflow.take(alert, by=ben, version=1)
    page = shown(as_ana.post(address(alert), entered(alert, priya)), 409)
    assert "This alert changed since you looked at it." in page
    assert "To security." in page
    assert 'name="version" value="2"' in page
    assert mail.outbox == []


def test_viewers_look_and_send_nothing(as_vic: Client, alert: Alert, priya: Stakeholder) -> None:
    assert 'disabled title="Needs the group Analyst."' in shown(as_vic.get(address(alert)))
    for action in ("send", "preview"):
        assert as_vic.post(address(alert), entered(alert, priya, action=action)).status_code == 403
    assert not Notification.objects.exists()


def test_administrators_and_responders_tell_like_analysts(
    alert: Alert, priya: Stakeholder, rex: User, ada: User
) -> None:
    for user in (rex, ada):
        form = entered(alert, priya, once=user.username)
        assert logged_in(user).post(address(alert), form).status_code == 302


def test_a_form_of_another_site_sends_nothing(ana: User, alert: Alert, priya: Stakeholder) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana)
    assert client.post(address(alert), entered(alert, priya)).status_code == 403
    assert not Notification.objects.exists()


def test_a_hostile_role_is_shown_and_never_runs(as_ana: Client, cluster: Cluster, priya: Stakeholder) -> None:
    page = shown(as_ana.get(address(make_alert(cluster, HOSTILE, actor=HOSTILE))))
    assert "<img" not in page
    assert "\u202e" not in page


def test_a_failed_message_is_tried_again_by_hand(
    as_ana: Client, as_vic: Client, alert: Alert, priya: Stakeholder
) -> None:
    as_ana.post(address(alert), entered(alert, priya))
    Notification.objects.update(state="failed", error="The mail server refused it: 550")
    again = reverse("alerts:retry", args=[Notification.objects.get().pk])
    assert as_vic.post(again).status_code == 403
    assert as_ana.get(again).status_code == 405
    assert as_ana.post(again)["Location"] == f"{alert.get_absolute_url()}#step-tell"
    assert (Notification.objects.get().state, len(mail.outbox)) == ("sent", 2)
    as_ana.post(again)
    assert len(mail.outbox) == 2


def test_a_test_message_is_tried_again_by_administrators(as_ana: Client, as_ada: Client, priya: Stakeholder) -> None:
    as_ada.post(reverse("alerts:test_message", args=[priya.pk]))
    Notification.objects.update(state="failed")
    again = reverse("alerts:retry", args=[Notification.objects.get().pk])
    assert as_ana.post(again).status_code == 403
    assert as_ada.post(again)["Location"] == reverse("alerts:stakeholders")


def test_the_alert_says_who_was_told_and_asks_again_while_a_message_is_on_its_way(
    as_ana: Client, alert: Alert, priya: Stakeholder
) -> None:
    told = reverse("alerts:told", args=[alert.pk])
    htmx = {"HX-Request": "true"}
    assert as_ana.get(told).status_code == 302
    assert "Nobody yet." in shown(as_ana.get(told, headers=htmx))
    as_ana.post(address(alert), entered(alert, priya))
    part = shown(as_ana.get(told, headers=htmx))
    assert "Priya" in part
    assert "✓ Sent" in part
    assert "hx-get" not in part
    Notification.objects.update(state="sending")
    assert f'hx-get="{told}"' in shown(as_ana.get(told, headers=htmx))


@pytest.mark.parametrize("template", ["components/told.html", "alerts/steps/tell.html"])
def test_what_failed_is_shown_with_the_reason(
    template: str, as_ana: Client, ana: User, alert: Alert, priya: Stakeholder
) -> None:
    as_ana.post(address(alert), entered(alert, priya))
    Notification.objects.update(
        state="failed", error=f"Refused: {HOSTILE}", recipient=HOSTILE, subject=HOSTILE, text=HOSTILE
    )
    page = render_to_string(
        template, {"alert": alert, "step": alert.steps.get(key="tell"), "may_triage": True, "user": ana}
    )
    assert "× Failed" in page
    assert "Refused: &lt;!channel&gt; &lt;img src=x onerror=alert(1)&gt;\\u202e" in page
    assert "<img" not in page


def test_the_step_offers_a_retry_only_to_those_who_may(as_ana: Client, alert: Alert, priya: Stakeholder) -> None:
    as_ana.post(address(alert), entered(alert, priya))
    Notification.objects.update(state="retrying")
    context = {"alert": alert, "step": alert.steps.get(key="tell")}
    assert "Try again now" in render_to_string("alerts/steps/tell.html", context | {"may_triage": True})
    refused = render_to_string("alerts/steps/tell.html", context | {"may_triage": False})
    assert 'disabled title="Needs the group Analyst."' in refused
