"""Telling by mail: text first with an HTML alternative, one thread an alert, marked as sent by a machine."""

import contextlib
import hashlib
import smtplib
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers
from django.template.loader import render_to_string

from alerts.audit.visible import visible
from alerts.notifications.message import DeliveryError, Message

REPLY_LIMIT = 200  # characters of a mail server's reply that are shown


def send(message: Message, *, to: str) -> str:
    """Send the message to one address and return its Message-ID.

    The Message-ID comes from the message's key: a copy that travelled twice is recognised as one mail.
    Raises DeliveryError.
    """
    mail = compose(message, to=to)
    try:
        # Closed by us: Django leaves a connection open that broke during log-in.
        with contextlib.closing(mailers["default"]) as mailer:
            mailer.send_messages([mail])
    except smtplib.SMTPAuthenticationError as refusal:
        failure = DeliveryError(
            f"The mail server refused our credentials ({refusal.smtp_code}).", permanent=refusal.smtp_code >= 500
        )
    except smtplib.SMTPRecipientsRefused as refusal:
        failure = _refused(*refusal.recipients[to]) if to in refusal.recipients else _refused(550, b"")
    except smtplib.SMTPResponseException as refusal:
        failure = _refused(refusal.smtp_code, refusal.smtp_error)
    except smtplib.SMTPNotSupportedError:
        failure = DeliveryError("The mail server does not offer what the settings ask for.", permanent=True)
    except OSError as error:
        # Also what smtplib raises for a lost connection. The mail may have been taken before: sent again it is one.
        failure = DeliveryError(f"The mail server could not be reached ({type(error).__name__}).", permanent=False)
    except ValueError:
        failure = DeliveryError("This address cannot be written into a mail.", permanent=True)
    else:
        return str(mail.extra_headers["Message-ID"])
    raise failure


def compose(message: Message, *, to: str) -> EmailMultiAlternatives:
    """Return the mail as it will be sent."""
    thread = _identifier(f"{message.thread}.{hashlib.sha256(to.lower().encode()).hexdigest()[:16]}")
    mail = EmailMultiAlternatives(
        subject=message.headline,
        body=f"{message.text.rstrip()}\n\n{message.link}\n",
        to=[to],
        headers={
            "Message-ID": _identifier(message.key),
            # The thread's first mail is never sent: replies to it are grouped all the same, in any order.
            "In-Reply-To": thread,
            "References": thread,
            "Auto-Submitted": "auto-generated",  # RFC 3834 §5
            "X-Auto-Response-Suppress": "All",  # Exchange, MS-OXCMAIL §2.2.3.2.14
        },
    )
    mail.attach_alternative(render_to_string("notifications/message.html", {"message": message}), "text/html")
    return mail


def _identifier(local: str) -> str:
    """Return a msg-id (RFC 5322 §3.6.4) of ours."""
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    return f"<{local}@{f'[{host}]' if ':' in host else host}>"


def _refused(code: int, reply: bytes | str) -> DeliveryError:
    """Tell a refusal for now (4xx) from one for good (5xx), RFC 5321 §4.2.1."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    said = visible(" ".join(text.split()))[:REPLY_LIMIT]
    return DeliveryError(f"The mail server refused it: {code} {said}".rstrip(), permanent=code >= 500)
