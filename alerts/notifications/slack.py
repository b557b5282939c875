"""Telling by Slack: a bot posts with chat.postMessage, or an incoming webhook takes the message.

What an attacker named is shown as plain text, escaped: it can neither ping a channel nor become a link. Tries are
counted in the outbox, so the client's own retries are off; so is its log, which would hold a webhook's address.
"""

import http.client
import json
import logging
import re
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request

from django.conf import settings
from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.webhook import WebhookResponse

from alerts.notifications import egress
from alerts.notifications.message import DeliveryError, Message

TIMEOUT = 10  # seconds, for each step of an exchange
_SECTION_LIMIT = 3000  # of a text object
_HEADER_LIMIT = 150  # of a header’s text
_SECTIONS = 45  # of the 50 blocks that a message may have
_LONGEST_RETRY_AFTER = 3600

# Slack's names of what passes by itself; with everything else another try cannot help.
_TEMPORARY = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
_EXPLANATIONS = {
    "invalid_auth": "Slack does not accept the bot’s token",
    "not_authed": "Slack does not accept the bot’s token",
    "account_inactive": "the bot’s token belongs to a removed account",
    "token_revoked": "the bot’s token was revoked",
    "token_expired": "the bot’s token has expired",
    "missing_scope": "the bot lacks the permission chat:write",
    "channel_not_found": "there is no such channel, or the bot may not see it",
    "not_in_channel": "the bot is not a member of the channel",
    "is_archived": "the channel is archived",
    "channel_is_archived": "the channel is archived",
    "no_service": "the webhook was removed",
    "invalid_token": "the webhook’s address is not valid",
}
_CODE = re.compile(r"[a-z][a-z_]{1,60}")

# What the client logs may hold an address or a token.
_SILENCE = logging.Logger("silence", level=logging.CRITICAL + 1)  # noqa: LOG001  in no hierarchy: no settings wake it


def post(message: Message, *, token: str, channel: str) -> str:
    """Post the message to a channel as the bot of that token, and return Slack's channel and timestamp for it.

    Raises DeliveryError.
    """
    try:
        response = _Bot(token).chat_postMessage(
            channel=channel,
            text=fallback(message),
            blocks=blocks(message),
            unfurl_links=False,
            unfurl_media=False,
            link_names=False,
            parse="none",
        )
    except SlackApiError as refusal:
        failure = _refused(str(refusal.response.get("error", "")))
    except (SlackClientError, egress.NotAllowed, OSError, http.client.HTTPException, ValueError) as error:
        failure = _unreached(error)
    else:
        return f"{response.get('channel') or ''} {response.get('ts') or ''}".strip()
    raise failure


def post_to_webhook(message: Message, *, address: str) -> None:
    """Give the message to an incoming webhook, which posts it to the channel it was made for.

    Raises DeliveryError.
    """
    try:
        answer = _Webhook(address).send(
            text=fallback(message), blocks=blocks(message), unfurl_links=False, unfurl_media=False
        )
    except (SlackClientError, egress.NotAllowed, OSError, http.client.HTTPException, ValueError) as error:
        failure = _unreached(error)
    else:
        if answer.body.strip() == "ok":
            return
        failure = DeliveryError("What answered for the webhook does not speak like Slack.", permanent=False)
    raise failure


def check_webhook(address: str) -> None:
    """Refuse a webhook's address that messages may not go to.

    Raises alerts.notifications.egress.NotAllowed.
    """
    egress.Destination.of(address, allowed=settings.SLACK_WEBHOOK_HOSTS)


def fallback(message: Message) -> str:
    """Return the line for push notifications and screen readers."""
    return escaped(f"{message.headline} {message.link}")


def blocks(message: Message) -> list[dict[str, Any]]:
    """Return the message as blocks: headline and text in plain text, and one link, to our own page."""
    header = {"type": "header", "text": _plain(_cut(message.headline, _HEADER_LIMIT))}
    link = {"type": "mrkdwn", "text": f"<{message.link}|Open {message.thread} in Rolecall>", "verbatim": True}
    sections = [{"type": "section", "text": _plain(part)} for part in _parts(message.text)[:_SECTIONS]]
    return [header, *sections, {"type": "section", "text": link}]


