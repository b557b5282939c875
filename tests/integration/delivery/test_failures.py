"""What becomes of a message that does not arrive: it is tried again, or fails visibly, and no secret is told."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from alerts.models import Activity, Alert, Channel, Notification, Stakeholder
from alerts.notifications import slack
from alerts.notifications.message import DeliveryError
from alerts.notifications.sinks import MailSink
from alerts.services import delivery
from tests.integration.delivery.conftest import TOKEN, arrived, mail_by, make_channel, sent, slack_answering, tell
from tests.standins import MailStandIn, Reply

State = Notification.State

SLACK_FAILURES = [
    (Reply(429, b"", {"Retry-After": "120"}), 120, "asks us to wait"),
    (Reply(429, b"", {"Retry-After": "2"}), 15, "asks us to wait"),
    (Reply(500, b"secret page"), 15, "HTTP 500"),
    (Reply(503, b"", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), 15, "HTTP 503"),
    (Reply(200, b"<html>secret page</html>"), 15, "does not speak like Slack"),
    (Reply(200, b"[1]"), 15, "does not speak like Slack"),
    (Reply(200, b"[" * 60_000), 15, "does not speak like Slack"),
    (Reply(200, b"\xff\xfe", {"Content-Type": "application/json; charset=nonsense"}), 15, "does not speak like Slack"),
    (Reply(200, b'{"ok": false, "error": "<b>secret page</b>"}'), 15, "does not speak like Slack"),
    (Reply(200, b'{"ok": false, "error": "internal_error"}'), 15, "internal_error"),
    (Reply(hangs=True), 15, "TimeoutError"),
]
SLACK_REFUSALS = [
    (Reply(200, b'{"ok": false, "error": "invalid_auth"}'), "does not accept the bot’s token"),
    (Reply(200, b'{"ok": false, "error": "channel_not_found"}'), "no such channel"),
    (Reply(200, b'{"ok": false, "error": "something_new"}'), "something_new"),
    (Reply(404, b"secret page"), "HTTP 404"),
    (Reply(302, b"", {"Location": "http://127.0.0.1:1/elsewhere"}), "redirect"),
]


@pytest.mark.parametrize(("reply", "seconds", "sentence"), SLACK_FAILURES)
def test_what_passes_is_tried_again_later(
    reply: Reply,
    seconds: int,
    sentence: str,
    alert: Alert,
    sec: Stakeholder,
    ana: User,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slack, "TIMEOUT", 0.2)
    (notification,) = tell(alert, sec, ana)
    with time_machine.travel(timezone.now(), tick=False), slack_answering(settings, reply, Reply()) as server:
        now = timezone.now()
        sent(notification)
        assert (notification.state, notification.due_at - now) == (State.RETRYING, timedelta(seconds=seconds))
        assert sentence in notification.error
        assert "secret page" not in notification.error
        sent(notification)
        assert len(server.asked) == 1
        with time_machine.travel(notification.due_at, tick=False):
            assert sent(notification).state == State.SENT
        assert (len(server.asked), notification.error) == (2, "")


@pytest.mark.parametrize(("reply", "sentence"), SLACK_REFUSALS)
def test_what_does_not_pass_fails_at_once_and_visibly(
    reply: Reply, sentence: str, alert: Alert, sec: Stakeholder, ana: User, settings: Settings
) -> None:
    with slack_answering(settings, reply) as server:
        notification = sent(tell(alert, sec, ana)[0])
    assert (notification.state, len(server.asked)) == (State.FAILED, 1)
    assert sentence in notification.error
    assert "secret page" not in notification.error
    assert alert.activities.filter(summary__contains=sentence, by=None).exists()


@pytest.mark.parametrize(
    ("reply", "state", "sentence"),
    [
        (Reply(200, b"ok"), State.SENT, ""),
        (Reply(200, b"welcome to this network"), State.RETRYING, "does not speak like Slack"),
        (Reply(429, b"", {"Retry-After": "30"}), State.RETRYING, "asks us to wait"),
        (Reply(500, b"rollup_error"), State.RETRYING, "HTTP 500"),
        (Reply(404, b"no_service"), State.FAILED, "the webhook was removed"),
        (Reply(410, b"channel_is_archived"), State.FAILED, "the channel is archived"),
        (Reply(403, b"<html>secret page"), State.FAILED, "HTTP 403"),
        (Reply(307, b"", {"Location": "http://127.0.0.1:1/elsewhere"}), State.FAILED, "redirect"),
    ],
)
def test_a_webhooks_answers_are_told_apart(
    reply: Reply, state: str, sentence: str, alert: Alert, ana: User, settings: Settings
) -> None:
    with slack_answering(settings, reply) as server:
        hook = make_channel("Boardroom", Channel.Kind.WEBHOOK, f"{server.url}/services/T0/B0/secretpart")
        boss = Stakeholder.objects.create(name="Boss", group="management", channel=hook)
        notification = sent(tell(alert, boss, ana)[0])
    assert notification.state == state
    assert sentence in notification.error
    assert "secret" not in notification.error


def test_a_webhook_that_may_no_longer_be_reached_is_refused(alert: Alert, ana: User, settings: Settings) -> None:
    with slack_answering(settings, Reply()) as server:
        settings.SLACK_WEBHOOK_HOSTS = ["hooks.slack.com"]
        hook = make_channel("Boardroom", Channel.Kind.WEBHOOK, f"{server.url}/services/T0/B0/secretpart")
        boss = Stakeholder.objects.create(name="Boss", group="management", channel=hook)
        notification = sent(tell(alert, boss, ana)[0])
        assert (notification.state, server.asked) == (State.FAILED, [])
    assert "not one of the allowed hosts" in notification.error


def test_a_token_never_leaves_for_an_address_without_tls(
    alert: Alert, sec: Stakeholder, ana: User, settings: Settings
) -> None:
    settings.SLACK_URL = "http://slack.example/api/"
    notification = sent(tell(alert, sec, ana)[0])
    assert (notification.state, notification.error) == (State.FAILED, "The address must begin with https://.")


def test_nobody_listening_is_tried_again(alert: Alert, sec: Stakeholder, ana: User, settings: Settings) -> None:
    with slack_answering(settings, Reply()):
        pass
    notification = sent(tell(alert, sec, ana)[0])
    assert (notification.state, notification.error) == (
        State.RETRYING,
        "Slack could not be reached (ConnectionRefusedError).",
    )


def test_a_mail_refused_for_now_is_tried_again_and_one_refused_for_good_is_not(
    alert: Alert, priya: Stakeholder, ana: User, tmp_path: Path, settings: Settings
) -> None:
    with mail_by(MailStandIn(tmp_path, data=["451 4.3.2 Try later"]), settings):
        notification = sent(tell(alert, priya, ana)[0])
        assert (notification.state, notification.error) == (
            State.RETRYING,
            "The mail server refused it: 451 4.3.2 Try later",
        )
        with time_machine.travel(notification.due_at, tick=False):
            assert sent(notification).state == State.SENT
    with mail_by(MailStandIn(tmp_path, recipients=["550 5.1.1 No such user"]), settings):
        notification = sent(tell(alert, priya, ana, once="another")[0])
    assert (notification.state, notification.error) == (
        State.FAILED,
        "The mail server refused it: 550 5.1.1 No such user",
    )
    assert len(arrived(tmp_path)) == 1


def test_a_recipient_refused_for_now_is_tried_again(
    alert: Alert, priya: Stakeholder, ana: User, tmp_path: Path, settings: Settings
) -> None:
    with mail_by(MailStandIn(tmp_path, recipients=["450 4.2.1 Mailbox is busy"]), settings):
        assert sent(tell(alert, priya, ana)[0]).state == State.RETRYING


def test_a_mail_server_that_wants_no_password_from_us_is_a_failure_that_stays(
    alert: Alert, priya: Stakeholder, ana: User, tmp_path: Path, settings: Settings
) -> None:
    with mail_by(MailSink(tmp_path), settings, username="rolecall", password="secretpart"):
        notification = sent(tell(alert, priya, ana)[0])
    assert notification.state == State.FAILED
    assert "secretpart" not in notification.error


def test_no_mail_server_is_tried_again(alert: Alert, priya: Stakeholder, ana: User, settings: Settings) -> None:
    settings.MAILERS = {"default": {"OPTIONS": {"host": "127.0.0.1", "port": 1}}}
    notification = sent(tell(alert, priya, ana)[0])
    assert (notification.state, notification.error) == (
        State.RETRYING,
        "The mail server could not be reached (ConnectionRefusedError).",
    )


def test_after_six_tries_it_fails_visibly_and_somebody_can_try_again_by_hand(
    alert: Alert, sec: Stakeholder, ana: User, settings: Settings
) -> None:
    (notification,) = tell(alert, sec, ana)
    waits = []
    with slack_answering(settings, Reply(500)):
        for _ in range(delivery.MAX_TRIES):
            with time_machine.travel(notification.due_at, tick=False):
                before = timezone.now()
                sent(notification)
                waits.append((notification.due_at - before).total_seconds())
    assert waits == [15, 60, 300, 900, 3600, 0]
    assert notification.state == State.FAILED
    assert delivery.due() == []
    delivery.retry(notification, by=ana)
    with slack_answering(settings, Reply()):
        assert sent(notification).state == State.SENT
    with pytest.raises(delivery.SentAlready):
        delivery.retry(notification, by=ana)


def test_a_failure_noticed_after_the_claim_passed_on_changes_nothing(
    alert: Alert, sec: Stakeholder, ana: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (notification,) = tell(alert, sec, ana)

    def slow(*_args: object, **_options: object) -> str:
        Notification.objects.update(tries=2)
        raise DeliveryError("too late", permanent=True)

    monkeypatch.setattr(slack, "post", slow)
    assert sent(notification).state == State.SENDING


def test_a_credential_that_no_key_opens_is_a_failure_that_says_so(alert: Alert, sec: Stakeholder, ana: User) -> None:
    Channel.objects.update(sealed_secret=b"sealed with a key that is gone")
    notification = sent(tell(alert, sec, ana)[0])
    assert notification.state == State.FAILED
    assert "CREDENTIAL_KEYS" in notification.error


def test_a_connection_removed_meanwhile_is_a_failure_that_says_so(
    alert: Alert, sec: Stakeholder, bot: Channel, ana: User
) -> None:
    (notification,) = tell(alert, sec, ana)
    sec.delete()
    bot.delete()
    assert sent(notification).state == State.FAILED
    assert notification.error == "The Slack connection was removed."


@pytest.mark.parametrize(
    "reply", [Reply(), Reply(500), Reply(302, b"", {"Location": "http://127.0.0.1:1/"}), Reply(200, b"nonsense")]
)
def test_no_secret_is_in_a_log_an_error_or_a_record(
    reply: Reply, alert: Alert, sec: Stakeholder, ana: User, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("slack_sdk").setLevel(logging.DEBUG)
    with slack_answering(settings, reply) as server:
        hook = make_channel("Boardroom", Channel.Kind.WEBHOOK, f"{server.url}/services/T0/B0/secretpart")
        boss = Stakeholder.objects.create(name="Boss", group="management", channel=hook)
        for recipient in (sec, boss):
            sent(tell(alert, recipient, ana)[0])
        assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    written = [caplog.text, *Notification.objects.values_list("error", flat=True)]
    written += [f"{activity.summary} {activity.detail}" for activity in Activity.objects.all()]
    assert "secretpart" not in " ".join(written)


def test_an_unusable_token_is_never_repeated(
    alert: Alert, sec: Stakeholder, bot: Channel, ana: User, box: Path
) -> None:
    bot.set_secret("xoxb-secretpart\r\nX-Injected: yes")
    bot.save()
    notification = sent(tell(alert, sec, ana)[0])
    assert notification.state == State.FAILED
    assert "secretpart" not in notification.error
