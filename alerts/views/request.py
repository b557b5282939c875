"""Requests as our views receive them: by somebody logged in, perhaps from htmx."""

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request by somebody who is logged in."""

    user: User
    htmx: HtmxDetails


def check_may(request: Request, permission: str) -> None:
    """Refuse people without that permission of ours.

    Raises PermissionDenied.
    """
    if not request.user.has_perm(f"alerts.{permission}"):
        raise PermissionDenied


def number_of(text: str) -> int:
    """Return the number that a client sent as text, 0 where it is none that a row could have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
