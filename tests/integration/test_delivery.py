"""From a draft to a mail server and to Slack, over real sockets, and what becomes of a message that does not arrive."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from celery import Celery
from django.conf import settings as installed
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from alerts import tasks
from alerts.models import Activity, Alert, Channel, Cluster, Notification, Stakeholder
from alerts.notifications import mailbox, slack
from alerts.notifications.mailbox import Received
from alerts.notifications.message import DeliveryError
from alerts.notifications.sinks import MailSink, SlackSink
from alerts.services import delivery
from alerts.services.draft import Draft
from alerts.services.workflow import Stale
from tests.factories import make_alert
from tests.standins import HTTPStandIn, MailStandIn, Reply
from triage.celery import app as celery

State = Notification.State

TOKEN = "xoxb-123-secretpart"
HOSTILE = "<!channel> <http://evil|x>\nBcc: everybody@example.org\u202e"


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    return make_alert(cluster)


@pytest.fixture
def bot(db: None) -> Channel:
    return make_channel("Acme", Channel.Kind.BOT, TOKEN)


@pytest.fixture
def priya(db: None) -> Stakeholder:
    """Reached by mail."""
    return Stakeholder.objects.create(name="Priya", group="security", email="priya@example.org")


@pytest.fixture
def sec(bot: Channel) -> Stakeholder:
    """Reached by Slack."""
    return Stakeholder.objects.create(name="Security room", group="security", channel=bot, slack_channel="#security")


def make_channel(name: str, kind: str, secret: str) -> Channel:
    channel = Channel(name=name, kind=kind)
    channel.set_secret(secret)
    channel.save()
    return channel


def tell(
    alert: Alert, recipient: Stakeholder, by: User, subject: str = "A role was created", once: str = "form"
) -> list[Notification]:
    texts = {recipient.group: Draft(subject=subject, text="Somebody created a role.")}
    return delivery.tell(alert, [recipient], texts, by=by, version=alert.version, once=once)


def sent(notification: Notification) -> Notification:
    """Send it, and return it as it is afterwards."""
    delivery.send(notification)
    notification.refresh_from_db()
    return notification


@contextmanager
def mail_by(sink: MailSink, settings: Settings, **options: object) -> Iterator[None]:
    with sink:
        settings.MAILERS = {"default": {"OPTIONS": {"host": "127.0.0.1", "port": sink.port, **options}}}
        yield


@contextmanager
def slack_answering(settings: Settings, *replies: Reply) -> Iterator[HTTPStandIn]:
    with HTTPStandIn(*replies) as server:
        settings.SLACK_URL = f"{server.url}/api/"
        settings.SLACK_WEBHOOK_HOSTS = [f"127.0.0.1:{server.port}"]
        yield server


@pytest.fixture
def box(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """The folder of the demo's mailbox, which mail and Slack messages go to."""
    folder = tmp_path / "mailbox"
    with mail_by(MailSink(folder), settings), SlackSink(folder) as slack_sink:
        settings.SLACK_URL = f"http://127.0.0.1:{slack_sink.port}/api/"
        settings.SLACK_WEBHOOK_HOSTS = [f"127.0.0.1:{slack_sink.port}"]
        yield folder


def arrived(folder: Path) -> list[Received]:
    return mailbox.received(folder)


# --- What arrives


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


# --- What does not arrive

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


def test_a_test_message_belongs_to_no_alert(box: Path, priya: Stakeholder, ada: User) -> None:
    (notification,) = delivery.send_test(priya, by=ada)
    assert sent(notification).state == State.SENT
    assert (notification.alert, arrived(box)[0].subject) == (None, "Test message from Rolecall")
