"""The outbox: what people are told, sent until it arrives or has visibly failed.

A notification is claimed for a while before it is sent, and its outcome is written down afterwards: a worker that is
killed in between leaves a claim that ends, so every message is sent at least once. Nothing is sent inside a
transaction.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from alerts.audit.visible import storable
from alerts.models import Activity, Alert, Notification, Stakeholder
from alerts.models.credential import CredentialLost
from alerts.notifications import email, slack
from alerts.notifications.message import DeliveryError, Message
from alerts.services.draft import SUBJECT_LIMIT, Draft, compose_return
from alerts.services.workflow import Stale

State = Notification.State
Way = Notification.Way

LEASE = timedelta(minutes=3)  # longer than a task may run
BACK_OFF = tuple(timedelta(seconds=seconds) for seconds in (15, 60, 5 * 60, 15 * 60, 60 * 60))
MAX_TRIES = len(BACK_OFF) + 1
TEXT_LIMIT = 10_000


class SentAlready(Exception):
    """A message that needs no other try; its text is the sentence people see."""


def tell(
    alert: Alert,
    recipients: Iterable[Stakeholder],
    texts: Mapping[str, Draft],
    *,
    by: User,
    version: int,
    once: str = "",
) -> list[Notification]:
    """Put a message to each recipient, by each of their ways, into the outbox: of `texts`, the one for their group.

    `once` names the form it came from: the same form sent twice is one message, as is the same text without a form.
    Raises alerts.services.workflow.Stale where the alert changed since that version.
    """
    with transaction.atomic():
        fresh = Alert.objects.select_for_update().get(pk=alert.pk)
        if fresh.version != version:
            raise Stale("This alert changed since you looked at it. Read your texts again; nothing was sent yet.")
        made = _queue_for(fresh, recipients, texts, once=once, by=by)
    return [notification for notification, _ in made]


def announce(alert: Alert, what: str, *, once: str) -> list[Notification]:
    """Put into the outbox, for everybody whom the alert concerns, that something happened which opened it again.

    It concerns those who were told of it before; where nobody was, Security. `once` names what happened: it is told
    once. Belongs into the transaction in which it happened.
    """
    before = Stakeholder.objects.filter(notifications__alert=alert).distinct()
    recipients = before or Stakeholder.objects.filter(group=Stakeholder.Group.SECURITY)
    texts = {group: compose_return(alert, group, what) for group in {each.group for each in recipients}}
    made = _queue_for(alert, recipients, texts, once=once, by=None, what=" of the return")
    return [notification for notification, created in made if created]


def send_test(recipient: Stakeholder, *, by: User) -> list[Notification]:
    """Put a test message to a stakeholder, by each of their ways, into the outbox."""
    draft = Draft(
        subject="Test message from Rolecall",
        text=f"{by.username} checks whether messages to {recipient.name} arrive. There is nothing to do.",
    )
    with transaction.atomic():
        Activity.objects.record("told", f"sent {recipient.name} a test message", by=by)
        once = str(uuid.uuid4())
        return [_queue(recipient, way, draft, alert=None, once=once, by=by)[0] for way in ways(recipient)]


def ways(recipient: Stakeholder) -> list[Notification.Way]:
    """Return how a stakeholder can be reached."""
    return [way for way, there in ((Way.EMAIL, recipient.email), (Way.SLACK, recipient.channel_id)) if there]


def destination(recipient: Stakeholder, way: Notification.Way) -> str:
    """Return where a message goes: a mail address, a Slack channel, or the name of a webhook's connection."""
    if way == Way.EMAIL:
        return recipient.email
    return recipient.slack_channel or (recipient.channel.name if recipient.channel else "")


def preview(alert: Alert | None, draft: Draft, *, key: str = "") -> Message:
    """Return the message that a draft about an alert, or a test, becomes."""
    page = alert.get_absolute_url() if alert else reverse("alerts:stakeholders")
    return Message(
        key=key,
        thread=alert.reference if alert else "stakeholders",
        subject=draft.subject,
        text=draft.text,
        link=f"{settings.PUBLIC_URL}{page}",
    )


def due(*, limit: int = 100) -> list[Notification]:
    """Return what waits to be sent by now, the oldest first."""
    return list(Notification.objects.filter(_is_due(timezone.now())).order_by("due_at", "pk")[:limit])


def send(notification: Notification) -> None:
    """Send one message if it is due and nobody else does, and write down what became of it."""
    claimed = _claim(notification)
    if claimed is None:
        return
    try:
        provider_id = _deliver(claimed)
    except DeliveryError as error:
        _fail(claimed, error)
    else:
        sent = {"state": State.SENT, "sent_at": timezone.now(), "leased_until": None, "error": ""}
        # Whoever holds the claim by now: this one did arrive.
        Notification.objects.filter(pk=claimed.pk).exclude(state=State.SENT).update(provider_id=provider_id, **sent)


