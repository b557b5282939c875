"""Somebody to tell of an alert by mail or Slack, and what stands in for both, over real sockets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from alerts.models import Alert, Channel, Cluster, Notification, Stakeholder
from alerts.notifications import mailbox
from alerts.notifications.mailbox import Received
from alerts.notifications.sinks import MailSink, SlackSink
from alerts.services import delivery
from alerts.services.draft import Draft
from tests.factories import make_alert
from tests.standins import HTTPStandIn, Reply

TOKEN = "xoxb-123-secretpart"


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
