"""The demo's mailbox: the mail and Slack messages that would have left, on a page."""

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from alerts.notifications import mailbox as box
from alerts.views.request import Request


@require_GET
def mailbox(request: Request) -> HttpResponse:
    """Show what was received, the newest first. Without a mailbox of its own, an installation has no such page."""
    if settings.MAILBOX_DIR is None:
        raise Http404
    return render(request, "alerts/mailbox.html", {"received": box.received(settings.MAILBOX_DIR)})