def retry(notification: Notification, *, by: User) -> None:
    """Try a message that failed, or that waits for its next try, again now.

    Raises SentAlready.
    """
    with transaction.atomic():
        fresh = Notification.objects.select_for_update().get(pk=notification.pk)
        if fresh.state not in (State.FAILED, State.RETRYING):
            raise SentAlready(f"This message to {fresh.recipient} is {fresh.get_state_display().lower()} already.")
        fresh.state, fresh.tries, fresh.due_at = State.QUEUED, 0, timezone.now()
        fresh.save(update_fields=["state", "tries", "due_at"])
        summary = f"had the message to {fresh.recipient} ({fresh.get_way_display()}) sent again"
        Activity.objects.record("told", summary, by=by, alert=fresh.alert)


def _queue_for(
    alert: Alert,
    recipients: Iterable[Stakeholder],
    texts: Mapping[str, Draft],
    *,
    once: str,
    by: User | None,
    what: str = "",
) -> list[tuple[Notification, bool]]:
    """Queue every recipient's messages by each of their ways, and record the new ones; `what` is what they are told."""
    made = [
        _queue(recipient, way, texts[recipient.group], alert=alert, once=once, by=by)
        for recipient in recipients
        for way in ways(recipient)
    ]
    new = [notification for notification, created in made if created]
    if new:
        names = ", ".join(f"{each.recipient} ({each.get_way_display()})" for each in new)
        detail = {"notifications": [each.pk for each in new]}
        Activity.objects.record("told", f"told {names}{what}", by=by, alert=alert, detail=detail)
    return made


def _queue(
    recipient: Stakeholder, way: Notification.Way, draft: Draft, *, alert: Alert | None, once: str, by: User | None
) -> tuple[Notification, bool]:
    where = destination(recipient, way)
    subject, text = storable(draft.subject)[:SUBJECT_LIMIT], storable(draft.text)[:TEXT_LIMIT]
    content = [alert and alert.pk, recipient.pk, way, where, subject, text, once]
    return Notification.objects.get_or_create(
        key=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        defaults={
            "alert": alert,
            "stakeholder": recipient,
            "recipient": recipient.name,
            "way": way,
            "channel": recipient.channel if way == Way.SLACK else None,
            "destination": where,
            "kind": "told" if alert else "test",
            "subject": subject,
            "text": text,
            "created_by": by,
        },
    )


def _is_due(now: datetime) -> Q:
    waiting = Q(state__in=[State.QUEUED, State.RETRYING], due_at__lte=now)
    return waiting | Q(state=State.SENDING, leased_until__lte=now)


def _claim(notification: Notification) -> Notification | None:
    """Take a due message for a while, or return None. Durable: what follows is network, outside of any transaction."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        claimed = Notification.objects.select_for_update().filter(_is_due(now), pk=notification.pk).first()
        if claimed is None:
            return None
        if claimed.tries >= MAX_TRIES:
            _give_up(claimed, "The worker was stopped during every try; it may have arrived.")
            return None
        claimed.state, claimed.tries, claimed.leased_until = State.SENDING, claimed.tries + 1, now + LEASE
        claimed.save(update_fields=["state", "tries", "leased_until"])
    return claimed


def _deliver(notification: Notification) -> str:
    """Send the message and return the provider's id for it.

    Raises DeliveryError.
    """
    draft = Draft(notification.subject, notification.text)
    message = preview(notification.alert, draft, key=notification.key[:32])
    if notification.way == Way.EMAIL:
        return email.send(message, to=notification.destination)
    channel = notification.channel
    if channel is None:
        raise DeliveryError("The Slack connection was removed.", permanent=True)
    try:
        secret = channel.secret()
    except CredentialLost as lost:
        raise DeliveryError(str(lost), permanent=True) from None
    if channel.kind == channel.Kind.BOT:
        return slack.post(message, token=secret, channel=notification.destination)
    slack.post_to_webhook(message, address=secret)
    return ""


def _fail(claimed: Notification, error: DeliveryError) -> None:
    """Write down a try that failed, unless the claim passed to somebody else meanwhile."""
    with transaction.atomic(durable=True):
        held = Notification.objects.select_for_update().filter(pk=claimed.pk, state=State.SENDING, tries=claimed.tries)
        fresh = held.first()
        if fresh is None:
            return
        if error.permanent or fresh.tries >= MAX_TRIES:
            _give_up(fresh, str(error))
            return
        wait = max(BACK_OFF[fresh.tries - 1], timedelta(seconds=error.retry_after or 0))
        fresh.state, fresh.error, fresh.leased_until = State.RETRYING, str(error), None
        fresh.due_at = timezone.now() + wait
        fresh.save(update_fields=["state", "error", "leased_until", "due_at"])


def _give_up(notification: Notification, error: str) -> None:
    notification.state, notification.error, notification.leased_until = State.FAILED, error, None
    notification.save(update_fields=["state", "error", "leased_until"])
    summary = f"could not tell {notification.recipient} ({notification.get_way_display()}): {error}"
    Activity.objects.record("told", summary, by=None, alert=notification.alert)
