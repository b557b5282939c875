"""Where API servers post their audit events. What is answered 200 is on disk; what cannot be kept is to be sent again.

An API server resends a batch after any answer but 2xx: five times over 90 seconds, or for four minutes where the answer
is 503 with Retry-After (measured on Kubernetes 1.36). So nothing about the content is ever refused.

Amazon Data Firehose posts here too: it sends the token in a header of its own, and wants its request answered by id.
Google Pub/Sub does so with a token that Google signed (services/pushes.py).
"""

import ipaddress
import logging
import time

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from alerts import tasks
from alerts.audit.visible import storable
from alerts.models import Cluster
from alerts.services import inbox, pushes, refusal, signing_keys

logger = logging.getLogger(__name__)

_CHUNK = 256 * 1024
_RETRY_AFTER_SECONDS = "3"
# A cluster has many fields, and a post comes often.
_ASKED = ("name", "hook_token_hash", "previous_hook_token_hash", "push_account", "last_batch_at")
# Whom a post to an unknown cluster is compared with, so that it takes as long as one with a wrong token.
_NOBODY = Cluster()
_NOBODY.issue_hook_token()


class _Refused(Exception):
    """A body that is not taken: the answer's status, the size that it has or should have, and why."""

    def __init__(self, status: int, size: str, why: str) -> None:
        super().__init__(why)
        self.status, self.size, self.why = status, size, why


@csrf_exempt
@login_not_required
@require_POST
def hook(request: HttpRequest, name: str) -> HttpResponse:
    """Keep the body for a worker to examine, and answer 200 with nothing."""
    try:
        cluster = Cluster.objects.filter(name=storable(name)).only(*_ASKED).first()
        token = _token(request)
        known = (cluster or _NOBODY).accepts(token)
        if cluster is None:
            return HttpResponse(status=404)
        if not _certified(request, name):
            return HttpResponse(status=403)
        if not known and not pushes.accepts(cluster, token):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
        try:
            body = _read(request)
        except _Refused as refused:
            return _refuse(cluster, refused)
        inbox.store(cluster, body)
    except (DatabaseError, inbox.InboxFull, signing_keys.Unavailable, OSError) as error:
        logger.warning("A batch for cluster %s could not be kept: %s", name, error)
        return HttpResponse(status=503, headers={"Retry-After": _RETRY_AFTER_SECONDS})
    tasks.announce_batch()
    delivery = request.headers.get("X-Amz-Firehose-Request-Id")
    if delivery:
        return JsonResponse({"requestId": delivery, "timestamp": time.time_ns() // 1_000_000})
    return HttpResponse(content_type="application/json")


def _token(request: HttpRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("X-Amz-Firehose-Access-Key", "")


def _certified(request: HttpRequest, name: str) -> bool:
    """Tell whether a proxy that we trust has seen the cluster's certificate; always where none is asked for.

    Whoever is no such proxy could write anything into its header.
    """
    if not settings.HOOK_CERTIFICATE_HEADER:
        return True
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    trusted = any(peer in network for network in settings.HOOK_TRUSTED_PROXIES)
    return trusted and request.headers.get(settings.HOOK_CERTIFICATE_HEADER) == name


def _read(request: HttpRequest) -> bytes:
    """Return the body, read from the stream so that Django's limits for forms do not count.

    Raises _Refused, before reading where the length is declared: for a body above HOOK_BODY_LIMIT, for one of no length
    on a server that does not end the stream itself, and for one that ends too early.
    """
    limit, declared = settings.HOOK_BODY_LIMIT, request.META.get("CONTENT_LENGTH")
    length = int(declared) if declared and declared.isascii() and declared.isdigit() else None
    if length is not None and length > limit:
        raise _too_large(length, at_least=False)
    # Django reads nothing without a length; a server that ends the stream itself lets us read a chunked body.
    chunked = length is None and "Transfer-Encoding" in request.headers
    if chunked and not request.META.get("wsgi.input_terminated"):
        raise _Refused(411, "unknown size", "its request declares no length")
    stream = request.META["wsgi.input"] if chunked else request
    parts, size = [], 0
    try:
        while size <= limit and (chunk := stream.read(_CHUNK)):
            size += len(chunk)
            parts.append(chunk)
    except OSError as error:
        raise _cut(size, length) from error
    if size > limit:
        raise _too_large(limit, at_least=True)
    if length is not None and size < length:
        raise _cut(size, length)
    return b"".join(parts)


def _too_large(size: int, *, at_least: bool) -> _Refused:
    more_than = "more than " if at_least else ""
    why = f"{more_than}{size} bytes, and at most {settings.HOOK_BODY_LIMIT} are taken (HOOK_BODY_LIMIT)"
    return _Refused(413, f"{more_than}{size:,} bytes", why)


def _cut(size: int, length: int | None) -> _Refused:
    if length is None:
        return _Refused(503, "unknown size", f"its end never came, only {size} bytes")
    return _Refused(503, f"{length:,} bytes", f"only {size} bytes came of {length}")


def _refuse(cluster: Cluster, refused: _Refused) -> HttpResponse:
    """Have it looked into what is lost when its sender gives up, and answer."""
    logger.warning("A batch for cluster %s was refused: %s", cluster.name, refused)
    alert = refusal.record(cluster, refused.size, refused.why)
    if alert is not None:
        tasks.announce_refusal(alert)
    headers = {"Retry-After": _RETRY_AFTER_SECONDS} if refused.status == 503 else {}
    return HttpResponse(status=refused.status, headers=headers)
