"""What monitors ask: is the process alive, could it do its work, and how much did it do.

A load balancer asks /healthz. One that stopped sending batches because /readyz says that the broker is away would lose
what could have been stored.
"""

import hmac

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from alerts import tasks
from alerts.services import metrics as measurements
from alerts.services import readiness

_TEXT = "text/plain; charset=utf-8"


@login_not_required
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200: the process is alive."""
    return HttpResponse("ok\n", content_type=_TEXT)


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 or 503: database, tables, broker and workers are there. Who has METRICS_TOKEN learns what is not."""
    missing = readiness.problems()
    if not tasks.has_broker():
        missing.append("The broker does not answer: wake-ups wait for the sweep.")
    if not missing:
        return HttpResponse("ok\n", content_type=_TEXT)
    lines = missing if _has_token(request) else ["not ready"]
    return HttpResponse("".join(f"{line}\n" for line in lines), status=503, content_type=_TEXT)


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Show the metrics to administrators and to whoever has METRICS_TOKEN."""
    if _has_token(request) or request.user.has_perm("alerts.change_cluster"):
        return HttpResponse(measurements.text(), content_type=measurements.CONTENT_TYPE)
    if settings.METRICS_TOKEN:
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(status=404)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    known = hmac.compare_digest(token.strip().encode("utf-8", "replace"), settings.METRICS_TOKEN.encode())
    return known and scheme.lower() == "bearer" and bool(settings.METRICS_TOKEN)
