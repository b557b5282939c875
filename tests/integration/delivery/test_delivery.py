"""From a draft to a mail server and to Slack: what arrives, once, whoever sends it and whatever is in it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from django.conf import settings as installed
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from alerts import tasks
from alerts.models import Activity, Alert, Channel, Notification, Stakeholder
from alerts.notifications.sinks import MailSink
from alerts.services import delivery
from alerts.services.draft import Draft
from alerts.services.workflow import Stale
from tests.integration.delivery.conftest import arrived, mail_by, make_channel, sent, slack_answering, tell
from tests.standins import Reply
from triage.celery import app as celery

State = Notification.State

HOSTILE = "<!channel> <http://evil|x>\nBcc: everybody@example.org\u202e"


def test_a_mail_arrives_with_the_text_and_a_link_to_the_alert(
    box: Path, alert: Alert, priya: Stakeholder, ana: User, settings: Settings
) -> None:
    notification = sent(tell(alert, priya, ana)[0])
    (mail,) = arrived(box)
    assert (mail.to, mail.subject) == ("priya@example.org", "A role was created")
    assert mail.text.startswith("Somebody created a role.")
    assert f"{settings.PUBLIC_URL}{alert.get_absolute_url()}" in mail.text
    assert notification.state == State.SENT
    assert notification.sent_at is not None
    assert notification.provider_id == dict(mail.headers)["Message-ID"].strip()


def test_two_mails_about_one_alert_are_one_thread(box: Path, alert: Alert, priya: Stakeholder, ana: User) -> None:
    for once in ("first", "second"):
        sent(tell(alert, priya, ana, once=once)[0])
    first, second = (dict(mail.headers) for mail in arrived(box))
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]


def test_a_slack_message_arrives_in_its_channel(box: Path, alert: Alert, sec: Stakeholder, ana: User) -> None:
    notification = sent(tell(alert, sec, ana)[0])
    (message,) = arrived(box)
    assert (message.way, message.to, message.subject) == ("slack", "#security", "A role was created")
    assert notification.state == State.SENT
    assert notification.provider_id.split()[0].startswith("C")


def test_a_message_arrives_through_a_webhook(box: Path, alert: Alert, ana: User, settings: Settings) -> None:
    address = f"http://{settings.SLACK_WEBHOOK_HOSTS[0]}/services/T0/B0/secretpart"
    hook = make_channel("Boardroom", Channel.Kind.WEBHOOK, address)
    boss = Stakeholder.objects.create(name="Boss", group="management", channel=hook)
    assert sent(tell(alert, boss, ana)[0]).state == State.SENT
    assert [message.to for message in arrived(box)] == ["webhook"]


def test_somebody_with_two_ways_is_told_by_both(box: Path, alert: Alert, sec: Stakeholder, ana: User) -> None:
    sec.email = "security@example.org"
    sec.save()
    for notification in tell(alert, sec, ana):
        sent(notification)
    assert {message.way for message in arrived(box)} == {"email", "slack"}


def test_a_hostile_name_pings_nobody_and_adds_no_header(
    alert: Alert, priya: Stakeholder, sec: Stakeholder, ana: User, tmp_path: Path, settings: Settings
) -> None:
    with mail_by(MailSink(tmp_path), settings), slack_answering(settings, Reply()) as server:
        for recipient in (priya, sec):
            assert sent(tell(alert, recipient, ana, subject=HOSTILE)[0]).state == State.SENT
    headers = dict(arrived(tmp_path)[0].headers)
    assert headers["Subject"] == r"<!channel> <http://evil|x> Bcc: everybody@example.org\u202e"
    assert "Bcc" not in headers
    posted = json.loads(server.asked[0].body)
    link = f"<{settings.PUBLIC_URL}{alert.get_absolute_url()}|Open {alert.reference} in Rolecall>"
    assert "<" not in json.dumps(posted).replace(link, "")
    assert (posted["unfurl_links"], posted["unfurl_media"]) == (False, False)


# --- Once


def test_the_same_form_sent_twice_is_one_message(box: Path, alert: Alert, priya: Stakeholder, ana: User) -> None:
    first, second = (tell(alert, priya, ana)[0] for _ in range(2))
    assert first == second
    assert Activity.objects.filter(kind="told").count() == 1
    assert tell(alert, priya, ana, once="another form")[0] != first


def test_sending_twice_delivers_once(box: Path, alert: Alert, priya: Stakeholder, ana: User) -> None:
    (notification,) = tell(alert, priya, ana)
    for _ in range(2):
        tasks.deliver(notification.pk)
    assert len(arrived(box)) == 1


def test_nothing_is_told_from_an_alert_that_changed_meanwhile(alert: Alert, priya: Stakeholder, ana: User) -> None:
    with pytest.raises(Stale):
        delivery.tell(alert, [priya], {"security": Draft("s", "t")}, by=ana, version=alert.version - 1)
    assert not Notification.objects.exists()


def test_while_one_worker_sends_no_other_does(box: Path, alert: Alert, priya: Stakeholder, ana: User) -> None:
    (notification,) = tell(alert, priya, ana)
    held_until = timezone.now() + timedelta(minutes=1)
    Notification.objects.update(state=State.SENDING, tries=1, leased_until=held_until)
    sent(notification)
    assert arrived(box) == []
    assert delivery.due() == []


def test_a_message_whose_worker_was_killed_is_sent_after_its_claim_ended(
    box: Path, alert: Alert, priya: Stakeholder, ana: User
) -> None:
    (notification,) = tell(alert, priya, ana)
    Notification.objects.update(state=State.SENDING, tries=1, leased_until=timezone.now() - timedelta(seconds=1))
    assert delivery.due() == [notification]
    assert sent(notification).state == State.SENT
    assert notification.tries == 2


def test_a_message_that_kills_every_worker_fails_visibly(alert: Alert, priya: Stakeholder, ana: User) -> None:
    (notification,) = tell(alert, priya, ana)
    past = timezone.now() - timedelta(seconds=1)
    Notification.objects.update(state=State.SENDING, tries=delivery.MAX_TRIES, leased_until=past)
    assert sent(notification).state == State.FAILED
    assert "could not tell Priya" in Activity.objects.order_by("pk").last().summary  # type: ignore[union-attr]


def test_nothing_is_sent_inside_a_transaction(alert: Alert, priya: Stakeholder, ana: User) -> None:
    (notification,) = tell(alert, priya, ana)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        delivery.send(notification)


def test_the_sweep_sends_what_no_wake_up_reached(
    box: Path, alert: Alert, priya: Stakeholder, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(celery.conf, "task_always_eager", True)
    tell(alert, priya, ana)
    tasks.sweep()
    assert len(arrived(box)) == 1


def test_a_wake_up_without_a_broker_is_dropped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = Celery("elsewhere", broker=f"redis+socket://{tmp_path}/none.sock", set_as_current=False)
    elsewhere.conf.broker_transport_options = installed.CELERY_BROKER_TRANSPORT_OPTIONS

    @elsewhere.task(name="elsewhere.task")
    def task() -> None: ...

    tasks.wake(task)
    assert "elsewhere.task waits for the sweep" in caplog.text


def test_a_test_message_belongs_to_no_alert(box: Path, priya: Stakeholder, ada: User) -> None:
    (notification,) = delivery.send_test(priya, by=ada)
    assert sent(notification).state == State.SENT
    assert (notification.alert, arrived(box)[0].subject) == (None, "Test message from Rolecall")