def escaped(text: str) -> str:
    """Return the text without Slack's control characters: no mention, no link, no markup begins in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped(text), "emoji": False}


def _size(text: str) -> int:
    """Return how long Slack may find the text: escaped, and in the UTF-16 units of its clients."""
    return len(escaped(text).encode("utf-16-le")) // 2


def _cut(text: str, limit: int) -> str:
    """Shorten the text to a limit of Slack’s. A message with a longer one would be refused as a whole."""
    if _size(text) <= limit:
        return text
    while _size(text) >= limit:
        text = text[:-1]
    return f"{text}…"


def _parts(text: str) -> list[str]:
    """Cut the text into parts that fit into a text object, at the ends of lines where possible."""
    parts, current = [], ""
    longest = _SECTION_LIMIT // len("&amp;")
    for line in text.splitlines(keepends=True):
        for piece in (line[start : start + longest] for start in range(0, len(line), longest)):
            if _size(current + piece) > _SECTION_LIMIT:
                parts.append(current)
                current = ""
            current += piece
    return [part.strip("\n") for part in [*parts, current] if part.strip()]


class _Bot(WebClient):
    """Slack's client, with our own way to the network underneath."""

    def __init__(self, token: str) -> None:
        base = f"{settings.SLACK_URL.rstrip('/')}/"
        super().__init__(token=token, base_url=base, timeout=TIMEOUT, retry_handlers=[], logger=_SILENCE)

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        # The address is the operator's own setting: its host is listed by being written there.
        host = urlsplit(self.base_url).netloc
        answer = egress.exchange(req, egress.Destination.of(url, allowed=[host]), timeout=TIMEOUT)
        _check(answer)
        if not _is_object(answer.body):
            raise DeliveryError("What answered for Slack does not speak like Slack.", permanent=False)
        return {"status": answer.status, "headers": answer.headers, "body": answer.body}


class _Webhook(WebhookClient):
    """Slack's client for webhooks, with our own way to the network underneath."""

    def __init__(self, address: str) -> None:
        super().__init__(address, timeout=TIMEOUT, retry_handlers=[], logger=_SILENCE)

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        destination = egress.Destination.of(url, allowed=settings.SLACK_WEBHOOK_HOSTS)
        answer = egress.exchange(req, destination, timeout=TIMEOUT)
        _check(answer)
        return WebhookResponse(url="", status_code=answer.status, body=answer.body, headers=dict(answer.headers))


def _is_object(body: str) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _check(answer: egress.Answer) -> None:
    """Sort out every answer that is not a success. What was answered is never shown, besides Slack's own short codes.

    Raises DeliveryError.
    """
    if answer.status == 200:
        return
    if 300 <= answer.status < 400:
        raise DeliveryError("Slack’s address answered with a redirect, which is not followed.", permanent=True)
    if answer.status == 429 or answer.status >= 500:
        raise DeliveryError(
            "Slack asks us to wait." if answer.status == 429 else f"Slack is not well (HTTP {answer.status}).",
            permanent=False,
            retry_after=_seconds(answer.headers.get("retry-after", "")),
        )
    code = answer.body.strip()
    raise (
        _refused(code)
        if _CODE.fullmatch(code)
        else DeliveryError(f"Slack refused it (HTTP {answer.status}).", permanent=True)
    )


def _seconds(text: str) -> int | None:
    return min(int(text), _LONGEST_RETRY_AFTER) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _refused(code: str) -> DeliveryError:
    """Explain one of Slack's error codes, and tell what passes from what does not."""
    if not _CODE.fullmatch(code):
        return DeliveryError("What answered for Slack does not speak like Slack.", permanent=False)
    explanation = _EXPLANATIONS.get(code)
    return DeliveryError(
        f"Slack refused it: {explanation} ({code})." if explanation else f"Slack refused it ({code}).",
        permanent=code not in _TEMPORARY,
    )


def _unreached(error: Exception) -> DeliveryError:
    """Explain why there was no answer, without what the error says: it may hold an address or a token."""
    if isinstance(error, egress.NotAllowed):
        return DeliveryError(str(error), permanent=True)
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, OSError) or (
        isinstance(error, http.client.HTTPException) and not isinstance(error, http.client.InvalidURL)
    ):
        return DeliveryError(f"Slack could not be reached ({type(error).__name__}).", permanent=False)
    return DeliveryError("The token or the address cannot be used as it is stored. Enter it again.", permanent=True)
